//! How many simple events a second of real time the simulator carries out on one core: timers that
//! ring, and bytes that go back and forth.
//!
//! `cargo run --release -p orrery-runtime-sim --features sim --example events [COUNT]`

use std::future::Future;
use std::time::Duration;

use orrery_runtime::{Address, ProcessId, Runtime};
use orrery_runtime_sim::{Config, Host, World, simulate};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

fn main() {
    let count = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(1_000_000);
    measure("timers", count, move |world| {
        let host = world.host("a");
        let process = host.start("sleeper", move |runtime| sleeps(runtime, count));
        wait(host, process)
    });
    measure("bytes", count, move |world| {
        let (a, b) = (world.host("a"), world.host("b"));
        b.start("echo", echo);
        let process = a.start("client", move |runtime| pings(runtime, count / 2));
        wait(a, process)
    });
}

#[allow(clippy::disallowed_methods, reason = "real time is what is measured here")]
fn measure<F, Fut>(what: &str, count: u64, scenario: F)
where
    F: FnOnce(World) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + 'static,
{
    let config = Config { time_limit: Duration::from_secs(1 << 30), ..Config::default() };
    let start = std::time::Instant::now();
    let report = simulate(1, config, scenario);
    let rate = count as f64 / start.elapsed().as_secs_f64();
    println!(
        "{what}: {count} in all, {rate:.0} a second, {:?}, hash {:016x}",
        report.outcome, report.hash
    );
}

async fn wait(host: Host, process: ProcessId) {
    host.wait(process).await;
}

async fn sleeps(runtime: Runtime, count: u64) -> i32 {
    for _ in 0..count {
        runtime.sleep(Duration::from_millis(1)).await;
    }
    0
}

async fn echo(runtime: Runtime) -> i32 {
    let any = std::net::SocketAddr::from(([0, 0, 0, 0], 80));
    let Ok(mut listener) = runtime.network.listen(any).await else { return 1 };
    let Ok(mut connection) = listener.accept().await else { return 1 };
    while let Ok(byte) = connection.stream.read_u8().await {
        if connection.stream.write_u8(byte).await.is_err() {
            return 1;
        }
    }
    0
}

async fn pings(runtime: Runtime, count: u64) -> i32 {
    let address = Address::new("b", 80);
    runtime.sleep(Duration::from_millis(1)).await;
    let Ok(mut connection) = runtime.network.connect(&address).await else { return 1 };
    for _ in 0..count {
        let sent = connection.stream.write_u8(1).await;
        if sent.is_err() || connection.stream.read_u8().await.is_err() {
            return 1;
        }
    }
    0
}
