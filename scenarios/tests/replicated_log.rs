//! The replicated log under every fault that the simulator has for it.
#![cfg(feature = "sim")]

use std::time::Duration;

use orrery_runtime_sim::{Config, simulate};
use orrery_scenarios::log_cluster::LogCluster;
use orrery_scenarios::log_faults::inject;

/// Seeds that are run where the environment does not say how many.
const SEEDS: u64 = 30;

fn seeds() -> std::ops::Range<u64> {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    match (number("SIM_SEED"), number("SIM_SEEDS")) {
        (Some(seed), _) => seed..seed + 1,
        (None, seeds) => 0..seeds.unwrap_or(SEEDS),
    }
}

/// Runs one seed; what is wrong, and how many writes were confirmed.
fn run(seed: u64, replicas: usize, faults: Duration) -> Result<usize, String> {
    let report = simulate(seed, Config::default(), move |world| async move {
        let cluster = LogCluster::start(&world, replicas);
        inject(&world, &cluster, faults).await;
        let converged = cluster.converge(Duration::from_secs(120)).await;
        let history = cluster.history();
        history.check().map(|()| converged.map(|()| history.confirmed()))
    });
    match report.outcome {
        Ok(Ok(converged)) => converged,
        Ok(Err(violation)) => Err(violation),
        Err(failure) => Err(failure.to_string()),
    }
}

#[test]
fn a_quiet_log_serves() {
    for replicas in [1, 3, 5] {
        let confirmed = run(1, replicas, Duration::ZERO).unwrap_or_else(|error| panic!("{error}"));
        assert!(confirmed > 5, "{confirmed}");
    }
}

#[test]
fn histories_are_linearisable() {
    let mut total = 0;
    for seed in seeds() {
        let replicas = if seed % 3 == 0 { 5 } else { 3 };
        match run(seed, replicas, Duration::from_secs(60)) {
            Ok(confirmed) => total += confirmed,
            Err(error) => panic!("seed {seed}, {replicas} replicas: {error}"),
        }
    }
    println!("{total} writes confirmed");
    assert!(total > 0);
}
