//! What goes over the wire comes back, and what no log comes to is refused.

use std::collections::BTreeSet;

use super::*;

#[test]
fn who_asks_says_what_it_was_told() {
    let address = Address::new("master", 1);
    let list = BTreeSet::from([address.clone(), Address::new("master", 2)]);
    for cluster in [Cluster::changing(2), Cluster::fixed(2, &list)] {
        let origin = Origin { address: address.clone(), cluster };
        let request = Request::Inquire { nonce: 3 };
        let mut sent = encode_request(&origin, request.clone());
        assert_eq!(decode_request(sent.clone()).ok(), Some((origin, request)));
        sent.cluster = None;
        let error = decode_request(sent).expect_err("it is refused").to_string();
        assert_eq!(error, "cluster is missing");
    }
}

#[test]
fn a_refusal_says_what_the_other_was_told() {
    let address = Address::new("master", 1);
    let voter = Voter { address, id: 7, generation: 0, known: BTreeMap::new() };
    let cluster = Cluster::changing(3);
    let refused = Response::Refused { voter, cluster, state: ReplicaState::Voting };
    assert_eq!(decode_response(encode_response(refused.clone())).ok(), Some(refused));
}

/// A name for each number of a message, and the message with that number.
fn requests(number: u64) -> Vec<(&'static str, Request)> {
    let (far, near) = (Position(number), Position(1));
    let (high, low) = (Ballot { round: number, proposer: 7 }, Ballot { round: 1, proposer: 7 });
    let write = |ballot, first, value, learned| Request::Write {
        ballot,
        first,
        values: vec![Value::Nop, value],
        learned,
    };
    let read = |from, to| Request::Read { nonce: 1, from, to, learned_only: false };
    vec![
        ("ballot.round", Request::Promise { ballot: high }),
        ("ballot.round", write(high, near, Value::Nop, near)),
        ("first", write(low, far, Value::Nop, near)),
        ("value.truncate", write(low, near, Value::Truncate(far), near)),
        ("learned", write(low, near, Value::Nop, far)),
        ("generation", Request::Fence { generation: number }),
        ("from", read(far, near)),
        ("to", read(near, far)),
    ]
}

fn voter(generation: u64, known: u64) -> Voter {
    let address = Address::new("master", 1);
    let known = BTreeMap::from([(Address::new("master", 2), known)]);
    Voter { address, id: 7, generation, known }
}

/// As [`requests`].
fn responses(number: u64) -> Vec<(&'static str, Response)> {
    let (far, near) = (Position(number), Position(1));
    let (high, low) = (Ballot { round: number, proposer: 7 }, Ballot { round: 1, proposer: 7 });
    let promised = |voter, ballot, verdict, end| Response::Promised { voter, ballot, verdict, end };
    let fenced = |generation, promised, end| {
        let verdict = Verdict::Accepted;
        Response::Fenced { voter: voter(1, 1), generation, verdict, promised, end }
    };
    let page = |begin, next, position, ballot| {
        let entry = KnownEntry { position, ballot, learned: true, value: Value::Nop };
        let (voter, entries) = (voter(1, 1), vec![entry]);
        Response::Page { voter, nonce: 1, valid: true, begin, next, entries }
    };
    let written = |ballot, first| {
        let (voter, verdict) = (voter(1, 1), Verdict::Accepted);
        Response::Written { voter, ballot, verdict, first, count: 1 }
    };
    vec![
        ("voter.generation", promised(voter(number, 1), low, Verdict::Accepted, near)),
        ("known.generation", promised(voter(1, number), low, Verdict::Accepted, near)),
        ("ballot.round", promised(voter(1, 1), high, Verdict::Accepted, near)),
        ("verdict.promised.round", promised(voter(1, 1), low, Verdict::Rejected(high), near)),
        ("end", promised(voter(1, 1), low, Verdict::Accepted, far)),
        ("ballot.round", written(high, near)),
        ("first", written(low, far)),
        ("generation", fenced(number, low, near)),
        ("promised.round", fenced(1, high, near)),
        ("end", fenced(1, low, far)),
        ("begin", page(far, near, near, low)),
        ("next", page(near, far, near, low)),
        ("entry.position", page(near, near, far, low)),
        ("entry.ballot.round", page(near, near, near, high)),
    ]
}

#[test]
fn numbers_to_which_no_log_comes_are_refused_by_name() {
    let from = Origin { address: Address::new("master", 1), cluster: Cluster::changing(2) };
    for (_, request) in requests(NUMBER_MAX) {
        assert!(decode_request(encode_request(&from, request)).is_ok());
    }
    for (_, response) in responses(NUMBER_MAX) {
        assert!(decode_response(encode_response(response)).is_ok());
    }
    for number in [NUMBER_MAX + 1, u64::MAX] {
        let expected = |field| format!("{field} is {number}, expected at most 4611686018427387904");
        for (field, request) in requests(number) {
            let error = decode_request(encode_request(&from, request)).expect_err("it is refused");
            assert_eq!(error.to_string(), expected(field));
        }
        for (field, response) in responses(number) {
            let error = decode_response(encode_response(response)).expect_err("it is refused");
            assert_eq!(error.to_string(), expected(field));
        }
    }
}

#[test]
fn no_more_replicas_are_told_of_than_may_be_remembered() {
    let known = |count: usize| {
        let address = |number| (Address::new("master", number as u16), 1);
        let voter = Voter { known: (0..count).map(address).collect(), ..voter(1, 1) };
        Response::State { voter, nonce: 1, state: ReplicaState::Voting, damaged: false }
    };
    assert!(decode_response(encode_response(known(KNOWN_MAX))).is_ok());
    let error = decode_response(encode_response(known(KNOWN_MAX + 1))).expect_err("it is refused");
    assert_eq!(error.to_string(), "known is 257, expected at most 256");
}

/// What was kept before numbers were bounded is read again.
#[test]
fn what_stands_on_the_disk_is_taken_as_it_is() {
    let ballot = Ballot { round: u64::MAX, proposer: u64::MAX };
    let position = Position(u64::MAX);
    let metadata =
        Metadata { promised: ballot, generation: u64::MAX, begin: position, ..Metadata::default() };
    let entry = KnownEntry { position, ballot, learned: true, value: Value::Truncate(position) };
    let records = [
        Record::Metadata(metadata),
        Record::Entry(entry),
        Record::Learned { from: position, to: position, ballot },
    ];
    for record in records {
        assert_eq!(decode_record(encode_record(record.clone())).ok(), Some(record));
    }
}
