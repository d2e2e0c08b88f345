//! TCP.

use core::net::SocketAddr;
use std::io;
use std::time::Duration;

use orrery_runtime::{Address, BoxFuture, Connection, Listener, Network};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use crate::stream::Stream;
use crate::tasks::on_prompt_thread;

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
            TcpStream::connect((address.host.as_str(), address.port)).await.and_then(connection)
        })
    }

    fn listen(&self, address: SocketAddr) -> BoxFuture<'static, io::Result<Box<dyn Listener>>> {
        Box::pin(async move {
            let listener = listen(address)?;
            Ok(Box::new(listener) as Box<dyn Listener>)
        })
    }
}

/// How long a connection is silent before the system asks whether the peer is still there.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(60);

fn connection(stream: TcpStream) -> io::Result<Connection> {
    stream.set_nodelay(true)?;
    // A peer that vanished without a word is noticed even when nobody has anything to send.
    rustix::net::sockopt::set_socket_keepalive(&stream, true)?;
    rustix::net::sockopt::set_tcp_keepidle(&stream, KEEPALIVE_IDLE)?;
    let (local, peer) = (stream.local_addr()?, stream.peer_addr()?);
    Ok(Connection { stream: Box::new(Stream::new(stream)), local, peer })
}

fn listen(address: SocketAddr) -> io::Result<SystemListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // A daemon that restarts must get its port back although old streams still linger.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    let listener = socket.listen(BACKLOG)?;
    let address = listener.local_addr()?;
    Ok(SystemListener { listener: Some(listener), on_prompt: on_prompt_thread(), address })
}

struct SystemListener {
    /// `None` only when it could not be taken to another thread's reactor.
    listener: Option<TcpListener>,
    /// Whose reactor it is registered with.
    on_prompt: bool,
    address: SocketAddr,
}

impl SystemListener {
    /// The listener, registered with the reactor of this thread.
    fn here(&mut self) -> io::Result<&mut TcpListener> {
        if self.on_prompt != on_prompt_thread() {
            self.on_prompt = on_prompt_thread();
            let listener = self.listener.take().map(TcpListener::into_std).transpose()?;
            self.listener = listener.map(TcpListener::from_std).transpose()?;
        }
        self.listener.as_mut().ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

impl Listener for SystemListener {
    fn local_address(&self) -> SocketAddr {
        self.address
    }

    fn accept(&mut self) -> BoxFuture<'_, io::Result<Connection>> {
        Box::pin(async {
            let (stream, _) = self.here()?.accept().await?;
            connection(stream)
        })
    }
}
