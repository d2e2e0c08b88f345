//! What a simulated world is like before any fault is injected.

use std::time::Duration;

use orrery_runtime::{Generator, WallTime};

use crate::probability::Probability;

/// A range that a delay is drawn from, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Latency {
    /// The least delay.
    pub minimum: Duration,
    /// The greatest delay.
    pub maximum: Duration,
}

impl Latency {
    /// A delay between `minimum` and `maximum` microseconds.
    pub const fn from_micros(minimum: u64, maximum: u64) -> Self {
        Self { minimum: Duration::from_micros(minimum), maximum: Duration::from_micros(maximum) }
    }

    /// A delay between `minimum` and `maximum` milliseconds.
    pub const fn from_millis(minimum: u64, maximum: u64) -> Self {
        Self::from_micros(minimum * 1_000, maximum * 1_000)
    }

    /// Draws a delay, in nanoseconds.
    pub(crate) fn draw(&self, random: &mut Generator) -> u64 {
        let minimum = nanoseconds(self.minimum);
        let width = nanoseconds(self.maximum).saturating_sub(minimum);
        if width == 0 { minimum } else { minimum + random.below(width + 1) }
    }
}

/// Rare delays that come on top of a [`Latency`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tail {
    /// How likely a piece is delayed.
    pub probability: Probability,
    /// By how much more.
    pub latency: Latency,
}

/// A duration in whole nanoseconds, saturating after 584 years.
pub(crate) fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// The network between and inside hosts.
#[derive(Clone, Debug)]
pub struct NetworkConfig {
    /// One-way delay between two hosts.
    pub latency: Latency,
    /// One-way delay inside one host.
    pub loopback: Latency,
    /// Bytes a second that one stream carries in one direction; `None` is without limit.
    pub bandwidth: Option<u64>,
    /// Bytes that a stream holds in one direction, in flight and unread, before writes wait.
    pub window: usize,
    /// Probability that a read or write moves only a random part of what it could.
    pub partial: f64,
    /// How long written bytes may stay without acknowledgement before their writer is told that
    /// the connection timed out.
    pub stream_timeout: Duration,
    /// How much later than the latency held bytes arrive once a path is whole again.
    pub retransmission: Latency,
    /// Streams that wait in a listener to be accepted.
    pub backlog: usize,
}

impl Default for NetworkConfig {
    fn default() -> Self {
        Self {
            latency: Latency::from_micros(100, 500),
            loopback: Latency::from_micros(5, 30),
            bandwidth: None,
            window: 64 * 1024,
            partial: 0.05,
            stream_timeout: Duration::from_secs(15 * 60),
            retransmission: Latency::from_millis(0, 200),
            backlog: 128,
        }
    }
}

/// The disks.
#[derive(Clone, Debug)]
pub struct DiskConfig {
    /// How long syncing a file or a folder takes.
    pub sync: Latency,
}

impl Default for DiskConfig {
    fn default() -> Self {
        Self { sync: Latency::from_micros(200, 2_000) }
    }
}

/// A whole world.
#[derive(Clone, Debug)]
pub struct Config {
    /// Simulated time after which the run fails.
    pub time_limit: Duration,
    /// Whether [`crate::Report::lines`] is kept. It does not change the hash.
    pub trace: bool,
    /// Civil time at the start, on every host's clock.
    pub start: WallTime,
    /// How long launching a process takes.
    pub launch: Latency,
    /// The network.
    pub network: NetworkConfig,
    /// The disks.
    pub disk: DiskConfig,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            time_limit: Duration::from_secs(3_600),
            trace: false,
            // 2026-01-01T00:00:00Z.
            start: WallTime::from_nanoseconds(1_767_225_600_000_000_000),
            launch: Latency::from_micros(500, 3_000),
            network: NetworkConfig::default(),
            disk: DiskConfig::default(),
        }
    }
}
