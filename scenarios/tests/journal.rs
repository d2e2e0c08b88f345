//! The journal on a disk that forgets: its process is killed and its host loses power, one after
//! the other and at any moment, and what opens is what was committed last.
#![cfg(feature = "sim")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use orrery_journal::{Change, Journal, PlantedBug};
use orrery_planted::Bug;
use orrery_runtime::{Generator, Runtime};
use orrery_runtime_sim::{Config, World, simulate};
use orrery_scenarios::deaths::die;

type Files = BTreeMap<String, Bytes>;

const ROOT: &str = "/var/lib/journal";
const SEEDS: u64 = 60;
/// How often each run's process or host dies.
const DEATHS: usize = 30;

/// What may be found.
#[derive(Debug, Default)]
struct Model {
    /// After the last batch that was confirmed.
    certain: Files,
    /// After the one that was under way as well.
    possible: Option<Files>,
}

impl Model {
    fn found(&mut self, files: Files) {
        let possible = self.possible.take();
        assert!(
            files == self.certain || Some(&files) == possible.as_ref(),
            "found {:?}, expected {:?} or {:?}",
            names(&files),
            names(&self.certain),
            possible.as_ref().map(names),
        );
        self.certain = files;
    }
}

fn names(files: &Files) -> Vec<(&String, usize)> {
    files.iter().map(|(name, content)| (name, content.len())).collect()
}

/// Some changes that make sense after each other.
fn batch(files: &mut Files, random: &mut Generator) -> Vec<Change> {
    let mut changes = Vec::new();
    for _ in 0..=random.below(3) {
        let folder = format!("top/{}", random.below(3));
        let path = format!("{folder}/inside/{}", random.below(3));
        let content = Bytes::from(vec![b'x'; 1 + random.below(40) as usize]);
        changes.push(match random.below(6) {
            0 => {
                files.retain(|file, _| !file.starts_with(&format!("{folder}/")));
                Change::RemoveFolder { path: folder }
            }
            1 => {
                files.remove(&path);
                Change::RemoveFile { path }
            }
            2 | 3 => {
                files.insert(path.clone(), content.clone());
                Change::Write { path, content }
            }
            _ => {
                let file = files.entry(path.clone()).or_default();
                let offset = file.len() as u64;
                *file = [file.as_ref(), content.as_ref()].concat().into();
                Change::Append { path, offset, content }
            }
        });
    }
    changes
}

async fn commit_for_ever(runtime: Runtime, model: Arc<Mutex<Model>>) -> i32 {
    let mut random = runtime.random.generator();
    let mut journal = Journal::open(&runtime, Path::new(ROOT), false).await.expect("it opens");
    let lock = || model.lock().unwrap_or_else(PoisonError::into_inner);
    lock().found(journal.take_contents());
    loop {
        let mut files = lock().certain.clone();
        let changes = batch(&mut files, &mut random);
        lock().possible = Some(files.clone());
        journal.commit(changes).await.expect("the disk takes it");
        *lock() = Model { certain: files, possible: None };
        let pause = Duration::from_micros(random.below(20_000));
        runtime.sleep(pause).await;
    }
}

async fn scenario(world: World, bug: Option<Bug>) {
    orrery_planted::plant(bug);
    let model = Arc::new(Mutex::new(Model::default()));
    let main = |runtime| commit_for_ever(runtime, Arc::clone(&model));
    die(&world, DEATHS, Duration::from_millis(200), main).await;
    orrery_planted::plant(None);
}

/// The first seed that fails.
fn first_failure(bug: Option<Bug>) -> Option<(u64, String)> {
    (0..SEEDS).find_map(|seed| {
        let run = simulate(seed, Config::default(), move |world| scenario(world, bug));
        run.outcome.err().map(|failure| (seed, failure.to_string()))
    })
}

/// A process that was killed leaves files that look written and were never synced: the next one
/// must not take their looks for it when it lets go of the journal.
#[test]
fn what_was_committed_survives_every_order_of_deaths() {
    assert_eq!(first_failure(None), None);
}

#[test]
fn a_torn_batch_that_counts_as_damage_is_found() {
    let (seed, failure) =
        first_failure(Some(*PlantedBug::TornBatchIsDamage.bug())).expect("the bug is found");
    println!("seed {seed}: {failure}");
}
