//! The promises of the coordination port, kept by the client before the model of ZooKeeper. The
//! same checks run before real servers: `runtime-real/tests/zookeeper.rs`.
#![cfg(feature = "sim")]

use std::sync::Arc;
use std::time::Duration;

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

fn with_model<C, F>(seed: u64, check: C)
where
    C: FnOnce(Runtime, Arc<dyn Coordination>, Model) -> F + Send + 'static,
    F: Future<Output = ()> + 'static,
{
    let config = Config { trace: true, ..Config::default() };
    let report = simulate(seed, config, move |world| {
        let ensemble = Ensemble::with_tick(&world, &SERVERS, Duration::from_millis(200));
        let (_, runtime) = world.host("client").attach("client");
        let (_, outside) = world.host("outside").attach("client");
        let client: Arc<dyn Coordination> = Arc::new(ZooKeeper::new(runtime.clone()));
        check(runtime, client, Model { world: world.clone(), ensemble, outside })
    });
    if let Err(failure) = report.outcome {
        let lines: Vec<_> = report.lines.iter().filter(|line| line.contains(" log ")).collect();
        let last = lines.len().saturating_sub(60);
        let lines: Vec<_> = lines[last..].iter().map(|line| line.as_str()).collect();
        panic!("seed {seed}: {failure}\n{}", lines.join("\n"));
    }
}

#[test]
fn promises() {
    for seed in 0..20 {
        with_model(seed, |runtime, client, mut model| async move {
            check_access(&runtime, &client, &model.addresses()).await;
            check(&runtime, &client, &mut model).await;
        });
    }
}

#[test]
fn random_operations() {
    for seed in 0..16 {
        with_model(seed, move |runtime, client, mut model| async move {
            check_random(&runtime, &client, &mut model, seed, 12).await;
        });
    }
}
