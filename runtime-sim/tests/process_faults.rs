//! The process model's finer faults: memory, launches, misbehaviour, crash points; and timers.
#![cfg(feature = "sim")]

mod support;

use std::path::{Path, PathBuf};

use bytes::Bytes;
use orrery_runtime::disk::replace_file;
use orrery_runtime::{Command, ExitStatus, OpenOptions, ProcessId, Runtime, Signal, Target};
use orrery_runtime_sim::{
    Behaviour, Config, CrashPoint, Host, Latency, Operation, Probability, World,
};
use support::{any, connect, milliseconds, run, run_all, seconds};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const KILLED: ExitStatus = ExitStatus::Signaled(9);

fn shell(script: &str) -> Command {
    Command {
        program: PathBuf::from("/bin/sh"),
        arguments: ["sh", "-c", script].map(str::to_owned).to_vec(),
        working_directory: PathBuf::from("/tmp"),
        new_session: true,
        ..Command::default()
    }
}

fn worker() -> Command {
    let program = PathBuf::from("/usr/libexec/worker");
    Command { program, arguments: vec!["worker".to_owned()], ..shell("") }
}

async fn launch(runtime: &Runtime, command: Command) -> ProcessId {
    runtime.processes.launch(command).await.expect("launches")
}

#[test]
fn memory_runs_out_for_one_or_for_a_session() {
    run_all(|world| async move {
        let host = world.host("a");
        let (_, runtime) = host.attach("agent");
        let leader = launch(&runtime, shell("sleep 500 & sleep 500 & wait")).await;
        world.sleep(seconds(1)).await;
        assert_eq!(host.processes().len(), 4);
        let child = host.processes().pop().expect("four").id;
        assert!(host.kill_out_of_memory(child));
        assert!(!host.kill_out_of_memory(child));
        assert_eq!(host.processes().len(), 3);
        assert!(host.kill_session_out_of_memory(leader));
        assert_eq!(runtime.processes.wait(leader).await.expect("ours"), KILLED);
        assert_eq!(host.processes().len(), 1);
    });
}

#[test]
fn launches_are_slow_fail_and_hang() {
    run_all(|world| async move {
        let host = world.host("a");
        let (_, runtime) = host.attach("agent");
        let start = world.now();
        host.set_launch_latency(Some(Latency::from_millis(2_000, 3_000)));
        launch(&runtime, shell("exit 0")).await;
        assert!(world.now() - start >= seconds(2));
        host.set_launch_latency(None);
        host.set_launch_failures(Probability::ALWAYS);
        let failed = runtime.processes.launch(shell("exit 0")).await.expect_err("fails");
        assert_eq!(failed.raw_os_error(), Some(11), "{failed}");
        host.set_launch_failures(Probability::NEVER);
        host.set_launches_hang(true);
        let mut launching = runtime.processes.launch(shell("exit 0"));
        assert!(world.timeout(seconds(60), &mut launching).await.is_none());
        host.set_launches_hang(false);
        assert!(world.timeout(seconds(1), launching).await.expect("goes on").is_ok());
    });
}

/// A host whose program `worker` ends with code 0 when it is asked to, after a minute at most.
fn with_worker(world: &World) -> (Host, Runtime) {
    let host = world.host("a");
    host.install_program("/usr/libexec/worker", |runtime: Runtime, _| async move {
        runtime.sleep(seconds(60)).await;
        0
    });
    let (_, runtime) = host.attach("agent");
    (host, runtime)
}

#[test]
fn programs_misbehave_when_told_so() {
    run_all(|world| async move {
        let (host, runtime) = with_worker(&world);
        let moment = Latency::from_micros(0, 1_000);
        host.set_behaviour("worker", Some(Behaviour::Exit { within: moment, code: 3 }));
        for command in [worker(), shell("exec /usr/libexec/worker")] {
            let process = launch(&runtime, command).await;
            let start = world.now();
            let status = runtime.processes.wait(process).await.expect("ours");
            assert_eq!(status, ExitStatus::Exited(3));
            assert!(world.now() - start <= milliseconds(1));
        }
        host.set_behaviour("worker", Some(Behaviour::Die { within: moment }));
        let process = launch(&runtime, worker()).await;
        assert_eq!(runtime.processes.wait(process).await.expect("ours"), KILLED);

        host.set_behaviour("worker", Some(Behaviour::IgnoreTerminate));
        let process = launch(&runtime, worker()).await;
        host.signal(Target::Process(process), Signal::Terminate);
        assert_eq!(runtime.processes.wait(process).await.expect("ours"), ExitStatus::Exited(0));

        host.set_behaviour("worker", Some(Behaviour::Hang));
        let process = launch(&runtime, worker()).await;
        world.sleep(seconds(600)).await;
        assert!(host.is_alive(process));
        host.set_behaviour("worker", None);
        let process = launch(&runtime, worker()).await;
        assert_eq!(runtime.processes.wait(process).await.expect("ours"), ExitStatus::Exited(0));
    });
}

/// Replaces `/var/lib/state`, which says `old`, with a crash point set; gives back what it then
/// says, whether the writer was alive at its end, and whether the host was.
async fn replace_with(world: World, point: CrashPoint) -> (String, bool, bool) {
    let host = world.host("a");
    host.disk().install("/var/lib/state", "old").expect("a new disk");
    host.crash_at(point);
    let writer = host.start("writer", |runtime| async move {
        let path = Path::new("/var/lib/state");
        replace_file(&*runtime.disk, path, Bytes::from_static(b"new")).await.expect("replaces");
        0
    });
    world.sleep(seconds(1)).await;
    let finished = host.exit_status(writer) == Some(ExitStatus::Exited(0));
    let up = host.is_up();
    host.boot();
    (host.disk().read_text("/var/lib/state"), finished, up)
}

#[test]
fn a_process_dies_exactly_where_it_is_told_to() {
    let rename = || Operation::Rename("/var/lib/state*".to_owned());
    let sync = |pattern: &str| Operation::Sync(pattern.to_owned());
    let cases = [
        (CrashPoint::before(rename()), "old", false, true),
        (CrashPoint::after(rename()), "new", false, true),
        (CrashPoint::before(rename()).nth(2), "new", true, true),
        (CrashPoint::before(rename()).of("writ*"), "old", false, true),
        (CrashPoint::before(rename()).of("reader"), "new", true, true),
        (CrashPoint::before(Operation::Open("*.new".to_owned())), "old", false, true),
        (CrashPoint::after(Operation::Write("*.new".to_owned())), "old", false, true),
        (CrashPoint::before(Operation::Remove("*".to_owned())), "new", true, true),
        (CrashPoint::before(rename()).of_host(), "old", false, false),
        (CrashPoint::after(sync("/var/lib")).of_host(), "new", false, false),
    ];
    for (point, expected, finished, up) in cases {
        let scene = point.clone();
        run(3, Config::default(), move |world| async move {
            let seen = replace_with(world, scene).await;
            assert_eq!(seen, (expected.to_owned(), finished, up), "{point:?}");
        });
    }
}

#[test]
fn a_process_dies_after_so_many_bytes() {
    for host_dies in [false, true] {
        run(1, Config::default(), move |world| async move {
            let (a, b) = (world.host("a"), world.host("b"));
            let (_, server) = b.attach("server");
            let mut listener = server.network.listen(any(80)).await.expect("free");
            let point = CrashPoint::after(Operation::Send(1_234));
            a.crash_at(if host_dies { point.of_host() } else { point });
            a.start("client", |runtime| async move {
                let mut connection = connect(&runtime, "b", 80).await;
                for _ in 0..10 {
                    connection.stream.write_all(&[1; 500]).await.expect("writes");
                }
                std::future::pending().await
            });
            let mut accepted = listener.accept().await.expect("accepts");
            let mut received = Vec::new();
            let reading = accepted.stream.read_to_end(&mut received);
            let ended = world.timeout(seconds(60), reading).await;
            assert_eq!((ended.is_none(), a.is_up()), (host_dies, !host_dies));
            assert!(received.len() <= 1_234);
            assert!(host_dies || received.len() == 1_234, "{}", received.len());
        });
    }
}

#[test]
fn a_launch_can_be_the_last_thing_that_a_process_does() {
    run_all(|world| async move {
        let host = world.host("a");
        host.crash_at(CrashPoint::after(Operation::Launch("/bin/sh".to_owned())).of("agent"));
        let agent = host.start("agent", |runtime| async move {
            launch(&runtime, shell("sleep 1; touch /tmp/done")).await;
            0
        });
        assert_eq!(host.wait(agent).await, Some(KILLED));
        world.sleep(seconds(2)).await;
        assert!(host.disk().exists("/tmp/done"), "its child lives on");
        host.crash_at(CrashPoint::before(Operation::Launch("*".to_owned())));
        assert_eq!(host.clear_crash_points(), 1);
    });
}

#[test]
fn a_point_that_is_taken_away_meanwhile_ends_nobody() {
    run_all(|world| async move {
        let host = world.host("a");
        host.set_launch_latency(Some(Latency::from_millis(2_000, 2_000)));
        host.crash_at(CrashPoint::after(Operation::Launch("*".to_owned())).of("agent"));
        let agent = host.start("agent", |runtime| async move {
            launch(&runtime, shell("exit 0")).await;
            0
        });
        world.sleep(seconds(1)).await;
        host.mend();
        assert_eq!(host.wait(agent).await, Some(ExitStatus::Exited(0)));
    });
}

#[test]
fn timers_ring_together_and_late() {
    run_all(|world| async move {
        let host = world.host("a");
        host.set_timer_slack(seconds(1));
        let (_, runtime) = host.attach("sleeper");
        for wait in [1, 250, 1_300] {
            let start = runtime.clock.now();
            runtime.sleep(milliseconds(wait)).await;
            let woken = runtime.clock.now();
            let late = woken - start - milliseconds(wait);
            assert!(late < seconds(1), "{late:?}");
            let rest = woken.as_nanoseconds() % 1_000_000_000;
            assert!(rest < 1_000, "at a multiple of the slack: {rest}");
        }
    });
}

#[test]
fn a_wall_clock_goes_back_and_the_monotonic_clock_does_not() {
    run_all(|world| async move {
        let host = world.host("a");
        let (_, runtime) = host.attach("reader");
        let before = runtime.now();
        host.set_clock_behind(seconds(3_600));
        let after = runtime.now();
        assert!(after.wall < before.wall);
        assert!(after.instant >= before.instant);
        runtime.sleep(seconds(1)).await;
        assert!(runtime.now().instant - after.instant >= seconds(1));
    });
}

#[test]
fn mending_takes_all_faults_of_a_host_back() {
    run_all(|world| async move {
        let (host, runtime) = with_worker(&world);
        host.set_launches_hang(true);
        host.set_launch_failures(Probability::ALWAYS);
        host.set_behaviour("worker", Some(Behaviour::Hang));
        host.crash_at(CrashPoint::before(Operation::Launch("*".to_owned())));
        host.disk().set_full(true);
        host.set_timer_slack(seconds(100));
        let paused = host.start("paused", |_| async { 7 });
        host.pause(paused);
        world.mend();
        let process = launch(&runtime, worker()).await;
        assert_eq!(runtime.processes.wait(process).await.expect("ours"), ExitStatus::Exited(0));
        let file = runtime.disk.open(Path::new("/tmp/file"), OpenOptions::UPDATE).await;
        file.expect("there is room");
        assert_eq!(host.wait(paused).await, Some(ExitStatus::Exited(7)));
    });
}
