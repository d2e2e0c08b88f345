//! The forms in which the agent keeps what a restart needs: Mesos' own, so that its tools read our
//! files, and where Mesos keeps nothing, ours.
//!
//! Every message stands behind its length, four bytes, the least significant one first.

use bytes::Bytes;
use orrery_api::protobuf::Checked;
use orrery_api::v1;
use orrery_api::{link, protobuf};
use prost::Message;

/// Mesos' `StatusUpdate` of the older API.
#[derive(Clone, PartialEq, Message)]
struct StoredUpdate {
    #[prost(message, optional, tag = "1")]
    framework_id: Option<v1::FrameworkId>,
    #[prost(message, optional, tag = "2")]
    executor_id: Option<v1::ExecutorId>,
    #[prost(message, optional, tag = "3")]
    agent_id: Option<v1::AgentId>,
    #[prost(message, optional, tag = "4")]
    status: Option<v1::TaskStatus>,
    /// Seconds since 1970.
    #[prost(double, optional, tag = "5")]
    timestamp: Option<f64>,
    #[prost(bytes = "bytes", optional, tag = "6")]
    uuid: Option<Bytes>,
    #[prost(enumeration = "v1::TaskState", optional, tag = "7")]
    latest_state: Option<i32>,
}

/// Mesos' `StatusUpdateRecord`.
#[derive(Clone, PartialEq, Message)]
struct StoredRecord {
    #[prost(enumeration = "Kind", optional, tag = "1")]
    kind: Option<i32>,
    #[prost(message, optional, tag = "2")]
    update: Option<StoredUpdate>,
    #[prost(bytes = "bytes", optional, tag = "3")]
    uuid: Option<Bytes>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, prost::Enumeration)]
#[repr(i32)]
enum Kind {
    Update = 0,
    Acknowledgement = 1,
}

/// A task that its executor has not got yet. Mesos forgets these when its agent restarts.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct QueuedLaunch {
    /// Launches go to the executor in this order; the tasks of a group have the same number.
    #[prost(uint64, tag = "1")]
    pub(crate) number: u64,
    /// The task's place in its group; absent for a task without one.
    #[prost(uint32, optional, tag = "2")]
    pub(crate) place_in_group: Option<u32>,
    /// What the framework asked for.
    #[prost(message, optional, tag = "3")]
    pub(crate) task: Option<v1::TaskInfo>,
}

/// One thing that happened to the updates of a task.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Record {
    Update(Box<link::StatusUpdate>),
    Acknowledged(Bytes),
}

/// What was read of a file of records.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Records {
    pub(crate) records: Vec<Record>,
    /// The bytes that they were read of.
    pub(crate) content: Bytes,
    /// More followed: the torn tail of a record.
    pub(crate) torn: bool,
}

/// A message behind its length.
pub(crate) fn message(message: &impl Message) -> Bytes {
    let body = protobuf::encode(message);
    let length = u32::try_from(body.len()).unwrap_or(u32::MAX);
    [length.to_le_bytes().as_slice(), &body].concat().into()
}

/// Takes the first message of some bytes; `None` when they hold no whole one.
fn split(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    rest.split_at_checked(u32::from_le_bytes(*length) as usize)
}

/// The content of `slave.info`.
pub fn info_to_file(info: &v1::AgentInfo) -> Bytes {
    message(info)
}

/// What `slave.info` holds.
///
/// # Errors
/// In words: what is wrong with it.
pub fn info_from_file(content: &[u8]) -> Result<v1::AgentInfo, String> {
    only_message(content)
}

/// The body of the one message that a file holds.
fn only_body(content: &[u8]) -> Result<&[u8], String> {
    let (body, rest) = split(content).ok_or("it is shorter than it says")?;
    match rest {
        [] => Ok(body),
        rest => Err(format!("{} bytes follow its message", rest.len())),
    }
}

/// The one message that a file holds.
///
/// # Errors
/// In words: what is wrong with it.
pub(crate) fn only_message<M: Checked>(content: &[u8]) -> Result<M, String> {
    protobuf::decode(only_body(content)?).map_err(|error| error.to_string())
}

/// The queued launch that a file holds.
///
/// # Errors
/// In words: what is wrong with it.
pub(crate) fn queued_launch(content: &[u8]) -> Result<QueuedLaunch, String> {
    QueuedLaunch::decode(only_body(content)?).map_err(|error| error.to_string())
}

/// The record of an update.
pub(crate) fn update(update: &link::StatusUpdate) -> Bytes {
    let status = update.status.clone();
    let stored = StoredUpdate {
        framework_id: update.framework_id.clone(),
        executor_id: update.executor_id.clone(),
        agent_id: update.agent_id.clone(),
        timestamp: Some(status.as_ref().and_then(|it| it.timestamp).unwrap_or_default()),
        status,
        uuid: Some(update.uuid.clone()),
        latest_state: Some(update.latest_state),
    };
    let kind = Some(Kind::Update.into());
    message(&StoredRecord { kind, update: Some(stored), uuid: None })
}

/// The record of an update's acknowledgement.
pub(crate) fn acknowledgement(uuid: &Bytes) -> Bytes {
    let kind = Some(Kind::Acknowledgement.into());
    message(&StoredRecord { kind, update: None, uuid: Some(uuid.clone()) })
}

/// Reads a file of records up to its end or its torn tail.
///
/// # Errors
/// In words: a record is whole but not what is expected.
pub(crate) fn read(content: &[u8]) -> Result<Records, String> {
    let mut records = Vec::new();
    let mut rest = content;
    while let Some((body, next)) = split(rest) {
        let at = content.len() - rest.len();
        let record = StoredRecord::decode(body).map_err(|error| error.to_string());
        let record = record.and_then(from_stored).map_err(|text| format!("at byte {at}: {text}"));
        records.push(record?);
        rest = next;
    }
    let whole = &content[..content.len() - rest.len()];
    Ok(Records { records, content: Bytes::copy_from_slice(whole), torn: !rest.is_empty() })
}

fn from_stored(record: StoredRecord) -> Result<Record, String> {
    match record.kind.map(Kind::try_from) {
        Some(Ok(Kind::Update)) => {
            let stored = record.update.ok_or("an update without 'update'")?;
            let status = stored.status.ok_or("an update without 'status'")?;
            let uuid = stored.uuid.or_else(|| status.uuid.clone());
            Ok(Record::Update(Box::new(link::StatusUpdate {
                framework_id: stored.framework_id,
                executor_id: stored.executor_id,
                agent_id: stored.agent_id,
                uuid: uuid.ok_or("an update without 'uuid'")?,
                latest_state: stored.latest_state.unwrap_or(status.state),
                status: Some(status),
            })))
        }
        Some(Ok(Kind::Acknowledgement)) => {
            Ok(Record::Acknowledged(record.uuid.ok_or("an acknowledgement without 'uuid'")?))
        }
        Some(Err(_)) | None => Err("a record of an unknown type".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two_updates() -> Vec<Record> {
        let of = |state: v1::TaskState, uuid: &'static [u8]| link::StatusUpdate {
            framework_id: Some(v1::FrameworkId { value: "F".into() }),
            executor_id: None,
            agent_id: Some(v1::AgentId { value: "S".into() }),
            status: Some(v1::TaskStatus {
                task_id: v1::TaskId { value: "t".into() },
                state: state as i32,
                timestamp: Some(12.5),
                uuid: Some(Bytes::from_static(uuid)),
                ..Default::default()
            }),
            uuid: Bytes::from_static(uuid),
            latest_state: state as i32,
        };
        vec![
            Record::Update(Box::new(of(v1::TaskState::TaskRunning, b"first"))),
            Record::Update(Box::new(of(v1::TaskState::TaskFinished, b"second"))),
            Record::Acknowledged(Bytes::from_static(b"first")),
        ]
    }

    fn write(records: &[Record]) -> Vec<Bytes> {
        let write = |record: &Record| match record {
            Record::Update(it) => update(it),
            Record::Acknowledged(uuid) => acknowledgement(uuid),
        };
        records.iter().map(write).collect()
    }

    #[test]
    fn every_prefix_reads_as_the_records_that_are_whole_in_it() {
        let records = two_updates();
        let parts = write(&records);
        let whole = parts.concat();
        let ends: Vec<usize> = (1..=3).map(|count| parts[..count].concat().len()).collect();
        for length in 0..=whole.len() {
            let read = read(&whole[..length]).unwrap();
            let count = ends.iter().filter(|end| **end <= length).count();
            assert_eq!(read.records, records[..count]);
            assert_eq!(read.content, parts[..count].concat());
            assert_eq!(read.torn, read.content.len() < length);
        }
    }

    #[test]
    fn a_record_of_something_else_is_told_with_its_place() {
        let first = write(&two_updates()[..1]).concat();
        let strange = message(&StoredRecord { kind: Some(7), update: None, uuid: None });
        let error = read(&[first.clone(), strange.to_vec()].concat()).unwrap_err();
        assert_eq!(error, format!("at byte {}: a record of an unknown type", first.len()));
        let garbage = [first.as_slice(), &[3, 0, 0, 0, 0xff, 0xff, 0xff]].concat();
        assert!(read(&garbage).is_err());
    }

    #[test]
    fn a_file_of_one_message_holds_all_of_it_and_nothing_more() {
        let id = v1::TaskId { value: "t".into() };
        let content = message(&id);
        assert_eq!(only_message::<v1::TaskId>(&content).unwrap(), id);
        assert!(only_message::<v1::TaskId>(&content[..content.len() - 1]).is_err());
        let longer = [&content[..], b"x"].concat();
        let error = only_message::<v1::TaskId>(&longer).unwrap_err();
        assert_eq!(error, "1 bytes follow its message");
        let error = only_message::<v1::TaskId>(&[0; 4]).unwrap_err();
        assert!(error.contains("Missing required"), "{error}");
    }
}
