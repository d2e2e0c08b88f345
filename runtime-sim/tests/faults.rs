//! Faults as lines of text, carried out.
#![cfg(feature = "sim")]

mod support;

use orrery_runtime::{Address, Runtime};
use orrery_runtime_sim::{Config, Fault, Host, InjectError, Report, World, simulate};
use support::{connect, echo_server, milliseconds, ping, run_all, seconds};

fn inject(world: &World, line: &str) {
    let fault: Fault = line.parse().expect("a fault");
    world.inject(&fault).expect("is carried out");
}

fn serve(host: &Host) {
    host.start("server --port=80", |runtime| echo_server(runtime, 80));
}

/// Whether an echo comes back within ten seconds over a new stream.
async fn reaches(world: &World, from: &Runtime, to: &str) -> bool {
    let echo = async {
        let mut connection = from.network.connect(&Address::new(to, 80)).await?;
        ping(&mut connection, 1).await
    };
    matches!(world.timeout(seconds(10), echo).await, Some(Ok(1)))
}

#[test]
fn a_bridge_joins_two_sides_that_do_not_see_each_other() {
    run_all(|world| async move {
        let names = ["a", "b", "c"];
        let hosts = names.map(|name| world.host(name));
        hosts.iter().for_each(serve);
        world.sleep(milliseconds(1)).await;
        inject(&world, "partition a c both-ways");
        for (from, name) in hosts.iter().zip(names) {
            let (_, runtime) = from.attach("client");
            for to in names {
                let parted = matches!((name, to), ("a", "c") | ("c", "a"));
                assert_eq!(reaches(&world, &runtime, to).await, !parted, "{name} to {to}");
            }
        }
    });
}

#[test]
fn lines_do_what_they_say_and_mending_undoes_it() {
    for line in [
        "cut a b both-ways",
        "cut b a one-way",
        "isolate b",
        "latency a b 20s..20s one-way",
        "tail a b 100% 20s..30s both-ways",
        "break-after a b 0 reset",
        "connecting a b hang",
        "connecting a b close",
        "hold b a on",
        "flip a b 100% one-way",
        "forget-name b",
        "point-name b c",
        "pause b server",
        "timer-slack a 1h",
    ] {
        let report = simulate(1, Config::default(), move |world| async move {
            let (a, b) = (world.host("a"), world.host("b"));
            world.host("c");
            serve(&b);
            let (_, client) = a.attach("client");
            world.sleep(milliseconds(1)).await;
            assert!(reaches(&world, &client, "b").await, "before");
            inject(&world, line);
            if line.starts_with("timer-slack") {
                let sleep = client.sleep(seconds(1));
                assert!(world.timeout(seconds(60), sleep).await.is_none(), "{line}");
            } else {
                assert!(!reaches(&world, &client, "b").await, "{line}");
            }
            inject(&world, "mend");
            assert!(reaches(&world, &client, "b").await, "{line}: mended");
            let sleep = client.sleep(seconds(1));
            assert!(world.timeout(seconds(2), sleep).await.is_some(), "{line}: mended");
        });
        assert_eq!(report.outcome, Ok(()), "{line}");
    }
}

#[test]
fn processes_are_found_by_their_first_word() {
    run_all(|world| async move {
        let host = world.host("a");
        let alive = |host: &Host| {
            let names = host.processes().into_iter().map(|process| process.command.join(" "));
            names.collect::<Vec<_>>()
        };
        let forever = |_| std::future::pending::<i32>();
        for name in ["agent --x", "agent-2", "executor one", "executor two"] {
            host.start(name, forever);
        }
        inject(&world, "kill a agent");
        assert_eq!(alive(&host), ["agent-2", "executor one", "executor two"]);
        inject(&world, "out-of-memory a exec* on");
        assert_eq!(alive(&host), ["agent-2"]);
        inject(&world, "terminate a nothing");
        inject(&world, "reboot a");
        assert!(alive(&host).is_empty() && host.is_up());
    });
}

#[test]
fn a_disk_is_put_aside_and_brought_back_by_name() {
    run_all(|world| async move {
        let host = world.host("a");
        host.disk().install("/tmp/file", "one").expect("a new disk");
        inject(&world, "snapshot a before");
        host.disk().install("/tmp/file", "two, longer").expect("room");
        inject(&world, "truncate-tail a /tmp/file 8");
        assert_eq!(host.disk().read_text("/tmp/file"), "two");
        inject(&world, "crash a");
        inject(&world, "restore a before");
        inject(&world, "boot a");
        assert_eq!(host.disk().read_text("/tmp/file"), "one");
    });
}

#[test]
fn a_file_is_chosen_among_those_that_match() {
    run_all(|world| async move {
        let host = world.host("a");
        for path in ["/log/one", "/log/two", "/other"] {
            host.disk().install(path, "12345678").expect("a new disk");
        }
        inject(&world, "truncate-tail a /log/* 4");
        let lengths =
            ["/log/one", "/log/two", "/other"].map(|path| host.disk().read_text(path).len());
        assert_eq!((lengths[0] + lengths[1], lengths[2]), (12, 8));
        inject(&world, "bit-rot a */other");
        assert_ne!(host.disk().read_text("/other"), "12345678");
        inject(&world, "bit-rot a /nothing/*");
        inject(&world, "misdirect a /nothing/*");
    });
}

#[test]
fn what_is_not_known_is_refused() {
    run_all(|world| async move {
        world.host("a");
        let inject = |line: &str| world.inject(&line.parse().expect("a fault"));
        let unknown = Err(InjectError::UnknownHost("b".to_owned()));
        for line in ["cut a b both-ways", "kill b x", "wipe b", "drift b 1", "isolate b"] {
            assert_eq!(inject(line), unknown, "{line}");
        }
        assert_eq!(world.hosts().len(), 1, "none was made");
        let error = inject("restore a x").expect_err("was never taken").to_string();
        let expected = "snapshot 'x' of host 'a' is not known: expected one taken before";
        assert_eq!(error, expected);
    });
}

/// A scene in which all kinds of faults fall on two hosts that talk.
fn stormy(seed: u64) -> Report<()> {
    let config = Config { trace: true, ..Config::default() };
    simulate(seed, config, |world| async move {
        let (a, b) = (world.host("a"), world.host("b"));
        serve(&b);
        a.start("client", |runtime| async move {
            loop {
                let talk = async {
                    let mut connection = connect(&runtime, "b", 80).await;
                    while ping(&mut connection, 1).await.is_ok() {}
                };
                let _ = runtime.timeout(seconds(1), talk).await;
                runtime.sleep(milliseconds(10)).await;
            }
        });
        world.sleep(milliseconds(5)).await;
        for line in [
            "tail a b 10% 1ms..50ms both-ways",
            "flip a b 5% both-ways",
            "break a b all end",
            "break-after b a 20 reset",
            "break a b one silence",
            "swizzle a,b 300ms",
            "slow-disk b 1ms..2ms",
            "timer-slack a 7ms",
            "crash-at a client send 40 1 after process",
            "mend",
        ] {
            inject(&world, line);
            world.sleep(milliseconds(300)).await;
        }
    })
}

#[test]
fn a_stormy_run_repeats_exactly_and_names_its_faults() {
    for seed in 0..4 {
        let (one, two) = (stormy(seed), stormy(seed));
        assert_eq!(one.outcome, Ok(()));
        let differs = one.lines.iter().zip(&two.lines).find(|(one, two)| one != two);
        assert_eq!(differs, None, "the first line that differs");
        assert_eq!(one.hash, two.hash);
        for text in ["break-after b a 20 reset", "swizzle a,b 300ms", "fault"] {
            assert!(one.lines.iter().any(|line| line.contains(text)), "{text} is in the trace");
        }
    }
}
