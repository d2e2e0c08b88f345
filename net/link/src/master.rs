//! The master's side: takes the calls of agents.

use core::net::SocketAddr;
use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::Map;
use orrery_api::link;
use orrery_coverage::reachable;
use orrery_http::{Closer, Peer};
use orrery_runtime::BoxFuture;
use tonic::{Request, Response, Status, Streaming};

use crate::ends::{Outgoing, half_link};
use crate::generated::agent_link_server::{AgentLink, AgentLinkServer};
use crate::{LinkReceiver, LinkSender, MESSAGE_MAX};

/// The path below which the link's calls come.
const PATH: &str = "/orrery.link.v1.AgentLink/";

/// Takes new links.
pub trait Acceptor: Send + Sync + 'static {
    /// An agent has opened a link. Must not block: what takes time is spawned.
    fn accept(
        &self,
        peer: SocketAddr,
        sender: LinkSender<link::FromMaster>,
        receiver: LinkReceiver<link::FromAgent>,
    );
}

/// Answers the link's HTTP/2 requests.
#[derive(Clone)]
pub struct LinkService {
    server: AgentLinkServer<Links>,
}

impl std::fmt::Debug for LinkService {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("LinkService")
    }
}

impl LinkService {
    /// A service that hands every new link to `acceptor`.
    pub fn new(_runtime: orrery_runtime::Runtime, acceptor: Arc<dyn Acceptor>) -> Self {
        let server = AgentLinkServer::new(Links { acceptor })
            .max_decoding_message_size(MESSAGE_MAX)
            .max_encoding_message_size(MESSAGE_MAX);
        Self { server }
    }

    /// Whether a request to `path` is the link's.
    pub fn handles(path: &str) -> bool {
        path.starts_with(PATH)
    }

    /// Answers a request.
    pub fn call(&self, request: orrery_http::Request) -> BoxFuture<'static, orrery_http::Response> {
        orrery_grpc::answer(self.server.clone(), request).unwrap_or_else(|| {
            reachable!("a link is asked for over HTTP/1.1");
            orrery_grpc::needs_http2("the agent link")
        })
    }
}

/// Makes an item of the generated service's stream of a message.
type Wrap = fn(link::FromMaster) -> Result<link::FromMaster, Status>;

/// The generated service's implementation.
struct Links {
    acceptor: Arc<dyn Acceptor>,
}

#[tonic::async_trait]
impl AgentLink for Links {
    type ConnectStream = Map<Outgoing<link::FromMaster>, Wrap>;

    async fn connect(
        &self,
        request: Request<Streaming<link::FromAgent>>,
    ) -> Result<Response<Self::ConnectStream>, Status> {
        let extensions = request.extensions();
        let (Some(peer), Some(closer)) = (extensions.get::<Peer>(), extensions.get::<Closer>())
        else {
            return Err(Status::internal("the request does not say which connection it came on"));
        };
        let peer = peer.address;
        let (half, outgoing) = half_link(closer.clone(), peer);
        let (sender, receiver) = half.join(request.into_inner(), None);
        tracing::debug!(%peer, "agent link opened");
        self.acceptor.accept(peer, sender, receiver);
        Ok(Response::new(outgoing.map(Ok as Wrap)))
    }
}
