//! How much may be open: no message makes a replica remember what no log comes to, and replicas
//! that are far behind still come to accept what is written.

use proptest::prelude::*;

use orrery_runtime::Address;

use super::random_test::{actions, play_in};
use super::{Message, World, timing};
use crate::limits::{KNOWN_MAX, LEAP, Limits};
use crate::{Ballot, Caller, Cluster, Input, Origin, Position, Request, Response, Value, Verdict};

/// As little as makes a difference.
const NARROW: Limits = Limits { open: 3, reach: 3 };

fn narrow() -> World {
    World::within(NARROW, 3, true, timing())
}

/// What the first replica answers to `request` of the second, and whether it keeps anything.
fn asked(world: &mut World, request: Request) -> (Response, bool) {
    let (from, before) = (world.origin(1), world.nodes[0].durable.clone());
    asked_by(world, from, request, &before)
}

fn asked_by(
    world: &mut World,
    from: Origin,
    request: Request,
    before: &[crate::Record],
) -> (Response, bool) {
    world.network.clear();
    world.step(0, Input::Request { from, caller: Caller(1), request });
    let Some(Message::Response { response, .. }) = world.network.pop() else {
        panic!("no answer: {:?}", world.network)
    };
    (response, world.nodes[0].durable != before)
}

fn verdict(response: &Response) -> Verdict {
    match response {
        Response::Promised { verdict, .. }
        | Response::Written { verdict, .. }
        | Response::Fenced { verdict, .. } => *verdict,
        other => panic!("{other:?}"),
    }
}

fn write(round: u64, first: u64, values: usize) -> Request {
    let ballot = Ballot { round, proposer: 9 };
    let (first, learned) = (Position(first), Position::ZERO);
    Request::Write { ballot, first, values: vec![Value::Nop; values], learned }
}

#[test]
fn what_no_log_comes_to_leaves_nothing_behind() {
    let ballot = |round| Ballot { round, proposer: 9 };
    let reach = Limits::default().reach;
    let absurd = [
        Request::Promise { ballot: ballot(LEAP + 1) },
        write(LEAP + 1, 1, 1),
        write(LEAP + 1, 1, 0),
        write(1, 1 << 40, 1),
        write(1, reach, 2),
        Request::Fence { generation: LEAP + 1 },
    ];
    for request in absurd {
        let mut world = World::new(3, true, timing());
        let (response, kept) = asked(&mut world, request.clone());
        assert_eq!((verdict(&response), kept), (Verdict::Ignored, false), "{request:?}");
        world.converge();
        assert_eq!(world.violation, None);
    }
    let rare = [
        Request::Promise { ballot: ballot(LEAP) },
        write(LEAP, reach, 1),
        Request::Fence { generation: LEAP },
    ];
    for request in rare {
        let mut world = World::new(3, true, timing());
        let (response, kept) = asked(&mut world, request.clone());
        assert_eq!((verdict(&response), kept), (Verdict::Accepted, true), "{request:?}");
    }
}

/// One that is said to come from beyond all others by whoever rejects deposes nobody.
#[test]
fn a_rejection_to_which_no_election_comes_is_not_heeded() {
    let mut world = World::new(3, true, timing());
    world.elect(0);
    world.flow();
    let ballot = world.nodes[0].writer.expect("it is elected");
    let voter = world.nodes[1].machine.as_ref().expect("it runs").parts().0.voter();
    let verdict = Verdict::Rejected(Ballot { round: LEAP + 2, proposer: 9 });
    let response = Response::Written { voter, ballot, verdict, first: Position(1), count: 1 };
    world.step(0, Input::Response { from: super::address(1), response });
    assert_eq!(world.nodes[0].writer, Some(ballot));
}

#[test]
fn who_is_not_in_the_list_is_refused_and_leaves_nothing_behind() {
    let list = [0, 1, 2].map(super::address).into();
    let cluster = Cluster::fixed(2, &list);
    let mut world = World::new(3, true, timing());
    for node in 0..3 {
        world.crash(node, 0);
        world.node(node).cluster = cluster.clone();
        world.start(node, false);
    }
    let before = world.nodes[0].durable.clone();
    let from = Origin { address: Address::new("elsewhere", 1), cluster };
    for request in [write(1, 1, 1), Request::Fence { generation: 1 }] {
        let (response, kept) = asked_by(&mut world, from.clone(), request, &before);
        assert!(matches!(response, Response::Refused { .. }), "{response:?}");
        assert!(!kept);
    }
    world.converge();
    assert_eq!(world.violation, None);
}

/// Where replicas come and go, only those that have joined are remembered, and not any number.
#[test]
fn replicas_that_come_and_go_are_not_remembered_without_end() {
    let mut world = World::new(3, true, timing());
    let replica = |number: usize| Address::new("newcomer", number as u16);
    let fence = Request::Fence { generation: 1 };
    let ask = |world: &mut World, number| {
        let before = world.nodes[0].durable.clone();
        let from = Origin { address: replica(number), cluster: Cluster::changing(2) };
        verdict(&asked_by(world, from, fence.clone(), &before).0)
    };
    assert_eq!(ask(&mut world, 0), Verdict::Ignored, "it has not joined");
    let members = (0..=KNOWN_MAX).map(replica).chain((0..3).map(super::address));
    world.step(0, Input::Members(members.collect()));
    for number in 0..KNOWN_MAX {
        assert_eq!(ask(&mut world, number), Verdict::Accepted);
    }
    assert_eq!(ask(&mut world, KNOWN_MAX), Verdict::Ignored, "there are enough");
    assert_eq!(ask(&mut world, 0), Verdict::Accepted, "it is known");
}

/// The last position of all that is under way from a coordinator.
fn furthest(world: &World, from: usize) -> u64 {
    let last = |message: &Message| {
        let Message::Request { from: sender, request, .. } = message else { return None };
        let Request::Write { first, values, .. } = request else { return None };
        (*sender == from).then_some(first.0 + values.len() as u64 - 1)
    };
    world.network.iter().filter_map(last).max().unwrap_or(0)
}

#[test]
fn a_writer_opens_no_more_than_it_may() {
    let mut world = narrow();
    world.elect(0);
    world.flow();
    (0..20).for_each(|_| world.append(0));
    (0..5).for_each(|_| world.tick(0));
    assert_eq!(furthest(&world, 0), NARROW.open);
    world.wait(timing().retry);
    assert_eq!(world.confirmed.len(), 20);
    assert_eq!(world.violation, None);
}

/// A replica that missed far more than it may reach over, some of it truncated since, is needed for
/// a quorum.
#[test]
fn a_replica_that_is_far_behind_learns_and_then_accepts() {
    for truncated in [None, Some(2), Some(40)] {
        let mut world = narrow();
        world.elect(0);
        world.flow();
        world.append(0);
        world.flow();
        world.crash(2, 0);
        for _ in 0..40 {
            world.append(0);
            world.talk(&[0, 1]);
        }
        if let Some(to) = truncated {
            world.write(0, Value::Truncate(Position(to)));
            world.talk(&[0, 1]);
        }
        world.lose_all();
        world.start(2, false);
        world.crash(1, 0);
        let before = world.confirmed.len();
        world.append(0);
        world.talk(&[0, 2]);
        assert_eq!(world.confirmed.len(), before, "it is too far behind");
        world.wait(timing().retry * 4);
        assert_eq!(world.confirmed.len(), before + 1, "{truncated:?}");
        assert_eq!(world.violation, None);
    }
}

/// Between the two positions that are open stands more that is agreed upon than a replica may reach
/// over, and that one is needed for a quorum at both.
#[test]
fn a_gap_that_a_replica_cannot_reach_over_is_learned_first() {
    let mut world = World::within(NARROW, 5, true, timing());
    world.elect(0);
    world.flow();
    world.append(0);
    world.talk(&[0, 1, 4]);
    world.lose_all();
    world.crash(1, 0);
    for _ in 0..20 {
        world.append(0);
        world.talk(&[0, 2, 4]);
    }
    world.lose_all();
    assert_eq!(world.confirmed.len(), 21);
    let status =
        |world: &World, node: usize| world.nodes[node].machine.as_ref().expect("it runs").status();
    assert_eq!((status(&world, 2).ending, status(&world, 2).missing), (Position(0), 2));
    world.crash(0, 0);
    world.crash(4, 0);
    world.start(1, false);
    world.elect(3);
    world.wait(timing().retry * 4);
    assert!(world.nodes[3].writer.is_some(), "it is elected");
    assert_eq!(status(&world, 1).ending, Position(21));
    assert_eq!(world.violation, None);
}

/// A position far away that one replica has accepted something at is filled up to in parts.
#[test]
fn what_was_left_open_is_filled_in_parts() {
    let limits = Limits { open: 3, reach: 1000 };
    let mut world = World::within(limits, 3, true, timing());
    let (response, _) = asked(&mut world, write(1, 1000, 1));
    assert_eq!(verdict(&response), Verdict::Accepted);
    world.lose_all();
    world.elect(0);
    let mut most = 0;
    for _ in 0..10_000 {
        if world.network.is_empty() {
            break;
        }
        let agreed = world.nodes[0].machine.as_ref().expect("it runs").status().ending;
        most = most.max(furthest(&world, 0).saturating_sub(agreed.0));
        world.deliver(0, false);
    }
    assert_eq!(most, limits.open);
    assert!(world.nodes[0].writer.is_some(), "it is elected");
    world.append(0);
    world.flow();
    assert_eq!(world.confirmed.first().map(|(position, _)| *position), Some(Position(1001)));
    assert_eq!(world.violation, None);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    /// With random faults as well, nothing is forgotten, and a writer is found at the end.
    #[test]
    fn replicas_that_reach_over_little_agree(actions in actions(400), nodes in 3..=5_usize) {
        let nodes = nodes / 2 * 2 + 1;
        prop_assert_eq!(play_in(World::within(NARROW, nodes, true, timing()), &actions), None);
    }
}
