//! What a process uses, from /proc.

use std::io;
use std::time::Duration;

/// Memory and time of one process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Resident set, in bytes.
    pub resident: u64,
    /// The part of it that no file stands behind, in bytes.
    pub anonymous: u64,
    /// User and system time since the process started, without that of its children.
    pub cpu: Duration,
}

impl Usage {
    /// Of the process `id`.
    ///
    /// # Errors
    /// There is no such process.
    pub fn of(id: u32) -> io::Result<Self> {
        let status = std::fs::read_to_string(format!("/proc/{id}/status"))?;
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat"))?;
        Ok(Self {
            resident: kilobytes(&status, "VmRSS:") * 1024,
            anonymous: kilobytes(&status, "RssAnon:") * 1024,
            cpu: cpu(&stat, rustix::param::clock_ticks_per_second()),
        })
    }

    /// Of this process.
    ///
    /// # Errors
    /// The system does not say.
    pub fn of_this_process() -> io::Result<Self> {
        Self::of(std::process::id())
    }
}

fn kilobytes(status: &str, name: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or_default()
}

fn cpu(stat: &str, ticks_per_second: u64) -> Duration {
    // The program's name stands in parentheses and may hold anything, so fields are counted after
    // it: the state is the third of all, user time the 14th, system time the 15th.
    let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace();
    let ticks: u64 = fields.skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 1000 / ticks_per_second.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_whatever_the_program_is_called() {
        let stat = "7 (a ) b) S 1 7 7 0 -1 4194560 1 0 0 0 250 50 9 9 20 0 1 0 100 1 1";
        assert_eq!(cpu(stat, 100), Duration::from_secs(3));
        let status = "Name:\tx\nVmRSS:\t    1234 kB\nRssAnon:\t 10 kB\n";
        assert_eq!((kilobytes(status, "VmRSS:"), kilobytes(status, "None:")), (1234, 0));
    }

    #[test]
    fn this_process_has_memory() {
        let usage = Usage::of_this_process().expect("this process exists");
        assert!(usage.resident > usage.anonymous && usage.anonymous > 0);
    }
}
