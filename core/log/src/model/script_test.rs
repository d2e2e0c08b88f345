//! Orders of events that random faults meet too rarely, each of which one planted bug makes wrong.

use super::{Message, Node, World, timing};
use crate::{Caller, Input, PlantedBug, ReplicaState, Request};

impl Message {
    fn ends(&self) -> (usize, usize) {
        match self {
            Self::Request { from, to, .. } | Self::Response { from, to, .. } => (*from, *to),
        }
    }
}

impl World {
    /// Everything that is under way between these replicas arrives, and what comes of it.
    pub(super) fn talk(&mut self, among: &[usize]) {
        let inside = |message: &Message| {
            let (from, to) = message.ends();
            among.contains(&from) && among.contains(&to)
        };
        while let Some(at) = self.network.iter().position(inside) {
            self.deliver(at, false);
        }
    }

    /// Only what is under way from one replica to another arrives.
    pub(super) fn pass(&mut self, from: usize, to: usize) {
        while let Some(at) = self.network.iter().position(|message| message.ends() == (from, to)) {
            self.deliver(at, false);
        }
    }

    pub(super) fn lose_all(&mut self) {
        self.network.clear();
    }
}

/// Runs `script` without a bug, where nothing may be wrong, and with it, where something must be.
fn shows(bug: PlantedBug, nodes: usize, script: impl Fn(&mut World)) {
    let run = |planted: Option<PlantedBug>| {
        orrery_planted::plant(planted.map(|bug| *bug.bug()));
        let mut world = World::new(nodes, true, timing());
        script(&mut world);
        orrery_planted::plant([]);
        world.violation
    };
    assert_eq!(run(None), None);
    let violation = run(Some(bug));
    println!("{bug:?}: {violation:?}");
    assert!(violation.is_some(), "{bug:?} makes no difference");
}

#[test]
fn a_promise_survives_a_restart() {
    shows(PlantedBug::PromiseIsNotDurable, 3, |world| {
        world.elect(2);
        world.talk(&[1, 2]);
        world.lose_all();
        world.crash(1, 0);
        world.start(1, false);
        world.elect(0);
        world.talk(&[0, 1]);
        world.append(0);
        world.talk(&[0, 1]);
        world.append(2);
        world.pass(2, 0);
        world.pass(0, 2);
    });
}

#[test]
fn of_two_values_the_one_of_the_higher_ballot_is_kept() {
    shows(PlantedBug::LowestBallotWins, 3, |world| {
        world.elect(0);
        world.talk(&[0, 1]);
        world.append(0);
        world.lose_all();
        world.elect(1);
        world.talk(&[1, 2]);
        world.append(1);
        world.talk(&[1, 2]);
        world.lose_all();
        world.elect(2);
        world.talk(&[0, 2]);
    });
}

#[test]
fn what_a_later_coordinator_agreed_upon_is_not_told_as_ones_own() {
    shows(PlantedBug::TellsForeignLearned, 5, |world| {
        world.elect(0);
        world.talk(&[0, 1, 2, 3, 4]);
        world.append(0);
        world.talk(&[0, 1]);
        world.lose_all();
        world.elect(2);
        world.talk(&[2, 3, 4]);
        world.append(2);
        world.talk(&[2, 3, 4]);
        world.pass(2, 0);
        world.tick(2);
        world.pass(2, 0);
        world.lose_all();
        world.tick(0);
        world.pass(0, 1);
    });
}

#[test]
fn a_promise_of_a_former_life_does_not_count() {
    shows(PlantedBug::CountsFormerLives, 5, |world| {
        world.elect(2);
        world.talk(&[1, 2, 3]);
        world.lose_all();
        // Of the first coordinator's two attempts, the second has a higher ballot than that.
        world.elect(0);
        world.lose_all();
        world.elect(0);
        world.pass(0, 4);
        world.wipe(4);
        world.start(4, false);
        world.tick(4);
        world.talk(&[1, 2, 3, 4]);
        world.pass(0, 1);
        world.pass(1, 0);
        world.pass(4, 0);
        world.append(2);
        world.talk(&[2, 3, 4]);
        world.append(0);
        world.talk(&[0, 1]);
        world.pass(0, 2);
        world.pass(2, 0);
    });
}

#[test]
fn an_election_goes_on_when_nobody_heard_of_it() {
    shows(PlantedBug::PromiseIsAskedOnce, 3, |world| {
        world.elect(0);
        world.lose_all();
        for _ in 0..20 {
            world.tick(0);
            world.talk(&[0, 1, 2]);
        }
        if world.nodes[0].writer.is_none() {
            world.violation = Some("the election never ends".to_owned());
        }
    });
}

/// Another replica has started over under the same address, and a quorum has recorded that: the
/// one that voted before must not believe that its answers count, and comes to vote anew.
#[test]
fn a_replica_that_was_outlived_starts_over() {
    let mut world = World::new(3, true, timing());
    world.elect(1);
    world.flow();
    world.append(1);
    world.flow();
    for node in [1, 2] {
        let (from, request) = (world.origin(0), Request::Fence { generation: 7 });
        world.step(node, Input::Request { from, caller: Caller(0), request });
    }
    world.network.clear();
    world.converge();
    assert_eq!(world.violation, None);
    let generation =
        |node: &Node| node.machine.as_ref().map(|it| it.parts().0.metadata().generation);
    assert_eq!(generation(&world.nodes[0]), Some(8));
}

/// Two replicas of a new log vote on the first answer that tells of another one that does. The
/// second answers are late: were they taken for a reason to start over, a majority would do so
/// together and wait for each other for ever.
#[test]
fn a_replica_that_votes_heeds_no_late_answers() {
    let mut world = World::new(3, false, timing());
    (0..3).for_each(|node| world.tick(node));
    world.flow();
    world.tick(0);
    world.flow();
    for node in [1, 2] {
        world.tick(node);
        world.pass(node, 0);
        world.pass(0, node);
    }
    world.pass(1, 2);
    world.pass(2, 1);
    world.pass(1, 2);
    let states: Vec<_> = (0..3).map(|node| world.state(node)).collect();
    assert_eq!(states, [Some(ReplicaState::Voting); 3]);
    world.converge();
    assert_eq!(world.violation, None);
}
