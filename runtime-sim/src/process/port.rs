//! The process port.

use std::io;
use std::path::{Path, PathBuf};

use orrery_runtime::{
    Adoption, BoxFuture, Command, ExitStatus, FileKind, Marked, ProcessId, Processes, Signal,
    Target,
};

use super::behaviour::behave;
use super::output::Output;
use super::shell::{self, Shell};
use super::{Program, Start};
use crate::crash_point::Deed;
use crate::host::Host;
use crate::ports::Ports;
use crate::timers::Sleep;

impl Processes for Ports {
    fn launch(&self, command: Command) -> BoxFuture<'static, io::Result<ProcessId>> {
        if !self.is_alive() {
            return Box::pin(std::future::pending());
        }
        let host = self.host().clone();
        let parent = self.process();
        Box::pin(async move {
            let program = command.program.clone();
            let launching = launch_in_time(&host, parent, command);
            let launched = host.undertake(parent, Deed::Launch(&program), launching).await;
            if let Err(error) = &launched {
                host.record(parent, "launch", &[0], || format!("failed: {error}"));
            }
            launched
        })
    }

    fn wait(&self, process: ProcessId) -> BoxFuture<'static, io::Result<ExitStatus>> {
        if !self.is_alive() {
            return Box::pin(std::future::pending());
        }
        let host = self.host().clone();
        let parent = self.process();
        Box::pin(async move {
            let unknown = || {
                let message = format!("process {process} is no child that can be waited for");
                io::Error::new(io::ErrorKind::NotFound, message)
            };
            if host.table().lock().is_adopted(parent, process.0) {
                // Only its parent could tell how it ended, and may have waited for it first.
                host.exit_of(process.0).await;
                host.table().lock().release(process.0);
                return Ok(ExitStatus::Unknown);
            }
            if !host.table().lock().is_child(parent, process.0) {
                return Err(unknown());
            }
            // Of two that wait for the same process, the first to look takes the status.
            let status = host.exit_of(process.0).await.ok_or_else(unknown)?;
            host.table().lock().reap(process.0);
            Ok(status)
        })
    }

    fn signal(&self, target: Target, signal: Signal) -> io::Result<()> {
        if self.host().deliver(target, signal) {
            Ok(())
        } else {
            Err(io::Error::new(io::ErrorKind::NotFound, format!("{target:?} has no process")))
        }
    }

    fn started(&self, process: ProcessId) -> io::Result<u64> {
        let started = self.host().table().lock().started(process.0);
        started.ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn adopt(
        &self,
        leader: ProcessId,
        started: Option<u64>,
    ) -> BoxFuture<'static, io::Result<Adoption>> {
        if !self.is_alive() {
            return Box::pin(std::future::pending());
        }
        let adopted = self.host().table().lock().adopt(self.process(), leader.0, started);
        let adoption = match adopted {
            Some(true) => Ok(Adoption::Lives),
            Some(false) => Ok(Adoption::Ended),
            None => Err(io::ErrorKind::NotFound.into()),
        };
        Box::pin(std::future::ready(adoption))
    }

    fn marked(&self, variable: &str) -> BoxFuture<'static, io::Result<Vec<Marked>>> {
        if !self.is_alive() {
            return Box::pin(std::future::pending());
        }
        let marked = self.host().table().lock().marked(variable);
        Box::pin(std::future::ready(Ok(marked)))
    }
}

/// How often a launch that hangs looks whether it may go on.
const LOOK_AGAIN: u64 = 10_000_000;

/// Launches once the time for it has passed, unless the host's faults have it otherwise.
async fn launch_in_time(host: &Host, parent: u32, command: Command) -> io::Result<ProcessId> {
    let latency = host.faults().lock().launch_latency.unwrap_or(host.world().config.launch);
    let mut delay = latency.draw(&mut host.random().lock());
    loop {
        let deadline = host.world().now().saturating_add(delay);
        Sleep::until(host.world().clone(), deadline).await;
        if !host.faults().lock().launches_hang {
            break;
        }
        delay = LOOK_AGAIN;
    }
    let failures = host.faults().lock().launch_failures;
    if failures.draw(&mut host.random().lock()) {
        const EAGAIN: i32 = 11;
        return Err(io::Error::from_raw_os_error(EAGAIN));
    }
    launch(host, parent, None, command)
}

/// What a command's program turns out to be.
enum Found {
    Program(Program),
    /// The script that stands for it.
    Script(String),
}

/// Starts `command` as a child of `parent`, in `group` if one is given.
pub(crate) fn launch(
    host: &Host,
    parent: u32,
    group: Option<u32>,
    command: Command,
) -> io::Result<ProcessId> {
    if let Some(user) = command.user.as_deref().filter(|user| !host.knows_user(user)) {
        let message = format!("user '{user}' does not exist");
        return Err(io::Error::new(io::ErrorKind::NotFound, message));
    }
    let found = find(host, &command)?;
    check_directory(host, &command.working_directory)?;
    let stdout = Output::open(host, command.stdout.as_deref())?;
    let stderr = Output::open(host, command.stderr.as_deref())?;
    if !host.table().lock().is_alive(parent) {
        return Err(io::Error::other("the launching process has ended"));
    }
    let (id, runtime) = host.create_process(Start {
        command: command.arguments.clone(),
        parent: Some(parent),
        new_session: command.new_session,
        join: group,
        environment: command.environment.clone(),
        at: host.world().now(),
    });
    let path = command.program.clone();
    let main = behave(host, id.0, &path, || match found {
        Found::Program(main) => main(runtime, command),
        Found::Script(script) => {
            let shell = Shell::new(host.clone(), id.0, runtime, command, stdout, stderr);
            Box::pin(shell.run(script))
        }
    });
    host.run_main(id.0, main);
    Ok(id)
}

fn check_directory(host: &Host, path: &Path) -> io::Result<()> {
    if path.as_os_str().is_empty() {
        return Ok(());
    }
    let metadata = host.files().lock().metadata(path)?;
    if metadata.kind == FileKind::Directory {
        Ok(())
    } else {
        Err(io::ErrorKind::NotADirectory.into())
    }
}

fn find(host: &Host, command: &Command) -> io::Result<Found> {
    let name = command.program.file_name().unwrap_or_default().to_string_lossy();
    if let Some(program) = find_program(host, command, &command.program) {
        return Ok(Found::Program(program));
    }
    let arguments = command.arguments.get(1..).unwrap_or_default();
    if shell::is_shell(&name) {
        return match arguments {
            [flag, script, ..] if flag == "-c" => Ok(Found::Script(script.clone())),
            _ => Err(io::Error::new(
                io::ErrorKind::Unsupported,
                format!("arguments {arguments:?}: the simulated shell knows only -c SCRIPT"),
            )),
        };
    }
    if shell::is_program(&name) && in_system_folder(&command.program) {
        let words = std::iter::once(name.as_ref()).chain(arguments.iter().map(String::as_str));
        let quoted = words.map(shell::quote).collect::<Vec<_>>();
        return Ok(Found::Script(quoted.join(" ")));
    }
    let message = format!("program '{}' does not exist", command.program.display());
    Err(io::Error::new(io::ErrorKind::NotFound, message))
}

fn in_system_folder(program: &Path) -> bool {
    let folder = program.parent().unwrap_or(Path::new(""));
    ["", "/bin", "/usr/bin"].iter().any(|known| folder == Path::new(known))
}

/// The registered program that `name` means for `command`: itself when it is an absolute path, else
/// looked for in the `PATH` of the environment; last by its bare name.
pub(crate) fn find_program(host: &Host, command: &Command, name: &Path) -> Option<Program> {
    let mut candidates = vec![name.to_path_buf()];
    if name.components().count() == 1 && !name.is_absolute() {
        let path = command.environment.iter().find(|(key, _)| key == "PATH");
        let folders = path.map_or("", |(_, value)| value.as_str());
        candidates.extend(folders.split(':').map(|folder| Path::new(folder).join(name)));
    }
    candidates.extend(name.file_name().map(PathBuf::from));
    let own = host.programs().lock();
    let common = host.world().programs().lock();
    candidates.iter().find_map(|path| own.get(path).or_else(|| common.get(path))).cloned()
}
