//! Asking for votes, and giving them.

use std::collections::{BTreeMap, BTreeSet};

use orrery_coverage::{reachable, sometimes};
use orrery_runtime::Instant;

use crate::elector::{Role, Waiting};
use crate::{Elector, Kind, Output, PlantedBug, Request, RequestId, Response};

/// How far ahead of a member's term another one's can be. No member misses as many elections, so a
/// term beyond comes of damage; whoever heeded it could soon leave none for later elections.
const LEAP: u64 = 1 << 32;

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
            _ if self.is_absurd(message.term) => false,
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

    fn is_absurd(&self, term: u64) -> bool {
        let absurd = term > self.term.saturating_add(LEAP);
        if absurd {
            tracing::warn!(term, known = self.term, "a term that cannot be is not heeded");
        }
        absurd
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
        if self.is_absurd(message.term) {
            return;
        }
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use orrery_runtime::machine::Machine;
    use orrery_runtime::{Generator, Now, WallTime};

    use super::*;
    use crate::{Durable, Input, Options};

    #[test]
    fn a_term_that_cannot_be_changes_nothing() {
        let known = Durable { term: 7, vote: None };
        let at = |nanoseconds| Now {
            instant: Instant::from_nanoseconds(nanoseconds),
            wall: WallTime::default(),
        };
        let generator = Generator::from_number(1);
        let mut member = Elector::new(Options::new(0, 3), known, generator, at(0));
        let late = at(Duration::from_secs(60).as_nanos() as u64);
        let mut ask = |term, kind| {
            let (request, message) = (RequestId(1), Request { term, kind });
            let mut outputs = Vec::new();
            member.step(late, Input::Request { request, from: 1, message }, &mut outputs);
            let asked = Request { term: 8, kind: Kind::Heartbeat };
            let message = Response { term, granted: true };
            let answer = Input::Response { from: 1, asked, sent: late.instant, message };
            member.step(late, answer, &mut outputs);
            let refused = Response { term: 7, granted: false };
            let refused = outputs.contains(&Output::Reply { request, message: refused });
            (refused, member.term())
        };
        for kind in [Kind::WouldVote, Kind::Vote, Kind::Heartbeat, Kind::Resign] {
            assert_eq!(ask(8 + LEAP, kind), (true, 7), "{kind:?}");
        }
        assert_eq!(ask(7 + LEAP, Kind::Heartbeat), (false, 7 + LEAP));
    }
}
