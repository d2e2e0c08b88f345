//! Byte streams between machines.

use std::fmt;
use std::io;
use std::str::FromStr;

use core::net::SocketAddr;

use tokio::io::{AsyncRead, AsyncWrite};

use crate::BoxFuture;

/// Where to connect to: a name or an IP address, and a port.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    /// A host name or an IP address without brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

impl Address {
    /// Puts a host and a port together.
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        Self { host: host.into(), port }
    }
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        Self::new(address.ip().to_string(), address.port())
    }
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(formatter, "[{}]:{}", self.host, self.port)
        } else {
            write!(formatter, "{}:{}", self.host, self.port)
        }
    }
}

/// Why a text is not an [`Address`].
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("'{text}' is not an address: expected HOST:PORT")]
pub struct AddressError {
    text: String,
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let error = || AddressError { text: text.to_owned() };
        let (host, port) = text.rsplit_once(':').ok_or_else(error)?;
        // The number parser would take a sign.
        if !port.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(error());
        }
        let port = port.parse().map_err(|_| error())?;
        let bracketed = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let host = bracketed.unwrap_or(host);
        if host.is_empty() || (bracketed.is_none() && host.contains(':')) {
            return Err(error());
        }
        Ok(Self::new(host, port))
    }
}

/// A reliable, ordered, bidirectional stream of bytes. Dropping it closes both directions.
pub trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> ByteStream for T {}

/// An open stream and its two ends.
pub struct Connection {
    /// The bytes.
    pub stream: Box<dyn ByteStream>,
    /// Our end.
    pub local: SocketAddr,
    /// The other end.
    pub peer: SocketAddr,
}

impl fmt::Debug for Connection {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Connection({} -> {})", self.local, self.peer)
    }
}

/// The port to the network.
pub trait Network: Send + Sync {
    /// Opens a stream to `address`. May hang for as long as the peer's host says nothing: callers
    /// put their own limit on it.
    ///
    /// # Errors
    /// Refused, unreachable, or a name that does not resolve.
    fn connect(&self, address: &Address) -> BoxFuture<'static, io::Result<Connection>>;

    /// Accepts streams on `address`; port 0 lets the system choose one.
    ///
    /// # Errors
    /// The address is taken or not ours.
    fn listen(&self, address: SocketAddr) -> BoxFuture<'static, io::Result<Box<dyn Listener>>>;
}

/// Accepts streams until it is dropped.
pub trait Listener: Send {
    /// Where it listens.
    fn local_address(&self) -> SocketAddr;

    /// Waits for the next stream. Safe to cancel.
    ///
    /// # Errors
    /// Out of descriptors and the like; the caller waits a little and goes on.
    fn accept(&mut self) -> BoxFuture<'_, io::Result<Connection>>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_survive_being_written_and_read() {
        for (text, host, port) in [
            ("127.0.0.1:5050", "127.0.0.1", 5050),
            ("master.example:1", "master.example", 1),
            ("[::1]:65535", "::1", 65535),
            ("[fe80::1%eth0]:0", "fe80::1%eth0", 0),
        ] {
            let address: Address = text.parse().unwrap();
            assert_eq!(address, Address::new(host, port));
            assert_eq!(address.to_string(), text);
        }
    }

    #[test]
    fn other_texts_are_no_addresses() {
        for text in [
            "",
            ":",
            "host",
            "host:",
            ":5050",
            "host:x",
            "host:-1",
            "host:65536",
            "host: 1",
            "::1",
            "::1:5050",
            "[::1]",
            "[]:5050",
            "[::1:5050",
        ] {
            let error = text.parse::<Address>().unwrap_err();
            let expected = format!("'{text}' is not an address: expected HOST:PORT");
            assert_eq!(error.to_string(), expected);
        }
    }

    #[test]
    fn socket_addresses_become_addresses() {
        let socket: SocketAddr = "[::1]:5050".parse().unwrap();
        assert_eq!(Address::from(socket), Address::new("::1", 5050));
        assert_eq!(Address::from(socket).to_string(), socket.to_string());
    }
}
