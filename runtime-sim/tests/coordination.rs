//! The promises of the coordination port, kept by the client before the model of ZooKeeper. The
//! same checks run before real servers: `runtime-real/tests/zookeeper`.
#![cfg(feature = "sim")]

use std::sync::Arc;
use std::time::Duration;

use orrery_planted::Bug;
use orrery_runtime::contract::coordination::{
    ServerFault, Servers, check, check_access, check_random,
};
use orrery_runtime::coordination::Coordination;
use orrery_runtime::{Address, BoxFuture, Runtime};
use orrery_runtime_sim::{Config, Ensemble, World, simulate};
use orrery_zookeeper::ZooKeeper;

const SERVERS: [&str; 3] = ["zk-1", "zk-2", "zk-3"];

struct Model {
    world: World,
    ensemble: Ensemble,
    outside: Runtime,
}

impl Servers for Model {
    fn addresses(&self) -> Vec<Address> {
        self.ensemble.addresses()
    }

    fn outside(&self) -> (Runtime, Arc<dyn Coordination>, Vec<Address>) {
        let client = Arc::new(ZooKeeper::new(self.outside.clone()));
        (self.outside.clone(), client, self.addresses())
    }

    fn timeout(&self) -> Duration {
        Duration::from_secs(4)
    }

    fn inject(&mut self, fault: ServerFault) -> BoxFuture<'_, ()> {
        match fault {
            ServerFault::Kill(server) => {
                self.ensemble.kill_server(server);
            }
            ServerFault::Stop(server) => {
                self.ensemble.pause_server(server);
            }
            ServerFault::Cut(server) => {
                let client = self.world.host("client");
                self.world.network().cut(&client, &self.ensemble.host(server));
            }
        }
        Box::pin(std::future::ready(()))
    }

    fn mend(&mut self) -> BoxFuture<'_, ()> {
        self.world.mend();
        Box::pin(async {
            let ensemble = &self.ensemble;
            let all = || ensemble.leader().is_some() && (0..3).all(|one| ensemble.serves(one));
            let limit = Duration::from_secs(60);
            assert!(self.world.until(limit, Duration::from_millis(100), all).await, "never mended");
        })
    }
}

/// Runs a check before the model; says why when a promise is broken.
fn with_model<C, F>(seed: u64, planted: Option<Bug>, check: C) -> Result<(), String>
where
    C: FnOnce(Runtime, Arc<dyn Coordination>, Model) -> F + Send + 'static,
    F: Future<Output = ()> + 'static,
{
    let config = Config { trace: true, ..Config::default() };
    let report = simulate(seed, config, move |world| {
        orrery_planted::plant(planted);
        let ensemble = Ensemble::with_tick(&world, &SERVERS, Duration::from_millis(200));
        let (_, runtime) = world.host("client").attach("client");
        let (_, outside) = world.host("outside").attach("client");
        let client: Arc<dyn Coordination> = Arc::new(ZooKeeper::new(runtime.clone()));
        check(runtime, client, Model { world: world.clone(), ensemble, outside })
    });
    report.outcome.map_err(|failure| {
        let lines: Vec<_> = report.lines.iter().filter(|line| line.contains(" log ")).collect();
        let last = lines.len().saturating_sub(60);
        let lines: Vec<_> = lines[last..].iter().map(|line| line.as_str()).collect();
        format!("seed {seed}: {failure}\n{}", lines.join("\n"))
    })
}

fn promises_of(seed: u64, planted: Option<Bug>) -> Result<(), String> {
    with_model(seed, planted, |runtime, client, mut model| async move {
        check_access(&runtime, &client, &model.addresses()).await;
        check(&runtime, &client, &mut model).await;
    })
}

fn random(seed: u64, planted: Option<Bug>) -> Result<(), String> {
    with_model(seed, planted, move |runtime, client, mut model| async move {
        check_random(&runtime, &client, &mut model, seed, 12).await;
    })
}

#[test]
fn promises() {
    for seed in 0..20 {
        promises_of(seed, None).unwrap_or_else(|why| panic!("{why}"));
    }
}

#[test]
fn random_operations() {
    for seed in 0..16 {
        random(seed, None).unwrap_or_else(|why| panic!("{why}"));
    }
}

/// The contract can fail.
#[test]
fn planted_bugs_break_promises() {
    for bug in orrery_zookeeper::PlantedBug::ALL {
        let broken = |seed| promises_of(seed, Some(*bug)).and(random(seed, Some(*bug))).is_err();
        assert!((0..16).any(broken), "16 seeds did not find {}", bug.name);
    }
}
