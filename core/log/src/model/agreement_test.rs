//! Replicas that were told otherwise about the cluster: neither side heeds or counts the other.

use std::collections::BTreeSet;

use super::{Message, World, address, timing};
use crate::{Caller, Cluster, Input, PlantedBug, Position, ReplicaState, Request, Response};

/// Three that vote, of which the last one was told something else.
fn world(otherwise: &Cluster) -> World {
    let mut world = World::new(3, true, timing());
    world.crash(2, 0);
    world.node(2).cluster = otherwise.clone();
    world.start(2, false);
    world
}

/// A larger quorum, and another list.
fn mistakes() -> [Cluster; 2] {
    let list = [0, 1, 3].map(address);
    [Cluster::changing(3), Cluster::fixed(2, &BTreeSet::from(list))]
}

fn status(world: &World, node: usize) -> crate::log::Status {
    world.nodes[node].machine.as_ref().expect("it runs").status()
}

/// A while in which everything arrives.
fn wait(world: &mut World) {
    for _ in 0..20 {
        world.tick_first();
        world.flow();
    }
}

#[test]
fn it_is_not_elected_and_changes_nothing() {
    for mistake in mistakes() {
        let mut world = world(&mistake);
        let before = [0, 1].map(|node| status(&world, node));
        world.elect(2);
        wait(&mut world);
        assert_eq!(world.nodes[2].writer, None, "{mistake}");
        assert_eq!([0, 1].map(|node| status(&world, node)), before, "{mistake}");
    }
}

#[test]
fn the_others_do_not_write_to_it_and_go_on() {
    for mistake in mistakes() {
        let mut world = world(&mistake);
        let before = status(&world, 2);
        world.elect(0);
        wait(&mut world);
        world.append(0);
        wait(&mut world);
        assert_eq!(world.confirmed.len(), 1, "{mistake}");
        assert_eq!(status(&world, 1).ending, Position(1));
        assert_eq!(status(&world, 2), before, "{mistake}");
        assert_eq!(world.violation, None);
    }
}

/// With one of the two that agree down, the other one must not take it for a second voice.
#[test]
fn its_voice_does_not_count() {
    for mistake in mistakes() {
        let world = elected_beside(&mistake);
        assert_eq!(world.nodes[0].writer, None, "{mistake}");
        assert_eq!(status(&world, 2).promised, Default::default(), "{mistake}");
    }
}

#[test]
fn a_voice_that_counts_nevertheless_is_found_out() {
    orrery_planted::plant([*PlantedBug::HeedsStrangers.bug()]);
    let elected = mistakes().map(|mistake| elected_beside(&mistake).nodes[0].writer.is_some());
    orrery_planted::plant([]);
    assert_eq!(elected, [true; 2]);
}

/// What comes of an election in which only the one that was told otherwise could be a second voice.
fn elected_beside(mistake: &Cluster) -> World {
    let mut world = world(mistake);
    world.crash(1, 0);
    world.elect(0);
    wait(&mut world);
    world
}

#[test]
fn replicas_that_differ_begin_no_log_together() {
    for mistake in mistakes() {
        let mut world = World::new(3, false, timing());
        world.crash(2, 0);
        world.node(2).cluster = mistake;
        world.start(2, false);
        wait(&mut world);
        let states: Vec<_> = (0..3).map(|node| world.state(node)).collect();
        assert_eq!(states, [Some(ReplicaState::Empty); 3]);
    }
}

/// Every kind of request is refused, with what the refusing side was told; nothing is written.
#[test]
fn every_request_is_refused_and_named() {
    let (ballot, nonce) = (crate::Ballot { round: 9, proposer: 9 }, 1);
    let requests = [
        Request::Promise { ballot },
        Request::Write { ballot, first: Position(1), values: vec![], learned: Position::ZERO },
        Request::Inquire { nonce },
        Request::Fence { generation: 7 },
        Request::Read { nonce, from: Position(1), to: Position(2), learned_only: true },
    ];
    for request in requests {
        let mut world = world(&Cluster::changing(3));
        let (from, durable) = (world.origin(2), world.nodes[0].durable.clone());
        world.step(0, Input::Request { from, caller: Caller(2), request });
        let [Message::Response { response, .. }] = world.network.as_slice() else {
            panic!("{:?}", world.network)
        };
        let Response::Refused { cluster, state, .. } = response else { panic!("{response:?}") };
        assert_eq!((cluster, *state), (&Cluster::changing(2), ReplicaState::Voting));
        assert_eq!(world.nodes[0].durable, durable);
    }
}
