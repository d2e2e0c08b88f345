//! Every order in which things can happen, for small cases.

use std::collections::HashSet;

use bytes::Bytes;

use super::{Message, World, timing};
use crate::{Request, Value};

/// What may still happen, beside messages that arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Budget {
    /// Elections that each replica's client may ask for.
    pub(super) elections: [u8; 3],
    /// Values that each writer may append.
    pub(super) appends: [u8; 3],
    /// How often each replica may be stopped and started again.
    pub(super) restarts: [u8; 3],
    /// How often the first replica may lose its disk and start over.
    pub(super) wipes: u8,
    /// How often a writer may show itself without having anything to write.
    pub(super) beats: [u8; 3],
    /// Messages that may arrive twice.
    pub(super) doubles: u8,
}

impl Budget {
    pub(super) const NONE: Self = Self {
        elections: [0; 3],
        appends: [0; 3],
        restarts: [0; 3],
        wipes: 0,
        beats: [0; 3],
        doubles: 0,
    };
}

/// What a search has found.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) states: usize,
    /// Whether all states were visited.
    pub(super) complete: bool,
    pub(super) confirmed: usize,
    pub(super) violation: Option<String>,
}

/// Visits all states that can be reached, or as many as `limit`.
pub(super) fn search(budget: Budget, limit: usize) -> Found {
    let world = World::new(3, true, timing());
    let mut seen = HashSet::from([(world.fingerprint(), budget)]);
    let mut open = vec![(world, budget)];
    let mut found = Found { states: 0, complete: true, confirmed: 0, violation: None };
    while let Some((world, budget)) = open.pop() {
        found.states += 1;
        found.confirmed = found.confirmed.max(world.confirmed.len());
        if world.violation.is_some() {
            found.violation = world.violation;
            return found;
        }
        if found.states >= limit {
            found.complete = false;
            return found;
        }
        for (next, budget) in successors(&world, budget) {
            if seen.insert((next.fingerprint(), budget)) {
                open.push((next, budget));
            }
        }
    }
    found
}

fn successors(world: &World, budget: Budget) -> Vec<(World, Budget)> {
    let mut all = Vec::new();
    let mut add = |budget: Budget, act: &dyn Fn(&mut World)| {
        let mut next = world.clone();
        act(&mut next);
        finish(&mut next);
        all.push((next, budget));
    };
    for at in 0..world.network.len() {
        add(budget, &|next| next.deliver(at, false));
        if budget.doubles > 0 {
            let budget = Budget { doubles: budget.doubles - 1, ..budget };
            add(budget, &|next| next.deliver(at, true));
        }
    }
    for node in 0..3 {
        let spend = |mut budget: Budget, pot: fn(&mut Budget) -> &mut [u8; 3]| {
            let left = pot(&mut budget)[node].checked_sub(1)?;
            pot(&mut budget)[node] = left;
            Some(budget)
        };
        if let Some(budget) = spend(budget, |budget| &mut budget.elections) {
            add(budget, &|next| next.elect(node));
        }
        if world.nodes[node].writer.is_some() {
            if let Some(budget) = spend(budget, |budget| &mut budget.appends) {
                let value = Value::Append(Bytes::from(format!("{node}:{}", budget.appends[node])));
                add(budget, &|next| next.write(node, value.clone()));
            }
            if let Some(budget) = spend(budget, |budget| &mut budget.beats) {
                add(budget, &|next| next.tick(node));
            }
        }
        if let Some(budget) = spend(budget, |budget| &mut budget.restarts) {
            add(budget, &|next| {
                next.crash(node, 0);
                next.start(node, false);
            });
        }
    }
    if let Some(wipes) = budget.wipes.checked_sub(1) {
        add(Budget { wipes, ..budget }, &|next| {
            next.wipe(0);
            next.start(0, false);
            next.tick(0);
        });
    }
    all
}

/// Does at once what no order can make a difference of: answers about states, and pages that hold
/// nothing that could change meanwhile.
fn finish(world: &mut World) {
    let inquiry = |message: &Message| {
        matches!(message, Message::Request { request: Request::Inquire { .. }, .. })
            || matches!(message, Message::Response { response: crate::Response::State { .. }, .. })
    };
    while let Some(at) = world.network.iter().position(inquiry) {
        world.deliver(at, false);
    }
}

/// How many states are visited where the environment does not say it.
#[allow(clippy::disallowed_methods, reason = "a test is told by its environment how long to run")]
fn limit() -> usize {
    let text = std::env::var("LOG_SEARCH_STATES").ok();
    text.and_then(|text| text.parse().ok()).unwrap_or(4_000)
}

fn check(name: &str, budget: Budget) {
    let found = search(budget, limit());
    println!("{name}: {found:?}");
    assert_eq!(found.violation, None, "{name}");
    assert!(found.confirmed > 0 || !found.complete, "{name}: nothing was ever confirmed");
}

#[test]
fn one_coordinator_with_every_order_of_messages() {
    let budget =
        Budget { elections: [1, 0, 0], appends: [2, 0, 0], beats: [1, 0, 0], ..Budget::NONE };
    check("one coordinator", budget);
}

#[test]
fn two_coordinators_with_every_order_of_messages() {
    let budget =
        Budget { elections: [1, 1, 0], appends: [1, 1, 0], beats: [1, 1, 0], ..Budget::NONE };
    check("two coordinators", budget);
}

#[test]
fn a_coordinator_that_is_restarted() {
    let budget = Budget {
        elections: [2, 0, 0],
        appends: [2, 0, 0],
        restarts: [1, 1, 0],
        doubles: 1,
        ..Budget::NONE
    };
    check("restarts", budget);
}

#[test]
fn a_replica_that_loses_its_disk() {
    let budget = Budget { elections: [0, 1, 1], appends: [0, 1, 1], wipes: 1, ..Budget::NONE };
    check("a lost disk", budget);
}
