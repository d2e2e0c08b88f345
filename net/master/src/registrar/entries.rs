//! What stands in the log: changes, and snapshots in parts.

use bytes::Bytes;
use orrery_api::registry::entry::Body;
use orrery_api::registry::{self as message, Entry, Operations, SnapshotPart};
use orrery_log::Value;
use orrery_master::{Registry, RegistryOperation};
use prost::Message;

/// The version of the entries that this code writes, and the newest that it reads.
const VERSION: u32 = 1;

/// How large an entry grows, about, in bytes. Larger ones would hold up what waits behind them.
const ENTRY_BYTES: usize = 1 << 20;

/// Why an entry cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EntryError(pub(crate) String);

/// Changes as entries, each of a bearable size.
pub(crate) fn operations(operations: &[RegistryOperation]) -> Vec<Bytes> {
    let mut entries = Vec::new();
    let mut open = Operations::default();
    let mut size = 0;
    for operation in operations {
        let operation = operation.to_message();
        size += operation.encoded_len();
        open.operations.push(operation);
        if size >= ENTRY_BYTES {
            entries.push(entry(Body::Operations(std::mem::take(&mut open))));
            size = 0;
        }
    }
    if !open.operations.is_empty() {
        entries.push(entry(Body::Operations(open)));
    }
    entries
}

/// The whole content as entries, at least one.
pub(crate) fn snapshot(registry: &Registry) -> Vec<Bytes> {
    let mut parts = vec![message::Registry::default()];
    let mut size = 0;
    let whole = registry.to_message();
    let mut grow = |bytes: usize, parts: &mut Vec<message::Registry>| {
        size += bytes;
        if size >= ENTRY_BYTES {
            size = 0;
            parts.push(message::Registry::default());
        }
    };
    for agent in whole.admitted {
        let bytes = agent.encoded_len();
        parts.last_mut().into_iter().for_each(|part| part.admitted.push(agent.clone()));
        grow(bytes, &mut parts);
    }
    for agent in whole.unreachable {
        let bytes = agent.encoded_len();
        parts.last_mut().into_iter().for_each(|part| part.unreachable.push(agent.clone()));
        grow(bytes, &mut parts);
    }
    for agent in whole.gone {
        let bytes = agent.encoded_len();
        parts.last_mut().into_iter().for_each(|part| part.gone.push(agent.clone()));
        grow(bytes, &mut parts);
    }
    parts.last_mut().into_iter().for_each(|part| part.leader.clone_from(&whole.leader));
    let last = parts.len() - 1;
    let part = |(number, content)| {
        let (last, number) = (number == last, u32::try_from(number).unwrap_or(u32::MAX));
        entry(Body::Snapshot(SnapshotPart { number, last, content: Some(content) }))
    };
    parts.into_iter().enumerate().map(part).collect()
}

fn entry(body: Body) -> Bytes {
    Bytes::from(Entry { version: VERSION, body: Some(body) }.encode_to_vec())
}

/// Builds the registry from the entries of a log, in order.
#[derive(Debug, Default)]
pub(crate) struct Replay {
    registry: Registry,
    /// A snapshot of which parts are still missing, with their number so far.
    partial: Option<(u32, Registry)>,
    /// Bytes of changes since the last whole snapshot.
    changed: usize,
    /// Bytes of the parts of the last snapshot.
    whole: usize,
}

impl Replay {
    /// Takes the next entry.
    pub(crate) fn take(&mut self, value: &Value) -> Result<(), EntryError> {
        let data = match value {
            Value::Append(data) => data,
            Value::Nop | Value::Truncate(_) => return Ok(()),
        };
        let wrong = |text: String| EntryError(text);
        let stored = Entry::decode(data.clone()).map_err(|error| wrong(error.to_string()))?;
        if stored.version > VERSION {
            let version = stored.version;
            return Err(wrong(format!("version is {version}: expected at most {VERSION}")));
        }
        match stored.body {
            Some(Body::Operations(operations)) => {
                // Changes are written after the last part of a snapshot, or instead of it.
                self.partial = None;
                self.changed += data.len();
                for operation in operations.operations {
                    let operation = RegistryOperation::from_message(operation)
                        .ok_or_else(|| wrong("a change does not say what it changes".to_owned()))?;
                    self.registry.apply(&operation);
                }
                Ok(())
            }
            Some(Body::Snapshot(part)) => self.take_part(part, data.len()).map_err(wrong),
            None => Err(wrong("it holds neither changes nor a snapshot".to_owned())),
        }
    }

    fn take_part(&mut self, part: SnapshotPart, bytes: usize) -> Result<(), String> {
        let (next, mut registry) = match self.partial.take() {
            Some(partial) if part.number != 0 => partial,
            // What came of a snapshot that was begun before is not needed.
            _ => {
                self.whole = 0;
                (0, Registry::default())
            }
        };
        if part.number != next {
            return Err(format!("part {} of a snapshot: expected part {next}", part.number));
        }
        self.whole += bytes;
        registry.extend(part.content.unwrap_or_default());
        if part.last {
            self.registry = registry;
            self.changed = 0;
        } else {
            self.partial = Some((next.saturating_add(1), registry));
        }
        Ok(())
    }

    /// The registry, and the sizes of the changes since the last snapshot and of that snapshot.
    pub(crate) fn finish(self) -> (Registry, usize, usize) {
        (self.registry, self.changed, self.whole)
    }
}

#[cfg(test)]
mod tests {
    use orrery_api::v1;
    use orrery_runtime::WallTime;

    use super::*;

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
        assert!(changes.len() > 3 && changes.iter().all(|entry| entry.len() < 2 * ENTRY_BYTES));
        let parts = snapshot(&expected);
        assert!(parts.len() > 3);
        assert_eq!(replay(changes.clone()).finish().0, expected);
        assert_eq!(replay(parts.clone()).finish().0, expected);
        let (both, changed, whole) = replay(changes.into_iter().chain(parts.clone())).finish();
        assert_eq!(both, expected);
        assert_eq!((changed, whole), (0, parts.iter().map(Bytes::len).sum()));
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
}
