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
            host.disk().install("/agent/.keep", "").expect("a new disk");
            let main = move |runtime: Runtime| async move {
                runtime.disk.remove_file(Path::new("/agent/.keep")).await.expect("is there");
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
        contract::disk::check(&runtime, Path::new("/agent")).await;
    });
}

#[test]
fn processes() {
    on_every_seed(|runtime| async move {
        contract::processes::check(&runtime, Path::new("/bin/sh"), Path::new("/agent")).await;
    });
}

#[test]
fn adoption() {
    for seed in 0..8 {
        let report = simulate(seed, Config::default(), |world| async move {
            let host = world.host("one");
            host.disk().install("/agent/.keep", "").expect("a new disk");
            let (_, parent) = host.attach("parent");
            let (_, runtime) = host.attach("adopter");
            let (shell, folder) = (Path::new("/bin/sh"), Path::new("/agent"));
            contract::processes::check_adoption(&runtime, &parent, shell, folder).await;
        });
        report.outcome.unwrap_or_else(|failure| panic!("seed {seed}: {failure}"));
    }
}

#[test]
fn machine() {
    on_every_seed(|runtime| async move { contract::machine::check(&runtime).await });
}

/// The same promises where everything is slow and untimely, as far as an honest world can be.
#[test]
fn slowness_breaks_no_promise() {
    for seed in 0..4 {
        let report = simulate(seed, Config::default(), |world| async move {
            let host = world.host("one");
            host.disk().install("/agent/.keep", "").expect("a new disk");
            let faults = [
                "tail one one 2% 1ms..300ms one-way",
                "bandwidth one one 20000000 one-way",
                "slow-disk one 0s..2ms",
                "launch-latency one 0s..900ms",
                "timer-slack one 4ms",
                "drift one -500",
            ];
            for line in faults {
                world.inject(&line.parse().expect("a fault")).expect("is carried out");
            }
            let process = host.start("check", |runtime: Runtime| async move {
                let work = Path::new("/agent");
                runtime.disk.remove_file(&work.join(".keep")).await.expect("is there");
                contract::clock::check(&runtime).await;
                contract::tasks::check(&runtime).await;
                contract::network::check(&runtime).await;
                contract::disk::check(&runtime, work).await;
                contract::processes::check(&runtime, Path::new("/bin/sh"), work).await;
                contract::machine::check(&runtime).await;
                0
            });
            host.wait(process).await
        });
        let status = report.outcome.unwrap_or_else(|failure| panic!("seed {seed}: {failure}"));
        assert_eq!(status, Some(orrery_runtime::ExitStatus::Exited(0)), "seed {seed}");
    }
}
