//! The promises that this runtime shares with the simulator's; those of the network stand in
//! `network.rs`.
#![allow(clippy::disallowed_methods)]

use std::path::Path;

use orrery_runtime::contract;
use orrery_runtime_real::runtime;
use tempfile::tempdir;

#[tokio::test(flavor = "multi_thread")]
async fn clock() {
    contract::clock::check(&runtime()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tasks() {
    contract::tasks::check(&runtime()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn random() {
    contract::random::check(&runtime()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn disk() {
    let folder = tempdir().unwrap();
    contract::disk::check(&runtime(), folder.path()).await;
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn processes() {
    let folder = tempdir().unwrap();
    contract::processes::check(&runtime(), Path::new("/bin/sh"), folder.path()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn adoption() {
    let folder = tempdir().unwrap();
    let shell = Path::new("/bin/sh");
    contract::processes::check_adoption(&runtime(), &runtime(), shell, folder.path()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn machine() {
    contract::machine::check(&runtime()).await;
}

/// A runtime with one thread is enough for all of it.
#[tokio::test]
async fn everything_on_one_thread() {
    let runtime = runtime();
    contract::clock::check(&runtime).await;
    contract::tasks::check(&runtime).await;
    contract::machine::check(&runtime).await;
    let folder = tempdir().unwrap();
    contract::disk::check(&runtime, folder.path()).await;
    contract::processes::check(&runtime, Path::new("/bin/sh"), folder.path()).await;
}
