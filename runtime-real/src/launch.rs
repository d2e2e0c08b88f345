//! From a [`Command`] to a running process.
//!
//! Everything that can be missing (program, folder, output files, user) is found or opened here,
//! before a process is made, so that each failure is told by its own name.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use orrery_runtime::Command;
use rustix::fs::{Access, AtFlags, CWD, Mode, OFlags};
use rustix::process::{Pid, geteuid};

use crate::spawn;
use crate::users::{self, User};

/// Where programs are looked for when the environment has no `PATH`, as execvp(3) does.
const DEFAULT_PATH: &str = "/bin:/usr/bin";

/// Why a process could not be started.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LaunchError {
    #[error("program '{program}' is not in PATH '{path}'")]
    NotInPath { program: PathBuf, path: String },
    #[error("cannot run program '{program}': {source}")]
    Program { program: PathBuf, source: io::Error },
    #[error("cannot enter working directory '{path}': {source}")]
    WorkingDirectory { path: PathBuf, source: io::Error },
    #[error("cannot open output file '{path}': {source}")]
    Output { path: PathBuf, source: io::Error },
    #[error("user '{user}' is unknown")]
    UnknownUser { user: String },
    #[error("cannot become user '{user}': {source}")]
    SwitchUser { user: String, source: io::Error },
    #[error("{what} holds a zero byte, which no process can be given")]
    ZeroByte { what: &'static str },
    #[error("cannot make a process: {source}")]
    Process { source: io::Error },
}

impl From<LaunchError> for io::Error {
    fn from(error: LaunchError) -> Self {
        let kind = match &error {
            LaunchError::NotInPath { .. } | LaunchError::UnknownUser { .. } => {
                io::ErrorKind::NotFound
            }
            LaunchError::ZeroByte { .. } => io::ErrorKind::InvalidInput,
            LaunchError::Program { source, .. }
            | LaunchError::WorkingDirectory { source, .. }
            | LaunchError::Output { source, .. }
            | LaunchError::SwitchUser { source, .. }
            | LaunchError::Process { source } => source.kind(),
        };
        io::Error::new(kind, error)
    }
}

/// A process to be: a [`Command`] whose parts were found.
#[derive(Debug)]
pub(crate) struct Image {
    /// Path of the program; only exec(2) can still find it unfit.
    pub(crate) program: PathBuf,
    /// All arguments, the zeroth included.
    pub(crate) arguments: Vec<String>,
    /// The whole environment, each name once.
    pub(crate) environment: BTreeMap<String, String>,
    /// Where it starts.
    pub(crate) working_directory: OwnedFd,
    /// Its standard input.
    pub(crate) stdin: OwnedFd,
    /// Its standard output; `None` inherits ours.
    pub(crate) stdout: Option<OwnedFd>,
    /// Its standard error; `None` inherits ours.
    pub(crate) stderr: Option<OwnedFd>,
    /// Whom to become; `None` stays the same.
    pub(crate) user: Option<User>,
    /// Whether it leads a session of its own, or else only a process group.
    pub(crate) new_session: bool,
}

/// Which part of making a process failed.
#[derive(Debug)]
pub(crate) enum SpawnError {
    /// fork(2), clone(2) and what belongs to it.
    Process(io::Error),
    /// setgroups(2), setgid(2), setuid(2).
    User(io::Error),
    /// fchdir(2).
    WorkingDirectory(io::Error),
    /// execve(2).
    Program(io::Error),
    /// An argument or a variable holds a zero byte.
    ZeroByte(&'static str),
}

/// Starts a process; it is then ours to wait for.
pub(crate) fn launch(command: Command) -> Result<Pid, LaunchError> {
    let user = switch_to(command.user.as_deref())?;
    let path = command.working_directory.as_path();
    let working_directory = open_directory(path, user.is_some())
        .map_err(|source| LaunchError::WorkingDirectory { path: path.to_owned(), source })?;
    // Of a name given twice the last one counts.
    let environment: BTreeMap<_, _> = command.environment.into_iter().collect();
    let program = find_program(&command.program, path, environment.get("PATH"))?;
    let mut arguments = command.arguments;
    if arguments.is_empty() {
        // Programs may rely on having a name.
        arguments.push(program.to_string_lossy().into_owned());
    }
    let image = Image {
        program,
        arguments,
        environment,
        working_directory,
        stdin: open_null().map_err(|source| LaunchError::Process { source })?,
        stdout: open_output(command.stdout.as_deref(), path, user.as_ref())?,
        stderr: open_output(command.stderr.as_deref(), path, user.as_ref())?,
        user,
        new_session: command.new_session,
    };
    let spawned = match image.user {
        None => spawn::spawn(&image),
        Some(_) => spawn::fork(&image),
    };
    spawned.map_err(|error| match error {
        SpawnError::Process(source) => LaunchError::Process { source },
        SpawnError::User(source) => {
            LaunchError::SwitchUser { user: command.user.unwrap_or_default(), source }
        }
        SpawnError::WorkingDirectory(source) => {
            LaunchError::WorkingDirectory { path: command.working_directory, source }
        }
        SpawnError::Program(source) => LaunchError::Program { program: image.program, source },
        SpawnError::ZeroByte(what) => LaunchError::ZeroByte { what },
    })
}

/// The user to become; `None` when we are that user already.
fn switch_to(name: Option<&str>) -> Result<Option<User>, LaunchError> {
    let Some(name) = name else { return Ok(None) };
    match users::find(name) {
        Ok(Some(user)) if user.uid == geteuid().as_raw() => Ok(None),
        Ok(Some(user)) => Ok(Some(user)),
        Ok(None) => Err(LaunchError::UnknownUser { user: name.to_owned() }),
        Err(source) => Err(LaunchError::SwitchUser { user: name.to_owned(), source }),
    }
}

/// Opens a folder to start in. Whether another user may enter it is seen once we are that user.
fn open_directory(path: &Path, switches_user: bool) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = rustix::fs::open(path, flags, Mode::empty())?;
    if !switches_user {
        rustix::fs::accessat(CWD, path, Access::EXEC_OK, AtFlags::EACCESS)?;
    }
    Ok(directory)
}

/// Where a program is: names without a slash are looked up in `search`, others are taken from the
/// working directory.
fn find_program(
    program: &Path,
    working_directory: &Path,
    search: Option<&String>,
) -> Result<PathBuf, LaunchError> {
    if program.as_os_str().as_encoded_bytes().contains(&b'/') {
        let path = working_directory.join(program);
        return match executable(&path) {
            Ok(()) => Ok(path),
            Err(source) => Err(LaunchError::Program { program: path, source }),
        };
    }
    let search = search.map_or(DEFAULT_PATH, String::as_str);
    let mut forbidden = None;
    for folder in search.split(':').filter(|_| !program.as_os_str().is_empty()) {
        let path = working_directory.join(folder).join(program);
        match executable(&path) {
            Ok(()) => return Ok(path),
            Err(source) if source.kind() == io::ErrorKind::PermissionDenied => {
                forbidden.get_or_insert(LaunchError::Program { program: path, source });
            }
            Err(_) => {}
        }
    }
    Err(forbidden.unwrap_or_else(|| LaunchError::NotInPath {
        program: program.to_owned(),
        path: search.to_owned(),
    }))
}

/// Whether a path names a file that somebody may execute. Whether the user to become may is for
/// exec(2) to say.
fn executable(path: &Path) -> io::Result<()> {
    let facts = fs::metadata(path)?;
    if facts.is_file() && facts.permissions().mode() & 0o111 != 0 {
        Ok(())
    } else {
        Err(io::ErrorKind::PermissionDenied.into())
    }
}

fn open_null() -> io::Result<OwnedFd> {
    Ok(rustix::fs::open("/dev/null", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?)
}

/// Opens an output file for appending. One that is made here belongs to the user who will write it.
fn open_output(
    path: Option<&Path>,
    working_directory: &Path,
    user: Option<&User>,
) -> Result<Option<OwnedFd>, LaunchError> {
    let Some(path) = path else { return Ok(None) };
    let path = working_directory.join(path);
    let mut options = fs::OpenOptions::new();
    // Should the path name a terminal, it does not become the daemon's.
    options.append(true).mode(0o644).custom_flags(libc::O_NOCTTY);
    let opened = options.open(&path).or_else(|error| {
        if error.kind() != io::ErrorKind::NotFound {
            return Err(error);
        }
        let file = options.create(true).open(&path)?;
        if let Some(user) = user {
            std::os::unix::fs::fchown(&file, Some(user.uid), Some(user.gid))?;
        }
        Ok(file)
    });
    match opened {
        Ok(file) => Ok(Some(file.into())),
        Err(source) => Err(LaunchError::Output { path, source }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(program: &str, search: &str) -> Result<PathBuf, LaunchError> {
        find_program(Path::new(program), Path::new("/"), Some(&search.to_owned()))
    }

    #[test]
    fn names_are_found_in_the_given_path() {
        assert_eq!(find("true", "/no:/bin").unwrap(), Path::new("/bin/true"));
        assert_eq!(find("true", "bin").unwrap(), Path::new("/bin/true"));
        assert_eq!(find("/bin/true", "/no").unwrap(), Path::new("/bin/true"));
        assert_eq!(find("bin/true", "/no").unwrap(), Path::new("/bin/true"));
        let default = find_program(Path::new("true"), Path::new("/tmp"), None).unwrap();
        assert_eq!(default, Path::new("/bin/true"));
    }

    #[test]
    fn what_cannot_run_is_told_apart() {
        let error = find("no-such-program", "/bin:/usr/bin").unwrap_err();
        assert_eq!(error.to_string(), "program 'no-such-program' is not in PATH '/bin:/usr/bin'");
        assert!(matches!(find("", "/bin"), Err(LaunchError::NotInPath { .. })));
        let error: io::Error = find("passwd", "/etc").unwrap_err().into();
        assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
        assert_eq!(error.to_string(), "cannot run program '/etc/passwd': permission denied");
        let error: io::Error = find("/no/such", "/bin").unwrap_err().into();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
