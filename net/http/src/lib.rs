//! HTTP over the ports: the server that every daemon answers with and the client that daemons and
//! frameworks ask with.
//!
//! The bytes are hyper's; this crate gives hyper the ports' streams, tasks and clock, so what
//! travels in a simulation is exactly what travels in production.
//!
//! | module | what it holds |
//! |---|---|
//! | [`server`] | [`serve`]: HTTP/1.1 and HTTP/2 on one listener, told apart by their first bytes |
//! | [`client`] | [`client::Client`]: HTTP/1.1 with connections kept alive per address |
//! | [`body`] | bodies of requests and responses, streams bounded in bytes among them |
//! | [`respond`] | the common answers |
//! | [`media`] | Mesos' rules for `Content-Type` and `Accept`, messages to bytes and back |
//! | [`recordio`] | the framing of event streams |
//! | [`adapter`] | what hyper needs from a runtime, made from the ports |
//! | [`wire_log`] | logging whole messages where they are sent and received |
//! | [`limits`] | how much a peer may ask of us |
//!
//! What it promises: no input from a peer panics or leaks a task; everything that a peer can make
//! us keep is bounded; a request that may have been processed is never sent twice unless its method
//! says that this is harmless.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

use std::future::Future;
use std::sync::Arc;

use core::net::SocketAddr;

use orrery_runtime::BoxFuture;

pub mod adapter;
pub mod body;
pub mod client;
mod closer;
mod connection;
mod date;
mod exchange;
pub mod limits;
pub mod media;
mod planted;
pub mod recordio;
pub mod respond;
pub mod server;
pub mod wire_log;

pub use body::{Body, BodyError, RequestBody, SendError, StreamSender};
pub use client::{Client, ClientError, ResponseBody};
pub use closer::{Closer, closer};
pub use media::MediaType;
pub use planted::PlantedBug;
pub use server::{serve, serve_up_to};

/// What a peer asked. Its extensions hold the [`Peer`] and the connection's [`Closer`].
pub type Request = http::Request<RequestBody>;

/// What we answer.
pub type Response = http::Response<Body>;

/// The two ends of the connection that a request came on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The asking end.
    pub address: SocketAddr,
    /// Our end.
    pub local: SocketAddr,
}

/// Answers requests. One instance serves all connections of a listener.
pub trait Service: Send + Sync + 'static {
    /// Answers one request. The future is dropped when the peer goes away before it is done.
    fn call(&self, request: Request) -> BoxFuture<'static, Response>;

    /// Whether an answer to `path` is short work that must not wait, however much other connections
    /// have to say. An HTTP/1 connection that begins with such a request is served by prompt tasks
    /// ([`orrery_runtime::Tasks::prompt`]) until its end.
    fn is_prompt(&self, _path: &str) -> bool {
        false
    }
}

struct ServiceFunction<F>(F);

impl<F, R> Service for ServiceFunction<F>
where
    F: Fn(Request) -> R + Send + Sync + 'static,
    R: Future<Output = Response> + Send + 'static,
{
    fn call(&self, request: Request) -> BoxFuture<'static, Response> {
        Box::pin((self.0)(request))
    }
}

/// Makes a [`Service`] of an asynchronous function.
pub fn service_fn<F, R>(function: F) -> Arc<dyn Service>
where
    F: Fn(Request) -> R + Send + Sync + 'static,
    R: Future<Output = Response> + Send + 'static,
{
    Arc::new(ServiceFunction(function))
}
