//! The agent's side: opens the link.

use core::net::SocketAddr;
use std::error::Error as _;
use std::time::Duration;

use orrery_api::link;
use orrery_coverage::{reachable, sometimes};
use orrery_grpc::{Channel, Refusal};
use orrery_http::adapter::Io;
use orrery_http::{Closer, closer, limits};
use orrery_runtime::{Address, Runtime};
use tokio::sync::oneshot;
use tonic::Status;

use crate::ends::{drain, half_link};
use crate::generated::agent_link_client::AgentLinkClient;
use crate::{LinkReceiver, LinkSender, MESSAGE_MAX};

/// How long opening may take, from the first packet to the master's answer.
const CONNECT_TIME: Duration = Duration::from_secs(5);

/// Why no link came about.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// No connection came about.
    #[error("cannot connect to {address}: {source}")]
    Connect {
        /// The master.
        address: Address,
        /// What the network says.
        source: std::io::Error,
    },
    /// The master did not answer in time.
    #[error("no link to {address}: no answer within {} s", .limit.as_secs_f64())]
    Timeout {
        /// The master.
        address: Address,
        /// How long was waited.
        limit: Duration,
    },
    /// The address cannot stand in a request.
    #[error("no link to {address}: {source}")]
    Address {
        /// The master.
        address: Address,
        /// What is wrong with it.
        source: http::uri::InvalidUri,
    },
    /// What answers does not speak HTTP/2.
    #[error("no link to {address}: {source}")]
    Handshake {
        /// The master.
        address: Address,
        /// What happened.
        source: hyper::Error,
    },
    /// What answers is no leading master.
    #[error("{address} refuses the link: {reason}")]
    Refused {
        /// The master.
        address: Address,
        /// Its answer.
        reason: String,
        /// Whom it takes for the leader, if it says so.
        leader: Option<Address>,
    },
}

/// Both ends of an agent's link.
pub type AgentEnds = (LinkSender<link::FromAgent>, LinkReceiver<link::FromMaster>);

/// Opens a link to the master at `to`. Dropping both ends closes the connection.
///
/// # Errors
/// See [`LinkError`]; decided within 5 s.
pub async fn connect(runtime: &Runtime, to: &Address) -> Result<AgentEnds, LinkError> {
    within_time(runtime, to, open(runtime, to)).await
}

/// Opens as many links on one connection, for tools that stand for more agents than they may have
/// sockets. The end of one of them ends all.
///
/// # Errors
/// As for [`connect`].
pub async fn connect_together(
    runtime: &Runtime,
    to: &Address,
    count: usize,
) -> Result<Vec<AgentEnds>, LinkError> {
    let opening = async {
        let connection = Connection::open(runtime, to).await?;
        let mut links = Vec::with_capacity(count);
        for _ in 0..count {
            links.push(connection.link(runtime).await?);
        }
        Ok(links)
    };
    within_time(runtime, to, opening).await
}

async fn within_time<T>(
    runtime: &Runtime,
    to: &Address,
    opening: impl Future<Output = Result<T, LinkError>>,
) -> Result<T, LinkError> {
    match runtime.timeout(CONNECT_TIME, opening).await {
        Some(result) => result,
        None => {
            reachable!("a link does not open in time");
            Err(LinkError::Timeout { address: to.clone(), limit: CONNECT_TIME })
        }
    }
}

async fn open(runtime: &Runtime, to: &Address) -> Result<AgentEnds, LinkError> {
    Connection::open(runtime, to).await?.link(runtime).await
}

/// A connection to a master on which links can be opened.
struct Connection {
    to: Address,
    local: SocketAddr,
    client: AgentLinkClient<Channel>,
    /// The connection ends with the ends of its links, which hold this.
    closer: Closer,
}

impl Connection {
    async fn open(runtime: &Runtime, to: &Address) -> Result<Self, LinkError> {
        let address = to.clone();
        let origin = match format!("http://{to}").parse() {
            Ok(origin) => origin,
            Err(source) => return Err(LinkError::Address { address, source }),
        };
        let connection = match runtime.network.connect(to).await {
            Ok(connection) => connection,
            Err(source) => {
                reachable!("an agent cannot connect to its master");
                return Err(LinkError::Connect { address, source });
            }
        };
        let (closer, closed) = closer(runtime.clone());
        let io = Io::until(connection.stream, closed);
        let channel = match Channel::begin(runtime, "agent link", limits::HTTP2_WINDOW, io).await {
            Ok(channel) => channel,
            Err(source) => {
                reachable!("a link breaks before HTTP/2 is agreed on");
                return Err(LinkError::Handshake { address, source });
            }
        };
        let client = AgentLinkClient::with_origin(channel, origin)
            .max_decoding_message_size(MESSAGE_MAX)
            .max_encoding_message_size(MESSAGE_MAX);
        Ok(Self { to: address, local: connection.local, client, closer })
    }

    async fn link(&self, runtime: &Runtime) -> Result<AgentEnds, LinkError> {
        let (half, outgoing) = half_link(self.closer.clone(), self.local);
        match self.client.clone().connect(outgoing).await {
            Ok(response) => {
                let (rest, ended) = oneshot::channel();
                runtime.spawn("agent link end", drain(ended));
                Ok(half.join(response.into_inner(), Some(rest)))
            }
            Err(status) => Err(refused(self.to.clone(), &status)),
        }
    }
}

fn refused(address: Address, status: &Status) -> LinkError {
    let refusal = status.source().and_then(|source| source.downcast_ref::<Refusal>());
    let leader = refusal.and_then(|refusal| refusal.leader.as_ref());
    sometimes!(leader.is_some(), "a master sends an agent to the leading one");
    sometimes!(refusal.is_none(), "a link breaks before the master has taken it");
    match refusal {
        Some(refusal) => {
            let (reason, leader) = (refusal.to_string(), refusal.leader.clone());
            LinkError::Refused { address, reason, leader }
        }
        None => LinkError::Refused { address, reason: status.message().to_owned(), leader: None },
    }
}
