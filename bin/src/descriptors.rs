//! Room for connections, each of which takes a file descriptor.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// So many descriptors are room for all agents of the largest cluster.
const ENOUGH: u64 = 1 << 18;

/// Descriptors of everything else: files, and connections that are not a port's.
const OTHERS: u64 = 1024;

/// With fewer descriptors than this a cluster of thousands of agents has no place.
const FEW: u64 = 1 << 14;

/// Makes room for connections and says for how many. To be called before there are threads, and
/// only by who starts no processes, which would inherit the limit.
///
/// The limit is raised as far as this process may: systems start daemons with 1,024 descriptors.
/// And the kernel's table of them gets its full size at once, two megabytes at most. It would
/// grow by doubling, and in a process with threads whoever takes the next descriptor waits then
/// until the kernel knows that nobody reads the old table, which can be 10 ms and more: a time in
/// which a master's port answers nobody.
pub fn make_room() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let mut room = limit.maximum.map_or(ENOUGH, |maximum| maximum.min(ENOUGH));
    if limit.current.is_some_and(|current| current < room)
        && setrlimit(Resource::Nofile, Rlimit { current: Some(room), ..limit }).is_err()
    {
        room = limit.current.unwrap_or(room);
    }
    if room < FEW {
        tracing::warn!(room, "a limit of this process leaves few file descriptors");
    }
    // The table covers the highest descriptor that ever was. It can do without a head start.
    let highest = i32::try_from(room).unwrap_or(i32::MAX).saturating_sub(1);
    let _ = rustix::io::fcntl_dupfd_cloexec(std::io::stderr(), highest);
    usize::try_from(connections(room)).unwrap_or(usize::MAX)
}

/// How many of so many descriptors are for connections.
fn connections(room: u64) -> u64 {
    room - OTHERS.min(room / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_descriptors_for_files() {
        assert_eq!(connections(ENOUGH), ENOUGH - 1024);
        assert_eq!(connections(20_000), 18_976);
        assert_eq!(connections(256), 128);
        assert_eq!(connections(0), 0);
    }
}
