//! Operations that fail with EIO: the n-th one, or some of them.

use orrery_runtime::Generator;

use crate::probability::Probability;

/// What a process asks a disk to do, as far as it can be made to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DiskOperation {
    /// Reading from a file.
    Read,
    /// Writing to a file.
    Write,
    /// Syncing a file or a folder.
    Sync,
}

#[derive(Debug, Default)]
struct Failing {
    /// How many more operations until one fails; 0 is none.
    countdown: u64,
    rate: Probability,
}

/// The errors that were asked for.
#[derive(Debug, Default)]
pub(crate) struct Errors([Failing; 3]);

impl Errors {
    /// The n-th operation from now fails, counted from 1; 0 ends that.
    pub(crate) fn fail_nth(&mut self, operation: DiskOperation, nth: u64) {
        self.0[operation as usize].countdown = nth;
    }

    /// From now on any operation may fail.
    pub(crate) fn set_rate(&mut self, operation: DiskOperation, rate: Probability) {
        self.0[operation as usize].rate = rate;
    }

    /// Counts an operation and tells whether it fails.
    pub(crate) fn strike(&mut self, operation: DiskOperation, random: &mut Generator) -> bool {
        let failing = &mut self.0[operation as usize];
        let is_nth = failing.countdown == 1;
        failing.countdown = failing.countdown.saturating_sub(1);
        failing.rate.draw(random) || is_nth
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nth_fails_once() {
        let mut errors = Errors::default();
        let mut random = Generator::from_number(1);
        errors.fail_nth(DiskOperation::Write, 3);
        let mut strike = |operation| errors.strike(operation, &mut random);
        assert!(!strike(DiskOperation::Read));
        let failed: Vec<bool> = (0..5).map(|_| strike(DiskOperation::Write)).collect();
        assert_eq!(failed, [false, false, true, false, false]);
    }
}
