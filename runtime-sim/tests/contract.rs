//! The promises that every runtime makes, kept by this one.
#![cfg(feature = "sim")]

use std::path::Path;

use orrery_runtime::{Runtime, contract};
use orrery_runtime_sim::{Config, simulate};

/// Runs a check as a process of one host, under several seeds.
fn on_every_seed<F>(check: impl Fn(Runtime) -> F + Copy + Send + 'static)
where
    F: Future<Output = ()> + Send + 'static,
{
    for seed in 0..8 {
        let report = simulate(seed, Config::default(), move |world| async move {
            let host = world.host("one");
            host.disk().install("/work/.keep", "").expect("a new disk");
            let main = move |runtime: Runtime| async move {
                runtime.disk.remove_file(Path::new("/work/.keep")).await.expect("is there");
                check(runtime).await;
                0
            };
            let process = host.start("check", main);
            host.wait(process).await
        });
        let status = report.outcome.unwrap_or_else(|failure| panic!("seed {seed}: {failure}"));
        assert_eq!(status, Some(orrery_runtime::ExitStatus::Exited(0)), "seed {seed}");
    }
}

#[test]
fn clock() {
    on_every_seed(|runtime| async move { contract::clock::check(&runtime).await });
}

#[test]
fn tasks() {
    on_every_seed(|runtime| async move { contract::tasks::check(&runtime).await });
}

#[test]
fn random() {
    on_every_seed(|runtime| async move { contract::random::check(&runtime).await });
}

#[test]
fn network() {
    on_every_seed(|runtime| async move { contract::network::check(&runtime).await });
}

#[test]
fn disk() {
    on_every_seed(|runtime| async move {
        contract::disk::check(&runtime, Path::new("/work")).await;
    });
}

#[test]
fn processes() {
    on_every_seed(|runtime| async move {
        contract::processes::check(&runtime, Path::new("/bin/sh"), Path::new("/work")).await;
    });
}

#[test]
fn machine() {
    on_every_seed(|runtime| async move { contract::machine::check(&runtime).await });
}
