//! Leading, for as long as a majority agrees, and following.

use std::collections::BTreeMap;

use orrery_coverage::reachable;
use orrery_runtime::Instant;

use crate::elector::Role;
use crate::{Elector, Kind, Output, Request};

impl Elector {
    /// A majority voted for this member. Its votes are as good as accepted heartbeats: who gave one
    /// promised the same.
    pub(crate) fn lead(&mut self, votes: BTreeMap<usize, Instant>) {
        self.role = Role::Leader { accepted: votes, next_heartbeat: self.now };
        if self.lease_end() <= self.now {
            reachable!("the votes come too late to lead");
            // The votes took so long to come that their promise is over.
            self.role = Role::Follower;
            return;
        }
        tracing::info!(term = self.term, "elected");
        self.emit(Output::Elected { term: self.term });
        self.set_leader(Some(self.options.me));
        self.send_heartbeats();
    }

    /// Until when a majority, this member among it, keeps its promise.
    pub(crate) fn lease_end(&self) -> Instant {
        let Role::Leader { accepted, .. } = &self.role else { return self.now };
        let others = self.options.majority() - 1;
        let mut since: Vec<Instant> = accepted
            .iter()
            .filter(|(member, _)| **member != self.options.me)
            .map(|(_, since)| *since)
            .collect();
        since.sort_unstable_by(|one, other| other.cmp(one));
        match others.checked_sub(1).map(|last| since.get(last)) {
            // A single member needs nobody's promise.
            None => Instant::from_nanoseconds(u64::MAX),
            Some(Some(since)) => *since + self.options.timing.lease,
            Some(None) => self.now,
        }
    }

    pub(crate) fn send_heartbeats(&mut self) {
        let next = self.now + self.options.timing.heartbeat;
        if let Role::Leader { next_heartbeat, .. } = &mut self.role {
            *next_heartbeat = next;
        }
        self.ask_all(Request { term: self.term, kind: Kind::Heartbeat });
    }

    pub(crate) fn accepts_heartbeat(&mut self, from: usize, term: u64) -> bool {
        if term < self.term {
            reachable!("a heartbeat is of an earlier term");
            return false;
        }
        if term > self.term || !matches!(self.role, Role::Follower) {
            self.follow(term);
        }
        self.set_leader(Some(from));
        self.loyal_until = self.now + self.options.timing.patience;
        self.wait_for_leader();
        true
    }

    /// Steps down and says so. Does not stand again before the others had time to.
    pub(crate) fn resign(&mut self) {
        if !self.leads() {
            return;
        }
        reachable!("a leader resigns");
        self.ask_all(Request { term: self.term, kind: Kind::Resign });
        self.follow(self.term);
        self.wait_for_leader();
        self.stand_at += self.options.timing.patience;
    }

    /// The leader released everybody from their promise: one of them takes over after a moment.
    pub(crate) fn leader_resigned(&mut self, from: usize, term: u64) -> bool {
        if term != self.term || self.leader != Some(from) {
            return false;
        }
        self.set_leader(None);
        self.loyal_until = self.now;
        self.stand_at = self.now + self.random_time(self.options.timing.heartbeat);
        true
    }
}
