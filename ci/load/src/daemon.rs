//! A daemon as a child process.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use orrery_runtime::Address;
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use crate::failure::Failure;
use crate::usage::Usage;

/// How long a daemon may take until it listens.
const START_TIME: Duration = Duration::from_secs(10);
/// How long it may take to stop before it is killed; an agent kills its tasks first.
const STOP_TIME: Duration = Duration::from_secs(15);
/// What a daemon prints before its address.
const LISTENS: &str = "listens on http://";
/// Lines of a log that are shown when something went wrong.
const LAST_WORDS: usize = 10;

/// A running daemon. Dropping it kills it.
pub struct Daemon {
    name: &'static str,
    child: Child,
    log: PathBuf,
    /// Held open, since a daemon that cannot print would end.
    output: Option<Lines<BufReader<ChildStdout>>>,
}

impl Daemon {
    /// Starts `orrery NAME FLAGS`, logging into `folder`, and waits until it listens.
    ///
    /// # Errors
    /// It cannot be started, or does not listen.
    pub async fn start(
        orrery: &Path,
        name: &'static str,
        flags: &[String],
        folder: &Path,
    ) -> Result<(Self, Address), Failure> {
        let log = folder.join(format!("{name}.log"));
        let mut command = Command::new(orrery);
        command.arg(name).args(flags).stdin(Stdio::null()).stdout(Stdio::piped());
        command.stderr(std::fs::File::create(&log)?);
        // A group of its own: Ctrl-C is for us, and we stop it then.
        command.process_group(0).kill_on_drop(true);
        for (variable, _) in std::env::vars_os() {
            if variable.to_string_lossy().starts_with("MESOS_") {
                command.env_remove(variable);
            }
        }
        let start_error = |source| Failure::Start { path: orrery.to_owned(), source };
        let mut child = command.spawn().map_err(start_error)?;
        let output = child.stdout.take().map(|output| BufReader::new(output).lines());
        let mut daemon = Self { name, child, log, output };
        match tokio::time::timeout(START_TIME, daemon.read_address()).await {
            Ok(Ok(Some(address))) => Ok((daemon, address)),
            Ok(_) => Err(daemon.failure("ended before it listened")),
            Err(_) => Err(daemon.failure("does not listen")),
        }
    }

    async fn read_address(&mut self) -> io::Result<Option<Address>> {
        let Some(output) = &mut self.output else { return Ok(None) };
        while let Some(line) = output.next_line().await? {
            if let Some((_, address)) = line.split_once(LISTENS) {
                return Ok(address.trim().parse().ok());
            }
        }
        Ok(None)
    }

    /// What it uses now.
    ///
    /// # Errors
    /// It has ended.
    pub fn usage(&self) -> io::Result<Usage> {
        let id = self.child.id().ok_or(io::ErrorKind::NotFound)?;
        Usage::of(id)
    }

    /// Why nothing can be expected of it any more, if it has ended.
    pub fn dead(&mut self) -> Option<Failure> {
        let status = self.child.try_wait().ok().flatten()?;
        Some(self.failure(format!("ended by itself with {status}")))
    }

    fn failure(&self, what: impl Into<String>) -> Failure {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        let last = lines.get(lines.len().saturating_sub(LAST_WORDS)..).unwrap_or_default();
        Failure::Daemon { name: self.name, what: what.into(), log: last.join("\n") }
    }

    /// Kills it.
    pub async fn kill(mut self) {
        // Nothing is left to do when even this fails.
        let _ = self.child.kill().await;
    }

    /// Asks it to stop, and kills it when it does not.
    pub async fn stop(mut self) {
        let id = self.child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        if let Some(id) = id {
            // It may have ended meanwhile.
            let _ = kill_process(id, Signal::TERM);
        }
        if tokio::time::timeout(STOP_TIME, self.child.wait()).await.is_err() {
            eprintln!("orrery-load: the {} does not stop and is killed", self.name);
            // Nothing is left to do when even this fails.
            let _ = self.child.kill().await;
        }
    }
}
