//! Promises of [`crate::Network`], seen over the loopback address.

use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::io::ErrorKind;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{failure, finish};
use crate::{Address, Connection, Listener, Runtime};

/// Checks the network of `runtime`.
///
/// # Panics
/// Where a promise is broken.
pub async fn check(runtime: &Runtime) {
    both_ends_agree(runtime).await;
    bytes_arrive_in_order(runtime).await;
    much_goes_both_ways(runtime).await;
    one_direction_closes(runtime).await;
    a_lost_peer_is_noticed(runtime).await;
    closing_with_bytes_unread_resets(runtime).await;
    a_stream_can_be_closed_before_it_is_used(runtime).await;
    listening_is_exclusive(runtime).await;
    nobody_listens(runtime).await;
    accepting_can_be_given_up(runtime).await;
}

/// Port 0 of the loopback address.
fn any_port() -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0)
}

async fn listen(runtime: &Runtime) -> Box<dyn Listener> {
    runtime.network.listen(any_port()).await.expect("a free port")
}

/// The two ends of one stream: who connected, who accepted.
async fn pair(runtime: &Runtime) -> (Connection, Connection) {
    let mut listener = listen(runtime).await;
    let address = Address::from(listener.local_address());
    let both = async { tokio::join!(biased; runtime.network.connect(&address), listener.accept()) };
    let (client, server) = finish(runtime, "connecting", both).await;
    (client.expect("connects"), server.expect("accepts"))
}

async fn both_ends_agree(runtime: &Runtime) {
    let listener = listen(runtime).await;
    let address = listener.local_address();
    assert_ne!(address.port(), 0, "port 0 must become a real one");
    assert_eq!(address.ip(), any_port().ip());
    let (client, server) = pair(runtime).await;
    assert_eq!(client.local, server.peer);
    assert_eq!(client.peer, server.local);
    assert_ne!(client.peer, address, "two listeners on one port");
}

/// However a reader's pieces fall, it gets every byte once and in order.
async fn bytes_arrive_in_order(runtime: &Runtime) {
    let (mut client, mut server) = pair(runtime).await;
    let sent: Vec<u8> = (0..10_000_u32).map(|number| (number % 251) as u8).collect();
    let write = async {
        for piece in sent.chunks(777) {
            client.stream.write_all(piece).await.expect("writes");
        }
        client.stream.flush().await.expect("flushes");
    };
    let read = async {
        let mut received = Vec::new();
        let mut piece = [0; 13];
        while received.len() < sent.len() {
            let count = server.stream.read(&mut piece).await.expect("reads");
            assert_ne!(count, 0, "ended after {} bytes", received.len());
            received.extend_from_slice(&piece[..count]);
        }
        received
    };
    let both = async { tokio::join!(biased; write, read) };
    let ((), received) = finish(runtime, "a transfer in pieces", both).await;
    assert!(received == sent, "other bytes than were sent");
}

/// More than any buffer holds, in both directions at once.
async fn much_goes_both_ways(runtime: &Runtime) {
    const LENGTH: usize = 8 << 20;
    async fn exchange(mut connection: Connection, fill: u8) -> usize {
        let (mut reader, mut writer) = tokio::io::split(&mut connection.stream);
        let write = async {
            writer.write_all(&vec![fill; LENGTH]).await.expect("writes");
            writer.shutdown().await.expect("closes its direction");
        };
        let read = async {
            let mut received = Vec::new();
            reader.read_to_end(&mut received).await.expect("reads");
            assert!(received.iter().all(|byte| *byte != fill), "its own bytes came back");
            received.len()
        };
        tokio::join!(biased; write, read).1
    }
    let (client, server) = pair(runtime).await;
    let both = async { tokio::join!(biased; exchange(client, 1), exchange(server, 2)) };
    let lengths = finish(runtime, "a large exchange", both).await;
    assert_eq!(lengths, (LENGTH, LENGTH));
}

async fn one_direction_closes(runtime: &Runtime) {
    let (mut client, mut server) = pair(runtime).await;
    let conversation = async {
        client.stream.write_all(b"question").await.expect("writes");
        client.stream.shutdown().await.expect("closes its direction");
        let mut text = String::new();
        server.stream.read_to_string(&mut text).await.expect("reads to the end");
        assert_eq!(text, "question");
        server.stream.write_all(b"answer").await.expect("the other direction is open");
        drop(server);
        text.clear();
        client.stream.read_to_string(&mut text).await.expect("reads to the end");
        assert_eq!(text, "answer");
    };
    finish(runtime, "a half-closed stream", conversation).await;
}

async fn a_lost_peer_is_noticed(runtime: &Runtime) {
    let (mut client, server) = pair(runtime).await;
    drop(server);
    let reading = finish(runtime, "a lost peer", client.stream.read(&mut [0; 1])).await;
    match reading {
        Ok(count) => assert_eq!(count, 0, "bytes that nobody sent"),
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
    }
    // A write may still succeed before the peer's refusal is back; not for ever.
    let writing = async {
        loop {
            if let Err(error) = client.stream.write_all(&[0; 1000]).await {
                return error.kind();
            }
            runtime.sleep(Duration::from_millis(1)).await;
        }
    };
    let kind = finish(runtime, "writing to a lost peer", writing).await;
    assert!(matches!(kind, ErrorKind::BrokenPipe | ErrorKind::ConnectionReset), "{kind:?}");
}

/// A reset is not an orderly end: who has sent bytes that nobody read is told so.
async fn closing_with_bytes_unread_resets(runtime: &Runtime) {
    let (mut client, mut server) = pair(runtime).await;
    let conversation = async {
        client.stream.write_all(b"never read").await.expect("writes");
        // The first byte is read so that all of them are known to have arrived.
        server.stream.read_exact(&mut [0; 1]).await.expect("reads");
        drop(server);
        client.stream.read(&mut [0; 1]).await
    };
    let reading = finish(runtime, "a reset", conversation).await;
    assert_eq!(failure("reading after a reset", reading), ErrorKind::ConnectionReset);
}

/// Whoever was accepted and closed at once has been connected all the same.
async fn a_stream_can_be_closed_before_it_is_used(runtime: &Runtime) {
    let mut listener = listen(runtime).await;
    let address = Address::from(listener.local_address());
    for _ in 0..20 {
        let close = async { drop(listener.accept().await.expect("accepts")) };
        let both = async { tokio::join!(biased; close, runtime.network.connect(&address)).1 };
        let connecting = finish(runtime, "connecting to who closes", both).await;
        let mut client = connecting.expect("connects");
        let reading = finish(runtime, "an end", client.stream.read(&mut [0; 1])).await;
        assert_eq!(reading.expect("an orderly end"), 0);
    }
}

async fn listening_is_exclusive(runtime: &Runtime) {
    let mut listener = listen(runtime).await;
    let address = listener.local_address();
    let taken = failure("listening twice", runtime.network.listen(address).await);
    assert_eq!(taken, ErrorKind::AddrInUse);

    // A daemon that restarts gets its port back, old streams or not.
    let to = Address::from(address);
    let both = async { tokio::join!(biased; runtime.network.connect(&to), listener.accept()) };
    let (client, server) = finish(runtime, "connecting", both).await;
    drop((listener, server));
    let again = runtime.network.listen(address).await.expect("the port is free again");
    assert_eq!(again.local_address(), address);
    drop(client);
}

async fn nobody_listens(runtime: &Runtime) {
    let listener = listen(runtime).await;
    let address = Address::from(listener.local_address());
    drop(listener);
    let connecting = finish(runtime, "a closed port", runtime.network.connect(&address)).await;
    assert_eq!(failure("connecting to a closed port", connecting), ErrorKind::ConnectionRefused);
}

async fn accepting_can_be_given_up(runtime: &Runtime) {
    let mut listener = listen(runtime).await;
    let nobody = runtime.timeout(Duration::from_millis(2), listener.accept()).await;
    assert!(nobody.is_none(), "a stream that nobody opened");
    let address = Address::from(listener.local_address());
    // Before anybody accepts, streams are queued; giving up accepting loses none of them.
    for _ in 0..3 {
        let connecting = runtime.network.connect(&address);
        let client = finish(runtime, "a queued stream", connecting).await.expect("connects");
        let given_up = runtime.timeout(Duration::ZERO, listener.accept()).await;
        let server = match given_up {
            Some(server) => server,
            None => finish(runtime, "accepting", listener.accept()).await,
        };
        assert_eq!(server.expect("accepts").peer, client.local);
    }
}
