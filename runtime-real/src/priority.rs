//! Threads that go before others.

use rustix::process::setpriority_process;
use rustix::thread::gettid;

/// The lowest real-time priority. Threads that have any go before all that have none.
const PRIORITY: i32 = 1;

/// How nice a thread is to others that must do without.
const NICENESS: i32 = -10;

/// Has this thread run whenever it has something to do, however busy the processors are with
/// others. It should be one that mostly waits, and that starts no processes. It needs the right to
/// do so (`CAP_SYS_NICE`); without it, the thread stays one like all others.
///
/// Niceness alone is not enough: it gives a larger share of a processor, but a thread that wakes up
/// still waits until the one that runs has used up its turn, which takes some milliseconds.
#[allow(unsafe_code)]
pub fn go_first() {
    let parameters = libc::sched_param { sched_priority: PRIORITY };
    let policy = libc::SCHED_RR | libc::SCHED_RESET_ON_FORK;
    // SAFETY: 0 is this thread, and the parameters are only read, before the call returns.
    if unsafe { libc::sched_setscheduler(0, policy, &raw const parameters) } != 0 {
        // Some containers allow this and not that. To Linux, which counts threads here, a thread
        // is a process.
        let _ = setpriority_process(Some(gettid()), NICENESS);
    }
}
