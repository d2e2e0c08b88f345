//! What cannot be seen through the port alone.

use std::path::PathBuf;
use std::time::Duration;

use super::*;

fn processes(use_pidfd: bool) -> SystemProcesses {
    SystemProcesses { use_pidfd, ..SystemProcesses::new() }
}

fn shell(script: &str) -> Command {
    Command {
        program: PathBuf::from("/bin/sh"),
        arguments: ["sh", "-c", script].map(str::to_owned).to_vec(),
        working_directory: PathBuf::from("/"),
        new_session: true,
        ..Command::default()
    }
}

#[tokio::test]
async fn both_ways_of_waiting_see_the_end() {
    for use_pidfd in [true, false] {
        let port = processes(use_pidfd);
        let sleeper = port.launch(shell("exec sleep 600")).await.unwrap();
        let waiting = tokio::spawn(port.wait(sleeper));
        for code in [0, 3] {
            let process = port.launch(shell(&format!("exit {code}"))).await.unwrap();
            assert_eq!(port.wait(process).await.unwrap(), ExitStatus::Exited(code));
        }
        assert!(!waiting.is_finished());
        port.signal(Target::Process(sleeper), Signal::Terminate).unwrap();
        assert_eq!(waiting.await.unwrap().unwrap(), ExitStatus::Signaled(libc::SIGTERM));
        assert!(lock(&port.table).launched.is_empty());
    }
}

#[tokio::test]
async fn a_second_waiter_is_refused_until_the_first_gives_up() {
    let port = processes(true);
    let process = port.launch(shell("exec sleep 600")).await.unwrap();
    let mut first = port.wait(process);
    let poll = tokio::time::timeout(Duration::ZERO, &mut first).await;
    assert!(poll.is_err());
    let refused = port.wait(process).await.unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::ResourceBusy);
    drop(first);
    port.signal(Target::Process(process), Signal::Kill).unwrap();
    assert_eq!(port.wait(process).await.unwrap(), ExitStatus::Signaled(libc::SIGKILL));
}

#[tokio::test]
async fn a_process_that_nobody_took_over_is_killed() {
    let port = processes(true);
    let pid = to_pid(port.launch(shell("exec sleep 600")).await.unwrap()).unwrap();
    let mut ended = Ended::watch(pid, true).unwrap();
    drop(Newborn { pid, table: Some(Arc::clone(&port.table)) });
    ended.hint().await.unwrap();
    assert!(lock(&port.table).launched.is_empty());
}

#[tokio::test]
async fn sessions_without_survivors_are_forgotten() {
    let port = processes(true);
    let survivor = port.launch(shell("sleep 600 & exit 0")).await.unwrap();
    port.wait(survivor).await.unwrap();
    lock(&port.table).next_sweep = 3;
    for _ in 0..2 {
        let process = port.launch(shell("exit 0")).await.unwrap();
        port.wait(process).await.unwrap();
    }
    let leader = to_pid(survivor).unwrap().as_raw_pid();
    let left = BTreeMap::from([(leader, Leader::Gone)]);
    assert_eq!(lock(&port.table).orphaned_sessions, left);
    assert_eq!(lock(&port.table).next_sweep, FIRST_SWEEP);
    port.signal(Target::Session(survivor), Signal::Kill).unwrap();
}

#[tokio::test]
async fn strangers_are_never_signalled() {
    let port = processes(true);
    for number in [0, 1, std::process::id(), u32::MAX] {
        let process = ProcessId(number);
        for target in [Target::Process(process), Target::Group(process), Target::Session(process)] {
            let error = port.signal(target, Signal::Terminate).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::NotFound, "{target:?}");
        }
        assert_eq!(port.wait(process).await.unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}

fn has_two(marked: &[Marked], value: &str) -> bool {
    marked.iter().filter(|one| one.value == value).count() == 2
}

#[tokio::test]
async fn both_ways_of_waiting_see_the_end_of_an_adopted_process() {
    for use_pidfd in [true, false] {
        let (parent, port) = (processes(true), processes(use_pidfd));
        let mark = ("ADOPTED".to_owned(), format!("{} {use_pidfd}", std::process::id()));
        let command = shell("/bin/sleep 600 & exec /bin/sleep 600");
        let command = Command { environment: vec![mark.clone()], ..command };
        let sleeper = parent.launch(command).await.unwrap();
        while !has_two(&port.marked(&mark.0).await.unwrap(), &mark.1) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let refused = port.signal(Target::Session(sleeper), Signal::Kill).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::NotFound);
        let started = port.started(sleeper).unwrap();
        let stranger = port.adopt(sleeper, Some(started + 1)).await.unwrap_err();
        assert_eq!(stranger.kind(), io::ErrorKind::NotFound);
        assert_eq!(port.adopt(sleeper, Some(started)).await.unwrap(), Adoption::Lives);
        let waiting = tokio::spawn(port.wait(sleeper));
        parent.signal(Target::Process(sleeper), Signal::Kill).unwrap();
        assert_eq!(waiting.await.unwrap().unwrap(), ExitStatus::Unknown);
        assert!(lock(&port.table).launched.is_empty());
        // Its parent has not waited for it yet, so it still has its number. It left a child.
        port.signal(Target::Session(sleeper), Signal::Kill).unwrap();
        assert_eq!(parent.wait(sleeper).await.unwrap(), ExitStatus::Signaled(libc::SIGKILL));
    }
}
