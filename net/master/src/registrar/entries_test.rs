//! The stored form of the registry: whatever is stored in whatever pieces is read as it was.

use orrery_api::v1;
use orrery_runtime::WallTime;

use bytes::Bytes;
use orrery_api::registry::entry::Body;
use orrery_api::registry::{Entry, SnapshotPart};
use orrery_log::{APPEND_MAX, Value};
use orrery_master::{MachineName, Registry, RegistryOperation};
use proptest::prelude::*;
use prost::Message;

use super::entries::*;

fn admit(number: usize, padding: usize) -> RegistryOperation {
    let id = Some(v1::AgentId { value: format!("agent-{number}") });
    let hostname = "h".repeat(padding);
    RegistryOperation::Admit(Box::new(v1::AgentInfo { id, hostname, ..Default::default() }))
}

fn replay(entries: impl IntoIterator<Item = Bytes>) -> Replay {
    let mut replay = Replay::default();
    for entry in entries {
        replay.take(&Value::Append(entry)).unwrap();
    }
    replay
}

fn some_operations() -> Vec<RegistryOperation> {
    let mut all: Vec<_> = (0..40).map(|number| admit(number, 100_000)).collect();
    let since = WallTime::from_nanoseconds(9);
    for number in 0..5 {
        let agent_id = format!("agent-{number}");
        all.push(RegistryOperation::MarkUnreachable { agent_id, since });
    }
    let agent_id = "agent-7".to_owned();
    all.push(RegistryOperation::MarkGone { agent_id, since });
    all
}

#[test]
fn changes_and_snapshots_come_to_the_same() {
    let all = some_operations();
    let mut expected = Registry::default();
    all.iter().for_each(|operation| expected.apply(operation));
    let changes = operations(&all);
    assert!(changes.len() > 3 && changes.iter().all(|entry| entry.len() <= ENTRY_BYTES));
    let parts = snapshot(&expected);
    assert!(parts.len() > 3 && parts.iter().all(|entry| entry.len() <= ENTRY_BYTES));
    assert_eq!(replay(changes.clone()).finish().0, expected);
    assert_eq!(replay(parts.clone()).finish().0, expected);
    let (both, changed, whole) = replay(changes.into_iter().chain(parts.clone())).finish();
    assert_eq!(both, expected);
    assert_eq!((changed, whole), (0, parts.iter().map(Bytes::len).sum()));
}

#[test]
fn an_item_that_is_too_large_for_an_entry_stands_alone() {
    let all: Vec<_> = [10, 3 * ENTRY_BYTES, 10, 10].map(|bytes| admit(bytes, bytes)).into();
    let all: Vec<_> = all.into_iter().chain([admit(0, APPEND_MAX - 200)]).collect();
    let changes = operations(&all);
    assert_eq!(changes.len(), 4, "the large ones share their entry with none");
    let mut expected = Registry::default();
    all.iter().for_each(|operation| expected.apply(operation));
    let parts = snapshot(&expected);
    assert!(changes.iter().chain(&parts).all(|entry| entry.len() <= APPEND_MAX));
    assert_eq!(replay(changes).finish().0, expected);
    assert_eq!(replay(parts).finish().0, expected);
    assert!(all.iter().all(|operation| oversized(operation).is_none()));
    let reason = oversized(&admit(0, APPEND_MAX)).unwrap();
    assert!(reason.contains("has 167772"), "{reason}");
}

#[test]
fn a_snapshot_that_was_not_finished_does_not_count() {
    let all = some_operations();
    let mut expected = Registry::default();
    all.iter().for_each(|operation| expected.apply(operation));
    let begun = snapshot(&expected).into_iter().take(2);
    let again = snapshot(&expected);
    let later = operations(&[admit(99, 3)]);
    expected.apply(&admit(99, 3));
    let entries = operations(&all).into_iter().chain(begun.clone()).chain(later.clone());
    assert_eq!(replay(entries).finish().0, expected);
    let entries = operations(&all).into_iter().chain(begun).chain(again).chain(later);
    assert_eq!(replay(entries).finish().0, expected);
}

#[test]
fn what_is_no_entry_is_an_error() {
    let error = |data: Bytes| Replay::default().take(&Value::Append(data)).unwrap_err().0;
    assert!(error(Bytes::from_static(b"\xff\xff")).contains("rotobuf"), "names the format");
    let newer = Entry { version: 2, body: None }.encode_to_vec();
    assert_eq!(error(newer.into()), "version is 2: expected at most 1");
    let part = SnapshotPart { number: 3, last: true, content: None };
    assert_eq!(error(entry(Body::Snapshot(part))), "part 3 of a snapshot: expected part 0");
    assert_eq!(Replay::default().take(&Value::Nop), Ok(()));
}

fn agent_id(number: u8) -> String {
    format!("agent-{number}")
}

fn info(number: u8, hostname: u8) -> Box<v1::AgentInfo> {
    let id = Some(v1::AgentId { value: agent_id(number) });
    Box::new(v1::AgentInfo { id, hostname: format!("host-{hostname}"), ..Default::default() })
}

fn machine(number: u8) -> v1::MachineId {
    v1::MachineId { hostname: Some(format!("host-{number}")), ip: None }
}

fn quota(role: u8, guarantee: Option<u8>, limit: Option<u8>) -> v1::quota::QuotaConfig {
    let scalars = |value: Option<u8>| {
        let scalar = |value| ("cpus".to_owned(), v1::value::Scalar { value: f64::from(value) });
        value.map(scalar).into_iter().collect()
    };
    let (guarantees, limits) = (scalars(guarantee), scalars(limit));
    v1::quota::QuotaConfig { role: format!("role-{role}"), guarantees, limits }
}

fn window((start, machines): (u8, Vec<u8>)) -> v1::maintenance::Window {
    let start = v1::TimeInfo { nanoseconds: i64::from(start) };
    v1::maintenance::Window {
        machine_ids: machines.into_iter().map(machine).collect(),
        unavailability: v1::Unavailability { start, duration: None },
    }
}

/// Few agents, machines and roles, so that changes meet each other.
fn operation() -> impl Strategy<Value = RegistryOperation> {
    use RegistryOperation as Operation;
    let number = || 0..6_u8;
    let since = |since: u8| WallTime::from_nanoseconds(i64::from(since));
    let ids = || proptest::collection::btree_set(number().prop_map(agent_id), 0..3);
    let names = || {
        let name = number().prop_map(|number| MachineName::from(&machine(number)));
        proptest::collection::btree_set(name, 0..4)
    };
    let quotas = (number(), proptest::option::of(number()), proptest::option::of(number()))
        .prop_map(|(role, guarantee, limit)| quota(role, guarantee, limit));
    let windows = (number(), proptest::collection::vec(number(), 0..4)).prop_map(window);
    let role = || number().prop_map(|number| format!("role-{number}"));
    prop_oneof![
        (number(), number()).prop_map(|(id, host)| Operation::Admit(info(id, host))),
        (number(), number()).prop_map(|(id, host)| Operation::Update(info(id, host))),
        (number(), number()).prop_map(|(id, host)| Operation::MarkReachable(info(id, host))),
        (number(), number()).prop_map(move |(id, at)| Operation::MarkUnreachable {
            agent_id: agent_id(id),
            since: since(at),
        }),
        number().prop_map(|id| Operation::Remove { agent_id: agent_id(id) }),
        (number(), number()).prop_map(move |(id, at)| Operation::MarkGone {
            agent_id: agent_id(id),
            since: since(at),
        }),
        (ids(), ids()).prop_map(|(unreachable, gone)| Operation::Prune { unreachable, gone }),
        number().prop_map(|number| {
            let id = format!("master-{number}");
            Operation::Lead(Box::new(v1::MasterInfo { id, ..Default::default() }))
        }),
        proptest::collection::btree_map(role(), 0.5..9.0, 0..3).prop_map(Operation::UpdateWeights),
        proptest::collection::vec(quotas, 0..3).prop_map(Operation::UpdateQuotas),
        proptest::collection::vec(windows, 0..3).prop_map(|windows| {
            Operation::UpdateSchedule(Box::new(v1::maintenance::Schedule { windows }))
        }),
        names().prop_map(Operation::StartMaintenance),
        names().prop_map(Operation::StopMaintenance),
    ]
}

/// What is stored next.
#[derive(Clone, Debug)]
enum Stored {
    Changes(Vec<RegistryOperation>),
    Snapshot,
    /// A snapshot of which only some parts were written before the master ended.
    Begun,
    /// A whole snapshot, before which the log is then cut off.
    Truncated,
}

fn stored() -> impl Strategy<Value = Stored> {
    prop_oneof![
        6 => proptest::collection::vec(operation(), 1..8).prop_map(Stored::Changes),
        1 => Just(Stored::Snapshot),
        1 => Just(Stored::Begun),
        1 => Just(Stored::Truncated),
    ]
}

proptest! {
    /// Any changes, stored in any batches and written anew anywhere, come to the same registry as
    /// the changes alone; and so do the changes from any later snapshot on.
    #[test]
    fn every_master_recovers_the_same_registry(
        history in proptest::collection::vec(stored(), 0..12),
        part_bytes in 1_usize..300,
    ) {
        let mut expected = Registry::default();
        let mut log: Vec<Bytes> = Vec::new();
        let operations = |changes: &[_]| operations_in_parts(changes, part_bytes);
        for stored in history {
            match stored {
                Stored::Changes(changes) => {
                    changes.iter().for_each(|change| expected.apply(change));
                    log.extend(operations(&changes));
                }
                Stored::Snapshot => log.extend(snapshot_in_parts(&expected, part_bytes)),
                Stored::Begun => {
                    let mut parts = snapshot_in_parts(&expected, part_bytes);
                    parts.pop();
                    log.extend(parts);
                }
                Stored::Truncated => log = snapshot_in_parts(&expected, part_bytes),
            }
        }
        prop_assert!(log.iter().all(|entry| entry.len() <= part_bytes || is_single(entry)));
        prop_assert_eq!(replay(log).finish().0, expected);
    }
}

/// Whether an entry holds no more than one item.
fn is_single(entry: &Bytes) -> bool {
    match Entry::decode(entry.clone()).unwrap().body.unwrap() {
        Body::Operations(changes) => changes.operations.len() <= 1,
        Body::Snapshot(SnapshotPart { content, .. }) => {
            let whole = content.unwrap_or_default();
            let agents = whole.admitted.len() + whole.unreachable.len() + whole.gone.len();
            let roles = whole.quotas.len() + whole.weights.len();
            let others = whole.machines.len() + whole.minimum_capabilities.len();
            let single =
                usize::from(whole.leader.is_some()) + usize::from(whole.schedule.is_some());
            agents + roles + others + single <= 1
        }
    }
}
