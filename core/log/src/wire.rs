//! Messages and records as protobuf, and back. What comes from outside is checked here.
//!
//! Numbers in messages are bounded, for one that leaves none above it would be the last: no further
//! election, entry or life of a replica could follow. What stands on the own disk is taken as it
//! is, since it was in force before.

use std::collections::BTreeMap;
use std::str::FromStr;

use orrery_api::log as proto;
use orrery_runtime::Address;

use crate::limits::{KNOWN_MAX, NUMBER_MAX};
use crate::record::{Metadata, Record};
use crate::{
    Ballot, Cluster, KnownEntry, Origin, Position, ReplicaState, Request, Response, Value, Verdict,
    Voter,
};

/// The version of the protocol between replicas that this code speaks. A newer one is refused.
pub const PROTOCOL_VERSION: u32 = 1;

/// Why bytes are no message.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// The peer speaks another version.
    #[error("protocol version is {0}, expected 1 to {PROTOCOL_VERSION}")]
    Version(u32),
    /// Something that every message has is not there.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// An address cannot be read.
    #[error("{field}: {source}")]
    Address {
        /// Where it stands.
        field: &'static str,
        /// What is wrong with it.
        source: orrery_runtime::network::AddressError,
    },
    /// An enumeration has a value that this code does not know.
    #[error("{field} is {value}, which is not known")]
    Unknown {
        /// Where it stands.
        field: &'static str,
        /// Its number.
        value: i32,
    },
    /// A number is one to which no log comes.
    #[error("{field} is {value}, expected at most {limit}")]
    Bound {
        /// Where it stands.
        field: &'static str,
        /// The number.
        value: u64,
        /// The highest one.
        limit: u64,
    },
}

fn version(version: u32) -> Result<(), WireError> {
    match (1..=PROTOCOL_VERSION).contains(&version) {
        true => Ok(()),
        false => Err(WireError::Version(version)),
    }
}

fn address(field: &'static str, text: &str) -> Result<Address, WireError> {
    Address::from_str(text).map_err(|source| WireError::Address { field, source })
}

fn required<T>(field: &'static str, value: Option<T>) -> Result<T, WireError> {
    value.ok_or(WireError::Missing(field))
}

fn number(field: &'static str, value: u64) -> Result<u64, WireError> {
    match value <= NUMBER_MAX {
        true => Ok(value),
        false => Err(WireError::Bound { field, value, limit: NUMBER_MAX }),
    }
}

fn position(field: &'static str, value: u64) -> Result<Position, WireError> {
    number(field, value).map(Position)
}

impl From<Ballot> for proto::Ballot {
    fn from(Ballot { round, proposer }: Ballot) -> Self {
        Self { round, proposer }
    }
}

/// A ballot that is not there is the one below all others.
fn stored_ballot(ballot: Option<proto::Ballot>) -> Ballot {
    ballot.map_or(Ballot::default(), |ballot| Ballot {
        round: ballot.round,
        proposer: ballot.proposer,
    })
}

fn ballot(field: &'static str, ballot: Option<proto::Ballot>) -> Result<Ballot, WireError> {
    let ballot = stored_ballot(ballot);
    number(field, ballot.round).map(|_| ballot)
}

impl From<Value> for proto::Value {
    fn from(value: Value) -> Self {
        use proto::value::Value as Kind;
        Self {
            value: match value {
                Value::Nop => None,
                Value::Append(data) => Some(Kind::Append(data)),
                Value::Truncate(Position(to)) => Some(Kind::Truncate(to)),
            },
        }
    }
}

impl From<proto::Value> for Value {
    fn from(value: proto::Value) -> Self {
        use proto::value::Value as Kind;
        match value.value {
            None => Self::Nop,
            Some(Kind::Append(data)) => Self::Append(data),
            Some(Kind::Truncate(to)) => Self::Truncate(Position(to)),
        }
    }
}

fn value(value: proto::Value) -> Result<Value, WireError> {
    let value = Value::from(value);
    if let Value::Truncate(to) = value {
        position("value.truncate", to.0)?;
    }
    Ok(value)
}

impl From<KnownEntry> for proto::Entry {
    fn from(entry: KnownEntry) -> Self {
        Self {
            position: entry.position.0,
            ballot: Some(entry.ballot.into()),
            learned: entry.learned,
            value: Some(entry.value.into()),
        }
    }
}

impl From<proto::Entry> for KnownEntry {
    fn from(entry: proto::Entry) -> Self {
        Self {
            position: Position(entry.position),
            ballot: stored_ballot(entry.ballot),
            learned: entry.learned,
            value: entry.value.map_or(Value::Nop, Value::from),
        }
    }
}

fn entry(entry: proto::Entry) -> Result<KnownEntry, WireError> {
    Ok(KnownEntry {
        position: position("entry.position", entry.position)?,
        ballot: ballot("entry.ballot.round", entry.ballot)?,
        learned: entry.learned,
        value: entry.value.map_or(Ok(Value::Nop), value)?,
    })
}

impl From<ReplicaState> for proto::State {
    fn from(state: ReplicaState) -> Self {
        match state {
            ReplicaState::Empty => Self::Empty,
            ReplicaState::Starting => Self::Starting,
            ReplicaState::Voting => Self::Voting,
            ReplicaState::Recovering => Self::Recovering,
        }
    }
}

fn state(value: i32) -> Result<ReplicaState, WireError> {
    match proto::State::try_from(value) {
        Ok(proto::State::Empty) => Ok(ReplicaState::Empty),
        Ok(proto::State::Starting) => Ok(ReplicaState::Starting),
        Ok(proto::State::Voting) => Ok(ReplicaState::Voting),
        Ok(proto::State::Recovering) => Ok(ReplicaState::Recovering),
        Ok(proto::State::Unknown) | Err(_) => Err(WireError::Unknown { field: "state", value }),
    }
}

impl From<Verdict> for proto::Verdict {
    fn from(verdict: Verdict) -> Self {
        use proto::verdict::Kind;
        let (kind, promised) = match verdict {
            Verdict::Accepted => (Kind::Accepted, None),
            Verdict::Rejected(promised) => (Kind::Rejected, Some(promised.into())),
            Verdict::Ignored => (Kind::Ignored, None),
        };
        Self { kind: kind.into(), promised }
    }
}

fn verdict(verdict: Option<proto::Verdict>) -> Result<Verdict, WireError> {
    use proto::verdict::Kind;
    let verdict = required("verdict", verdict)?;
    match Kind::try_from(verdict.kind) {
        Ok(Kind::Accepted) => Ok(Verdict::Accepted),
        Ok(Kind::Rejected) => {
            Ok(Verdict::Rejected(ballot("verdict.promised.round", verdict.promised)?))
        }
        Ok(Kind::Ignored) => Ok(Verdict::Ignored),
        Ok(Kind::Unknown) | Err(_) => {
            Err(WireError::Unknown { field: "verdict.kind", value: verdict.kind })
        }
    }
}

fn known_to_wire(known: BTreeMap<Address, u64>) -> Vec<proto::Generation> {
    let generation = |(address, generation): (Address, u64)| proto::Generation {
        address: address.to_string(),
        generation,
    };
    known.into_iter().map(generation).collect()
}

fn stored_known(known: Vec<proto::Generation>) -> Result<BTreeMap<Address, u64>, WireError> {
    let generation = |known: proto::Generation| {
        Ok((address("known.address", &known.address)?, known.generation))
    };
    known.into_iter().map(generation).collect()
}

fn known(known: Vec<proto::Generation>) -> Result<BTreeMap<Address, u64>, WireError> {
    let (field, value, limit) = ("known", known.len() as u64, KNOWN_MAX as u64);
    if value > limit {
        return Err(WireError::Bound { field, value, limit });
    }
    let known = stored_known(known)?;
    for generation in known.values() {
        number("known.generation", *generation)?;
    }
    Ok(known)
}

impl From<Voter> for proto::Voter {
    fn from(voter: Voter) -> Self {
        Self {
            address: voter.address.to_string(),
            id: voter.id,
            generation: voter.generation,
            known: known_to_wire(voter.known),
        }
    }
}

fn voter(voter: Option<proto::Voter>) -> Result<Voter, WireError> {
    let voter = required("voter", voter)?;
    Ok(Voter {
        address: address("voter.address", &voter.address)?,
        id: voter.id,
        generation: number("voter.generation", voter.generation)?,
        known: known(voter.known)?,
    })
}

impl From<Cluster> for proto::Cluster {
    fn from(cluster: Cluster) -> Self {
        Self { quorum: cluster.quorum as u64, members: cluster.members.to_string() }
    }
}

fn cluster(cluster: Option<proto::Cluster>) -> Result<Cluster, WireError> {
    let cluster = required("cluster", cluster)?;
    // What does not fit is as different from ours as any other number.
    let quorum = usize::try_from(cluster.quorum).unwrap_or(usize::MAX);
    Ok(Cluster { quorum, members: cluster.members.into() })
}

/// `request` of the replica `from`, as it goes over the wire.
pub fn encode_request(from: &Origin, request: Request) -> proto::Request {
    use proto::request::Body;
    let body = match request {
        Request::Promise { ballot } => {
            Body::Promise(proto::Promise { ballot: Some(ballot.into()) })
        }
        Request::Write { ballot, first, values, learned } => Body::Write(proto::Write {
            ballot: Some(ballot.into()),
            first: first.0,
            values: values.into_iter().map(proto::Value::from).collect(),
            learned: learned.0,
        }),
        Request::Inquire { nonce } => Body::Inquire(proto::Inquire { nonce }),
        Request::Fence { generation } => Body::Fence(proto::Fence { generation }),
        Request::Read { nonce, from, to, learned_only } => {
            Body::Read(proto::Read { nonce, from: from.0, to: to.0, learned_only })
        }
    };
    proto::Request {
        protocol_version: PROTOCOL_VERSION,
        from: from.address.to_string(),
        cluster: Some(from.cluster.clone().into()),
        body: Some(body),
    }
}

/// Who asks what.
///
/// # Errors
/// [`WireError`] when it is no request that this code understands.
pub fn decode_request(request: proto::Request) -> Result<(Origin, Request), WireError> {
    use proto::request::Body;
    version(request.protocol_version)?;
    let from =
        Origin { address: address("from", &request.from)?, cluster: cluster(request.cluster)? };
    let request = match required("body", request.body)? {
        Body::Promise(promise) => {
            Request::Promise { ballot: ballot("ballot.round", promise.ballot)? }
        }
        Body::Write(write) => Request::Write {
            ballot: ballot("ballot.round", write.ballot)?,
            first: position("first", write.first)?,
            values: write.values.into_iter().map(value).collect::<Result<_, _>>()?,
            learned: position("learned", write.learned)?,
        },
        Body::Inquire(inquire) => Request::Inquire { nonce: inquire.nonce },
        Body::Fence(fence) => {
            Request::Fence { generation: number("generation", fence.generation)? }
        }
        Body::Read(read) => Request::Read {
            nonce: read.nonce,
            from: position("from", read.from)?,
            to: position("to", read.to)?,
            learned_only: read.learned_only,
        },
    };
    Ok((from, request))
}

/// `response`, as it goes over the wire.
pub fn encode_response(response: Response) -> proto::Response {
    use proto::response::Body;
    let (voter, body) = match response {
        Response::Promised { voter, ballot, verdict, end } => {
            let (ballot, verdict) = (Some(ballot.into()), Some(verdict.into()));
            (voter, Body::Promised(proto::Promised { ballot, verdict, end: end.0 }))
        }
        Response::Written { voter, ballot, verdict, first, count } => {
            let (ballot, verdict) = (Some(ballot.into()), Some(verdict.into()));
            (voter, Body::Written(proto::Written { ballot, verdict, first: first.0, count }))
        }
        Response::State { voter, nonce, state, damaged } => {
            let state = proto::State::from(state).into();
            (voter, Body::State(proto::StateReport { nonce, state, damaged }))
        }
        Response::Fenced { voter, generation, verdict, promised, end } => {
            let (promised, verdict) = (Some(promised.into()), Some(verdict.into()));
            (voter, Body::Fenced(proto::Fenced { generation, verdict, promised, end: end.0 }))
        }
        Response::Page { voter, nonce, valid, begin, next, entries } => {
            let entries = entries.into_iter().map(proto::Entry::from).collect();
            let (begin, next) = (begin.0, next.0);
            (voter, Body::Page(proto::Page { nonce, valid, begin, next, entries }))
        }
        Response::Refused { voter, cluster, state } => {
            let (cluster, state) = (Some(cluster.into()), proto::State::from(state).into());
            (voter, Body::Refused(proto::Refused { cluster, state }))
        }
    };
    let voter = Some(voter.into());
    proto::Response { protocol_version: PROTOCOL_VERSION, voter, body: Some(body) }
}

/// What was answered.
///
/// # Errors
/// [`WireError`] when it is no response that this code understands.
pub fn decode_response(response: proto::Response) -> Result<Response, WireError> {
    use proto::response::Body;
    version(response.protocol_version)?;
    let voter = voter(response.voter)?;
    Ok(match required("body", response.body)? {
        Body::Promised(promised) => Response::Promised {
            voter,
            ballot: ballot("ballot.round", promised.ballot)?,
            verdict: verdict(promised.verdict)?,
            end: position("end", promised.end)?,
        },
        Body::Written(written) => Response::Written {
            voter,
            ballot: ballot("ballot.round", written.ballot)?,
            verdict: verdict(written.verdict)?,
            first: position("first", written.first)?,
            count: written.count,
        },
        Body::State(report) => Response::State {
            voter,
            nonce: report.nonce,
            state: state(report.state)?,
            damaged: report.damaged,
        },
        Body::Fenced(fenced) => Response::Fenced {
            voter,
            generation: number("generation", fenced.generation)?,
            verdict: verdict(fenced.verdict)?,
            promised: ballot("promised.round", fenced.promised)?,
            end: position("end", fenced.end)?,
        },
        Body::Page(page) => Response::Page {
            voter,
            nonce: page.nonce,
            valid: page.valid,
            begin: position("begin", page.begin)?,
            next: position("next", page.next)?,
            entries: page.entries.into_iter().map(entry).collect::<Result<_, _>>()?,
        },
        Body::Refused(refused) => Response::Refused {
            voter,
            cluster: cluster(refused.cluster)?,
            state: state(refused.state)?,
        },
    })
}

/// `record`, as it stands on the disk.
pub(crate) fn encode_record(record: Record) -> proto::Record {
    use proto::record::Body;
    let body = match record {
        Record::Metadata(metadata) => Body::Metadata(proto::Metadata {
            id: metadata.id,
            state: proto::State::from(metadata.state).into(),
            damaged: metadata.damaged,
            generation: metadata.generation,
            promised: Some(metadata.promised.into()),
            begin: metadata.begin.0,
            known: known_to_wire(metadata.known),
        }),
        Record::Entry(entry) => Body::Entry(entry.into()),
        Record::Learned { from, to, ballot } => {
            Body::Learned(proto::Learned { from: from.0, to: to.0, ballot: Some(ballot.into()) })
        }
    };
    proto::Record { body: Some(body) }
}

/// What stands on the disk.
pub(crate) fn decode_record(record: proto::Record) -> Result<Record, WireError> {
    use proto::record::Body;
    Ok(match required("body", record.body)? {
        Body::Metadata(metadata) => Record::Metadata(Metadata {
            id: metadata.id,
            state: state(metadata.state)?,
            damaged: metadata.damaged,
            generation: metadata.generation,
            promised: stored_ballot(metadata.promised),
            begin: Position(metadata.begin),
            known: stored_known(metadata.known)?,
        }),
        Body::Entry(entry) => Record::Entry(entry.into()),
        Body::Learned(learned) => Record::Learned {
            from: Position(learned.from),
            to: Position(learned.to),
            ballot: stored_ballot(learned.ballot),
        },
    })
}

#[cfg(test)]
#[path = "wire_test.rs"]
mod tests;
