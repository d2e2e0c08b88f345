//! The masters' copies of the registry: which of them are there, and whether so many were lost at
//! one time that no cluster could bear it.
//!
//! What counts is what happened to disks, and that a replica votes again after that: it does so
//! only once it knows what a majority knew. A master that a bug keeps from catching up stays
//! without its copy, but alone it excuses nothing.

use std::collections::BTreeSet;

use crate::plan::Shape;

/// What is known of the copies.
#[derive(Debug, Default)]
pub struct Copies {
    /// How many masters there are, each with one.
    masters: usize,
    /// Whether there is a registry: some copy has voted.
    began: bool,
    /// Hosts whose copy is rotten, which shows when it is read.
    rotten: BTreeSet<String>,
    /// Hosts whose copy was lost or found rotten, and has not voted since.
    lost: BTreeSet<String>,
    /// How the registry was lost for the first time.
    loss: Option<String>,
    /// Whether masters keep it in memory alone, and so far how many have been started.
    in_memory: Option<usize>,
}

impl Copies {
    /// Those of a cluster's masters, of which none is lost. Where the registry is in memory alone
    /// there are none, and that excuses nothing, as a master can lead all the same.
    pub fn of(shape: &Shape) -> Self {
        let in_memory = shape.forgets_all().then_some(0);
        Self { masters: shape.masters, in_memory, ..Self::default() }
    }

    /// The disk of `host` holds something else than was written there.
    pub fn rot(&mut self, host: &str) {
        self.rotten.insert(host.to_owned());
    }

    /// A master is started on `host` and reads its copy.
    pub fn read(&mut self, host: &str) {
        if let Some(starts) = &mut self.in_memory {
            *starts += 1;
            return;
        }
        if self.rotten.remove(host) {
            self.lose(host);
        }
    }

    /// The disk of `host` forgets what was durable there.
    pub fn lose(&mut self, host: &str) {
        if self.in_memory.is_some() {
            return;
        }
        // Nobody can tell whether the only copy was needed.
        if self.began || self.masters == 1 {
            self.lost.insert(host.to_owned());
        }
        if self.loss.is_none() {
            self.loss = self.proof();
        }
    }

    /// The copy of `host` votes.
    pub fn votes(&mut self, host: &str) {
        self.began = true;
        self.lost.remove(host);
    }

    /// Whether what was stored may be gone: a majority of the copies was lost at one time, or the
    /// master that had it in memory is not the one of now.
    pub fn were_lost(&self) -> bool {
        self.loss.is_some() || self.in_memory.is_some_and(|starts| starts > 1)
    }

    /// Why the masters can have no registry at present, if that can be proved: those that have
    /// their copies are no majority.
    pub fn proof(&self) -> Option<String> {
        let (left, majority) = (self.masters.saturating_sub(self.lost.len()), self.masters / 2 + 1);
        if self.masters == 1 {
            let host = self.lost.first()?;
            return Some(format!(
                "the only copy of the registry was on the disk of {host}, which was lost"
            ));
        }
        let hosts = self.lost.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        (left < majority).then(|| {
            format!(
                "the copies of the registry on {hosts} were lost before any of these had caught \
                 up, and {left} of {} masters are no majority",
                self.masters
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::RegistryKind;

    /// The copies of three masters that have begun.
    fn three() -> Copies {
        let mut copies = Copies::of(&Shape { masters: 3, ..Shape::default() });
        (0..3).for_each(|number| copies.votes(&format!("master-{number}")));
        copies
    }

    #[test]
    fn what_is_in_memory_is_gone_with_its_master_and_excuses_nothing() {
        let registry = RegistryKind::InMemory;
        let mut copies = Copies::of(&Shape { registry, ..Shape::default() });
        copies.read("master-0");
        copies.lose("master-0");
        assert!(!copies.were_lost());
        copies.read("master-0");
        assert!(copies.were_lost());
        assert_eq!(copies.proof(), None);
    }

    #[test]
    fn a_minority_excuses_nothing() {
        let mut copies = three();
        for _ in 0..2 {
            copies.lose("master-0");
        }
        assert!(!copies.were_lost());
        assert_eq!(copies.proof(), None);
    }

    #[test]
    fn one_after_the_other_is_no_majority_if_each_has_caught_up() {
        let mut copies = three();
        for host in ["master-0", "master-1", "master-2"] {
            copies.lose(host);
            assert_eq!(copies.proof(), None);
            copies.votes(host);
        }
        assert!(!copies.were_lost());
    }

    #[test]
    fn a_majority_is_lost_until_a_new_registry_begins() {
        let mut copies = three();
        ["master-0", "master-2"].iter().for_each(|host| copies.lose(host));
        let proof = "the copies of the registry on master-0, master-2 were lost before any of \
                     these had caught up, and 1 of 3 masters are no majority";
        assert_eq!(copies.proof().as_deref(), Some(proof));
        copies.lose("master-1");
        (0..3).for_each(|number| copies.votes(&format!("master-{number}")));
        assert_eq!(copies.proof(), None, "they have an empty one");
        assert!(copies.were_lost(), "and nobody can blame them for that");
    }

    #[test]
    fn rot_counts_when_it_is_read() {
        let mut copies = three();
        ["master-0", "master-1"].iter().for_each(|host| copies.rot(host));
        copies.read("master-0");
        assert_eq!(copies.proof(), None);
        copies.read("master-1");
        assert!(copies.proof().is_some());
    }

    #[test]
    fn nothing_is_lost_before_there_is_anything() {
        let mut copies = Copies::of(&Shape { masters: 3, ..Shape::default() });
        ["master-0", "master-1"].iter().for_each(|host| copies.lose(host));
        assert_eq!(copies.proof(), None);
    }

    #[test]
    fn the_only_copy_is_the_registry() {
        let mut copies = Copies::of(&Shape::default());
        copies.lose("master-0");
        assert!(copies.were_lost());
        assert!(copies.proof().is_some_and(|proof| proof.contains("the disk of master-0")));
    }
}
