//! Making processes, in two ways.
//!
//! [`spawn`] is the usual one: posix_spawn(3) borrows our memory until the program runs, so its
//! cost does not grow with the daemon. It cannot change the user; [`fork`] can, and copies the
//! daemon's page tables for that.
//!
//! Both leave the child with no blocked or ignored signals (the Rust runtime ignores `SIGPIPE`, and
//! ignoring is inherited) and with no descriptors but its three streams.
#![allow(unsafe_code)]

use std::ffi::{CString, c_char, c_int, c_short};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::ptr;

use rustix::process::Pid;

use crate::launch::{Image, SpawnError};
use crate::users::User;

/// Highest signal number of Linux.
const LAST_SIGNAL: c_int = 64;

/// Starts a process as the user that we are.
pub(crate) fn spawn(image: &Image) -> Result<Pid, SpawnError> {
    close_on_exec();
    let program = zero_ended("the program's path", image.program.as_os_str().as_bytes())?;
    let arguments = image.arguments.iter().map(|argument| argument.as_bytes().to_vec());
    let arguments = Strings::new("an argument", arguments)?;
    let variables = image.environment.iter().map(|(name, value)| format!("{name}={value}"));
    let environment = Strings::new("an environment variable", variables.map(String::into_bytes))?;
    let actions = Actions::new(image).map_err(SpawnError::Process)?;
    let attributes = Attributes::new(image.new_session).map_err(SpawnError::Process)?;
    let mut pid = 0;
    // SAFETY: the path is a C string, both lists end with a null pointer and point to C strings,
    // actions and attributes are initialised, and all of them live until the call returns; by then
    // the child has its own memory.
    let error = unsafe {
        libc::posix_spawn(
            &mut pid,
            program.as_ptr(),
            &actions.0,
            &attributes.0,
            arguments.pointers.as_ptr(),
            environment.pointers.as_ptr(),
        )
    };
    match (checked(error), Pid::from_raw(pid)) {
        (Ok(()), Some(pid)) => Ok(pid),
        (Ok(()), None) => Err(SpawnError::Process(io::ErrorKind::Other.into())),
        // What else these could be about was tried before.
        (Err(error), _) => match error.raw_os_error() {
            Some(libc::EAGAIN | libc::ENOMEM) => Err(SpawnError::Process(error)),
            _ => Err(SpawnError::Program(error)),
        },
    }
}

/// Marks every descriptor above the three streams as not for our children, those included that our
/// own parent left open. All that we open ourselves is so marked already, so a kernel that cannot
/// do this (before Linux 5.11) is no failure.
fn close_on_exec() {
    // SAFETY: the call takes numbers only, and closes nothing in this process.
    unsafe {
        libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC);
    }
}

fn zero_ended(what: &'static str, text: impl Into<Vec<u8>>) -> Result<CString, SpawnError> {
    CString::new(text).map_err(|_| SpawnError::ZeroByte(what))
}

/// The error of a function that returns its error number.
fn checked(error: c_int) -> io::Result<()> {
    if error == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(error)) }
}

/// A list of C strings as exec(2) wants it.
struct Strings {
    /// Ends with a null pointer; the others point into `_texts`.
    pointers: Vec<*mut c_char>,
    _texts: Vec<CString>,
}

impl Strings {
    fn new(what: &'static str, texts: impl Iterator<Item = Vec<u8>>) -> Result<Self, SpawnError> {
        let texts: Vec<_> = texts.map(|text| zero_ended(what, text)).collect::<Result<_, _>>()?;
        let pointers = texts.iter().map(|text| text.as_ptr().cast_mut());
        Ok(Self { pointers: pointers.chain([ptr::null_mut()]).collect(), _texts: texts })
    }
}

/// What the child does to its descriptors and folder.
struct Actions(libc::posix_spawn_file_actions_t);

impl Actions {
    fn new(image: &Image) -> io::Result<Self> {
        let mut actions = MaybeUninit::uninit();
        // SAFETY: the call initialises what it is given.
        checked(unsafe { libc::posix_spawn_file_actions_init(actions.as_mut_ptr()) })?;
        // SAFETY: it was initialised just now.
        let mut actions = Self(unsafe { actions.assume_init() });
        let streams =
            [(Some(&image.stdin), 0), (image.stdout.as_ref(), 1), (image.stderr.as_ref(), 2)];
        for (from, to) in streams {
            if let Some(from) = from {
                actions.duplicate(from, to)?;
            }
        }
        let folder = image.working_directory.as_raw_fd();
        // SAFETY: the actions are initialised; the descriptor is open and outlives the spawning.
        let error = unsafe { libc::posix_spawn_file_actions_addfchdir_np(&mut actions.0, folder) };
        checked(error)?;
        Ok(actions)
    }

    fn duplicate(&mut self, from: &OwnedFd, to: RawFd) -> io::Result<()> {
        // SAFETY: the actions are initialised; the descriptor is open and outlives the spawning.
        checked(unsafe {
            libc::posix_spawn_file_actions_adddup2(&mut self.0, from.as_raw_fd(), to)
        })
    }
}

impl Drop for Actions {
    fn drop(&mut self) {
        // SAFETY: they are initialised and not used again.
        unsafe { libc::posix_spawn_file_actions_destroy(&mut self.0) };
    }
}

/// What else the child is.
struct Attributes(libc::posix_spawnattr_t);

impl Attributes {
    fn new(new_session: bool) -> io::Result<Self> {
        let mut attributes = MaybeUninit::uninit();
        // SAFETY: the call initialises what it is given.
        checked(unsafe { libc::posix_spawnattr_init(attributes.as_mut_ptr()) })?;
        // SAFETY: it was initialised just now.
        let mut attributes = Self(unsafe { attributes.assume_init() });
        // The process group of number 0, which is the default, means a new one.
        let place =
            if new_session { libc::POSIX_SPAWN_SETSID } else { short(libc::POSIX_SPAWN_SETPGROUP) };
        let signals = short(libc::POSIX_SPAWN_SETSIGDEF) | short(libc::POSIX_SPAWN_SETSIGMASK);
        let (none, all) = (signal_set(false), signal_set(true));
        // SAFETY: attributes and sets are initialised; the calls copy the sets.
        unsafe {
            checked(libc::posix_spawnattr_setflags(&mut attributes.0, place | signals))?;
            checked(libc::posix_spawnattr_setsigmask(&mut attributes.0, &none))?;
            checked(libc::posix_spawnattr_setsigdefault(&mut attributes.0, &all))?;
        }
        Ok(attributes)
    }
}

impl Drop for Attributes {
    fn drop(&mut self) {
        // SAFETY: they are initialised and not used again.
        unsafe { libc::posix_spawnattr_destroy(&mut self.0) };
    }
}

/// The flags are small, though some of libc's constants are wider than the field they go into.
const fn short(flag: c_int) -> c_short {
    flag as c_short
}

/// The set of all signals or of none.
fn signal_set(all: bool) -> libc::sigset_t {
    let mut set = MaybeUninit::uninit();
    // SAFETY: both calls initialise what they are given.
    unsafe {
        if all {
            libc::sigfillset(set.as_mut_ptr());
        } else {
            libc::sigemptyset(set.as_mut_ptr());
        }
        set.assume_init()
    }
}

/// The step at which the child failed is sent in the upper half of its error number.
const FAILED_USER: i32 = 1 << 16;
const FAILED_DIRECTORY: i32 = 2 << 16;
const ERROR_NUMBER: i32 = 0xffff;

/// Starts a process as another user.
pub(crate) fn fork(image: &Image) -> Result<Pid, SpawnError> {
    close_on_exec();
    let mut command = Command::new(&image.program);
    if let Some((name, arguments)) = image.arguments.split_first() {
        command.arg0(name).args(arguments);
    }
    command.env_clear().envs(&image.environment);
    command.stdin(copy(&image.stdin)?);
    if let Some(stdout) = &image.stdout {
        command.stdout(copy(stdout)?);
    }
    if let Some(stderr) = &image.stderr {
        command.stderr(copy(stderr)?);
    }
    if !image.new_session {
        command.process_group(0);
    }
    let (new_session, user) = (image.new_session, image.user.clone());
    let directory = image.working_directory.as_raw_fd();
    // SAFETY: between fork and exec the closure makes system calls only: it neither allocates nor
    // takes locks. The descriptor stays open until `command` has been spawned.
    unsafe {
        command.pre_exec(move || become_child(new_session, user.as_ref(), directory));
    }
    match command.spawn() {
        Ok(child) => Ok(Pid::from_child(&child)),
        Err(error) => Err(failed_step(error)),
    }
}

fn copy(descriptor: &OwnedFd) -> Result<Stdio, SpawnError> {
    descriptor.try_clone().map(Stdio::from).map_err(SpawnError::Process)
}

fn failed_step(error: io::Error) -> SpawnError {
    let number = error.raw_os_error().unwrap_or(0);
    let source = io::Error::from_raw_os_error(number & ERROR_NUMBER);
    match number & !ERROR_NUMBER {
        FAILED_USER => SpawnError::User(source),
        FAILED_DIRECTORY => SpawnError::WorkingDirectory(source),
        _ if error.kind() == io::ErrorKind::InvalidInput && number == 0 => {
            SpawnError::ZeroByte("an argument or an environment variable")
        }
        _ if matches!(number, libc::EAGAIN | libc::ENOMEM) => SpawnError::Process(error),
        _ => SpawnError::Program(error),
    }
}

/// What the forked child does before exec(2).
fn become_child(new_session: bool, user: Option<&User>, directory: RawFd) -> io::Result<()> {
    // SAFETY: system calls on numbers, and on arrays that live through the call. Setting signals
    // that cannot be set (9, 19, those of libc) fails, and that is right.
    unsafe {
        for signal in 1..=LAST_SIGNAL {
            libc::signal(signal, libc::SIG_DFL);
        }
        if new_session {
            step(0, libc::setsid())?;
        }
        if let Some(user) = user {
            step(FAILED_USER, libc::setgroups(user.groups.len(), user.groups.as_ptr()))?;
            step(FAILED_USER, libc::setresgid(user.gid, user.gid, user.gid))?;
            step(FAILED_USER, libc::setresuid(user.uid, user.uid, user.uid))?;
        }
        step(FAILED_DIRECTORY, libc::fchdir(directory))?;
    }
    Ok(())
}

/// Adds the failed step to the error of a system call.
fn step(step: i32, result: c_int) -> io::Result<()> {
    if result >= 0 {
        return Ok(());
    }
    let number = io::Error::last_os_error().raw_os_error().unwrap_or(0);
    Err(io::Error::from_raw_os_error(step | number))
}

/// Makes the kernel tell us about our children even if our own parent had us ignore `SIGCHLD`,
/// with which their exit statuses would be lost.
pub(crate) fn heed_children() {
    let mut current = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: reading the action of a signal, then setting its default one when it is ignored.
    unsafe {
        let read = libc::sigaction(libc::SIGCHLD, ptr::null(), current.as_mut_ptr());
        if read == 0 && current.assume_init().sa_sigaction == libc::SIG_IGN {
            libc::signal(libc::SIGCHLD, libc::SIG_DFL);
        }
    }
}
