//! How many HTTP round trips a second of real time the simulator makes on one core.
//!
//! `cargo run --release -p orrery-runtime-sim --features sim --example round_trips [COUNT]`

#[path = "../tests/support/http.rs"]
mod http_support;

use std::time::Duration;

use http_support::{Version, ping_pong, serve};
use orrery_runtime::Address;
use orrery_runtime_sim::{Config, simulate};

#[allow(clippy::disallowed_methods, reason = "real time is what is measured here")]
fn main() {
    let count = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(100_000);
    for version in [Version::Http1, Version::Http2] {
        let config = Config { time_limit: Duration::from_secs(1 << 30), ..Config::default() };
        let start = std::time::Instant::now();
        let report = simulate(1, config, move |world| async move {
            let (client, server) = (world.host("client"), world.host("server"));
            server.start("server", move |runtime| serve(runtime, 80, version));
            let process = client.start("client", move |runtime| async move {
                let address = Address::new("server", 80);
                let done = ping_pong(&runtime, &address, version, count).await;
                i32::from(done.is_err())
            });
            client.wait(process).await
        });
        let real = start.elapsed().as_secs_f64();
        println!(
            "{version:?}: {count} round trips, {:.0} a second, {:.0} events a second, \
             {:?}, hash {:016x}",
            count as f64 / real,
            report.events as f64 / real,
            report.outcome,
            report.hash,
        );
    }
}
