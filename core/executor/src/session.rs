//! The connection to the agent: when to subscribe again, when to give up.

use std::time::Duration;

use orrery_coverage::sometimes;
use orrery_runtime::{Generator, Instant, Now};

use crate::settings::Settings;

/// How long to try to reach the agent for the first time. The agent allows as much by default
/// before it kills an executor that has not subscribed.
const FIRST_CONTACT: Duration = Duration::from_secs(60);
/// How often to try at least in the longest pause that the agent allows between two tries.
const TRIES_WITHIN_BACKOFF: u32 = 4;
/// Mesos' interval between two heartbeats of an executor.
const HEARTBEAT: Duration = Duration::from_secs(30 * 60);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Link {
    /// Nothing is open; the next try is at this time.
    Waiting(Instant),
    /// SUBSCRIBE is on its way.
    Subscribing,
    /// Subscribed; the next heartbeat is at this time.
    Subscribed(Instant),
    /// Given up.
    Lost,
}

/// What the time asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    Nothing,
    Subscribe,
    Heartbeat,
    GiveUp,
}

/// Where the connection stands.
#[derive(Debug)]
pub(crate) struct Session {
    link: Link,
    /// When to stop trying; set while the agent is away.
    give_up_at: Option<Instant>,
    /// Whether the agent ever answered.
    met: bool,
    checkpoint: bool,
    recovery_timeout: Duration,
    backoff_max: Duration,
}

impl Session {
    /// A session whose first SUBSCRIBE is being sent.
    pub(crate) fn new(settings: &Settings) -> Self {
        Self {
            link: Link::Subscribing,
            give_up_at: None,
            met: false,
            checkpoint: settings.checkpoint,
            recovery_timeout: settings.recovery_timeout,
            backoff_max: settings.backoff_max,
        }
    }

    pub(crate) fn is_subscribed(&self) -> bool {
        matches!(self.link, Link::Subscribed(_))
    }

    pub(crate) fn is_lost(&self) -> bool {
        self.link == Link::Lost
    }

    /// The agent answered. False when nobody asked it to, as after giving up.
    pub(crate) fn subscribed(&mut self, now: Now) -> bool {
        if self.link != Link::Subscribing {
            return false;
        }
        self.link = Link::Subscribed(now.instant + HEARTBEAT);
        self.give_up_at = None;
        self.met = true;
        true
    }

    /// The connection broke or was not made. Without checkpointing an agent that was met and is
    /// gone takes its executors with it; otherwise it is tried again for a while.
    pub(crate) fn disconnected(&mut self, now: Now, generator: &mut Generator) {
        if !matches!(self.link, Link::Subscribing | Link::Subscribed(_)) {
            return;
        }
        let patience = match (self.checkpoint, self.met) {
            (true, _) => self.recovery_timeout,
            (false, false) => FIRST_CONTACT,
            (false, true) => return self.lose(),
        };
        sometimes!(self.met, "the executor loses an agent that may come back");
        sometimes!(!self.met, "the executor does not reach its agent at the first try");
        self.give_up_at.get_or_insert(now.instant + patience);
        // An agent that was restarted waits as long as the longest pause that it allows, and no
        // longer. So that even a late and slow try falls into that time, ours are shorter.
        let pause = (self.backoff_max / TRIES_WITHIN_BACKOFF).mul_f64(generator.fraction());
        self.link = Link::Waiting(now.instant + pause);
    }

    /// Stops trying.
    pub(crate) fn lose(&mut self) {
        self.link = Link::Lost;
        self.give_up_at = None;
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        let next = match self.link {
            Link::Waiting(at) | Link::Subscribed(at) => Some(at),
            Link::Subscribing | Link::Lost => None,
        };
        next.into_iter().chain(self.give_up_at).min()
    }

    /// What is due now; the session then counts it as done.
    pub(crate) fn due(&mut self, now: Now) -> Due {
        if self.give_up_at.is_some_and(|at| at <= now.instant) {
            self.lose();
            return Due::GiveUp;
        }
        match self.link {
            Link::Waiting(at) if at <= now.instant => {
                self.link = Link::Subscribing;
                Due::Subscribe
            }
            Link::Subscribed(at) if at <= now.instant => {
                self.link = Link::Subscribed(now.instant + HEARTBEAT);
                Due::Heartbeat
            }
            _ => Due::Nothing,
        }
    }
}
