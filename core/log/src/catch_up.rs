//! How a voting replica that missed something learns it from the coordinator that leads.

use orrery_runtime::{Address, Instant};

use crate::replica::Replica;
use crate::{Position, Request, Timing};

/// Asks for what is agreed upon and not known here.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct CatchUp {
    timing: Timing,
    /// Who leads, and up to where it says that everything is agreed upon.
    source: Option<(Address, Position)>,
    /// The page that is under way.
    nonce: Option<u64>,
    /// When something is to be done, if something is missing.
    next: Option<Instant>,
}

impl CatchUp {
    pub(crate) fn new(timing: Timing) -> Self {
        Self { timing, source: None, nonce: None, next: None }
    }

    /// When it wants [`CatchUp::tick`].
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.next
    }

    /// The coordinator at `from` says that everything up to `learned` is agreed upon.
    pub(crate) fn heard(
        &mut self,
        now: Instant,
        from: &Address,
        learned: Position,
        replica: &Replica,
    ) {
        // Ballots of what is accepted only rise, so another one leads now, whatever was said of an
        // earlier one.
        let outdated =
            |(address, position): &(Address, Position)| address != from || *position <= learned;
        if self.source.as_ref().is_none_or(outdated) {
            self.source = Some((from.clone(), learned));
        }
        if learned > replica.learned() && self.next.is_none() {
            // What is missing may still be under way.
            self.next = Some(now + self.timing.heartbeat);
        }
    }

    /// What is due by now.
    pub(crate) fn tick(
        &mut self,
        now: Instant,
        replica: &Replica,
        nonce: &mut u64,
    ) -> Option<(Address, Request)> {
        if self.next.is_none_or(|next| next > now) {
            return None;
        }
        let (address, to) = self.source.clone()?;
        let from = replica.learned().next();
        if from > to {
            self.next = None;
            return None;
        }
        *nonce = nonce.wrapping_add(1);
        self.nonce = Some(*nonce);
        self.next = Some(now + self.timing.retry);
        Some((address, Request::Read { nonce: *nonce, from, to, learned_only: true }))
    }

    /// Whether a page is the one that was asked for.
    pub(crate) fn expects(&self, nonce: u64) -> bool {
        self.nonce == Some(nonce)
    }

    /// The page was taken. The next is due at once, unless it told nothing new.
    pub(crate) fn taken(&mut self, now: Instant, progress: bool) {
        self.nonce = None;
        self.next = Some(if progress { now } else { now + self.timing.retry });
    }
}
