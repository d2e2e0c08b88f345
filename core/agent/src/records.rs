//! The forms in which the agent keeps what a restart needs: Mesos' own, so that its tools read our
//! files, and where Mesos keeps nothing, ours.

use bytes::Bytes;
use orrery_api::protobuf::Checked;
use orrery_api::v1;
use orrery_api::{link, protobuf};
use prost::Message;

use crate::sealed;

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

/// The process of an executor. `forked.pid` says its number in digits, as in Mesos, and so without
/// a checksum.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub(crate) struct Forked {
    #[prost(uint32, optional, tag = "1")]
    pub(crate) process: Option<u32>,
    /// When it came to be, which tells it from a later one of its number.
    #[prost(uint64, optional, tag = "2")]
    pub(crate) started: Option<u64>,
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
    /// The bytes that they were read of, without what is damaged.
    pub(crate) content: Bytes,
    /// What is damaged, in words: where it begins, and what is wrong with it.
    pub(crate) damages: Vec<String>,
}

/// The content of `slave.info`.
pub fn info_to_file(info: &v1::AgentInfo) -> Bytes {
    sealed::message(info)
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
    let found = sealed::first(content)?;
    match found.rest {
        [] => Ok(found.fields),
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

/// The process that a file holds.
///
/// # Errors
/// In words: what is wrong with it.
pub(crate) fn forked(content: &[u8]) -> Result<Forked, String> {
    // The first versions of this agent wrote down the time alone, in digits.
    if let Ok(started) = number(content) {
        return Ok(Forked { process: None, started: Some(started) });
    }
    Forked::decode(only_body(content)?).map_err(|error| error.to_string())
}

/// The number that a file holds, in digits.
///
/// # Errors
/// In words: what is wrong with it.
pub(crate) fn number<T: std::str::FromStr>(content: &[u8]) -> Result<T, String> {
    let text = String::from_utf8_lossy(content);
    text.trim().parse().map_err(|_| format!("it holds '{text}': expected a number"))
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
    sealed::message(&StoredRecord { kind, update: Some(stored), uuid: None })
}

/// The record of an update's acknowledgement.
pub(crate) fn acknowledgement(uuid: &Bytes) -> Bytes {
    let kind = Some(Kind::Acknowledgement.into());
    sealed::message(&StoredRecord { kind, update: None, uuid: Some(uuid.clone()) })
}

/// Reads a file of records. The journal leaves no part of a record behind, so whatever is not whole
/// is damaged. Behind damage those records count that are known to be whole.
pub(crate) fn read(content: &[u8]) -> Records {
    let (mut records, mut whole, mut damages) = (Vec::new(), Vec::new(), Vec::new());
    if content.is_empty() {
        damages.push("it is empty".to_owned());
    }
    let mut rest = content;
    let mut unsealed = None;
    while !rest.is_empty() {
        match first(rest) {
            Ok((record, found)) => {
                records.push(record);
                whole.extend_from_slice(&rest[..rest.len() - found.rest.len()]);
                unsealed = (!found.is_sealed).then_some(rest);
                rest = found.rest;
            }
            Err(problem) => {
                // Without a checksum it may have been the length before that is wrong.
                if let Some(before) = unsealed.take() {
                    records.pop();
                    whole.truncate(whole.len() + rest.len() - before.len());
                    rest = before;
                }
                damages.push(format!("at byte {}: {problem}", content.len() - rest.len()));
                rest = sealed::after_damage(rest).unwrap_or_default();
            }
        }
    }
    Records { records, content: whole.into(), damages }
}

/// The first of some bytes' records.
fn first(bytes: &[u8]) -> Result<(Record, sealed::Found<'_>), String> {
    let found = sealed::first(bytes)?;
    let record = StoredRecord::decode(found.fields).map_err(|error| error.to_string())?;
    Ok((from_stored(record)?, found))
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

    fn three_records() -> Vec<Record> {
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
    fn of_every_prefix_the_whole_records_are_read_and_the_rest_is_damaged() {
        let records = three_records();
        let parts = write(&records);
        let whole = parts.concat();
        let ends: Vec<usize> = (0..=3).map(|count| parts[..count].concat().len()).collect();
        for length in 0..=whole.len() {
            let read = read(&whole[..length]);
            let count = ends[1..].iter().filter(|end| **end <= length).count();
            assert_eq!(read.records, records[..count]);
            assert_eq!(read.content, parts[..count].concat());
            assert_eq!(read.damages.is_empty(), length > 0 && ends.contains(&length));
        }
    }

    /// Those in a length as well. One in the name of the checksum's field leaves the record whole.
    #[test]
    fn a_flipped_bit_costs_its_record_at_most() {
        let records = three_records();
        let parts = write(&records);
        let whole = parts.concat();
        for bit in 0..whole.len() * 8 {
            let mut flipped = whole.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let read = read(&flipped);
            let hit = (1..3).filter(|count| parts[..*count].concat().len() <= bit / 8).count();
            let mut others = records.clone();
            others.remove(hit);
            match read.damages.as_slice() {
                [] => assert_eq!(read.records, records, "bit {bit}"),
                [damage] => {
                    assert!(read.records == others || read.records == records, "bit {bit}");
                    let at = parts[..hit].concat().len();
                    let place = format!("at byte {at}: ");
                    assert!(damage.starts_with(&place), "bit {bit}: {damage}");
                }
                more => panic!("bit {bit}: {more:?}"),
            }
        }
    }

    #[test]
    fn records_without_checksums_are_read_too() {
        let records = three_records();
        let unsealed = |part: &Bytes| {
            let fields = &part[4..part.len() - 9];
            [(fields.len() as u32).to_le_bytes().as_slice(), fields].concat()
        };
        let parts: Vec<Vec<u8>> = write(&records).iter().map(unsealed).collect();
        let old = read(&parts.concat());
        assert_eq!((old.records, old.damages), (records.clone(), Vec::<String>::new()));
        let mixed = [&parts[..2].concat()[..], &write(&records)[2]].concat();
        assert_eq!(read(&mixed).records, records);
    }

    #[test]
    fn a_record_of_something_else_is_told_with_its_place() {
        let parts = write(&three_records());
        let strange = sealed::message(&StoredRecord { kind: Some(7), update: None, uuid: None });
        let read = read(&[&parts[0][..], &strange, &parts[2]].concat());
        let expected = format!("at byte {}: a record of an unknown type", parts[0].len());
        assert_eq!(read.damages, [expected]);
        assert_eq!(read.content, [&parts[0][..], &parts[2]].concat());
    }

    #[test]
    fn a_file_of_one_message_holds_all_of_it_and_nothing_more() {
        let id = v1::TaskId { value: "t".into() };
        let content = sealed::message(&id);
        assert_eq!(only_message::<v1::TaskId>(&content).unwrap(), id);
        assert!(only_message::<v1::TaskId>(&content[..content.len() - 1]).is_err());
        let longer = [&content[..], b"x"].concat();
        let error = only_message::<v1::TaskId>(&longer).unwrap_err();
        assert_eq!(error, "1 bytes follow its message");
        assert_eq!(only_message::<v1::TaskId>(&[]).unwrap_err(), "it has 0 bytes");
        let error = only_message::<v1::TaskId>(&[0; 4]).unwrap_err();
        assert!(error.contains("Missing required"), "{error}");
    }
}
