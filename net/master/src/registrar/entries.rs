//! What stands in the log: changes, and snapshots in parts.

use bytes::Bytes;
use orrery_api::registry::entry::Body;
use orrery_api::registry::{self as message, Entry, Operations, SnapshotPart};
use orrery_log::{APPEND_MAX, Value};
use orrery_master::{Registry, RegistryOperation};
use prost::Message;

/// The version of the entries that this code writes, and the newest that it reads.
const VERSION: u32 = 1;

/// How many bytes an entry holds, unless it holds a single item that is larger. Larger ones would
/// hold up what waits behind them.
pub(crate) const ENTRY_BYTES: usize = 1 << 20;

/// What an entry has, in bytes, besides the items in it; and what it has for each of them.
const OVERHEAD: usize = 64;
const ITEM_OVERHEAD: usize = 16;

/// What is wrong with a change that no log can take, if it is one.
pub(crate) fn oversized(operation: &RegistryOperation) -> Option<String> {
    let size = match operation {
        RegistryOperation::Admit(info)
        | RegistryOperation::Update(info)
        | RegistryOperation::MarkReachable(info) => info.encoded_len(),
        other => other.to_message().encoded_len(),
    };
    (size + ITEM_OVERHEAD + OVERHEAD > APPEND_MAX)
        .then(|| format!("the registry's change has {size} bytes: expected less than {APPEND_MAX}"))
}

/// Why an entry cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EntryError(pub(crate) String);

/// Changes as entries, each of a bearable size.
pub(crate) fn operations(operations: &[RegistryOperation]) -> Vec<Bytes> {
    operations_in_parts(operations, ENTRY_BYTES)
}

/// Changes as entries that hold so many bytes at most, or a single change.
pub(crate) fn operations_in_parts(
    operations: &[RegistryOperation],
    part_bytes: usize,
) -> Vec<Bytes> {
    let mut entries = Vec::new();
    let mut open = Operations::default();
    let mut size = 0;
    for operation in operations {
        let operation = operation.to_message();
        let item = operation.encoded_len() + ITEM_OVERHEAD;
        if size + item > part_bytes && !open.operations.is_empty() {
            entries.push(entry(Body::Operations(std::mem::take(&mut open))));
            size = 0;
        }
        size += item;
        open.operations.push(operation);
    }
    if !open.operations.is_empty() {
        entries.push(entry(Body::Operations(open)));
    }
    entries
}

/// The whole content as entries, at least one.
pub(crate) fn snapshot(registry: &Registry) -> Vec<Bytes> {
    snapshot_in_parts(registry, ENTRY_BYTES)
}

/// The whole content as entries that hold so many bytes at most, or a single item.
pub(crate) fn snapshot_in_parts(registry: &Registry, part_bytes: usize) -> Vec<Bytes> {
    let mut parts = Parts { part_bytes, ..Parts::default() };
    let whole = registry.to_message();
    parts.spread(whole.admitted, |part| &mut part.admitted);
    parts.spread(whole.unreachable, |part| &mut part.unreachable);
    parts.spread(whole.gone, |part| &mut part.gone);
    parts.spread(whole.machines, |part| &mut part.machines);
    parts.spread(whole.quotas, |part| &mut part.quotas);
    parts.spread(whole.weights, |part| &mut part.weights);
    parts.spread(whole.minimum_capabilities, |part| &mut part.minimum_capabilities);
    parts.put(whole.leader, |part| &mut part.leader);
    parts.put(whole.schedule, |part| &mut part.schedule);
    parts.finish()
}

/// A snapshot that is being written.
#[derive(Default)]
struct Parts {
    written: Vec<Bytes>,
    open: message::Registry,
    /// Bytes in the open part.
    size: usize,
    part_bytes: usize,
}

impl Parts {
    /// Puts items into parts of a bearable size.
    fn spread<T: Message>(
        &mut self,
        items: Vec<T>,
        list: fn(&mut message::Registry) -> &mut Vec<T>,
    ) {
        for item in items {
            self.make_room(&item);
            list(&mut self.open).push(item);
        }
    }

    /// Puts an item that is there once at most into a part where it fits.
    fn put<T: Message>(
        &mut self,
        item: Option<T>,
        place: fn(&mut message::Registry) -> &mut Option<T>,
    ) {
        if let Some(item) = item {
            self.make_room(&item);
            *place(&mut self.open) = Some(item);
        }
    }

    /// Closes the open part if it would grow too large with this item.
    fn make_room(&mut self, item: &impl Message) {
        let item = item.encoded_len() + ITEM_OVERHEAD;
        if self.size + item > self.part_bytes && self.size > 0 {
            self.close(false);
        }
        self.size += item;
    }

    fn close(&mut self, last: bool) {
        self.size = 0;
        let number = u32::try_from(self.written.len()).unwrap_or(u32::MAX);
        let content = Some(std::mem::take(&mut self.open));
        self.written.push(entry(Body::Snapshot(SnapshotPart { number, last, content })));
    }

    fn finish(mut self) -> Vec<Bytes> {
        self.close(true);
        self.written
    }
}

/// An entry of this version.
pub(crate) fn entry(body: Body) -> Bytes {
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
                    let operation =
                        RegistryOperation::from_message(operation).ok_or_else(|| {
                            wrong("a change is of a kind that is not known".to_owned())
                        })?;
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
