//! What the tests share.
#![allow(dead_code)]

use std::net::SocketAddr;
use std::time::Duration;

use orrery_runtime::{Address, ByteStream, Connection, Runtime};
use orrery_runtime_sim::{Config, World, simulate};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Runs a scenario to its end.
pub fn run<F, Fut>(seed: u64, config: Config, scenario: F)
where
    F: FnOnce(World) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + 'static,
{
    let report = simulate(seed, Config { trace: true, ..config }, scenario);
    if let Err(failure) = report.outcome {
        panic!("seed {seed}: {failure}\n{}", report.lines.join("\n"));
    }
}

/// Runs a scenario under a few seeds.
pub fn run_all<F, Fut>(scenario: F)
where
    F: Fn(World) -> Fut + Copy + Send + 'static,
    Fut: Future<Output = ()> + 'static,
{
    for seed in 0..16 {
        run(seed, Config::default(), scenario);
    }
}

pub const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub const fn milliseconds(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

pub fn any(port: u16) -> SocketAddr {
    SocketAddr::from(([0, 0, 0, 0], port))
}

/// Answers every byte with the same byte until the peer ends.
pub async fn echo_server(runtime: Runtime, port: u16) -> i32 {
    let mut listener = runtime.network.listen(any(port)).await.expect("the port is free");
    loop {
        let connection = listener.accept().await.expect("accepts");
        drop(runtime.spawn("echo", echo(connection.stream)));
    }
}

async fn echo(mut stream: Box<dyn ByteStream>) {
    let mut buffer = [0; 1024];
    while let Ok(length @ 1..) = stream.read(&mut buffer).await {
        if stream.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}

pub async fn connect(runtime: &Runtime, host: &str, port: u16) -> Connection {
    runtime.network.connect(&Address::new(host, port)).await.expect("connects")
}

/// One byte there and back.
pub async fn ping(connection: &mut Connection, byte: u8) -> std::io::Result<u8> {
    connection.stream.write_all(&[byte]).await?;
    connection.stream.read_u8().await
}
