//! How users say where the masters are.

use std::fmt;
use std::str::FromStr;

use orrery_election::{Url, UrlError};
use orrery_runtime::Address;

/// Where the masters are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Masters {
    /// A single one, which leads whenever it runs.
    One(Address),
    /// Several that elect a leader among themselves.
    Peers(Vec<Address>),
    /// Several that elect a leader through ZooKeeper: `zk://…`.
    ZooKeeper(Url),
}

/// Why a text does not say where the masters are.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MastersError {
    /// One of the addresses is none.
    #[error("'{part}' is not a master's address: expected HOST:PORT with a port from 1 to 65535")]
    Address {
        /// The address.
        part: String,
    },
    /// It begins as a ZooKeeper URL and is none.
    #[error(transparent)]
    ZooKeeper(#[from] UrlError),
    /// An address is given twice.
    #[error("the master {address} is given twice: expected each once")]
    Twice {
        /// The address.
        address: Address,
    },
}

impl FromStr for Masters {
    type Err = MastersError;

    fn from_str(text: &str) -> Result<Self, MastersError> {
        if text.trim_start().starts_with("zk://") {
            return Ok(Self::ZooKeeper(text.parse()?));
        }
        let mut addresses: Vec<Address> = Vec::new();
        for part in text.trim().split(',').map(str::trim) {
            let address = part.parse().ok().filter(|address: &Address| address.port != 0);
            let address = address.ok_or_else(|| MastersError::Address { part: part.to_owned() })?;
            if addresses.contains(&address) {
                return Err(MastersError::Twice { address });
            }
            addresses.push(address);
        }
        Ok(addresses.into())
    }
}

impl From<Address> for Masters {
    fn from(address: Address) -> Self {
        Self::One(address)
    }
}

impl From<Vec<Address>> for Masters {
    fn from(addresses: Vec<Address>) -> Self {
        match <[Address; 1]>::try_from(addresses) {
            Ok([address]) => Self::One(address),
            Err(addresses) => Self::Peers(addresses),
        }
    }
}

impl fmt::Display for Masters {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One(address) => address.fmt(formatter),
            Self::ZooKeeper(url) => url.fmt(formatter),
            Self::Peers(peers) => {
                for (number, peer) in peers.iter().enumerate() {
                    write!(formatter, "{}{peer}", if number == 0 { "" } else { "," })?;
                }
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_is_one_master_and_several_are_peers() {
        let one: Masters = "10.0.0.1:5050".parse().unwrap();
        assert_eq!(one, Masters::One(Address::new("10.0.0.1", 5050)));
        let text = "a:5050,b:5051,[::1]:5052";
        let peers: Masters = text.parse().unwrap();
        assert!(matches!(&peers, Masters::Peers(peers) if peers.len() == 3));
        assert_eq!(peers.to_string(), text);
        let zookeeper: Masters = "zk://a:2181,b:2181/mesos".parse().unwrap();
        assert!(matches!(&zookeeper, Masters::ZooKeeper(url) if url.servers.len() == 2));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let error = |text: &str| text.parse::<Masters>().unwrap_err().to_string();
        let expected = "is not a master's address: expected HOST:PORT with a port from 1 to 65535";
        assert_eq!(error(""), format!("'' {expected}"));
        assert_eq!(error("a:0"), format!("'a:0' {expected}"));
        assert_eq!(error("zk://a:1"), orrery_election::UrlError::NoPath.to_string());
        assert_eq!(error("a:1,b"), format!("'b' {expected}"));
        assert_eq!(error("a:1, a:1"), "the master a:1 is given twice: expected each once");
    }
}
