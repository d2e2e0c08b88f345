//! The network model's finer faults: tails, untimely ends, lost data, names and addresses.
#![cfg(feature = "sim")]

mod support;

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::time::Duration;

use orrery_runtime::{Address, Connection, Runtime};
use orrery_runtime_sim::{
    Config, Connecting, Ending, Host, Latency, NetworkConfig, Probability, Tail, World, simulate,
};
use support::{any, connect, echo_server, milliseconds, ping, run, run_all, seconds};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Two hosts, an echo server on port 80 of the second, and a process of the first.
fn scene(world: &World) -> (Host, Host, Runtime) {
    let (a, b) = (world.host("a"), world.host("b"));
    b.start("server", |runtime| echo_server(runtime, 80));
    let (_, client) = a.attach("client");
    (a, b, client)
}

/// Both ends of a stream from `a` to `b`.
async fn pair(a: &Host, b: &Host) -> (Connection, Connection) {
    let (_, server) = b.attach("server");
    let mut listener = server.network.listen(any(80)).await.expect("free");
    let (_, client) = a.attach("client");
    let connection = connect(&client, "b", 80).await;
    (connection, listener.accept().await.expect("accepts"))
}

async fn failure(client: &Runtime, host: &str) -> ErrorKind {
    client.network.connect(&Address::new(host, 80)).await.expect_err("fails").kind()
}

#[test]
fn a_tail_delays_a_few() {
    run(1, Config::default(), |world| async move {
        let (a, b, client) = scene(&world);
        let tail = Tail {
            probability: Probability::from_percent(5),
            latency: Latency::from_millis(1_000, 5_000),
        };
        world.network().set_tail(&a, &b, Some(tail));
        let mut connection = connect(&client, "b", 80).await;
        let mut late = 0;
        for number in 0..=200 {
            let start = world.now();
            ping(&mut connection, number).await.expect("whole");
            late += u32::from(world.now() - start >= seconds(1));
        }
        assert!((3..30).contains(&late), "{late} of 201 were late");
    });
}

#[test]
fn a_stream_breaks_after_a_chosen_byte() {
    for (ending, expected) in
        [(Ending::Reset, Some(ErrorKind::ConnectionReset)), (Ending::End, None)]
    {
        for seed in 0..8 {
            run(seed, Config::default(), move |world| async move {
                let (a, b) = (world.host("a"), world.host("b"));
                let (mut client, mut server) = pair(&a, &b).await;
                world.network().break_after(&a, &b, 700, ending);
                for _ in 0..5 {
                    let _ = client.stream.write_all(&[7; 300]).await;
                }
                let mut received = Vec::new();
                let result = server.stream.read_to_end(&mut received).await;
                assert_eq!(received, [7; 700]);
                assert_eq!(result.err().map(|error| error.kind()), expected);
                assert!(client.stream.write_all(b"x").await.is_err(), "broken for the writer too");
                drop((client, server));
                world.sleep(seconds(1)).await;
                assert_eq!(world.network().streams_between(&a, &b), 0, "nothing is left behind");
                let (_, runtime) = a.attach("other");
                b.start("server", |runtime| echo_server(runtime, 80));
                world.sleep(milliseconds(1)).await;
                let mut again = connect(&runtime, "b", 80).await;
                ping(&mut again, 1).await.expect("it happens once");
            });
        }
    }
}

#[test]
fn an_early_end_falls_anywhere_and_looks_orderly() {
    let mut lengths = BTreeSet::new();
    for seed in 0..32 {
        let report = simulate(seed, Config::default(), |world: World| async move {
            let (a, b) = (world.host("a"), world.host("b"));
            let (mut client, mut server) = pair(&a, &b).await;
            client.stream.write_all(&[7; 1_000]).await.expect("buffers");
            assert!(world.network().break_one(&a, &b, Ending::End));
            let mut received = Vec::new();
            server.stream.read_to_end(&mut received).await.expect("an orderly end")
        });
        lengths.insert(report.outcome.expect("runs"));
    }
    assert!(lengths.len() > 10, "{lengths:?}");
}

#[test]
fn one_stream_breaks_and_the_others_live() {
    run_all(|world| async move {
        let (a, b, client) = scene(&world);
        let mut streams = Vec::new();
        for _ in 0..4 {
            streams.push(connect(&client, "b", 80).await);
        }
        world.sleep(milliseconds(10)).await;
        assert!(world.network().break_one(&a, &b, Ending::Reset));
        let mut broken = 0;
        for stream in &mut streams {
            broken += u32::from(ping(stream, 1).await.is_err());
        }
        assert_eq!(broken, 1);
        assert!(!world.network().break_one(&b, &world.host("c"), Ending::Reset));
    });
}

#[test]
fn a_silent_stream_is_noticed_by_its_writer_alone() {
    let network = NetworkConfig { stream_timeout: seconds(30), ..NetworkConfig::default() };
    run(2, Config { network, ..Config::default() }, |world| async move {
        let (a, b) = (world.host("a"), world.host("b"));
        let (mut client, mut server) = pair(&a, &b).await;
        assert_eq!(world.network().break_all(&a, &b, Ending::Silence), 1);
        let start = world.now();
        let error = ping(&mut client, 1).await.expect_err("times out");
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        assert!(world.now() - start >= seconds(30));
        world.network().heal_all();
        let silence = world.timeout(seconds(600), server.stream.read_u8()).await;
        assert!(silence.is_none(), "half open for ever");
        b.start("other", |runtime| echo_server(runtime, 81));
        let (_, runtime) = a.attach("other");
        world.sleep(milliseconds(1)).await;
        ping(&mut connect(&runtime, "b", 81).await, 2).await.expect("new streams work");
    });
}

#[test]
fn connecting_can_hang_be_refused_or_come_to_nothing() {
    run_all(|world| async move {
        let (a, b, client) = scene(&world);
        let mut open = connect(&client, "b", 80).await;
        world.network().set_connecting(&a, &b, Connecting::Refuse);
        assert_eq!(failure(&client, "b").await, ErrorKind::ConnectionRefused);
        world.network().set_connecting(&a, &b, Connecting::Hang);
        let hanging = world.timeout(seconds(60), client.network.connect(&Address::new("b", 80)));
        assert!(hanging.await.is_none());
        world.network().set_connecting(&a, &b, Connecting::Close);
        let mut closed = connect(&client, "b", 80).await;
        assert_eq!(closed.stream.read(&mut [0; 9]).await.expect("an orderly end"), 0);
        closed.stream.write_all(b"x").await.expect("the first write is taken");
        world.sleep(milliseconds(10)).await;
        closed.stream.write_all(b"x").await.expect_err("nobody is there");
        drop(closed);
        ping(&mut open, 1).await.expect("open streams are left alone");
        let mut back = connect(&b.attach("client").1, "b", 80).await;
        ping(&mut back, 2).await.expect("other hosts too");
        world.network().mend();
        ping(&mut connect(&client, "b", 80).await, 3).await.expect("all is well again");
    });
}

#[test]
fn who_is_accepted_and_closed_before_the_answer_arrives_still_hears_of_it() {
    run_all(|world| async move {
        let (a, b) = (world.host("a"), world.host("b"));
        let (_, server) = b.attach("server");
        let mut listener = server.network.listen(any(80)).await.expect("free");
        world.spawn(async move { drop(listener.accept().await) });
        let (_, client) = a.attach("client");
        let connecting = world.timeout(seconds(1), client.network.connect(&Address::new("b", 80)));
        let mut connection = connecting.await.expect("no hang").expect("connects");
        assert_eq!(connection.stream.read(&mut [0; 1]).await.expect("an orderly end"), 0);
    });
}

#[test]
fn a_held_link_carries_out_requests_and_loses_the_answers() {
    let network = NetworkConfig { stream_timeout: seconds(30), ..NetworkConfig::default() };
    run(3, Config { network, ..Config::default() }, |world| async move {
        let (a, b) = (world.host("a"), world.host("b"));
        let (mut client, mut server) = pair(&a, &b).await;
        world.network().hold(&b, &a);
        client.stream.write_all(b"x").await.expect("writes");
        assert_eq!(server.stream.read_u8().await.expect("requests arrive"), b'x');
        server.stream.write_all(b"y").await.expect("into the buffer");
        let answer = world.timeout(seconds(20), client.stream.read_u8()).await;
        assert!(answer.is_none(), "answers do not");
        world.network().release(&b, &a);
        assert_eq!(client.stream.read_u8().await.expect("released"), b'y');
        world.network().hold(&b, &a);
        client.stream.write_all(b"z").await.expect("writes");
        assert_eq!(server.stream.read_u8().await.expect("arrives"), b'z');
        server.stream.write_all(b"y").await.expect("into the buffer");
        world.sleep(seconds(31)).await;
        let error = server.stream.write_all(b"y").await.expect_err("was never acknowledged");
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        client.stream.write_all(b"x").await.expect("the requests were");
    });
}

#[test]
fn bits_flip_in_some_of_what_arrives() {
    run_all(|world| async move {
        let (a, b) = (world.host("a"), world.host("b"));
        let (mut client, mut server) = pair(&a, &b).await;
        world.network().set_bit_flips(&a, &b, Probability::from_percent(50));
        let mut flipped = 0;
        for _ in 0..40 {
            client.stream.write_all(&[0; 64]).await.expect("writes");
            let mut buffer = [0; 64];
            server.stream.read_exact(&mut buffer).await.expect("reads");
            flipped += buffer.iter().map(|byte| byte.count_ones()).sum::<u32>();
        }
        assert!((5..60).contains(&flipped), "{flipped}");
        server.stream.write_all(&[0; 64]).await.expect("writes");
        let mut buffer = [1; 64];
        client.stream.read_exact(&mut buffer).await.expect("reads");
        assert_eq!(buffer, [0; 64], "the other way is clean");
    });
}

#[test]
fn names_are_lost_moved_and_restored() {
    run_all(|world| async move {
        let (_, b, client) = scene(&world);
        let c = world.host("c");
        c.start("server", |runtime| echo_server(runtime, 80));
        let mut open = connect(&client, "b", 80).await;
        world.network().forget_name("b");
        assert_eq!(failure(&client, "b").await, ErrorKind::NotFound);
        ping(&mut open, 1).await.expect("open streams need no name");
        assert_eq!(connect(&client, &b.ip().to_string(), 80).await.peer.ip(), b.ip());
        world.network().point_name("b", &c);
        assert_eq!(connect(&client, "b", 80).await.peer.ip(), c.ip());
        world.network().restore_name("b");
        assert_eq!(connect(&client, "b", 80).await.peer.ip(), b.ip());
    });
}

#[test]
fn a_changed_address_leaves_old_streams_silent() {
    run_all(|world| async move {
        let (_, b, client) = scene(&world);
        let mut old = connect(&client, "b", 80).await;
        let before = b.ip();
        world.network().change_address(&b);
        assert_ne!(b.ip(), before);
        assert!(world.timeout(seconds(60), ping(&mut old, 1)).await.is_none());
        let mut new = connect(&client, "b", 80).await;
        assert_eq!(new.peer.ip(), b.ip());
        ping(&mut new, 2).await.expect("serves under its new address");
        assert_eq!(failure(&client, &before.to_string()).await, ErrorKind::HostUnreachable);
    });
}

#[test]
fn a_new_host_under_an_old_address_resets_what_it_does_not_know() {
    for crashed in [false, true] {
        run(4, Config::default(), move |world| async move {
            let (_, b, client) = scene(&world);
            let address = b.ip();
            let mut old = connect(&client, &address.to_string(), 80).await;
            if crashed {
                b.crash();
            }
            let c = world.host("c");
            c.start("server", |runtime| echo_server(runtime, 80));
            world.network().take_address(&c, &b);
            assert_eq!(c.ip(), address);
            assert_ne!(b.ip(), address);
            let error = ping(&mut old, 1).await.expect_err("another machine");
            assert_eq!(error.kind(), ErrorKind::ConnectionReset);
            let mut new = connect(&client, &address.to_string(), 80).await;
            ping(&mut new, 2).await.expect("the new machine serves");
        });
    }
}

#[test]
fn streams_overtake_each_other_and_none_overtakes_itself() {
    let mut orders = BTreeSet::new();
    for seed in 0..16 {
        let report = simulate(seed, Config::default(), |world: World| async move {
            let (a, b) = (world.host("a"), world.host("b"));
            let (_, server) = b.attach("server");
            let mut listener = server.network.listen(any(80)).await.expect("free");
            let (_, client) = a.attach("client");
            let (mut first, mut second) =
                (connect(&client, "b", 80).await, connect(&client, "b", 80).await);
            let mut one = listener.accept().await.expect("accepts");
            let mut two = listener.accept().await.expect("accepts");
            first.stream.write_all(&[1, 2, 3]).await.expect("writes");
            second.stream.write_all(&[1, 2, 3]).await.expect("writes");
            let (mut left, mut right) = ([0; 3], [0; 3]);
            let overtaken = tokio::select! {
                biased;
                _ = two.stream.read_exact(&mut right) => true,
                _ = one.stream.read_exact(&mut left) => false,
            };
            assert_eq!(if overtaken { right } else { left }, [1, 2, 3]);
            overtaken
        });
        orders.insert(report.outcome.expect("runs"));
    }
    assert_eq!(orders.len(), 2, "either may be first");
}

#[test]
fn a_swizzle_cuts_some_ways_and_mends_them_all() {
    let mut cuts = BTreeSet::new();
    for seed in 0..8 {
        let report = simulate(seed, Config::default(), |world: World| async move {
            let hosts: Vec<Host> = ["a", "b", "c", "d"].map(|name| world.host(name)).to_vec();
            world.network().cut_one_way(&hosts[0], &hosts[1]);
            let count = |world: &World| {
                let pairs = hosts.iter().flat_map(|from| hosts.iter().map(move |to| (from, to)));
                pairs.filter(|(from, to)| world.network().is_cut(from, to)).count()
            };
            let (network, all) = (world.network().clone(), hosts.clone());
            world.spawn(async move { network.swizzle(&all, Duration::from_secs(1)).await });
            let mut most = 0;
            for _ in 0..300 {
                world.sleep(milliseconds(100)).await;
                most = most.max(count(&world));
            }
            assert_eq!(count(&world), 1, "what was cut before stays cut, all else is mended");
            most
        });
        cuts.insert(report.outcome.expect("runs"));
    }
    assert!(cuts.len() > 2 && !cuts.contains(&1), "{cuts:?}");
}
