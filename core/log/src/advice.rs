//! What can be done about replicas that do not come to vote by themselves.
//!
//! Some of them must be made to vote as they are. Which, and how many, is not for whoever reads the
//! text in a hurry to find out: enough empty ones together are a quorum that knows nothing of the
//! log, however well another replica has kept it. So those with something left come first, and of
//! the empty ones no more are named than it takes.

use std::collections::BTreeMap;

use orrery_runtime::Address;

use crate::ReplicaState;

/// Makes a replica vote that never had a log.
const INITIALIZE: &str = "`orrery log initialize --path=…/replicated_log`";

/// Makes any replica vote.
const ACCEPT: &str = "`orrery log initialize --accept_loss --path=…/replicated_log`";

/// A replica that does not vote and cannot come to by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Idle {
    /// The state it is in.
    pub(crate) state: ReplicaState,
    /// Whether its disk has rotted.
    pub(crate) damaged: bool,
}

impl Idle {
    /// The lower, the more of the log may be left there.
    fn rank(self) -> u8 {
        match (self.damaged, self.state) {
            (true, _) => 0,
            (false, ReplicaState::Empty) => 2,
            (false, _) => 1,
        }
    }
}

/// What is wrong with the replica at `own`, which is one of those that are `idle`, and what to do
/// about it. `quorum` of `total` replicas must vote; those that are not idle may.
pub(crate) fn advice(
    own: &Address,
    idle: &BTreeMap<Address, Idle>,
    quorum: usize,
    total: usize,
) -> String {
    let damaged = idle.get(own).is_some_and(|own| own.damaged);
    let what = if damaged { "damaged" } else { "empty" };
    let text = format!("the replicated log of this replica is {what} and cannot be healed");
    if total == 1 {
        return format!(
            "{text}, for there is no other one. Restore its folder from a backup; or, to give up \
             what was lost, run {ACCEPT}"
        );
    }
    let able = total.saturating_sub(idle.len());
    let needed = quorum.saturating_sub(able);
    let text = format!(
        "{text}: {quorum} of {total} replicas must vote, but these do not: {}",
        idle.iter().map(tell).collect::<Vec<_>>().join(", ")
    );
    let among = |rank| -> Vec<String> {
        let of_rank = idle.iter().filter(|(_, idle)| idle.rank() == rank);
        of_rank.map(|(address, _)| address.to_string()).collect()
    };
    let mut missing = needed;
    let mut chosen = Vec::new();
    for candidates in [among(0), among(1), among(2)] {
        let count = missing.min(candidates.len());
        missing -= count;
        chosen.extend(some(count, &candidates));
    }
    let (chosen, none_left) = (chosen.join(" and "), among(2).len() == idle.len());
    let warning = "Not on more: enough empty ones are a quorum that has forgotten the log, whoever \
                   still has it";
    match none_left {
        true => format!(
            "{text}. If they never had a log, because masters were added, run {INITIALIZE} on \
             {chosen}, and start them all; the others learn the log then. {warning}. If they had \
             one, restore the folder replicated_log of as many from a backup; or, to give up what \
             only they knew, do the same"
        ),
        false => format!(
            "{text}. Restore the folder replicated_log of {needed} of them from a backup; or, to \
             give up what only they knew, stop all masters, run {ACCEPT} on {chosen}, and start \
             them all. {warning}"
        ),
    }
}

fn tell((address, idle): (&Address, &Idle)) -> String {
    match idle.damaged {
        true => format!("{address} (damaged)"),
        false => format!("{address} ({})", idle.state),
    }
}

/// So many of these.
fn some(count: usize, of: &[String]) -> Option<String> {
    match count {
        0 => None,
        count if count == of.len() => Some(of.join(", ")),
        count => Some(format!("exactly {count} of {}", of.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: Idle = Idle { state: ReplicaState::Empty, damaged: false };
    const ROTTEN: Idle = Idle { state: ReplicaState::Recovering, damaged: true };
    const LOST: Idle = Idle { state: ReplicaState::Recovering, damaged: false };

    /// What the last of these is told, of replicas named by their numbers from 1 on.
    fn told(idle: &[Idle], quorum: usize, total: usize) -> String {
        let address = |number| Address::new("h", number);
        let own = address(idle.len() as u16);
        let idle = (1..).map(address).zip(idle.iter().copied()).collect();
        advice(&own, &idle, quorum, total)
    }

    #[test]
    fn of_masters_that_were_added_one_is_to_be_initialised() {
        let text = told(&[EMPTY, EMPTY], 2, 3);
        let expected = "the replicated log of this replica is empty and cannot be healed: 2 of 3 \
                        replicas must vote, but these do not: h:1 (EMPTY), h:2 (EMPTY). If they \
                        never had a log, because masters were added, run `orrery log initialize \
                        --path=…/replicated_log` on exactly 1 of h:1, h:2, and start them all; \
                        the others learn the log then. Not on more: enough empty ones are a quorum \
                        that has forgotten the log, whoever still has it. ";
        assert!(text.starts_with(expected), "{text}");
        let text = told(&[EMPTY; 4], 3, 5);
        assert!(text.contains("on exactly 2 of h:1, h:2, h:3, h:4,"), "{text}");
        let text = told(&[EMPTY; 3], 3, 5);
        assert!(text.contains("on exactly 1 of h:1, h:2, h:3,"), "{text}");
    }

    #[test]
    fn those_with_something_left_come_first() {
        let text = told(&[EMPTY, ROTTEN], 2, 3);
        assert!(text.contains("replicas must vote, but these do not: h:1 (EMPTY), h:2 (damaged)"));
        assert!(text.contains("--accept_loss --path=…/replicated_log` on h:2, and"), "{text}");
        let text = told(&[EMPTY, EMPTY, ROTTEN], 2, 3);
        assert!(text.contains("` on h:3 and exactly 1 of h:1, h:2, and"), "{text}");
        let text = told(&[EMPTY, LOST, LOST, ROTTEN], 3, 5);
        assert!(text.contains("` on h:4 and exactly 1 of h:2, h:3, and"), "{text}");
    }

    #[test]
    fn a_replica_that_is_the_only_one_has_a_backup_or_nothing() {
        let text = told(&[ROTTEN], 1, 1);
        assert!(text.contains("is damaged and cannot be healed, for there is no other one"));
        assert!(text.ends_with(&format!("run {ACCEPT}")), "{text}");
    }
}
