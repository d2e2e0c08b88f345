//! The network model: cuts, healing, half-open peers, resets, back-pressure.
#![cfg(feature = "sim")]

mod support;

use std::io::ErrorKind;

use orrery_runtime::Address;
use orrery_runtime_sim::{Config, Latency, NetworkConfig, World};
use support::{any, connect, echo_server, milliseconds, ping, run, run_all, seconds};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[test]
fn a_cut_holds_bytes_back_and_healing_delivers_them() {
    run_all(|world| async move {
        let (a, b) = (world.host("a"), world.host("b"));
        b.start("server", |runtime| echo_server(runtime, 80));
        let (_, client) = a.attach("client");
        let mut connection = connect(&client, "b", 80).await;
        assert_eq!(ping(&mut connection, 1).await.expect("whole"), 1);
        world.network().cut(&a, &b);
        assert!(world.network().is_cut(&a, &b));
        let cut = world.timeout(seconds(60), ping(&mut connection, 2)).await;
        assert!(cut.is_none(), "nothing comes through a cut");
        world.network().heal(&a, &b);
        let healed = world.timeout(seconds(1), connection.stream.read_u8()).await;
        assert_eq!(healed.expect("arrives").expect("whole"), 2);
    });
}

#[test]
fn a_one_way_cut_stops_one_way_only() {
    run_all(|world| async move {
        let (a, b) = (world.host("a"), world.host("b"));
        let (_, server) = b.attach("server");
        let mut listener = server.network.listen(any(80)).await.expect("free");
        let (_, client) = a.attach("client");
        let mut connection = connect(&client, "b", 80).await;
        let mut accepted = listener.accept().await.expect("accepts");
        world.network().cut_one_way(&a, &b);
        connection.stream.write_all(b"x").await.expect("into the send buffer");
        accepted.stream.write_all(b"y").await.expect("writes");
        assert_eq!(connection.stream.read_u8().await.expect("this way is whole"), b'y');
        assert!(world.timeout(seconds(5), accepted.stream.read_u8()).await.is_none());
        world.network().heal_all();
        assert_eq!(accepted.stream.read_u8().await.expect("healed"), b'x');
    });
}

#[test]
fn a_stream_that_is_cut_for_too_long_times_out_at_its_writer() {
    let network = NetworkConfig { stream_timeout: seconds(30), ..NetworkConfig::default() };
    run(1, Config { network, ..Config::default() }, |world| async move {
        let (a, b) = (world.host("a"), world.host("b"));
        b.start("server", |runtime| echo_server(runtime, 80));
        let (_, client) = a.attach("client");
        let mut used = connect(&client, "b", 80).await;
        let mut idle = connect(&client, "b", 80).await;
        world.network().cut(&a, &b);
        let start = world.now();
        let error = ping(&mut used, 1).await.expect_err("times out");
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        let waited = world.now() - start;
        assert!(waited >= seconds(30) && waited < seconds(31), "{waited:?}");
        // Who has sent nothing notices nothing.
        world.network().heal(&a, &b);
        assert_eq!(ping(&mut idle, 2).await.expect("still open"), 2);
    });
}

#[test]
fn a_crashed_host_leaves_a_half_open_stream_and_resets_it_after_its_boot() {
    run_all(|world| async move {
        let (a, b) = (world.host("a"), world.host("b"));
        b.start("server", |runtime| echo_server(runtime, 80));
        let (_, client) = a.attach("client");
        let mut connection = connect(&client, "b", 80).await;
        assert_eq!(ping(&mut connection, 1).await.expect("whole"), 1);
        b.crash();
        let silence = world.timeout(seconds(60), connection.stream.read_u8()).await;
        assert!(silence.is_none(), "a host without power says nothing");
        b.boot();
        let silence = world.timeout(seconds(60), connection.stream.read_u8()).await;
        assert!(silence.is_none(), "a host that forgot a stream says nothing by itself");
        let error = ping(&mut connection, 2).await.expect_err("the stream is forgotten");
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        let error = connection.stream.write_all(b"x").await.expect_err("broken for good");
        assert_eq!(error.kind(), ErrorKind::BrokenPipe);
    });
}

#[test]
fn connecting_is_refused_hangs_or_fails_by_name() {
    run_all(|world| async move {
        let (a, b) = (world.host("a"), world.host("b"));
        let (_, client) = a.attach("client");
        let connect = |host: &str| client.network.connect(&Address::new(host, 80));
        let refused = connect("b").await.expect_err("nobody listens").kind();
        assert_eq!(refused, ErrorKind::ConnectionRefused);
        assert_eq!(connect("c").await.expect_err("no such host").kind(), ErrorKind::NotFound);
        let nobody = connect("10.9.9.9").await.expect_err("no such address").kind();
        assert_eq!(nobody, ErrorKind::HostUnreachable);

        b.start("server", |runtime| echo_server(runtime, 80));
        world.network().cut(&a, &b);
        assert!(world.timeout(seconds(60), connect("b")).await.is_none(), "a cut is silent");
        let start = world.now();
        let late = connect("b").await.expect_err("gives up").kind();
        assert_eq!(late, ErrorKind::TimedOut);
        assert!(world.now() - start > seconds(60));
        let connecting = world.timeout(seconds(60), connect("b"));
        let heal = async {
            world.sleep(seconds(2)).await;
            world.network().heal(&a, &b);
        };
        let (connected, ()) = tokio::join!(biased; connecting, heal);
        connected.expect("a request is repeated").expect("connects");
        assert_eq!(world.network().streams_between(&a, &b), 1, "given up ones are gone");
    });
}

#[test]
fn a_reset_can_fall_into_the_middle_of_what_was_written() {
    let mut lengths = std::collections::BTreeSet::new();
    for seed in 0..32 {
        let config = Config::default();
        let report = orrery_runtime_sim::simulate(seed, config, |world: World| async move {
            let (a, b) = (world.host("a"), world.host("b"));
            let (_, server) = b.attach("server");
            let mut listener = server.network.listen(any(80)).await.expect("free");
            let (_, client) = a.attach("client");
            let mut connection = connect(&client, "10.0.0.2", 80).await;
            let mut accepted = listener.accept().await.expect("accepts");
            connection.stream.write_all(&[7; 1_000]).await.expect("buffers");
            world.network().reset_all(&a, &b);
            let mut received = Vec::new();
            let error = accepted.stream.read_to_end(&mut received).await.expect_err("broken");
            assert_eq!(error.kind(), ErrorKind::ConnectionReset);
            let error = connection.stream.write_all(b"x").await.expect_err("broken");
            assert_eq!(error.kind(), ErrorKind::ConnectionReset);
            received.len()
        });
        lengths.insert(report.outcome.expect("runs"));
    }
    assert!(lengths.len() > 10, "the reset falls anywhere: {lengths:?}");
}

#[test]
fn a_killed_process_ends_its_streams_and_frees_its_port() {
    run_all(|world| async move {
        let (a, b) = (world.host("a"), world.host("b"));
        let server = b.start("server", |runtime| echo_server(runtime, 80));
        let (_, client) = a.attach("client");
        let mut connection = connect(&client, "b", 80).await;
        assert_eq!(ping(&mut connection, 1).await.expect("whole"), 1);
        assert!(b.kill(server));
        let ended = connection.stream.read(&mut [0; 1]).await.expect("an orderly end");
        assert_eq!(ended, 0);
        let refused = client.network.connect(&Address::new("b", 80)).await;
        assert_eq!(refused.expect_err("nobody listens").kind(), ErrorKind::ConnectionRefused);
        b.start("server", |runtime| echo_server(runtime, 80));
        world.sleep(milliseconds(1)).await;
        let mut connection = connect(&client, "b", 80).await;
        assert_eq!(ping(&mut connection, 2).await.expect("served again"), 2);
    });
}

#[test]
fn a_paused_process_is_still_answered_for_by_its_kernel() {
    run_all(|world| async move {
        let (a, b) = (world.host("a"), world.host("b"));
        let server = b.start("server", |runtime| echo_server(runtime, 80));
        let (_, client) = a.attach("client");
        drop(connect(&client, "b", 80).await);
        b.pause(server);
        let mut connection = connect(&client, "b", 80).await;
        assert!(world.timeout(seconds(9), ping(&mut connection, 5)).await.is_none());
        b.resume(server);
        assert_eq!(connection.stream.read_u8().await.expect("goes on"), 5);
    });
}

#[test]
fn writers_wait_for_slow_readers() {
    let window = 1_000;
    let network = NetworkConfig { window, ..NetworkConfig::default() };
    run(3, Config { network, ..Config::default() }, move |world| async move {
        let (a, b) = (world.host("a"), world.host("b"));
        let (_, server) = b.attach("server");
        let mut listener = server.network.listen(any(80)).await.expect("free");
        let (_, client) = a.attach("client");
        let mut connection = connect(&client, "b", 80).await;
        let mut accepted = listener.accept().await.expect("accepts");
        let data = [9; 5_000];
        let mut written = 0;
        while let Some(length) =
            world.timeout(seconds(1), connection.stream.write(&data[written..])).await
        {
            written += length.expect("writes");
        }
        assert_eq!(written, window, "the window is full");
        let rest = async {
            connection.stream.write_all(&data[written..]).await.expect("writes");
            connection.stream.shutdown().await.expect("ends");
        };
        let mut received = Vec::new();
        let both =
            async { tokio::join!(biased; rest, accepted.stream.read_to_end(&mut received)).1 };
        assert_eq!(both.await.expect("reads"), data.len());
    });
}

#[test]
fn latency_and_bandwidth_are_as_set() {
    run_all(|world| async move {
        let (a, b) = (world.host("a"), world.host("b"));
        b.start("server", |runtime| echo_server(runtime, 80));
        world.network().set_latency(&a, &b, Latency::from_millis(40, 50));
        let (_, client) = a.attach("client");
        let mut connection = connect(&client, "b", 80).await;
        let start = world.now();
        ping(&mut connection, 1).await.expect("whole");
        let round_trip = world.now() - start;
        assert!(round_trip >= milliseconds(80) && round_trip < milliseconds(101), "{round_trip:?}");
        world.network().set_bandwidth(&a, &b, Some(1_000));
        let start = world.now();
        connection.stream.write_all(&[1; 500]).await.expect("buffers");
        connection.stream.read_exact(&mut [0; 500]).await.expect("echoes");
        // Half a second there, and the echo starts to flow back while the rest is under way.
        assert!(world.now() - start >= milliseconds(580));
    });
}

#[test]
fn isolation_leaves_the_loopback_alone() {
    run_all(|world| async move {
        let (a, b) = (world.host("a"), world.host("b"));
        a.start("server", |runtime| echo_server(runtime, 80));
        world.network().isolate(&a);
        let (_, inside) = a.attach("inside");
        let (_, outside) = b.attach("outside");
        world.sleep(milliseconds(1)).await;
        for name in ["localhost", "127.0.0.1", "a", "10.0.0.1"] {
            let mut connection = connect(&inside, name, 80).await;
            assert_eq!(ping(&mut connection, 3).await.expect("whole"), 3);
        }
        let hang = outside.network.connect(&Address::new("a", 80));
        assert!(world.timeout(seconds(5), hang).await.is_none());
        world.network().rejoin(&a);
        connect(&outside, "a", 80).await;
    });
}
