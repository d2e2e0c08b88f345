//! Every order in which things can happen, for small cases.
//!
//! Messages arrive in any order, late, twice where the case says so, or never: that is a state in
//! which they are still under way at the end. States are told from each other by hashes. What makes
//! no difference does not make states: the order of messages under way, the order in which clients
//! came, time, and messages for which nobody waits any more.

use std::collections::HashSet;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::time::Duration;

use bytes::Bytes;

use super::{Message, World, timing};
use crate::{Request, Response, Timing, Value, Verdict};

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
    // Time does not pass, so that states do not differ by it. Whoever is woken has something due.
    let timing = Timing { heartbeat: Duration::ZERO, backoff: Duration::ZERO, ..timing() };
    let world = World::new(3, true, timing);
    let mut seen = HashSet::from([identity(&world, budget)]);
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
            if seen.insert(identity(&next, budget)) {
                open.push((next, budget));
            }
        }
    }
    found
}

fn identity(world: &World, budget: Budget) -> u64 {
    let mut hasher = DefaultHasher::new();
    (world.fingerprint(), budget).hash(&mut hasher);
    hasher.finish()
}

fn successors(world: &World, budget: Budget) -> Vec<(World, Budget)> {
    let mut all = Vec::new();
    let mut add = |budget: Budget, act: &dyn Fn(&mut World)| {
        let mut next = world.clone();
        // Clients are told from each other by what was left when they came, not by their order.
        next.next = 1 + identity_of_client(budget);
        act(&mut next);
        next.next = 0;
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

/// A number for whoever asks for something when so much is left.
fn identity_of_client(budget: Budget) -> u64 {
    let digits = budget.elections.into_iter().chain(budget.appends).chain(budget.restarts);
    digits.fold(0, |number, digit| number * 8 + u64::from(digit))
}

/// Does at once what no order can make a difference of: questions for states and their answers.
/// What nobody waits for any more is as good as lost.
fn finish(world: &mut World) {
    let inquiry = |message: &Message| {
        matches!(message, Message::Request { request: Request::Inquire { .. }, .. })
            || matches!(message, Message::Response { response: Response::State { .. }, .. })
    };
    while let Some(at) = world.network.iter().position(inquiry) {
        world.deliver(at, false);
    }
    let network = std::mem::take(&mut world.network);
    world.network = network.into_iter().filter(|message| !is_spent(world, message)).collect();
}

/// Whether a message changes nothing, whenever it arrives. Ballots, nonces and generations are used
/// once, so who does not wait for an answer now never will.
fn is_spent(world: &World, message: &Message) -> bool {
    let machine = |node: usize| world.nodes[node].machine.as_ref();
    match message {
        Message::Request { from, to, request, .. } => {
            let (Some(asking), Some(asked)) = (machine(*from), machine(*to)) else { return false };
            match request {
                // It would only be rejected, and nobody would hear of it.
                Request::Promise { ballot } | Request::Write { ballot, .. } => {
                    *ballot < asked.status().promised && !asking.stands_for(*ballot)
                }
                Request::Read { nonce, .. } => !asking.awaits_page(*nonce),
                Request::Inquire { .. } | Request::Fence { .. } => false,
            }
        }
        Message::Response { to, response, .. } => {
            let Some(machine) = machine(*to) else { return false };
            match response {
                Response::Promised { ballot, .. } => !machine.awaits_promise(*ballot),
                Response::Written { ballot, verdict: Verdict::Accepted, first, .. } => {
                    !machine.awaits_acceptance(*ballot, *first)
                }
                Response::Written { ballot, .. } => !machine.stands_for(*ballot),
                Response::Page { nonce, .. } => !machine.awaits_page(*nonce),
                Response::State { .. } | Response::Fenced { .. } | Response::Refused { .. } => {
                    false
                }
            }
        }
    }
}

/// Two coordinators that stand against each other, and each append what they may.
pub(super) const RIVALS: Budget =
    Budget { elections: [1, 1, 0], appends: [1, 1, 0], ..Budget::NONE };

/// A coordinator that shows itself between its appends.
pub(super) const ALONE: Budget =
    Budget { elections: [1, 0, 0], appends: [2, 0, 0], beats: [1, 0, 0], ..Budget::NONE };

/// A coordinator is restarted and stands again, and a message arrives twice.
pub(super) const RETURN: Budget = Budget {
    elections: [2, 0, 0],
    appends: [1, 0, 0],
    restarts: [1, 0, 0],
    doubles: 1,
    ..Budget::NONE
};

/// Two coordinators, and a third replica that is restarted.
pub(super) const WITNESS: Budget =
    Budget { elections: [1, 1, 0], appends: [1, 0, 0], restarts: [0, 0, 1], ..Budget::NONE };

/// A replica loses its disk while another one leads and appends.
pub(super) const LOSS: Budget =
    Budget { elections: [0, 1, 0], appends: [0, 1, 0], wipes: 1, doubles: 1, ..Budget::NONE };

/// Searches a case to its end.
fn check(name: &str, budget: Budget) {
    let found = search(budget, usize::MAX);
    println!("{name}: all {} states were visited", found.states);
    assert_eq!(found.violation, None, "{name}");
    assert!(found.complete && found.confirmed > 0, "{name}: {found:?}");
}

#[test]
fn every_order_of_two_coordinators() {
    check("two coordinators", RIVALS);
}

#[test]
fn every_order_of_one_coordinator() {
    check("one coordinator", ALONE);
}

#[test]
fn every_order_with_a_restarted_coordinator() {
    check("a restarted coordinator", RETURN);
}

#[test]
fn every_order_with_a_restarted_replica() {
    check("a restarted replica", WITNESS);
}

#[test]
fn every_order_with_a_lost_disk() {
    check("a lost disk", LOSS);
}
