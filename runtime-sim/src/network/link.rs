//! The way from one host to another, and how much of it is broken.

use orrery_runtime::Generator;

use super::Side;
use crate::config::{Latency, Tail};
use crate::probability::Probability;

/// What becomes of requests to connect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Connecting {
    /// What the host that is asked says.
    #[default]
    Normal,
    /// Nothing: who asks waits until it gives up.
    Hang,
    /// They are refused, listener or not.
    Refuse,
    /// They are accepted and closed at once, listener or not: what a proxy does whose server is
    /// gone.
    Close,
}

/// How a stream comes to an untimely end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Both ends see a reset (RST).
    Reset,
    /// Both ends see what looks like an orderly end (FIN), though none of them has closed.
    End,
    /// Nothing arrives any more, ever: each end believes the stream open, until it has written and
    /// waited for an acknowledgement for [`crate::NetworkConfig::stream_timeout`].
    Silence,
}

/// What has become of a connection as a whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Fate {
    #[default]
    Whole,
    /// Nothing arrives any more.
    Silent,
    /// The address of the other side belongs to another host: it answers what this side sends with
    /// a reset. The other direction is silent.
    Stranger(Side),
}

/// An ending that waits until so many bytes have come through.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Trap {
    pub(crate) bytes: u64,
    pub(crate) ending: Ending,
}

/// The way from one host to another.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Link {
    pub(crate) latency: Latency,
    pub(crate) tail: Option<Tail>,
    pub(crate) bandwidth: Option<u64>,
    /// Nothing travels.
    pub(crate) cut: bool,
    /// Data does not travel; acknowledgements do.
    pub(crate) held: bool,
    pub(crate) connecting: Connecting,
    /// That one bit of a segment flips.
    pub(crate) flips: Probability,
    pub(crate) trap: Option<Trap>,
}

impl Link {
    /// A link without faults.
    pub(crate) const fn new(latency: Latency, bandwidth: Option<u64>) -> Self {
        Self {
            latency,
            tail: None,
            bandwidth,
            cut: false,
            held: false,
            connecting: Connecting::Normal,
            flips: Probability::NEVER,
            trap: None,
        }
    }

    /// Draws how long a segment takes, in nanoseconds.
    pub(crate) fn delay(&self, random: &mut Generator) -> u64 {
        let delay = self.latency.draw(random);
        match self.tail {
            Some(tail) if tail.probability.draw(random) => {
                delay.saturating_add(tail.latency.draw(random))
            }
            _ => delay,
        }
    }
}
