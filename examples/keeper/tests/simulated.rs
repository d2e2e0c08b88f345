//! The keeper keeps its copies while agents and the master lose their power, one after the other.
#![cfg(feature = "sim")]

use std::time::Duration;

use orrery_example_keeper::Keeper;
use orrery_net_scheduler::{Options, run};
use orrery_runtime_sim::{Config, simulate};
use orrery_scenarios::plan::{Place, Shape};
use orrery_scenarios::{checks::Checks, cluster::Cluster, planted::Bugs, scenario::watched};

/// How many processes run the command, as somebody sees it who looks at the machines.
fn copies(cluster: &Cluster) -> usize {
    let hosts = (0..3).filter_map(|number| cluster.host(Place::Agent(number)));
    let processes = hosts.flat_map(|host| host.processes());
    processes.filter(|process| process.command.join(" ").ends_with("sleep 5000")).count()
}

async fn scenario(cluster: Cluster) {
    let keeper = Keeper { copies: 4, command: "sleep 5000".to_owned(), ..Keeper::default() };
    let options = Options::new(cluster.masters(), Default::default());
    cluster.world().host("keeper").start("keeper", |runtime| async move {
        drop(run(runtime, options, keeper).await);
        0
    });
    for place in [Place::Agent(0), Place::Master(0), Place::Agent(1), Place::Agent(2)] {
        cluster.world().sleep(Duration::from_secs(60)).await;
        assert_eq!(copies(&cluster), 4, "before {place} loses its power");
        cluster.crash(place);
        cluster.world().sleep(Duration::from_secs(5)).await;
        cluster.power_on(place);
        cluster.start_daemon(place);
    }
}

#[test]
fn copies_are_replaced() {
    for seed in 0..10 {
        let shape = Shape { agents: 3, ..Shape::default() };
        let report = simulate(seed, Config::default(), move |world| async move {
            watched(world, &shape, &Bugs::default(), Checks::all(), scenario).await
        });
        assert!(matches!(report.outcome, Ok(Ok(()))), "seed {seed}: {:?}", report.outcome);
    }
}
