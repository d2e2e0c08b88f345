//! The registrar on a log on disk: what was stored is recovered, or the master refuses.

use std::collections::BTreeSet;
use std::path::Path;

use orrery_api::v1::master_info::{Capability, capability::Type};
use orrery_api::v1::quota::QuotaConfig;
use orrery_log::{Membership, Options, Timing};
use orrery_runtime::Address;

use super::*;

const LIMITS: Limits = Limits { fetch: Duration::from_secs(20), store: Duration::from_secs(20) };

/// A log of one replica.
async fn log(runtime: &Runtime, folder: &Path) -> Log {
    let address = Address::new("localhost", 1);
    let options = Options {
        folder: folder.to_owned(),
        membership: Membership::Fixed(BTreeSet::from([address.clone()])),
        address,
        quorum: 1,
        auto_initialize: true,
        timing: Timing::default(),
    };
    orrery_net_log::start(runtime, options).await.unwrap().0
}

fn master(capabilities: &[Type]) -> v1::MasterInfo {
    let capability = |kind: &Type| Capability { r#type: Some(*kind as i32) };
    v1::MasterInfo {
        id: "master".to_owned(),
        capabilities: capabilities.iter().map(capability).collect(),
        ..Default::default()
    }
}

fn quota(role: &str, cpus: f64) -> QuotaConfig {
    let guarantee = ("cpus".to_owned(), v1::value::Scalar { value: cpus });
    let guarantees = (cpus > 0.0).then_some(guarantee).into_iter().collect();
    QuotaConfig { role: role.to_owned(), guarantees, ..Default::default() }
}

/// Stores the changes as a leading master does, and returns the registry as it then is.
async fn store(mut registrar: Registrar, changes: Vec<RegistryOperation>) -> Registry {
    let mut expected = registrar.registry().clone();
    changes.iter().for_each(|change| expected.apply(change));
    registrar.limits = LIMITS;
    let (sender, receiver) = mpsc::unbounded_channel();
    for (number, change) in changes.into_iter().enumerate() {
        sender.send((Ticket(number as u64), change)).unwrap();
    }
    drop(sender);
    registrar.run(receiver, async |_| true).await.unwrap();
    expected
}

#[tokio::test]
async fn what_needs_a_capability_is_refused_to_a_master_without_it() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = orrery_runtime_real::runtime();
    let log = log(&runtime, folder.path()).await;
    let able = master(&[Type::AgentUpdate, Type::QuotaV2]);
    let plain = master(&[Type::AgentUpdate]);
    let recover = |info| Registrar::recover(&runtime, Some(&log), info, LIMITS);

    let set = RegistryOperation::UpdateQuotas(vec![quota("batch", 4.0), quota("web", 2.0)]);
    let weights = RegistryOperation::UpdateWeights([("web".to_owned(), 2.5)].into());
    let expected = store(recover(&able).await.unwrap(), vec![set, weights]).await;
    assert_eq!(expected.minimum_capabilities, BTreeSet::from(["QUOTA_V2".to_owned()]));
    let error = recover(&plain).await.err().unwrap().to_string();
    assert!(error.contains("capable of QUOTA_V2"), "{error}");

    let recovered = recover(&able).await.unwrap();
    assert_eq!(*recovered.registry(), expected, "the refused master wrote nothing");
    let removed = RegistryOperation::UpdateQuotas(vec![quota("batch", 0.0), quota("web", 0.0)]);
    store(recovered, vec![removed]).await;
    let registry = recover(&plain).await.unwrap().registry().clone();
    assert_eq!((registry.quotas.len(), registry.weights.len()), (0, 1));
}

/// Another master could not write it either, so the lead is not lost over it.
#[tokio::test]
async fn a_change_that_is_too_large_for_the_log_is_refused_and_those_with_it_are_stored() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = orrery_runtime_real::runtime();
    let log = log(&runtime, folder.path()).await;
    let info = master(&[]);
    let admit = |number: usize, bytes: usize| {
        let id = Some(v1::AgentId { value: format!("agent-{number}") });
        let hostname = "h".repeat(bytes);
        RegistryOperation::Admit(Box::new(v1::AgentInfo { id, hostname, ..Default::default() }))
    };
    for log in [Some(&log), None] {
        let registrar = Registrar::recover(&runtime, log, &info, LIMITS).await.unwrap();
        let (sender, receiver) = mpsc::unbounded_channel();
        for (number, bytes) in [10, 17 << 20, 20].into_iter().enumerate() {
            sender.send((Ticket(number as u64), admit(number, bytes))).unwrap();
        }
        drop(sender);
        let fates = std::sync::Mutex::new(Vec::new());
        let tell = async |fate| {
            fates.lock().unwrap().push(fate);
            true
        };
        registrar.run(receiver, tell).await.unwrap();
        let fates = fates.into_inner().unwrap();
        let [Fate::Refused(Ticket(1), reason), stored @ ..] = fates.as_slice() else {
            panic!("{fates:?}")
        };
        assert!(reason.contains("expected less than 16777216"), "{reason}");
        assert_eq!(stored, [Fate::Stored(Ticket(0)), Fate::Stored(Ticket(2))]);
    }
    let recovered = Registrar::recover(&runtime, Some(&log), &info, LIMITS).await.unwrap();
    assert_eq!(recovered.registry().admitted.len(), 2);
}
