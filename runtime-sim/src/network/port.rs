//! The network port.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use orrery_runtime::{Address, BoxFuture, Connection, Listener, Network};

use super::Owner;
use super::state::NOWHERE;
use super::stream::Stream;
use crate::arena::Key;
use crate::host::Host;
use crate::ports::Ports;
use crate::world::Inner;

impl Ports {
    fn owner(&self) -> Owner {
        Owner { host: self.host().index(), process: self.process() }
    }
}

impl Network for Ports {
    fn connect(&self, address: &Address) -> BoxFuture<'static, io::Result<Connection>> {
        if !self.is_alive() {
            return Box::pin(std::future::pending());
        }
        let opened = open(self.world(), self.owner(), address);
        let (host, process) = (self.host().clone(), self.process());
        Box::pin(async move {
            let key = opened?;
            // From here on, dropping this future closes the connection.
            let stream = Stream::new(host.clone(), process, key, 0);
            let network = &host.world().network;
            let connected =
                std::future::poll_fn(|context| network.lock().poll_connected(key, context));
            let (local, peer) = connected.await?;
            Ok(Connection { stream: Box::new(stream), local, peer })
        })
    }

    fn listen(&self, address: SocketAddr) -> BoxFuture<'static, io::Result<Box<dyn Listener>>> {
        if !self.is_alive() {
            return Box::pin(std::future::pending());
        }
        let (host, process) = (self.host().clone(), self.process());
        let world = host.world();
        let listening = world.network.lock().listen(world, self.owner(), address);
        Box::pin(async move {
            let (key, local) = listening?;
            let listener: Box<dyn Listener> = Box::new(Acceptor { host, process, key, local });
            Ok(listener)
        })
    }
}

fn open(world: &Inner, owner: Owner, address: &Address) -> io::Result<Key> {
    let mut network = world.network.lock();
    let Some(target) = network.resolve(&address.host, owner.host) else {
        let message = format!("host '{}' is not known", address.host);
        return Err(io::Error::new(io::ErrorKind::NotFound, message));
    };
    let ip = match address.host.parse::<IpAddr>() {
        Ok(ip) if target == NOWHERE => ip,
        _ if address.host == "localhost" => IpAddr::V4(Ipv4Addr::LOCALHOST),
        Ok(ip) if ip.is_loopback() || ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        _ => IpAddr::V4(network.stations[target as usize].address),
    };
    network.open(world, owner, target, (ip, address.port))
}

struct Acceptor {
    host: Host,
    process: u32,
    key: Key,
    local: SocketAddr,
}

impl Listener for Acceptor {
    fn local_address(&self) -> SocketAddr {
        self.local
    }

    fn accept(&mut self) -> BoxFuture<'_, io::Result<Connection>> {
        Box::pin(async move {
            let accepted = std::future::poll_fn(|context| {
                let world = self.host.world();
                world.network.lock().poll_accept(world, self.key, context)
            });
            let (key, local, peer) = accepted.await?;
            let stream = Stream::new(self.host.clone(), self.process, key, 1);
            Ok(Connection { stream: Box::new(stream), local, peer })
        })
    }
}

impl Drop for Acceptor {
    fn drop(&mut self) {
        let world = self.host.world();
        world.network.lock().close_listener(world, self.key);
    }
}
