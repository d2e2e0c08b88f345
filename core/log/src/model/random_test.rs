//! Random faults, shrunk by proptest to what it takes.

use proptest::prelude::*;

use super::{World, timing};
use crate::{Metadata, Position, Record, ReplicaState, Value};

/// One thing that happens; numbers are taken modulo what there is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Action {
    Deliver(usize),
    Double(usize),
    Drop(usize),
    Tick(usize),
    Sync(usize),
    Crash(usize, usize),
    Start(usize),
    Wipe(usize),
    Rot(usize, usize),
    Elect(usize),
    Append(usize),
    Truncate(usize, u64),
}

fn action() -> impl Strategy<Value = Action> {
    let number = 0..64_usize;
    prop_oneof![
        40 => number.clone().prop_map(Action::Deliver),
        3 => number.clone().prop_map(Action::Double),
        3 => number.clone().prop_map(Action::Drop),
        8 => number.clone().prop_map(Action::Tick),
        14 => number.clone().prop_map(Action::Sync),
        2 => (number.clone(), 0..4_usize).prop_map(|(node, kept)| Action::Crash(node, kept)),
        4 => number.clone().prop_map(Action::Start),
        1 => number.clone().prop_map(Action::Wipe),
        1 => (number.clone(), 0..64_usize).prop_map(|(node, record)| Action::Rot(node, record)),
        4 => number.clone().prop_map(Action::Elect),
        8 => number.clone().prop_map(Action::Append),
        1 => (number, 0..9_u64).prop_map(|(node, back)| Action::Truncate(node, back)),
    ]
}

pub(super) fn actions(length: usize) -> impl Strategy<Value = Vec<Action>> {
    proptest::collection::vec(action(), 1..length)
}

impl World {
    /// Whether a replica may lose what it knows: only a minority may have done so at a time.
    fn may_lose(&self) -> bool {
        let durably = self.nodes.iter().all(|node| {
            let last = node.durable.iter().rev().find_map(|record| match record {
                Record::Metadata(metadata) => Some(metadata.state),
                _ => None,
            });
            last == Some(ReplicaState::Voting)
        });
        durably && self.all_vote()
    }

    pub(super) fn act(&mut self, action: Action) {
        let node = |number: usize| number % self.nodes.len();
        let under_way = self.network.len();
        match action {
            Action::Deliver(at) if under_way > 0 => self.deliver(at % under_way, false),
            Action::Double(at) if under_way > 0 => self.deliver(at % under_way, true),
            Action::Drop(at) if under_way > 0 => drop(self.network.swap_remove(at % under_way)),
            Action::Tick(number) => self.tick(node(number)),
            Action::Sync(number) => self.sync(node(number)),
            Action::Crash(number, kept) => self.crash(node(number), kept),
            Action::Start(number) => self.start(node(number), false),
            Action::Wipe(number) if self.may_lose() => {
                let number = node(number);
                self.wipe(number);
                self.start(number, false);
            }
            Action::Rot(number, record) if self.may_lose() => {
                let number = node(number);
                self.rot(number, record);
            }
            Action::Elect(number) => self.elect(node(number)),
            Action::Append(number) => self.append(node(number)),
            Action::Truncate(number, back) => {
                let number = node(number);
                let ending = self.nodes[number].machine.as_ref().map(|m| m.status().ending.0);
                let to = Position(ending.unwrap_or(0).saturating_sub(back));
                self.write(number, Value::Truncate(to));
            }
            _ => {}
        }
    }

    /// A record goes bad, and the replica meets it when it starts the next time.
    fn rot(&mut self, number: usize, record: usize) {
        self.crash(number, 0);
        let durable = &mut self.node(number).durable;
        if !durable.is_empty() {
            durable.remove(record % durable.len());
        }
        if !durable.iter().any(|record| matches!(record, Record::Metadata(_))) {
            let begin = Position(1);
            durable.insert(0, Record::Metadata(Metadata { begin, ..Metadata::default() }));
        }
        self.start(number, true);
    }
}

/// Plays the actions, then lets everything work. What was wrong, if anything was.
pub(super) fn play(nodes: usize, voting: bool, actions: &[Action]) -> Option<String> {
    play_in(World::new(nodes, voting, timing()), actions)
}

/// As [`play`], in this world.
pub(super) fn play_in(mut world: World, actions: &[Action]) -> Option<String> {
    world.eager_sync = false;
    for action in actions {
        world.act(*action);
        if world.violation.is_some() {
            return world.violation;
        }
    }
    world.converge();
    world.violation
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn three_replicas_agree_whatever_happens(actions in actions(400)) {
        prop_assert_eq!(play(3, true, &actions), None);
    }

    #[test]
    fn five_replicas_agree_whatever_happens(actions in actions(400)) {
        prop_assert_eq!(play(5, true, &actions), None);
    }

    #[test]
    fn new_replicas_begin_a_log(actions in actions(200)) {
        prop_assert_eq!(play(3, false, &actions), None);
    }
}
