//! What is advised when replicas are added, or too many have lost their disks.

use super::{World, timing};
use crate::{Metadata, Position, Record, ReplicaState};

/// Three replicas, of which only the first has the log.
fn one_of_three() -> World {
    let mut world = World::new(3, true, timing());
    world.elect(0);
    world.flow();
    for _ in 0..5 {
        world.append(0);
        world.flow();
    }
    world.wait(timing().heartbeat);
    for node in [1, 2] {
        world.wipe(node);
        world.start(node, false);
    }
    world
}

fn advice(world: &World, node: usize) -> Option<String> {
    let machine = world.nodes[node].machine.as_ref().expect("it runs");
    machine.parts().2.hopeless().map(str::to_owned)
}

#[test]
fn with_exactly_as_many_as_it_says_the_log_goes_on_and_is_whole() {
    let mut world = one_of_three();
    world.wait(timing().retry * 5);
    for node in [1, 2] {
        let advice = advice(&world, node).expect("it cannot be healed");
        assert!(advice.contains("on exactly 1 of replica:2, replica:3"), "{advice}");
    }
    world.crash(1, 0);
    let metadata =
        Metadata { id: 77, state: ReplicaState::Voting, begin: Position(1), ..Metadata::default() };
    world.node(1).durable = vec![Record::Metadata(metadata)];
    world.start(1, false);
    // The new one is elected, and knows all.
    world.wait(timing().retry * 3);
    assert!(world.all_vote(), "the third learns the log from the two");
    world.elect(1);
    world.wait(timing().retry * 3);
    world.append(1);
    world.wait(timing().retry * 3);
    assert_eq!(world.confirmed.len(), 6);
    (0..3).for_each(|node| world.check_known(node));
    assert_eq!(world.violation, None);
}

/// Who has gone on all the time does not count as one that has lost its log.
#[test]
fn no_advice_is_given_where_a_quorum_may_yet_vote() {
    let mut world = one_of_three();
    world.crash(2, 0);
    world.wait(timing().retry * 10);
    assert_eq!(advice(&world, 1), None, "the third one may have the log");
}
