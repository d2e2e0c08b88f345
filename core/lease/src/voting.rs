//! Asking for votes, and giving them.

use std::collections::{BTreeMap, BTreeSet};

use orrery_coverage::{reachable, sometimes};
use orrery_runtime::Instant;

use crate::elector::{Role, Waiting};
use crate::{Elector, Kind, Output, PlantedBug, Request, RequestId, Response};

impl Elector {
    /// There is no leader: asks whether the others see it so, too.
    pub(crate) fn ask_around(&mut self) {
        self.set_leader(None);
        self.wait_for_answers();
        if self.is_storing() {
            reachable!("a member does not stand while its last vote is not stored");
            // It could not vote for itself: with each term more its disk would be more behind.
            return;
        }
        self.role = Role::Asking { agreed: BTreeSet::from([self.options.me]) };
        self.ask_all(Request { term: self.term + 1, kind: Kind::WouldVote });
        self.stand_when_agreed();
    }

    fn stand_when_agreed(&mut self) {
        let Role::Asking { agreed } = &self.role else { return };
        if agreed.len() < self.options.majority() {
            return;
        }
        self.term += 1;
        self.vote = Some(self.options.me);
        self.role = Role::Candidate { votes: BTreeMap::from([(self.options.me, self.now)]) };
        self.wait_for_answers();
        self.store_vote(Waiting::AskForVotes(self.term));
    }

    pub(crate) fn request(&mut self, request: RequestId, from: usize, message: Request) {
        let granted = match message.kind {
            Kind::WouldVote => message.term > self.term && !self.is_loyal(),
            Kind::Vote => {
                if self.gives_vote(from, message.term) {
                    self.loyal_until = self.now + self.options.timing.patience;
                    self.wait_for_leader();
                    if !PlantedBug::VoteIsNotDurable.is_planted() {
                        return self.store_vote(Waiting::Reply(request));
                    }
                    true
                } else {
                    false
                }
            }
            Kind::Heartbeat => self.accepts_heartbeat(from, message.term),
            Kind::Resign => self.leader_resigned(from, message.term),
        };
        let message = Response { term: self.term, granted };
        self.emit(Output::Reply { request, message });
    }

    /// Whether this member has promised somebody not to vote for another.
    fn is_loyal(&self) -> bool {
        let loyal = self.leads() || self.now < self.loyal_until;
        loyal && !PlantedBug::VotesDespiteLeader.is_planted()
    }

    fn gives_vote(&mut self, candidate: usize, term: u64) -> bool {
        if term < self.term {
            return false;
        }
        if term == self.term && self.vote == Some(candidate) {
            reachable!("a member is asked again for a vote that it gave");
            // It asks again: the answer got lost.
            return true;
        }
        if self.is_loyal() {
            reachable!("a vote is refused because there is a leader");
            return false;
        }
        if term > self.term {
            self.follow(term);
        }
        if self.vote.is_some() {
            reachable!("a vote is refused because it was given to another");
            return false;
        }
        self.vote = Some(candidate);
        true
    }

    pub(crate) fn response(
        &mut self,
        from: usize,
        asked: Request,
        sent: Instant,
        message: Response,
    ) {
        if message.term > self.term {
            sometimes!(self.leads(), "a leader learns of a later term");
            sometimes!(!self.leads(), "a member learns of a later term");
            self.follow(message.term);
            return;
        }
        if !message.granted {
            return;
        }
        match (asked.kind, &mut self.role) {
            (Kind::WouldVote, Role::Asking { agreed }) if asked.term == self.term + 1 => {
                agreed.insert(from);
                self.stand_when_agreed();
            }
            (Kind::Vote, Role::Candidate { votes }) if asked.term == self.term => {
                votes.insert(from, sent);
                self.count_votes();
            }
            (Kind::Heartbeat, Role::Leader { accepted, .. }) if asked.term == self.term => {
                let late = PlantedBug::LeaseFromAnswer.is_planted();
                let since = if late { self.now } else { sent };
                let known = accepted.entry(from).or_insert(since);
                *known = since.max(*known);
            }
            _ => {}
        }
    }

    pub(crate) fn count_votes(&mut self) {
        let Role::Candidate { votes } = &self.role else { return };
        if votes.len() >= self.options.majority() {
            let votes = votes.clone();
            self.lead(votes);
        }
    }
}
