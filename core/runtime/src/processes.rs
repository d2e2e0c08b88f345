//! Operating-system processes.

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::BoxFuture;

/// A process's number on its host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProcessId(pub u32);

impl fmt::Display for ProcessId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// What to run and how.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Command {
    /// The program: an absolute path, or a name to be found in the `PATH` of `environment`.
    pub program: PathBuf,
    /// All arguments, the zeroth (the name the program sees itself called by) included.
    pub arguments: Vec<String>,
    /// The whole environment; nothing is inherited.
    pub environment: Vec<(String, String)>,
    /// Where it starts.
    pub working_directory: PathBuf,
    /// File that its standard output is appended to; `None` inherits ours.
    pub stdout: Option<PathBuf>,
    /// File that its standard error is appended to; `None` inherits ours.
    pub stderr: Option<PathBuf>,
    /// The user to become; `None` stays the same.
    pub user: Option<String>,
    /// True: it leads a session (and process group) of its own, which [`Target::Session`] reaches.
    /// False: it leads a process group of its own inside our session.
    pub new_session: bool,
}

/// Whom a signal is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// One process.
    Process(ProcessId),
    /// Every process of the group that this process leads or led.
    Group(ProcessId),
    /// Every process of the session that this process leads or led, and all their descendants.
    Session(ProcessId),
}

/// The signals that Orrery sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGTERM: please end.
    Terminate,
    /// SIGKILL: end.
    Kill,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitStatus {
    /// It returned this code, 0–255.
    Exited(i32),
    /// This signal ended it.
    Signaled(i32),
    /// It was no child of ours, and only its parent was told.
    Unknown,
}

impl ExitStatus {
    /// The form that waitpid(2) gives, which Mesos' messages carry; -1 when it is not known.
    pub fn as_wait_status(self) -> i32 {
        match self {
            Self::Exited(code) => (code & 0xff) << 8,
            Self::Signaled(signal) => signal & 0x7f,
            Self::Unknown => -1,
        }
    }
}

impl fmt::Display for ExitStatus {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(code) => write!(formatter, "exited with status {code}"),
            Self::Signaled(signal) => {
                write!(formatter, "terminated with signal {}", signal_name(*signal))
            }
            Self::Unknown => formatter.write_str("ended with an unknown status"),
        }
    }
}

/// What Linux calls a signal, as strsignal(3) words it for the common ones.
fn signal_name(signal: i32) -> String {
    let name = match signal {
        1 => "Hangup",
        2 => "Interrupt",
        3 => "Quit",
        4 => "Illegal instruction",
        6 => "Aborted",
        7 => "Bus error",
        8 => "Floating point exception",
        9 => "Killed",
        11 => "Segmentation fault",
        13 => "Broken pipe",
        14 => "Alarm clock",
        15 => "Terminated",
        other => return format!("Signal {other}"),
    };
    name.to_owned()
}

/// A living process that was started with a variable that was looked for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Marked {
    /// Its number.
    pub process: ProcessId,
    /// The process that leads, or led, its session.
    pub session: ProcessId,
    /// The variable's value.
    pub value: String,
}

/// What was found of a session that is taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Adoption {
    /// Its leader lives, and can be waited for.
    Lives,
    /// Its leader has ended. What it left behind can still be signalled as [`Target::Session`].
    Ended,
}

/// The port to processes. Every launched process must be waited for exactly once, and so must the
/// living leader of every adopted session.
pub trait Processes: Send + Sync {
    /// Starts a process.
    ///
    /// # Errors
    /// The program, the working directory, an output file or the user is missing or not allowed.
    fn launch(&self, command: Command) -> BoxFuture<'static, io::Result<ProcessId>>;

    /// Waits until a process that this port launched or adopted has ended. How an adopted one ended
    /// is not known.
    ///
    /// # Errors
    /// It was not launched or adopted here, or was already waited for.
    fn wait(&self, process: ProcessId) -> BoxFuture<'static, io::Result<ExitStatus>>;

    /// Sends a signal.
    ///
    /// # Errors
    /// `NotFound` when nothing of that number lives; or not allowed.
    fn signal(&self, target: Target, signal: Signal) -> io::Result<()>;

    /// When a living process came to be, in a unit of the host's own. Among all processes between
    /// two boots of a host no other one has both the same number and the same time.
    ///
    /// # Errors
    /// `NotFound` when it does not live.
    fn started(&self, process: ProcessId) -> io::Result<u64>;

    /// Takes over a session that an earlier process of ours launched, so that its leader can be
    /// waited for and all of it be signalled. `started` is what [`Processes::started`] said of the
    /// leader; without it, whoever has the number now is taken for the leader.
    ///
    /// # Errors
    /// `NotFound` when the number is not that of a session or belongs to another process by now.
    fn adopt(
        &self,
        leader: ProcessId,
        started: Option<u64>,
    ) -> BoxFuture<'static, io::Result<Adoption>>;

    /// The living processes whose first environment holds `variable`, by number: whatever became of
    /// their parents and sessions, this they inherit.
    ///
    /// # Errors
    /// The process table cannot be read. Processes that may not be looked at are left out.
    fn marked(&self, variable: &str) -> BoxFuture<'static, io::Result<Vec<Marked>>>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_take_the_form_of_waitpid() {
        assert_eq!(ExitStatus::Exited(0).as_wait_status(), 0);
        assert_eq!(ExitStatus::Exited(3).as_wait_status(), 0x300);
        assert_eq!(ExitStatus::Exited(255).as_wait_status(), 0xff00);
        assert_eq!(ExitStatus::Signaled(9).as_wait_status(), 9);
        assert_eq!(ExitStatus::Unknown.as_wait_status(), -1);
    }

    #[test]
    fn statuses_are_told_in_words() {
        assert_eq!(ExitStatus::Exited(3).to_string(), "exited with status 3");
        assert_eq!(ExitStatus::Signaled(15).to_string(), "terminated with signal Terminated");
        assert_eq!(ExitStatus::Signaled(64).to_string(), "terminated with signal Signal 64");
    }
}
