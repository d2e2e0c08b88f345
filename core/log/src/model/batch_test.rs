//! When appends go out, and when they go out again.

use std::time::Duration;

use super::{Message, World, timing};
use crate::Request;

/// How many values each write that is under way from the first to the second replica carries.
fn under_way(world: &World) -> Vec<usize> {
    let values = |message: &Message| match message {
        Message::Request { from: 0, to: 1, request: Request::Write { values, .. }, .. } => {
            Some(values.len())
        }
        _ => None,
    };
    world.network.iter().filter_map(values).collect()
}

/// A world whose first replica is elected, and in which nothing is under way.
fn elected() -> World {
    let mut world = World::new(3, true, timing());
    world.elect(0);
    world.flow();
    assert!(world.nodes[0].writer.is_some());
    world
}

#[test]
fn from_the_fifth_on_appends_gather_for_a_while() {
    let mut world = elected();
    (0..7).for_each(|_| world.append(0));
    assert_eq!(under_way(&world), [1, 1, 1, 1]);
    world.tick(0);
    assert_eq!(under_way(&world), [1, 1, 1, 1, 3]);
    world.append(0);
    assert_eq!(under_way(&world), [1, 1, 1, 1, 3]);
    world.wait(timing().heartbeat);
    assert_eq!(world.confirmed.len(), 8);
    assert_eq!(world.violation, None);
}

/// A quorum that answers nothing is not buried in batches.
#[test]
fn the_longer_a_quorum_is_waited_for_the_rarer_batches_are() {
    let mut world = elected();
    let (begin, within) = (world.now, Duration::from_millis(80));
    (0..4).for_each(|_| world.append(0));
    while world.now < begin + within {
        world.append(0);
        world.tick(0);
    }
    let batches = under_way(&world).len();
    assert!((50..=62).contains(&batches), "{batches} batches in {within:?}");
}

#[test]
fn what_was_lost_is_sent_again_while_more_is_sent() {
    let mut world = elected();
    world.append(0);
    world.network.clear();
    let retry = timing().retry + 2 * timing().heartbeat;
    let begin = world.now;
    while world.now < begin + retry {
        world.append(0);
        world.flow();
        world.wait(timing().heartbeat / 4);
    }
    assert!(!world.confirmed.is_empty(), "nothing is agreed upon after {retry:?}");
}
