//! Entropy from the operating system.

use orrery_runtime::Random;
use rustix::rand::{GetRandomFlags, getrandom};

/// getrandom(2).
#[derive(Debug)]
pub(crate) struct SystemRandom;

impl Random for SystemRandom {
    /// # Panics
    /// When the kernel has no getrandom(2) (Linux before 3.17): going on with predictable
    /// identifiers would be worse than stopping.
    fn fill(&self, bytes: &mut [u8]) {
        let mut filled = 0;
        while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match getrandom(rest, GetRandomFlags::empty()) {
                Ok(count) => filled += count,
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => panic!("the kernel gives no entropy: {error}"),
            }
        }
    }
}
