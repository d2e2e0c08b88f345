//! Counting a quorum.

use std::collections::BTreeSet;

use crate::{PlantedBug, Voter};

/// Whether enough replicas are among those that gave an answer.
///
/// A replica that started over has forgotten what it answered before. An answer of its former life
/// does not count beside one of a replica that has been told of the later life, because that one
/// may be part of what the replica has learned since. A replica that answers under two addresses
/// counts once.
pub(crate) fn is_quorum<'a>(
    voters: impl Iterator<Item = &'a Voter> + Clone,
    quorum: usize,
) -> bool {
    let outlived = |voter: &Voter| {
        voters.clone().any(|other| {
            other.known.get(&voter.address).is_some_and(|known| voter.generation < *known)
        })
    };
    let counts = |voter: &&Voter| PlantedBug::CountsFormerLives.is_planted() || !outlived(voter);
    let ids: BTreeSet<u64> = voters.clone().filter(counts).map(|voter| voter.id).collect();
    let needed = match PlantedBug::QuorumOffByOne.is_planted() {
        true => quorum.saturating_sub(1).max(1),
        false => quorum,
    };
    ids.len() >= needed
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use orrery_runtime::Address;

    use super::*;

    fn voter(number: u16, generation: u64, known: &[(u16, u64)]) -> Voter {
        let address = |number| Address::new("replica", number);
        let known: BTreeMap<_, _> = known.iter().map(|(n, g)| (address(*n), *g)).collect();
        Voter { address: address(number), id: u64::from(number), generation, known }
    }

    #[test]
    fn former_lives_do_not_count() {
        let before = [voter(1, 0, &[]), voter(2, 0, &[])];
        assert!(is_quorum(before.iter(), 2));
        let after = [voter(1, 0, &[]), voter(2, 0, &[(1, 1)])];
        assert!(!is_quorum(after.iter(), 2));
        let both_new = [voter(1, 1, &[]), voter(2, 0, &[(1, 1)])];
        assert!(is_quorum(both_new.iter(), 2));
        let newer_than_known = [voter(1, 2, &[]), voter(2, 0, &[(1, 1)])];
        assert!(is_quorum(newer_than_known.iter(), 2));
    }

    #[test]
    fn one_replica_under_two_names_counts_once() {
        let mut second = voter(2, 0, &[]);
        second.id = 1;
        assert!(!is_quorum([voter(1, 0, &[]), second].iter(), 2));
    }
}
