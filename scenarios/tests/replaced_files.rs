//! Files that are replaced as a whole, on a disk that forgets: a process is killed and its host
//! loses power at any moment, and what is found is what was written last.
#![cfg(feature = "sim")]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use orrery_planted::Bug;
use orrery_runtime::disk::{create_durable_directories, read_replaced_file, replace_file};
use orrery_runtime::{PlantedBug, Runtime};
use orrery_runtime_sim::{Config, World, simulate};
use orrery_scenarios::deaths::die;

const FOLDER: &str = "/var/lib/number";
const FILE: &str = "/var/lib/number/file";
const SEEDS: u64 = 60;
/// How often each run's process or host dies.
const DEATHS: usize = 20;

/// Writes one number after the other, and begins with what it finds: `certain`, the last one that
/// was confirmed, or the one after it, which was under way.
async fn count_for_ever(runtime: Runtime, certain: Arc<AtomicU64>) -> i32 {
    let mut random = runtime.random.generator();
    let path = Path::new(FILE);
    create_durable_directories(&*runtime.disk, Path::new(FOLDER)).await.expect("a folder");
    let mut number = match read_replaced_file(&*runtime.disk, path).await {
        Ok(content) => String::from_utf8_lossy(&content).parse().expect("a number is found"),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => 0,
        Err(error) => panic!("it cannot be read: {error}"),
    };
    let last = certain.load(Relaxed);
    assert!([last, last + 1].contains(&number), "found {number}, expected {last} or the next");
    certain.store(number, Relaxed);
    loop {
        number += 1;
        let content = number.to_string().into();
        replace_file(&*runtime.disk, path, content).await.expect("the disk takes it");
        certain.store(number, Relaxed);
        runtime.sleep(Duration::from_micros(random.below(20_000))).await;
    }
}

async fn scenario(world: World, bug: Option<Bug>) {
    orrery_planted::plant(bug);
    let certain = Arc::new(AtomicU64::new(0));
    let main = |runtime| count_for_ever(runtime, Arc::clone(&certain));
    die(&world, DEATHS, Duration::from_millis(100), main).await;
    orrery_planted::plant(None);
}

/// The first seed whose run fails, with how.
fn first_failure(bug: Option<PlantedBug>) -> Option<(u64, String)> {
    let bug = bug.map(|bug| *bug.bug());
    (0..SEEDS).find_map(|seed| {
        let run = simulate(seed, Config::default(), move |world| scenario(world, bug));
        run.outcome.err().map(|failure| (seed, failure.to_string()))
    })
}

#[test]
fn the_last_number_survives_every_order_of_deaths() {
    assert_eq!(first_failure(None), None);
}

#[test]
fn what_is_not_made_durable_is_found_out() {
    for bug in [PlantedBug::RenamesBeforeSync, PlantedBug::FolderIsNotSynced] {
        let (seed, failure) = first_failure(Some(bug)).expect("the bug is found");
        println!("{}: seed {seed}: {failure}", bug.bug().name);
    }
}
