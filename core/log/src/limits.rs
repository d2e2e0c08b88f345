//! To what the numbers of a log can come, and how much of a log may be open at a time.
//!
//! One message with a number far beyond all others would otherwise be durable for ever: a ballot
//! above which there is none, or a position up to which everything must be filled with nothing.

/// No round, position or generation is higher.
pub(crate) const NUMBER_MAX: u64 = 1 << 62;

/// So many elections, or new lives of one replica, no other replica can have missed: with ten a
/// second it would have been away for thirteen years.
pub(crate) const LEAP: u64 = 1 << 32;

/// So many replicas that have started over are remembered. A list of replicas is far shorter; this
/// bounds what replicas that come and go under new addresses leave behind. None can be forgotten
/// again, for nobody knows when the last answer of its former life has arrived.
pub(crate) const KNOWN_MAX: usize = 256;

/// How much of a log may be open at a time.
///
/// A coordinator writes at no position that is more than `open` beyond those that it knows to be
/// agreed upon, and a replica accepts nothing that is more than `reach` beyond the last position of
/// which it knows anything. A replica that knows what its coordinator knows to be agreed upon
/// therefore accepts all that this one writes, since `reach` is not less than `open`. One that is
/// too far behind learns what is agreed upon first, from the coordinator, which tells all replicas
/// up to where it is (`catch_up`); so the first batch that is open never finds too few that accept
/// it for long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Limits {
    /// Positions.
    pub(crate) open: u64,
    /// Positions.
    pub(crate) reach: u64,
}

impl Default for Limits {
    fn default() -> Self {
        // All batches that may be under way to a replica, each with as many values as it may have;
        // and what a replica misses that was away for a few seconds under the greatest load.
        Self { open: 1 << 17, reach: 1 << 20 }
    }
}
