//! Room for connections, each of which takes a file descriptor.

use orrery_http::limits::CONNECTIONS;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors of everything else: files, and connections that are not a port's.
const OTHERS: u64 = 1024;

/// Makes room for as many connections as a port takes. To be called before there are threads, and
/// only by who starts no processes, which would inherit the limit.
///
/// The limit is raised as far as this process may: systems start daemons with 1,024 descriptors.
/// And the kernel's table of them gets its full size at once, a quarter of a megabyte. It would
/// grow by doubling, and in a process with threads whoever takes the next descriptor waits then
/// until the kernel knows that nobody reads the old table, which can be 10 ms and more: a time in
/// which a master's port answers nobody.
pub fn make_room() {
    let wanted = OTHERS.saturating_add(u64::try_from(CONNECTIONS).unwrap_or(u64::MAX));
    let limit = getrlimit(Resource::Nofile);
    let room = limit.maximum.map_or(wanted, |maximum| maximum.min(wanted));
    if room < wanted {
        tracing::warn!(room, wanted, "a limit of this process leaves fewer file descriptors");
    }
    if limit.current.is_some_and(|current| current < room) {
        // A refusal leaves the limit that there was.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(room), ..limit });
    }
    // The table covers the highest descriptor that ever was. It can do without a head start.
    let highest = i32::try_from(room).unwrap_or(i32::MAX).saturating_sub(1);
    let _ = rustix::io::fcntl_dupfd_cloexec(std::io::stderr(), highest);
}
