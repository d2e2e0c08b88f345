//! The executable from outside: its errors, and a cluster in one process with real tasks.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "it runs processes")]

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};

const PROGRAM: &str = env!("CARGO_BIN_EXE_orrery");

fn program(path: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(path);
    command.args(args).env_clear().env("PATH", "/usr/bin:/bin");
    command
}

fn run(args: &[&str]) -> Output {
    program(Path::new(PROGRAM), args).output().expect("the program runs")
}

/// That `args` end with exit code 1 and one line, and what it says.
fn refused(args: &[&str]) -> String {
    let output = run(args);
    let line = String::from_utf8(output.stderr).expect("text");
    assert_eq!(output.status.code(), Some(1), "{line}");
    assert_eq!(line.lines().count(), 1, "{line}");
    line
}

#[test]
fn bad_flags_end_with_one_line() {
    let unknown = refused(&["master", "--colour=red"]);
    assert_eq!(unknown, "orrery master: unknown flag '--colour': see 'orrery master --help'\n");
    assert!(refused(&["master"]).contains("missing flag '--work_dir'"));
    assert!(refused(&["agent", "--work_dir=/x"]).contains("missing flag '--master'"));
    assert!(refused(&["agent", "--work_dir=/x", "--master=zk://h"]).contains("'--master'"));
    assert!(refused(&["execute", "--master=h:1", "--command=x"]).contains("'name'"));
    assert!(refused(&["mastre"]).contains("unknown command 'mastre'"));
    let resources = ["agent", "--work_dir=/x", "--master=h:1", "--resources=cpus"];
    assert!(refused(&resources).contains("'--resources' has the value 'cpus'"));
    assert!(refused(&["local", "--port=65535"]).contains("'--port' has the value '65535'"));
}

#[test]
fn flags_of_several_masters_that_cannot_be_right_are_explained() {
    let master = |flags: &[&str]| {
        refused(&[&["master", "--work_dir=/x", "--ip=10.0.0.1", "--port=5050"], flags].concat())
    };
    let peers = "--peers=10.0.0.2:5050,10.0.0.1:5050,10.0.0.3:5050";
    for (flags, expected) in [
        (&["--zk=zk://h:1/mesos"][..], "missing flag '--quorum': expected more than half"),
        (&["--zk=zk://h:1", "--quorum=2"], "expected zk://HOST:PORT,…/PATH: the ZooKeeper URL has"),
        (&["--zk=http://h", "--quorum=2"], "'http://h' is not a ZooKeeper URL"),
        (&["--zk=zk://me:secret@h:1", "--quorum=2"], "'--zk' has the value 'zk://me:…@h:1'"),
        (&["--zk=zk://h:1/m", "--zk_session_timeout=0secs"], "at least 1secs"),
        (&["--zk=zk://h:1/m", peers], "expected no --zk beside it"),
        (&["--peers=h1:5050,h2:5050"], "expected this master among them, which is 10.0.0.1:5050"),
        (&["--peers=h1:5050,h1:5050"], "the master h1:5050 is given twice"),
        (&[peers, "--quorum=1"], "'--quorum' has the value '1': expected 2: just more than half"),
        (&[peers, "--quorum=3"], "'--quorum' has the value '3': expected 2"),
        (&["--quorum=2"], "'--quorum' has the value '2': expected 1: just more than half"),
    ] {
        let line = master(flags);
        assert!(line.contains(expected), "{flags:?}: {line}");
    }
}

#[test]
fn a_work_directory_has_one_process() {
    let folder = tempfile::tempdir().expect("a folder");
    let local = Local::start(folder.path());
    let work_dir = format!("--work_dir={}", folder.path().display());
    let common = ["--ip=127.0.0.1", "--port=0", "--quiet", work_dir.as_str()];
    for command in [&["master"][..], &["agent", "--master=127.0.0.1:1"], &["local"]] {
        let line = refused(&[command, &common[..]].concat());
        assert!(line.contains("another master or agent that runs has this one"), "{line}");
    }
    assert_eq!(local.interrupt(), Some(0));
    assert_eq!(Local::start(folder.path()).interrupt(), Some(0), "it is free again");
}

#[test]
fn a_link_with_mesos_name_is_that_program() {
    let folder = tempfile::tempdir().expect("a folder");
    let link = folder.path().join("mesos-slave");
    std::os::unix::fs::symlink(PROGRAM, &link).expect("a link");
    let output = program(&link, &["--version"]).output().expect("the program runs");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "mesos 1.12.0\n");
    let output = program(&link, &["--port=x"]).output().expect("the program runs");
    assert!(String::from_utf8_lossy(&output.stderr).starts_with("mesos-slave: '--port'"));
}

#[test]
fn a_folder_that_cannot_be_written_is_named() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let inside = file.path().join("work");
    let work_dir = format!("--work_dir={}", inside.display());
    let common = ["--ip=127.0.0.1", "--port=0", "--quiet", work_dir.as_str()];
    let path = inside.to_str().expect("a plain path");
    assert!(refused(&[&["master"], &common[..]].concat()).contains(path));
    let agent = refused(&[&["agent", "--master=127.0.0.1:1"], &common[..]].concat());
    assert!(agent.contains(path), "{agent}");
}

#[test]
fn a_taken_port_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("its address");
    let port = format!("--port={}", address.port());
    let work_dir = format!("--work_dir={}", folder.path().display());
    let common = ["--ip=127.0.0.1", "--quiet", port.as_str(), work_dir.as_str()];
    for command in [&["master"][..], &["agent", "--master=127.0.0.1:1"], &["local"]] {
        let line = refused(&[command, &common[..]].concat());
        assert!(line.contains(&format!("cannot listen on {address}")), "{line}");
    }
}

/// A single master that waits for ZooKeeper does not know yet whether it is to begin a log, and
/// answers all the same.
#[test]
fn a_master_answers_before_its_log_is_open() {
    let folder = tempfile::tempdir().expect("a folder");
    // Nobody listens there: a listener that does not accept would be no refusal.
    let [own, zookeeper] = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").expect("a port"));
    let [own, zookeeper] = [own, zookeeper].map(|one| one.local_addr().expect("its address"));
    let port = format!("--port={}", own.port());
    let zk = format!("--zk=zk://{zookeeper}/mesos");
    let work_dir = format!("--work_dir={}", folder.path().display());
    let args = ["master", "--ip=127.0.0.1", "--quorum=1", "--quiet", &port, &zk, &work_dir];
    let mut master = program(Path::new(PROGRAM), &args).spawn().expect("the program runs");
    let mut stream = loop {
        assert!(master.try_wait().expect("it is ours").is_none(), "it has ended");
        match TcpStream::connect(own) {
            Ok(stream) => break stream,
            Err(_) => std::thread::yield_now(),
        }
    };
    stream.write_all(b"GET /redirect HTTP/1.1\r\nHost: it\r\n\r\n").expect("it reads");
    let mut line = String::new();
    BufReader::new(&stream).read_line(&mut line).expect("it answers");
    assert_eq!(line, "HTTP/1.1 503 Service Unavailable\r\n");
    master.kill().expect("it runs");
    master.wait().expect("it ends");
    assert!(!folder.path().join("replicated_log").exists(), "it has begun one");
}

/// `orrery local` on ports from the system.
struct Local {
    child: Child,
    stdout: BufReader<ChildStdout>,
    master: String,
}

impl Local {
    fn start(work_dir: &Path) -> Self {
        let work_dir = format!("--work_dir={}", work_dir.display());
        let args = ["local", "--port=0", "--resources=cpus:2;mem:512", "--quiet", &work_dir];
        let mut command = program(Path::new(PROGRAM), &args);
        let mut child = command.stdout(Stdio::piped()).spawn().expect("the program runs");
        let mut stdout = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut line = String::new();
        stdout.read_line(&mut line).expect("it says where it listens");
        let address = line.trim().rsplit('/').next().expect("an address").to_owned();
        Self { child, stdout, master: format!("--master={address}") }
    }

    fn execute(&self, args: &[&str]) -> Command {
        let common = ["execute", "--quiet", "--resources=cpus:0.1;mem:32", self.master.as_str()];
        program(Path::new(PROGRAM), &[&common[..], args].concat())
    }

    /// Its exit code after SIGINT.
    fn interrupt(mut self) -> Option<i32> {
        let id = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).expect("an id");
        kill_process(id, Signal::INT).expect("it runs");
        let status = self.child.wait().expect("it ends");
        for line in self.stdout.lines() {
            assert!(line.is_ok());
        }
        status.code()
    }
}

#[test]
fn a_local_cluster_runs_commands_and_stops() {
    let folder = tempfile::tempdir().expect("a folder");
    let local = Local::start(folder.path());

    let output = local.execute(&["--name=good", "--command=echo done > made"]).output();
    let output = output.expect("the program runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{text}");
    let states = ["TASK_STARTING", "TASK_RUNNING", "TASK_FINISHED"];
    for state in states {
        assert!(text.contains(&format!("status update {state} for task 'good'")), "{text}");
    }

    let output = local.execute(&["--name=bad", "--command=exit 3", "--content_type=json"]).output();
    let output = output.expect("the program runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("message: 'Command exited with status 3'"), "{text}");

    assert_eq!(local.interrupt(), Some(0));
}

#[test]
fn a_local_cluster_kills_its_tasks_when_it_stops() {
    let folder = tempfile::tempdir().expect("a folder");
    let local = Local::start(folder.path());
    // The task holds the write end of a pipe; the pipe ends when nothing of the task lives.
    let pipe = folder.path().join("pipe");
    let made = Command::new("mkfifo").arg(&pipe).status().expect("mkfifo runs");
    assert!(made.success());
    let line = format!("--command=(echo alive; sleep 1000) > {}", pipe.display());
    let mut execute = local
        .execute(&["--name=long", &line])
        .stdout(Stdio::null())
        .spawn()
        .expect("the program runs");
    let mut reader = BufReader::new(std::fs::File::open(&pipe).expect("the task opens it"));
    let mut text = String::new();
    reader.read_line(&mut text).expect("the task writes");
    assert_eq!(text, "alive\n");
    assert_eq!(local.interrupt(), Some(0));
    text.clear();
    assert_eq!(reader.read_line(&mut text).expect("a pipe"), 0, "nobody holds it any more");
    execute.kill().expect("it runs or has ended");
    execute.wait().expect("it ends");
}
