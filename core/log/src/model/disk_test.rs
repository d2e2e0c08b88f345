//! Disks that take long: what is answered, and how much waits for them.

use super::{Job, Message, World, timing};
use crate::{Ballot, Caller, Input, Position, Record, Request, Response, Value};

/// The entries that wait for a replica's disk, and the answers to batches that do.
fn waiting(world: &World, node: usize) -> (usize, usize) {
    let jobs = &world.nodes[node].jobs;
    let entry = |job: &&Job| matches!(job, Job::Persist(Record::Entry(_)));
    let answer = |job: &&Job| match job {
        Job::Local(Response::Written { count, .. })
        | Job::Reply { response: Response::Written { count, .. }, .. } => *count > 0,
        _ => false,
    };
    (jobs.iter().filter(entry).count(), jobs.iter().filter(answer).count())
}

#[test]
fn what_comes_twice_is_kept_once_and_answered_when_it_is_durable() {
    let mut world = World::new(3, true, timing());
    world.eager_sync = false;
    let write = |round, value: &'static str| Request::Write {
        ballot: Ballot { round, proposer: 9 },
        first: Position(1),
        values: vec![Value::Append(value.into())],
        learned: Position::ZERO,
    };
    let ask = |world: &mut World, request| {
        let (from, caller) = (world.origin(1), Caller(1));
        world.step(0, Input::Request { from, caller, request });
    };
    ask(&mut world, write(1, "one"));
    ask(&mut world, write(1, "one"));
    assert_eq!(waiting(&world, 0), (1, 2));
    assert_eq!(world.network, [], "nothing is answered before it is durable");
    world.sync(0);
    assert_eq!(world.network.len(), 2);
    ask(&mut world, write(1, "one"));
    assert_eq!(waiting(&world, 0), (0, 1));
    // At a higher ballot it is another acceptance, which must be durable for itself.
    ask(&mut world, write(2, "one"));
    assert_eq!(waiting(&world, 0), (1, 2));
    world.crash(0, 0);
    world.start(0, false);
    let replica = world.nodes[0].machine.as_ref().expect("it runs").parts().0;
    let accepted: Vec<_> =
        replica.accepted(Position(1)).map(|(_, ballot, _)| ballot.round).collect();
    assert_eq!(accepted, [1]);
}

/// All that is under way to others arrives, and is durable there at once.
fn flow_to_others(world: &mut World) {
    while !world.network.is_empty() {
        world.deliver(0, false);
        (1..3).for_each(|node| world.sync(node));
    }
}

/// A writer whose own disk does nothing goes on with the others for a while, and then waits.
#[test]
fn a_writer_does_not_bury_its_own_disk() {
    let mut world = World::new(3, true, timing());
    world.elect(0);
    world.flow();
    world.eager_sync = false;
    for _ in 0..2000 {
        world.append(0);
        flow_to_others(&mut world);
        world.tick(0);
        flow_to_others(&mut world);
    }
    let (_, batches) = waiting(&world, 0);
    assert_eq!(batches, 64);
    let confirmed = world.confirmed.len();
    assert!((64..2000).contains(&confirmed), "{confirmed}");
    assert!(world.nodes[0].writer.is_some(), "it still leads");
    // Its disk comes back.
    for _ in 0..100 {
        world.wait(timing().heartbeat);
        (0..3).for_each(|node| world.sync(node));
    }
    assert_eq!(world.confirmed.len(), 2000);
    assert_eq!(world.violation, None);
}

/// One that others do not reach for a long time is sent no more than it can take.
#[test]
fn nothing_is_kept_twice_by_a_replica_whose_disk_does_nothing() {
    let mut world = World::new(3, true, timing());
    world.elect(0);
    world.flow();
    world.crash(2, 0);
    world.eager_sync = false;
    world.append(0);
    world.sync(0);
    for _ in 0..100 {
        world.tick(0);
        world.sync(0);
        let to_other = |message: &Message| match message {
            Message::Request { to, request: Request::Write { .. }, .. } => *to == 1,
            _ => false,
        };
        while let Some(at) = world.network.iter().position(to_other) {
            world.deliver(at, false);
        }
    }
    let (entries, answers) = waiting(&world, 1);
    assert_eq!(entries, 1);
    assert!(answers > 1, "it was sent again");
}
