//! TCP.

use core::net::SocketAddr;
use std::fmt;
use std::io;
use std::time::Duration;

use orrery_runtime::{Address, BoxFuture, Connection, Listener, Network};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

/// Streams that were set up by the kernel but not yet accepted by us.
const BACKLOG: u32 = 1024;

/// TCP streams without Nagle's delay: every message is written whole, so waiting for more only
/// costs time.
#[derive(Debug)]
pub(crate) struct TcpNetwork;

impl Network for TcpNetwork {
    fn connect(&self, address: &Address) -> BoxFuture<'static, io::Result<Connection>> {
        let address = address.clone();
        Box::pin(async move {
            // A name may stand for several addresses; each is tried in the resolver's order.
            TcpStream::connect((address.host.as_str(), address.port))
                .await
                .and_then(connection)
                .map_err(|error| explain(error, format_args!("cannot connect to {address}")))
        })
    }

    fn listen(&self, address: SocketAddr) -> BoxFuture<'static, io::Result<Box<dyn Listener>>> {
        Box::pin(async move {
            let listener = listen(address)?;
            Ok(Box::new(listener) as Box<dyn Listener>)
        })
    }
}

/// Keeps an error's kind and says what failed.
fn explain(error: io::Error, what: fmt::Arguments<'_>) -> io::Error {
    io::Error::new(error.kind(), format!("{what}: {error}"))
}

/// How long a connection is silent before the system asks whether the peer is still there.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(60);

fn connection(stream: TcpStream) -> io::Result<Connection> {
    stream.set_nodelay(true)?;
    // A peer that vanished without a word is noticed even when nobody has anything to send.
    rustix::net::sockopt::set_socket_keepalive(&stream, true)?;
    rustix::net::sockopt::set_tcp_keepidle(&stream, KEEPALIVE_IDLE)?;
    let (local, peer) = (stream.local_addr()?, stream.peer_addr()?);
    Ok(Connection { stream: Box::new(stream), local, peer })
}

fn listen(address: SocketAddr) -> io::Result<SystemListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // A daemon that restarts must get its port back although old streams still linger.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    let listener = socket.listen(BACKLOG)?;
    let address = listener.local_addr()?;
    Ok(SystemListener { listener, address })
}

struct SystemListener {
    listener: TcpListener,
    address: SocketAddr,
}

impl Listener for SystemListener {
    fn local_address(&self) -> SocketAddr {
        self.address
    }

    fn accept(&mut self) -> BoxFuture<'_, io::Result<Connection>> {
        Box::pin(async {
            let (stream, _) = self.listener.accept().await?;
            connection(stream)
        })
    }
}
