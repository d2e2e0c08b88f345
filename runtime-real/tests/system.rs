//! What only the real machine can show.
#![allow(clippy::disallowed_methods)]

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use orrery_runtime::{Command, ExitStatus, ProcessId, Runtime, Signal, Target};
use orrery_runtime_real::runtime;
use tempfile::{TempDir, tempdir};

/// A runtime and a folder that every user may use.
struct Bench {
    runtime: Runtime,
    folder: TempDir,
}

impl Bench {
    fn new() -> Self {
        let folder = tempdir().unwrap();
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o777);
        fs::set_permissions(folder.path(), open).unwrap();
        Self { runtime: runtime(), folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn shell(&self, script: &str) -> Command {
        Command {
            program: PathBuf::from("sh"),
            arguments: ["sh", "-c", script].map(str::to_owned).to_vec(),
            environment: vec![("PATH".to_owned(), "/usr/bin:/bin".to_owned())],
            working_directory: self.folder.path().to_owned(),
            stdout: Some(self.path("stdout")),
            stderr: Some(self.path("stderr")),
            user: None,
            new_session: true,
        }
    }

    async fn launch(&self, command: Command) -> ProcessId {
        self.runtime.processes.launch(command).await.unwrap()
    }

    async fn wait(&self, process: ProcessId) -> ExitStatus {
        self.runtime.processes.wait(process).await.unwrap()
    }

    /// Runs a command that succeeds and returns what it wrote to its standard output.
    async fn output(&self, command: Command) -> String {
        let process = self.launch(command).await;
        let status = self.wait(process).await;
        let text = fs::read_to_string(self.path("stdout")).unwrap();
        let errors = fs::read_to_string(self.path("stderr")).unwrap();
        assert_eq!(status, ExitStatus::Exited(0), "{errors}");
        text
    }

    /// Waits for a file with a whole line in it.
    async fn line(&self, name: &str) -> String {
        loop {
            let text = fs::read_to_string(self.path(name)).unwrap_or_default();
            if let Some(line) = text.strip_suffix('\n') {
                return line.to_owned();
            }
            self.runtime.sleep(Duration::from_millis(1)).await;
        }
    }

    /// Waits until a process is gone or only its status is left.
    async fn until_dead(&self, pid: &str) {
        while alive(pid) {
            self.runtime.sleep(Duration::from_millis(1)).await;
        }
    }
}

fn alive(pid: &str) -> bool {
    let Ok(line) = fs::read_to_string(format!("/proc/{pid}/stat")) else {
        return false;
    };
    !line.rsplit_once(") ").unwrap().1.starts_with('Z')
}

fn is_root() -> bool {
    fs::metadata("/proc/self").unwrap().uid() == 0
}

#[tokio::test]
async fn nothing_of_the_environment_is_inherited() {
    assert!(std::env::var_os("PATH").is_some());
    let bench = Bench::new();
    let pairs = [("B", "2"), ("A", "first"), ("A", "with = and \n")];
    let command = Command {
        program: PathBuf::from("/usr/bin/env"),
        arguments: vec!["env".to_owned(), "-0".to_owned()],
        environment: pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
        ..bench.shell("")
    };
    assert_eq!(bench.output(command).await, "A=with = and \n\0B=2\0");
}

#[tokio::test]
async fn the_zeroth_argument_and_the_folder_are_as_given() {
    let bench = Bench::new();
    let mut command = bench.shell("echo \"$0 $1\"; pwd -P");
    command.arguments[0] = "-unusual".to_owned();
    command.arguments.extend(["name".to_owned(), "two words".to_owned()]);
    command.working_directory = PathBuf::from("/usr/../usr/bin");
    assert_eq!(bench.output(command).await, "name two words\n/usr/bin\n");

    let mut command = bench.shell("tr '\\0' '|' < /proc/$$/cmdline; exit 0");
    command.arguments[0] = "-unusual".to_owned();
    fs::remove_file(bench.path("stdout")).unwrap();
    assert!(bench.output(command).await.starts_with("-unusual|-c|"));
}

#[tokio::test]
async fn standard_input_is_empty() {
    let bench = Bench::new();
    let text = bench.output(bench.shell("cat; readlink /proc/self/fd/0")).await;
    assert_eq!(text, "/dev/null\n");
}

#[tokio::test]
async fn output_files_are_made_for_all_to_read() {
    let bench = Bench::new();
    bench.output(bench.shell("exit 0")).await;
    let umask = u32::from_str_radix(
        fs::read_to_string("/proc/self/status")
            .unwrap()
            .lines()
            .find_map(|line| line.strip_prefix("Umask:"))
            .unwrap()
            .trim(),
        8,
    );
    let mode = fs::metadata(bench.path("stdout")).unwrap().mode() & 0o777;
    assert_eq!(mode, 0o644 & !umask.unwrap());
}

/// The users whom a process is tried as: ourselves, and if we may, somebody else.
fn users() -> Vec<Option<String>> {
    let other = is_root().then(|| Some("nobody".to_owned()));
    [Some(None), other].into_iter().flatten().collect()
}

#[tokio::test]
async fn signals_have_their_defaults_and_none_is_blocked() {
    for user in users() {
        let bench = Bench::new();
        let text =
            bench.output(Command { user, ..bench.shell("exec cat /proc/self/status") }).await;
        let set = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            u64::from_str_radix(line.trim(), 16).unwrap()
        };
        assert_eq!((set("SigBlk:"), set("SigCgt:")), (0, 0));
        // Signals 32 and 33 are the C library's own; its posix_spawn leaves them ignored.
        assert_eq!(set("SigIgn:") & !(0b11 << 31), 0);
    }
}

#[tokio::test]
async fn a_process_leads_a_session_or_only_a_group() {
    let own_session = fs::read_to_string("/proc/self/stat").unwrap();
    let own_session = own_session.rsplit_once(") ").unwrap().1.split(' ').nth(3).unwrap();
    for user in users() {
        for new_session in [true, false] {
            let bench = Bench::new();
            let script = "echo $$; cut -d' ' -f5,6 /proc/$$/stat";
            let command = Command { new_session, user: user.clone(), ..bench.shell(script) };
            let text = bench.output(command).await;
            let (pid, place) = text.trim_end().split_once('\n').unwrap();
            let session = if new_session { pid } else { own_session };
            assert_eq!(place, format!("{pid} {session}"));
        }
    }
}

/// Not even descriptors that somebody else's code left open for children.
#[tokio::test]
async fn no_descriptor_leaks() {
    for user in users() {
        let bench = Bench::new();
        let leaky = fs::File::open("/dev/null").unwrap();
        let _listener = bench.runtime.network.listen("127.0.0.1:0".parse().unwrap()).await;
        rustix::io::fcntl_setfd(&leaky, rustix::io::FdFlags::empty()).unwrap();
        let command = Command {
            program: PathBuf::from("/bin/ls"),
            arguments: vec!["ls".to_owned(), "/proc/self/fd".to_owned()],
            user,
            ..bench.shell("")
        };
        // 3 is the folder that ls itself reads.
        assert!(leaky.as_raw_fd() > 2);
        assert_eq!(bench.output(command).await, "0\n1\n2\n3\n");
    }
}

#[tokio::test]
async fn root_can_become_another_user() {
    if !is_root() {
        return;
    }
    let bench = Bench::new();
    let command =
        Command { user: Some("nobody".to_owned()), ..bench.shell("id -un; id -G; id -ru") };
    let text = bench.output(command).await;
    let nobody = fs::read_to_string("/etc/passwd").unwrap();
    let nobody = nobody.lines().find(|line| line.starts_with("nobody:")).unwrap();
    let ids: Vec<_> = nobody.split(':').collect();
    assert_eq!(text, format!("nobody\n{}\n{}\n", ids[3], ids[2]));
    let owner = fs::metadata(bench.path("stdout")).unwrap().uid();
    assert_eq!(owner.to_string(), ids[2], "its output belongs to it");

    let own = Command { user: Some("root".to_owned()), ..bench.shell("id -un") };
    fs::remove_file(bench.path("stdout")).unwrap();
    assert_eq!(bench.output(own).await, "root\n");
}

#[tokio::test]
async fn another_user_meets_the_limits_of_that_user() {
    if !is_root() {
        return;
    }
    let bench = Bench::new();
    let closed = bench.path("closed");
    fs::create_dir(&closed).unwrap();
    fs::set_permissions(&closed, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    fs::copy("/bin/true", closed.join("true")).unwrap();
    let as_nobody = || Command { user: Some("nobody".to_owned()), ..bench.shell("exit 0") };
    let cases = [
        (Command { working_directory: closed.clone(), ..as_nobody() }, "cannot enter working"),
        (Command { program: closed.join("true"), ..as_nobody() }, "cannot run program"),
    ];
    for (command, expected) in cases {
        let error = bench.runtime.processes.launch(command).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error}");
        assert!(error.to_string().starts_with(expected), "{error}");
    }
}

#[tokio::test]
async fn failures_say_what_is_wrong() {
    let bench = Bench::new();
    let text = bench.path("text");
    fs::write(&text, "just text").unwrap();
    fs::set_permissions(&text, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let folder = bench.folder.path();
    let shell = || bench.shell("exit 0");
    let zero = || vec!["sh".to_owned(), "a\0b".to_owned()];
    let cases = [
        (
            Command { program: "gone".into(), ..shell() },
            "program 'gone' is not in PATH '/usr/bin:/bin'",
        ),
        (
            Command { program: "/gone".into(), ..shell() },
            "cannot run program '/gone': No such file",
        ),
        (Command { program: text, ..shell() }, "Exec format error"),
        (Command { program: folder.into(), ..shell() }, "permission denied"),
        (Command { working_directory: "/bin/sh".into(), ..shell() }, "'/bin/sh': Not a directory"),
        (
            Command { stdout: Some("/gone/a".into()), ..shell() },
            "output file '/gone/a': No such file",
        ),
        (Command { stderr: Some(folder.into()), ..shell() }, "Is a directory"),
        (Command { user: Some("gone".into()), ..shell() }, "user 'gone' is unknown"),
        (Command { arguments: zero(), ..shell() }, "an argument holds a zero byte"),
        (
            Command {
                environment: vec![("A".into(), "\0".into())],
                program: "/bin/sh".into(),
                ..shell()
            },
            "an environment variable holds a zero byte",
        ),
    ];
    for (command, expected) in cases {
        let error = bench.runtime.processes.launch(command).await.unwrap_err();
        assert!(error.to_string().contains(expected), "{error} does not say: {expected}");
    }
}

/// A child in a process group of its own and a grandchild in a session of its own.
const FAMILY: &str = "set -m; sh -c 'echo $$ > child; exec sleep 600' & set +m; \
    sh -c 'setsid sh -c \"echo \\$\\$ > grandchild; exec sleep 600\"; exit 0' & wait; exit 0";

#[tokio::test]
async fn killing_a_session_reaches_whoever_changed_group() {
    let bench = Bench::new();
    let process = bench.launch(bench.shell(FAMILY)).await;
    let (child, grandchild) = (bench.line("child").await, bench.line("grandchild").await);
    assert!(alive(&child) && alive(&grandchild));
    bench.runtime.processes.signal(Target::Session(process), Signal::Kill).unwrap();
    assert_eq!(bench.wait(process).await, ExitStatus::Signaled(9));
    bench.until_dead(&child).await;
    bench.until_dead(&grandchild).await;
}

#[tokio::test]
async fn a_session_can_be_killed_after_its_leader() {
    let bench = Bench::new();
    let script = "sh -c 'echo $$ > child; exec sleep 600' & exit 7";
    let process = bench.launch(bench.shell(script)).await;
    assert_eq!(bench.wait(process).await, ExitStatus::Exited(7));
    let child = bench.line("child").await;
    let processes = &bench.runtime.processes;
    for target in [Target::Process(process), Target::Group(process)] {
        let refused = processes.signal(target, Signal::Kill).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::NotFound);
    }
    assert!(alive(&child));
    processes.signal(Target::Session(process), Signal::Kill).unwrap();
    bench.until_dead(&child).await;
}

#[tokio::test]
async fn a_group_signal_reaches_children() {
    let bench = Bench::new();
    let script = "sh -c 'echo $$ > child; exec sleep 600'; exit 0";
    let command = Command { new_session: false, ..bench.shell(script) };
    let process = bench.launch(command).await;
    let child = bench.line("child").await;
    bench.runtime.processes.signal(Target::Group(process), Signal::Terminate).unwrap();
    assert_eq!(bench.wait(process).await, ExitStatus::Signaled(15));
    bench.until_dead(&child).await;
}

#[tokio::test]
async fn a_stopped_process_can_be_terminated_through_its_session() {
    let bench = Bench::new();
    let process = bench.launch(bench.shell("kill -STOP $$; exit 0")).await;
    let stat = format!("/proc/{process}/stat");
    while !fs::read_to_string(&stat).unwrap().contains(") T ") {
        bench.runtime.sleep(Duration::from_millis(1)).await;
    }
    bench.runtime.processes.signal(Target::Session(process), Signal::Terminate).unwrap();
    assert_eq!(bench.wait(process).await, ExitStatus::Signaled(15));
}

#[tokio::test]
async fn death_by_any_signal_is_told() {
    let bench = Bench::new();
    for signal in [1, 6, 13] {
        let process = bench.launch(bench.shell(&format!("ulimit -c 0; kill -{signal} $$"))).await;
        assert_eq!(bench.wait(process).await, ExitStatus::Signaled(signal));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_at_once() {
    let bench = Bench::new();
    let launches: Vec<_> = (0..200_u8)
        .map(|number| {
            let command = bench.shell(&format!("echo {number}; exit {number}"));
            let runtime = bench.runtime.clone();
            tokio::spawn(async move {
                let process = runtime.processes.launch(command).await.unwrap();
                let status = runtime.processes.wait(process).await.unwrap();
                assert_eq!(status, ExitStatus::Exited(i32::from(number)));
                process
            })
        })
        .collect();
    let mut processes = Vec::new();
    for launch in launches {
        processes.push(launch.await.unwrap());
    }
    assert_eq!(processes.len(), 200);
    // All of them append to one file: no line is lost or torn.
    let text = fs::read_to_string(bench.path("stdout")).unwrap();
    let numbers: BTreeSet<u8> = text.lines().map(|line| line.parse().unwrap()).collect();
    assert_eq!(numbers, (0..200).collect());
}

/// Children that other code started are left to that code.
#[tokio::test]
async fn foreign_children_are_left_alone() {
    let bench = Bench::new();
    let mut foreign = std::process::Command::new("/bin/sh").args(["-c", "exit 5"]).spawn().unwrap();
    let pid = foreign.id();
    bench.until_dead(&pid.to_string()).await;
    bench.output(bench.shell("exit 0")).await;
    let refused = bench.runtime.processes.wait(ProcessId(pid)).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::NotFound);
    assert_eq!(foreign.wait().unwrap().code(), Some(5));
}

#[tokio::test]
async fn metadata_tells_what_the_system_says() {
    let runtime = runtime();
    let folder = tempdir().unwrap();
    let path = folder.path().join("file");
    fs::write(&path, "x").unwrap();
    fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o4751)).unwrap();
    fs::hard_link(&path, folder.path().join("second")).unwrap();
    if is_root() {
        std::os::unix::fs::chown(&path, Some(0), Some(3_999_999)).unwrap();
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o4751)).unwrap();
    }
    let facts = runtime.disk.metadata(&path).await.unwrap();
    assert_eq!((facts.permissions, facts.links), (0o4751, 2));
    let real = fs::metadata(&path).unwrap();
    let modified = real.mtime() * 1_000_000_000 + real.mtime_nsec();
    assert_eq!(facts.modified.as_nanoseconds(), modified);
    if is_root() {
        assert_eq!((facts.user.as_str(), facts.group.as_str()), ("root", "3999999"));
    }
    let null = runtime.disk.metadata(Path::new("/dev/null")).await.unwrap();
    assert_eq!(null.kind, orrery_runtime::FileKind::Other);
}
