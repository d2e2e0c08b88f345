//! Promises of [`crate::Processes`].
//!
//! The scripts keep to what the simulator's scripted shell knows as well: `exit N`, `sleep S`,
//! `echo TEXT`, `echo TEXT >&2` and `trap '' TERM`, separated by `; `.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{failure, finish};
use crate::disk::read_file;
use crate::{Adoption, Command, ExitStatus, ProcessId, Runtime, Signal, Target};

/// SIGKILL and SIGTERM.
const KILLED: ExitStatus = ExitStatus::Signaled(9);
const TERMINATED: ExitStatus = ExitStatus::Signaled(15);

/// Checks the processes of `runtime`. `shell` is the path of a shell (`/bin/sh`), `folder` an
/// existing empty folder for what they write.
///
/// # Panics
/// Where a promise is broken.
pub async fn check(runtime: &Runtime, shell: &Path, folder: &Path) {
    let bench = Bench { runtime, shell, folder };
    bench.exit_codes().await;
    bench.output_goes_to_files().await;
    bench.a_status_is_kept_until_it_is_asked_for().await;
    bench.waiting_can_be_given_up().await;
    bench.termination_can_be_refused_but_not_killing().await;
    bench.groups_and_sessions_end_together().await;
    bench.many_at_once().await;
    bench.killing_does_not_wait_for_the_program().await;
    bench.what_is_missing_is_not_found().await;
    bench.strangers_are_refused().await;
}

/// Checks that `runtime` can take over what `parent`, another runtime on the same host, launched.
/// `shell` and `folder` are as for [`check`].
///
/// # Panics
/// Where a promise is broken.
pub async fn check_adoption(runtime: &Runtime, parent: &Runtime, shell: &Path, folder: &Path) {
    let (bench, parent) =
        (Bench { runtime, shell, folder }, Bench { runtime: parent, shell, folder });
    bench.a_living_leader_is_waited_for(&parent).await;
    bench.what_a_dead_leader_left_can_be_signalled(&parent).await;
    bench.marks_are_found(&parent).await;
}

struct Bench<'a> {
    runtime: &'a Runtime,
    shell: &'a Path,
    folder: &'a Path,
}

impl Bench<'_> {
    fn command(&self, script: &str) -> Command {
        Command {
            program: self.shell.to_owned(),
            arguments: ["sh", "-c", script].map(str::to_owned).to_vec(),
            environment: vec![("PATH".to_owned(), "/usr/bin:/bin".to_owned())],
            working_directory: self.folder.to_owned(),
            stdout: Some(self.folder.join("stdout")),
            stderr: Some(self.folder.join("stderr")),
            user: None,
            new_session: true,
        }
    }

    async fn launch(&self, command: Command) -> ProcessId {
        let launching = self.runtime.processes.launch(command);
        finish(self.runtime, "launching", launching).await.expect("launches")
    }

    async fn wait(&self, process: ProcessId) -> ExitStatus {
        let waiting = self.runtime.processes.wait(process);
        finish(self.runtime, "waiting", waiting).await.expect("is ours to wait for")
    }

    fn signal(&self, target: Target, signal: Signal) {
        self.runtime.processes.signal(target, signal).expect("somebody lives");
    }

    async fn content(&self, path: &Path) -> String {
        let content = read_file(&*self.runtime.disk, path).await.expect("was written");
        String::from_utf8(content.to_vec()).expect("is text")
    }

    /// Waits until a process has written `text` to its standard output.
    async fn until_written(&self, path: &Path, text: &str) {
        let written = async {
            while self.content(path).await != text {
                self.runtime.sleep(Duration::from_millis(2)).await;
            }
        };
        finish(self.runtime, "a process's output", written).await;
    }

    async fn exit_codes(&self) {
        for new_session in [true, false] {
            for code in [0, 1, 3, 255] {
                let command = self.command(&format!("exit {code}"));
                let process = self.launch(Command { new_session, ..command }).await;
                assert_eq!(self.wait(process).await, ExitStatus::Exited(code));
            }
        }
    }

    /// Each stream to its own file, made if missing, appended to otherwise.
    async fn output_goes_to_files(&self) {
        let (stdout, stderr) = (self.folder.join("out"), self.folder.join("err"));
        for _ in 0..2 {
            let command = Command {
                stdout: Some(stdout.clone()),
                stderr: Some(stderr.clone()),
                ..self.command("echo to stdout; echo to stderr >&2; exit 0")
            };
            let process = self.launch(command).await;
            assert_eq!(self.wait(process).await, ExitStatus::Exited(0));
        }
        assert_eq!(self.content(&stdout).await, "to stdout\nto stdout\n");
        assert_eq!(self.content(&stderr).await, "to stderr\nto stderr\n");
    }

    async fn a_status_is_kept_until_it_is_asked_for(&self) {
        let process = self.launch(self.command("exit 3")).await;
        self.runtime.sleep(Duration::from_millis(50)).await;
        assert_eq!(self.wait(process).await, ExitStatus::Exited(3));
        let again = self.runtime.processes.wait(process).await;
        assert_eq!(failure("waiting twice", again), ErrorKind::NotFound);
        for target in [Target::Process(process), Target::Group(process), Target::Session(process)] {
            let nobody = self.runtime.processes.signal(target, Signal::Kill);
            assert_eq!(failure("signalling the dead", nobody), ErrorKind::NotFound);
        }
    }

    async fn waiting_can_be_given_up(&self) {
        let process = self.launch(self.command("sleep 600")).await;
        let waiting = self.runtime.processes.wait(process);
        let early = self.runtime.timeout(Duration::from_millis(5), waiting).await;
        assert!(early.is_none(), "it sleeps");
        self.signal(Target::Process(process), Signal::Terminate);
        assert_eq!(self.wait(process).await, TERMINATED);
        // Where the shell had a child for the sleeping, that one was not meant.
        self.until_empty(process).await;
    }

    async fn termination_can_be_refused_but_not_killing(&self) {
        let stdout = self.folder.join("trap");
        let command = Command {
            stdout: Some(stdout.clone()),
            ..self.command("trap '' TERM; echo ready; sleep 600; exit 0")
        };
        let process = self.launch(command).await;
        self.until_written(&stdout, "ready\n").await;
        for target in [Target::Process(process), Target::Group(process), Target::Session(process)] {
            self.signal(target, Signal::Terminate);
        }
        let waiting = self.runtime.processes.wait(process);
        let early = self.runtime.timeout(Duration::from_millis(20), waiting).await;
        assert!(early.is_none(), "it ignores termination");
        self.signal(Target::Session(process), Signal::Kill);
        assert_eq!(self.wait(process).await, KILLED);
        self.until_empty(process).await;
    }

    /// Waits until nobody is left of a session whose leader was waited for.
    async fn until_empty(&self, leader: ProcessId) {
        let empty = async {
            let session = Target::Session(leader);
            // The killed may take a moment to be gone.
            while let Ok(()) = self.runtime.processes.signal(session, Signal::Kill) {
                self.runtime.sleep(Duration::from_millis(1)).await;
            }
        };
        finish(self.runtime, "the end of a session", empty).await;
    }

    async fn groups_and_sessions_end_together(&self) {
        for signal in [Signal::Terminate, Signal::Kill] {
            let expected = if signal == Signal::Kill { KILLED } else { TERMINATED };
            for target in [Target::Group, Target::Session] {
                // The shell has a child of its own: sleep is not its last command.
                let process = self.launch(self.command("sleep 600; exit 0")).await;
                self.signal(target(process), signal);
                assert_eq!(self.wait(process).await, expected);
                self.until_empty(process).await;
            }
        }
        let grouped = Command { new_session: false, ..self.command("sleep 600; exit 0") };
        let process = self.launch(grouped).await;
        let no_session = self.runtime.processes.signal(Target::Session(process), Signal::Kill);
        assert_eq!(failure("it leads no session", no_session), ErrorKind::NotFound);
        self.signal(Target::Group(process), Signal::Kill);
        assert_eq!(self.wait(process).await, KILLED);
    }

    async fn many_at_once(&self) {
        let mut processes = Vec::new();
        for code in 0..20 {
            processes.push((code, self.launch(self.command(&format!("exit {code}"))).await));
        }
        // Each status goes to the one who waits for that process, in whatever order they ask.
        for (code, process) in processes.into_iter().rev() {
            assert_eq!(self.wait(process).await, ExitStatus::Exited(code));
        }
    }

    /// However early the signal comes, it ends the process and is told as its end.
    async fn killing_does_not_wait_for_the_program(&self) {
        for _ in 0..10 {
            let process = self.launch(self.command("sleep 600; exit 0")).await;
            self.signal(Target::Session(process), Signal::Kill);
            assert_eq!(self.wait(process).await, KILLED);
            self.until_empty(process).await;
        }
    }

    async fn what_is_missing_is_not_found(&self) {
        let nowhere = PathBuf::from("/no/such/place");
        let unknown_user = Some("no-such-user".to_owned());
        let fine = || self.command("exit 0");
        let cases = [
            ("program", Command { program: nowhere.join("program"), ..fine() }),
            ("program in PATH", Command { program: "no-such-program".into(), ..fine() }),
            ("working directory", Command { working_directory: nowhere.clone(), ..fine() }),
            ("stdout", Command { stdout: Some(nowhere.join("stdout")), ..fine() }),
            ("stderr", Command { stderr: Some(nowhere.join("stderr")), ..fine() }),
            ("user", Command { user: unknown_user, ..fine() }),
        ];
        for (what, command) in cases {
            let launching = self.runtime.processes.launch(command).await;
            assert_eq!(failure(what, launching), ErrorKind::NotFound, "missing {what}");
        }
    }

    async fn strangers_are_refused(&self) {
        let stranger = ProcessId(u32::MAX);
        let waiting = self.runtime.processes.wait(stranger).await;
        assert_eq!(failure("waiting for a stranger", waiting), ErrorKind::NotFound);
        for target in [Target::Process, Target::Group, Target::Session] {
            let signalled = self.runtime.processes.signal(target(stranger), Signal::Kill);
            assert_eq!(failure("signalling a stranger", signalled), ErrorKind::NotFound);
        }
    }

    async fn a_living_leader_is_waited_for(&self, parent: &Self) {
        let process = parent.launch(parent.command("sleep 600; exit 0")).await;
        let started = self.runtime.processes.started(process).expect("it lives");
        let other = self.runtime.processes.adopt(process, Some(started + 1)).await;
        assert_eq!(failure("another process of that number", other), ErrorKind::NotFound);
        let adopted = self.runtime.processes.adopt(process, Some(started)).await;
        assert_eq!(adopted.expect("is adopted"), Adoption::Lives);
        self.signal(Target::Session(process), Signal::Kill);
        assert_eq!(self.wait(process).await, ExitStatus::Unknown);
        assert_eq!(parent.wait(process).await, KILLED);
        self.until_empty(process).await;
        let again = self.runtime.processes.wait(process).await;
        assert_eq!(failure("waiting twice", again), ErrorKind::NotFound);
        let gone = self.runtime.processes.started(process);
        assert_eq!(failure("asking about the dead", gone), ErrorKind::NotFound);
    }

    async fn what_a_dead_leader_left_can_be_signalled(&self, parent: &Self) {
        let process = parent.launch(parent.command("sleep 600 & exit 0")).await;
        let started = parent.runtime.processes.started(process);
        assert_eq!(parent.wait(process).await, ExitStatus::Exited(0));
        // It may have ended before anybody could ask about it.
        let adopted = self.runtime.processes.adopt(process, started.ok()).await;
        assert_eq!(adopted.expect("is adopted"), Adoption::Ended);
        self.signal(Target::Session(process), Signal::Kill);
        self.until_empty(process).await;
    }

    async fn marks_are_found(&self, parent: &Self) {
        let mark = ("ADOPTION_MARK".to_owned(), "a b=c".to_owned());
        let command = parent.command("sleep 600; exit 0");
        let environment = command.environment.iter().cloned().chain([mark.clone()]).collect();
        let process = parent.launch(Command { environment, ..command }).await;
        let marked = async {
            loop {
                let marked = self.runtime.processes.marked(&mark.0).await.expect("can be read");
                // The shell may not have come to its child yet.
                if marked.iter().any(|one| one.process == process) {
                    return marked;
                }
                self.runtime.sleep(Duration::from_millis(1)).await;
            }
        };
        let marked = finish(self.runtime, "finding a mark", marked).await;
        assert!(marked.iter().all(|one| one.session == process && one.value == mark.1));
        parent.signal(Target::Session(process), Signal::Kill);
        assert_eq!(parent.wait(process).await, KILLED);
        parent.until_empty(process).await;
        let marked = self.runtime.processes.marked(&mark.0).await.expect("can be read");
        assert_eq!(marked, []);
    }
}
