//! The process model: kills, orphans, pauses, crashes, registered programs, clocks.
#![cfg(feature = "sim")]

mod support;

use std::path::PathBuf;

use orrery_runtime::{Command, ExitStatus, Runtime, Signal, Target};
use orrery_runtime_sim::{Config, Failure, simulate};
use support::{milliseconds, run, run_all, seconds};

fn shell(script: &str) -> Command {
    Command {
        program: PathBuf::from("/bin/sh"),
        arguments: ["sh", "-c", script].map(str::to_owned).to_vec(),
        environment: vec![("NAME".to_owned(), "value".to_owned())],
        working_directory: PathBuf::from("/tmp"),
        stdout: Some(PathBuf::from("/tmp/out")),
        stderr: Some(PathBuf::from("/tmp/err")),
        user: None,
        new_session: true,
    }
}

async fn status_of(runtime: &Runtime, script: &str) -> ExitStatus {
    let process = runtime.processes.launch(shell(script)).await.expect("launches");
    runtime.processes.wait(process).await.expect("ours")
}

#[test]
fn children_survive_their_parent() {
    run_all(|world| async move {
        let host = world.host("a");
        let parent = host.start("parent", |runtime| async move {
            let child = runtime.processes.launch(shell("sleep 100; echo done")).await;
            runtime.processes.wait(child.expect("launches")).await.expect("ours");
            0
        });
        world.sleep(seconds(1)).await;
        let child = host.processes().pop().expect("two live");
        assert_eq!(child.parent, Some(parent));
        assert_eq!(child.command, ["sh", "-c", "sleep 100; echo done"]);
        host.kill(parent);
        assert!(!host.is_alive(parent));
        assert_eq!(host.exit_status(parent), Some(ExitStatus::Signaled(9)));
        assert!(host.is_alive(child.id));
        world.sleep(seconds(100)).await;
        assert!(!host.is_alive(child.id));
        assert_eq!(host.disk().read_text("/tmp/out"), "done\n");
    });
}

#[test]
fn scripts() {
    run_all(|world| async move {
        let host = world.host("a");
        let (_, runtime) = host.attach("test");
        let cases = [
            ("exit 3", ExitStatus::Exited(3)),
            ("true && exit 4; exit 5", ExitStatus::Exited(4)),
            ("false && exit 4; exit 5", ExitStatus::Exited(5)),
            ("false || exit 6", ExitStatus::Exited(6)),
            ("kill -9 $$; echo never", ExitStatus::Signaled(9)),
            ("no-such-thing", ExitStatus::Exited(127)),
            ("exec sleep 0.25 && true", ExitStatus::Exited(0)),
            ("A=1 && echo $A $NAME 'a b' > file && cat file", ExitStatus::Exited(0)),
            ("sleep 1 & wait; exit 8", ExitStatus::Exited(8)),
        ];
        for (script, expected) in cases {
            assert_eq!(status_of(&runtime, script).await, expected, "{script}");
        }
        assert_eq!(host.disk().read_text("/tmp/out"), "1 value a b\n");
        assert_eq!(host.disk().read_text("/tmp/err"), "sh: no-such-thing: not found\n");
        let hanging = runtime.processes.launch(shell("hang")).await.expect("launches");
        world.sleep(seconds(1_000)).await;
        assert!(host.is_alive(hanging));
    });
}

#[test]
fn a_registered_program_is_found_by_path_by_name_and_by_the_shell() {
    run_all(|world| async move {
        let host = world.host("a");
        world.install_program(
            "/usr/libexec/worker",
            |runtime: Runtime, command: Command| async move {
                runtime.sleep(milliseconds(5)).await;
                i32::try_from(command.arguments.len()).expect("few")
            },
        );
        let (_, runtime) = host.attach("test");
        let direct = Command {
            program: PathBuf::from("/usr/libexec/worker"),
            arguments: vec!["worker".to_owned(), "x".to_owned()],
            ..shell("")
        };
        let by_name = Command {
            program: PathBuf::from("worker"),
            environment: vec![("PATH".to_owned(), "/bin:/usr/libexec".to_owned())],
            ..direct.clone()
        };
        for command in [direct, by_name, shell("exec /usr/libexec/worker --flag")] {
            let process = runtime.processes.launch(command).await.expect("launches");
            let status = runtime.processes.wait(process).await.expect("ours");
            assert_eq!(status, ExitStatus::Exited(2));
        }
    });
}

#[test]
fn sessions_hold_descendants_and_orphans() {
    run_all(|world| async move {
        let host = world.host("a");
        let (_, runtime) = host.attach("test");
        let leader = runtime.processes.launch(shell("sleep 500 & sleep 500 & exit 0"));
        let leader = leader.await.expect("launches");
        assert_eq!(runtime.processes.wait(leader).await.expect("ours"), ExitStatus::Exited(0));
        assert_eq!(host.processes().len(), 3);
        runtime.processes.signal(Target::Session(leader), Signal::Terminate).expect("two live");
        assert_eq!(host.processes().len(), 1);
        runtime.processes.signal(Target::Session(leader), Signal::Terminate).expect_err("nobody");
    });
}

#[test]
fn a_pause_stops_time_for_one_process_only() {
    run_all(|world| async move {
        let host = world.host("a");
        let sleeper = |runtime: Runtime| async move {
            runtime.sleep(seconds(10)).await;
            0
        };
        let (one, two) = (host.start("one", sleeper), host.start("two", sleeper));
        world.sleep(seconds(5)).await;
        host.pause(one);
        host.signal(Target::Process(one), Signal::Terminate);
        world.sleep(seconds(20)).await;
        assert!(host.is_alive(one), "a stopped process does not die of SIGTERM");
        assert_eq!(host.exit_status(two), Some(ExitStatus::Exited(0)));
        host.resume(one);
        assert_eq!(host.exit_status(one), Some(ExitStatus::Signaled(15)));
    });
}

#[test]
fn a_crash_ends_everything_and_a_boot_starts_numbers_anew() {
    run_all(|world| async move {
        let host = world.host("a");
        let forever = |_| std::future::pending::<i32>();
        let first = host.start("one", forever);
        host.start("two", forever);
        host.crash();
        assert!(!host.is_up());
        assert!(host.processes().is_empty());
        assert_eq!(host.wait(first).await, None);
        host.boot();
        assert_eq!(host.start("three", forever), first);
        assert_eq!(host.processes().len(), 1);
    });
}

#[test]
fn clocks_drift_and_jump_apart() {
    run(5, Config::default(), |world| async move {
        let (a, b) = (world.host("a"), world.host("b"));
        a.set_clock_drift(500);
        b.set_clock_behind(seconds(3_600));
        let (_, fast) = a.attach("fast");
        let (_, late) = b.attach("late");
        let (start, before) = (world.now(), fast.now());
        world.sleep(seconds(1_000)).await;
        let gained =
            (fast.clock.now() - before.instant).as_secs_f64() - (world.now() - start).as_secs_f64();
        assert!((gained - 0.5).abs() < 0.001, "{gained}");
        let behind = fast.clock.wall().as_seconds() - late.clock.wall().as_seconds();
        assert!((behind - 3_600.5).abs() < 0.001, "{behind}");
        let start = world.now();
        fast.sleep(seconds(100)).await;
        let slept = (world.now() - start).as_secs_f64();
        assert!((slept - 99.95).abs() < 0.001, "{slept}");
    });
}

#[test]
fn what_goes_wrong_becomes_the_outcome() {
    let failure = |report: orrery_runtime_sim::Report<()>| report.outcome.expect_err("fails");
    let panicked = simulate(1, Config::default(), |world| async move {
        world.host("a").start("bad", |_| async { panic!("number {}", 7) });
        world.sleep(seconds(1)).await;
    });
    assert_eq!(failure(panicked), Failure::Panic("number 7".to_owned()));
    let config = Config { time_limit: seconds(10), ..Config::default() };
    let late = simulate(1, config, |world| async move { world.sleep(seconds(11)).await });
    assert_eq!(failure(late), Failure::TimeLimit(seconds(10)));
    let stuck = simulate(1, Config::default(), |_| std::future::pending());
    assert_eq!(failure(stuck), Failure::Deadlock);
}

#[test]
fn nothing_of_a_run_stays_behind() {
    let held = std::sync::Arc::new(());
    let weak = std::sync::Arc::downgrade(&held);
    for seed in 0..2 {
        let held = held.clone();
        let report = simulate(seed, Config::default(), move |world| async move {
            let host = world.host("a");
            let kept = held.clone();
            let inside = world.clone();
            world.install_program("worker", move |_, _| {
                let kept = (kept.clone(), inside.clone());
                async move {
                    drop(kept);
                    0
                }
            });
            let kept = (held.clone(), host.clone());
            host.start("one", |runtime| async move {
                support::echo_server(runtime, 80).await;
                drop(kept);
                0
            });
            let kept = (held, world.clone());
            let process = host.start("two", |_| async move {
                std::future::pending::<()>().await;
                drop(kept);
                0
            });
            host.pause(process);
            world.sleep(seconds(1)).await;
            assert!(seed == 0, "the second run fails");
        });
        assert_eq!(report.outcome.is_ok(), seed == 0);
    }
    drop(held);
    assert!(weak.upgrade().is_none(), "tasks of a run were never dropped");
}
