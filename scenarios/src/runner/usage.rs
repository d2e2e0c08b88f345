//! What runs cost: memory and processor time, as the system counts them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The most memory that this process ever had at a time, in bytes; `None` where the system does not
/// tell.
pub fn peak_memory() -> Option<u64> {
    let status = read("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}

/// Processor time that this thread has used; `None` where the system does not tell.
fn thread_time() -> Option<Duration> {
    let line = read("/proc/thread-self/schedstat")?;
    let nanoseconds = line.split_whitespace().next()?.parse().ok()?;
    Some(Duration::from_nanos(nanoseconds))
}

#[allow(clippy::disallowed_methods, reason = "what a run costs is known to the system alone")]
fn read(path: &str) -> Option<String> {
    std::fs::read_to_string(path).ok()
}

/// Adds up the processor time of one run, which has a thread of its own.
#[derive(Clone, Debug, Default)]
pub(super) struct Meter {
    nanoseconds: Arc<AtomicU64>,
}

/// Counts until it is dropped, also by a panic.
#[derive(Debug)]
pub(super) struct Counting {
    meter: Meter,
    start: Option<Duration>,
}

impl Meter {
    /// Counts the time of the thread that asks.
    pub(super) fn count(&self) -> Counting {
        Counting { meter: self.clone(), start: thread_time() }
    }

    /// What was counted.
    pub(super) fn total(&self) -> Duration {
        Duration::from_nanos(self.nanoseconds.load(Ordering::Relaxed))
    }
}

impl Drop for Counting {
    fn drop(&mut self) {
        let (Some(start), Some(end)) = (self.start, thread_time()) else { return };
        let used = u64::try_from(end.saturating_sub(start).as_nanos()).unwrap_or(u64::MAX);
        self.meter.nanoseconds.fetch_add(used, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_costs_time_and_memory_even_when_it_panics() {
        let meter = Meter::default();
        let used = meter.clone();
        let work = std::thread::Builder::new().spawn(move || {
            let _counting = used.count();
            let mut numbers = vec![1_u64; 4 << 20];
            numbers.iter_mut().fold(0_u64, |sum, number| {
                *number += sum;
                sum.rotate_left(3) ^ *number
            });
            assert!(numbers[0] == 0, "{}", numbers[numbers.len() - 1]);
        });
        assert!(work.expect("a thread").join().is_err());
        if thread_time().is_some() {
            assert!(meter.total() > Duration::ZERO);
        }
        if let Some(peak) = peak_memory() {
            assert!(peak > 32 << 20, "{peak}");
        }
    }
}
