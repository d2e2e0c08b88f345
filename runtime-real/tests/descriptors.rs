//! Counting this process's open descriptors, which needs a process without other tests.
#![allow(clippy::disallowed_methods)]

use std::fs;
use std::path::PathBuf;

use orrery_runtime::{Command, ExitStatus};
use orrery_runtime_real::runtime;
use tempfile::tempdir;

#[tokio::test]
async fn launching_and_waiting_leave_none_open() {
    let folder = tempdir().unwrap();
    let processes = runtime().processes;
    let run = |program: &str, user: Option<&str>| {
        let launching = processes.launch(Command {
            program: PathBuf::from(program),
            arguments: vec![program.to_owned()],
            working_directory: PathBuf::from("/"),
            stdout: Some(folder.path().join("stdout")),
            stderr: Some(folder.path().join("stderr")),
            user: user.map(str::to_owned),
            ..Command::default()
        });
        async { processes.wait(launching.await?).await }
    };
    let count = || fs::read_dir("/proc/self/fd").unwrap().count();
    run("/bin/true", None).await.unwrap();
    let before = count();
    for _ in 0..10 {
        assert_eq!(run("/bin/true", None).await.unwrap(), ExitStatus::Exited(0));
        run("/no/such/program", None).await.unwrap_err();
        run("/etc/passwd", None).await.unwrap_err();
        // Only root may become somebody else; failing to must not leave anything open either.
        let _ = run("/bin/true", Some("nobody")).await;
    }
    assert_eq!(count(), before);
}
