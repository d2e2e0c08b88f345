//! Plans that once broke a rule: every file of the folder `regressions` is played.
#![cfg(feature = "sim")]

use std::path::Path;
use std::time::Duration;

use orrery_runtime_sim::{Config, simulate};
use orrery_scenarios::checks::Checks;
use orrery_scenarios::cluster::Cluster;
use orrery_scenarios::plan::{Place, Plan, Shape};
use orrery_scenarios::planted::Bugs;
use orrery_scenarios::runner::{self, Settings};
use orrery_scenarios::scenario::watched;

/// What a plan leaves open follows from its seed. Each is also played with the seeds that follow.
const SEEDS: u64 = 8;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/regressions");

#[allow(clippy::disallowed_methods, reason = "the plans are files of the real system")]
fn files() -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(FOLDER).expect("the folder is there");
    let files = entries.map(|entry| entry.expect("it can be listed").path());
    let mut files: Vec<_> =
        files.filter(|path| path.extension().is_some_and(|name| name == "plan")).collect();
    files.sort();
    files
}

fn play(path: &Path) -> Result<(), String> {
    let plan = Plan::read(path).map_err(|error| error.to_string())?;
    for seed in plan.seed..plan.seed + SEEDS {
        let run = runner::run_plan(Plan { seed, ..plan.clone() }, &Settings::default());
        if let Some(failed) = runner::failure(&run) {
            return Err(format!("{}, seed {seed}: {}", path.display(), failed.violation));
        }
    }
    Ok(())
}

#[test]
fn no_plan_of_the_folder_fails_again() {
    let files = files();
    assert!(files.len() >= 6, "only {} plans in {FOLDER}", files.len());
    let failures: Vec<String> = files.iter().filter_map(|path| play(path).err()).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// The registry's folder was made but its own name was not synced: after a power cut the master
/// knew none of its agents, and called their tasks unknown.
#[test]
fn the_registry_survives_a_power_cut() {
    for seed in 0..SEEDS {
        let report = simulate(seed, Config::default(), |world| async move {
            let shape = Shape::default();
            watched(world, &shape, &Bugs::default(), Checks::all(), cut_the_masters_power).await
        });
        match report.outcome {
            Ok(Ok(())) => {}
            other => panic!("seed {seed}: {other:?}"),
        }
    }
}

async fn cut_the_masters_power(cluster: Cluster) {
    let admitted = |master: &orrery_master::Master| -> Vec<String> {
        let connected = master.agents().map(|(_, agent)| agent.id().to_owned());
        let recovered = master.recovered_agents().keys().cloned();
        let mut ids: Vec<String> = connected.chain(recovered).collect();
        ids.sort();
        ids
    };
    cluster.world().sleep(Duration::from_secs(10)).await;
    let before = cluster.inspect_master(admitted).await.expect("it runs");
    assert_eq!(before.len(), 2);
    cluster.crash(Place::Master(0));
    cluster.power_on(Place::Master(0));
    cluster.start_missing();
    assert_eq!(cluster.inspect_master(admitted).await.expect("it runs"), before);
}
