//! What a restart finds of which agent this was, and under which boot.
#![allow(clippy::disallowed_methods)]

use std::path::Path;

use orrery_agent::agent_meta;
use orrery_api::v1;

use crate::store::{Earlier, Store};

const AGENT: &str = "S0";

fn info() -> v1::AgentInfo {
    let id = Some(v1::AgentId { value: AGENT.to_owned() });
    v1::AgentInfo { hostname: "host".to_owned(), id, ..Default::default() }
}

async fn stored(work_dir: &Path) -> Store {
    let mut store = Store::new(&orrery_runtime_real::runtime(), work_dir).await;
    store.admitted(&info()).await.unwrap();
    assert!(!store.is_rebooted(AGENT).await.unwrap());
    store
}

#[tokio::test]
async fn a_boot_is_told_by_both_files_and_no_flipped_bit_looks_like_one() {
    let folder = tempfile::tempdir().unwrap();
    let store = stored(folder.path()).await;
    let files = store.boot_files(AGENT);
    for path in &files {
        let whole = std::fs::read(path).unwrap();
        assert_eq!(whole.len(), 36, "a UUID");
        for bit in 0..whole.len() * 8 {
            let mut flipped = whole.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            std::fs::write(path, flipped).unwrap();
            assert!(!store.is_rebooted(AGENT).await.unwrap(), "{} {bit}", path.display());
        }
        std::fs::write(path, "").unwrap();
        assert!(!store.is_rebooted(AGENT).await.unwrap(), "an empty file says nothing");
        std::fs::write(path, whole).unwrap();
    }
    for path in &files {
        std::fs::write(path, "another boot").unwrap();
    }
    assert!(store.is_rebooted(AGENT).await.unwrap());
    // As Mesos and earlier versions leave it.
    std::fs::remove_file(&files[1]).unwrap();
    assert!(store.is_rebooted(AGENT).await.unwrap());
    std::fs::remove_file(&files[0]).unwrap();
    assert!(!store.is_rebooted(AGENT).await.unwrap());
}

#[tokio::test]
async fn what_is_missing_of_an_earlier_run_is_damage_unless_all_of_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = stored(folder.path()).await;
    let problem = async |store: &Store| match store.earlier().await.unwrap() {
        Some(Earlier { info: Err(error), .. }) => error.to_string(),
        Some(Earlier { agent_id, .. }) => agent_id,
        None => String::new(),
    };
    assert_eq!(problem(&store).await, AGENT);
    std::fs::remove_file(agent_meta(folder.path(), AGENT).join("slave.info")).unwrap();
    assert!(problem(&store).await.contains("'slave.info' cannot be used: "));
    std::fs::remove_dir_all(agent_meta(folder.path(), AGENT)).unwrap();
    assert!(problem(&store).await.contains("'latest' cannot be used: "));
    store.forget().await.unwrap();
    assert_eq!(problem(&store).await, "");
}
