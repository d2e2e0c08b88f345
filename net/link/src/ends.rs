//! The two ends that a side holds, [`LinkSender`] and [`LinkReceiver`], and what they share.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use core::net::SocketAddr;

use futures_util::Stream;
use futures_util::task::AtomicWaker;
use orrery_api::link;
use orrery_coverage::{reachable, sometimes};
use orrery_http::{Closer, wire_log};
use prost::Message;
use tokio::sync::{mpsc, oneshot};
use tonic::Streaming;

use crate::{LINGER, MESSAGE_MAX, PROTOCOL_VERSION, QUEUE_MAX};

/// A message of the link; each carries the version of the protocol that its sender speaks.
pub trait LinkMessage: Message + Default + Send + 'static {
    /// Who sends such messages, for logs.
    const FROM: &'static str;

    /// Where the version stands.
    fn version(&mut self) -> &mut u32;

    /// What it says, for logs.
    fn content(&self) -> Option<&dyn std::fmt::Debug>;
}

impl LinkMessage for link::FromAgent {
    const FROM: &'static str = "agent";

    fn version(&mut self) -> &mut u32 {
        &mut self.protocol_version
    }

    fn content(&self) -> Option<&dyn std::fmt::Debug> {
        self.body.as_ref().map(|body| body as _)
    }
}

impl LinkMessage for link::FromMaster {
    const FROM: &'static str = "master";

    fn version(&mut self) -> &mut u32 {
        &mut self.protocol_version
    }

    fn content(&self) -> Option<&dyn std::fmt::Debug> {
        self.body.as_ref().map(|body| body as _)
    }
}

/// Why a message was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// The peer does not read: [`QUEUE_MAX`] messages are waiting.
    #[error("the link is full: its peer does not read")]
    Full,
    /// The link has ended.
    #[error("the link is closed")]
    Closed,
}

/// Both ends and the stream below them agree on the link's end through this.
struct Shared {
    /// Set once our own side has ended the link.
    closed: AtomicBool,
    /// Wakes the stream that empties the queue.
    outgoing: AtomicWaker,
    /// Wakes whoever waits in [`LinkReceiver::receive`].
    incoming: AtomicWaker,
    closer: Closer,
    /// The agent's end of the connection, which names the link in logs.
    agent: SocketAddr,
}

impl Shared {
    fn close(&self) {
        if !self.closed.swap(true, Ordering::AcqRel) {
            self.outgoing.wake();
            self.incoming.wake();
            self.closer.close_within(LINGER);
        }
    }

    fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }
}

/// Held by the ends alone: when the last of them goes, so does the link.
struct Ends(Arc<Shared>);

impl Drop for Ends {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// Sends messages. Clones share one queue.
pub struct LinkSender<M> {
    /// Boxed, because a channel holds room for dozens of items even while it is empty, a message is
    /// some kilobytes long, and a master has thousands of links.
    queue: mpsc::Sender<Box<M>>,
    ends: Arc<Ends>,
}

impl<M> Clone for LinkSender<M> {
    fn clone(&self) -> Self {
        Self { queue: self.queue.clone(), ends: Arc::clone(&self.ends) }
    }
}

impl<M> std::fmt::Debug for LinkSender<M> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("LinkSender")
    }
}

impl<M: LinkMessage> LinkSender<M> {
    /// Queues a message; never waits. Its protocol version is filled in.
    ///
    /// # Errors
    /// [`SendError::Full`] when the peer does not read, [`SendError::Closed`] when the link is
    /// over.
    pub fn try_send(&self, mut message: M) -> Result<(), SendError> {
        if self.ends.0.is_closed() {
            reachable!("something is sent on a link that is closed");
            return Err(SendError::Closed);
        }
        *message.version() = PROTOCOL_VERSION;
        if let Some(content) = message.content() {
            wire_log::sent_debug(&self.ends.0.agent, content);
        }
        self.queue.try_send(Box::new(message)).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => {
                reachable!("a link is full because its peer does not read");
                SendError::Full
            }
            mpsc::error::TrySendError::Closed(_) => SendError::Closed,
        })
    }

    /// Ends the link. What is queued still goes out, for at most [`crate::LINGER`]; nothing more is
    /// received.
    pub fn close(&self) {
        self.ends.0.close();
    }
}

/// Receives messages.
pub struct LinkReceiver<M: LinkMessage> {
    /// `None` once the link has ended.
    stream: Option<Streaming<M>>,
    /// Who takes the stream when our own side ends the link; see [`drain`].
    rest: Option<oneshot::Sender<Streaming<M>>>,
    ends: Arc<Ends>,
}

impl<M: LinkMessage> std::fmt::Debug for LinkReceiver<M> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("LinkReceiver")
    }
}

impl<M: LinkMessage> LinkReceiver<M> {
    /// The next message; `None` when the link has ended, for whatever reason. Safe to cancel.
    pub async fn receive(&mut self) -> Option<M> {
        let message = poll_fn(|context| self.poll_receive(context)).await;
        if message.is_none() {
            self.end();
            self.ends.0.close();
        }
        message
    }

    fn end(&mut self) {
        if let (Some(stream), Some(rest)) = (self.stream.take(), self.rest.take()) {
            // Nobody takes it when the runtime is stopping.
            let _ = rest.send(stream);
        }
    }

    fn poll_receive(&mut self, context: &mut Context<'_>) -> Poll<Option<M>> {
        self.ends.0.incoming.register(context.waker());
        let Some(stream) = self.stream.as_mut().filter(|_| !self.ends.0.is_closed()) else {
            return Poll::Ready(None);
        };
        match ready!(Pin::new(stream).poll_next(context)) {
            Some(Ok(mut message)) => {
                let version = *message.version();
                if (1..=PROTOCOL_VERSION).contains(&version) {
                    if let Some(content) = message.content() {
                        wire_log::received_debug(&self.ends.0.agent, content);
                    }
                    return Poll::Ready(Some(message));
                }
                reachable!("a message on a link is of an unknown version of the protocol");
                tracing::error!(
                    from = M::FROM,
                    version,
                    expected = PROTOCOL_VERSION,
                    "message of an unknown protocol version; closing the link"
                );
                Poll::Ready(None)
            }
            Some(Err(status)) => {
                reachable!("a link breaks");
                tracing::info!(from = M::FROM, reason = status.message(), "link broke");
                Poll::Ready(None)
            }
            None => {
                reachable!("a link is closed by its peer");
                Poll::Ready(None)
            }
        }
    }
}

impl<M: LinkMessage> Drop for LinkReceiver<M> {
    fn drop(&mut self) {
        self.end();
    }
}

/// The stream that carries the queue to the peer.
pub(crate) struct Outgoing<M> {
    queue: mpsc::Receiver<Box<M>>,
    shared: Arc<Shared>,
}

impl<M: LinkMessage> Stream for Outgoing<M> {
    type Item = M;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<M>> {
        self.shared.outgoing.register(context.waker());
        if self.shared.is_closed() {
            sometimes!(!self.queue.is_empty(), "a link is closed before all was sent");
            // What was queued before still comes out, then the end.
            self.queue.close();
        }
        let Some(message) = ready!(self.queue.poll_recv(context)) else {
            return Poll::Ready(None);
        };
        let length = message.encoded_len();
        if length > MESSAGE_MAX {
            reachable!("a message is too large for a link");
            tracing::error!(
                from = M::FROM,
                length,
                limit = MESSAGE_MAX,
                "message too large to send; closing the link"
            );
            self.queue.close();
            self.shared.close();
            return Poll::Ready(None);
        }
        Poll::Ready(Some(*message))
    }
}

/// Reads a link to its end after our own side has ended it. A client that drops its receiving
/// stream resets the call and with it what still waits to go out, so the stream is kept until the
/// master has ended its direction too or the closer has cut the connection.
pub(crate) async fn drain<M>(ended: oneshot::Receiver<Streaming<M>>) {
    if let Ok(mut stream) = ended.await {
        while let Ok(Some(_)) = stream.message().await {}
    }
}

/// The sender's half of a new link, complete once [`HalfLink::join`] has the receiving stream.
pub(crate) struct HalfLink<M> {
    queue: mpsc::Sender<Box<M>>,
    ends: Ends,
}

/// A new queue and the stream that empties it; `closer` ends the connection below, whose end at the
/// agent is `agent`.
pub(crate) fn half_link<M: LinkMessage>(
    closer: Closer,
    agent: SocketAddr,
) -> (HalfLink<M>, Outgoing<M>) {
    let (sender, receiver) = mpsc::channel(QUEUE_MAX);
    let shared = Arc::new(Shared {
        closed: AtomicBool::new(false),
        outgoing: AtomicWaker::new(),
        incoming: AtomicWaker::new(),
        closer,
        agent,
    });
    let outgoing = Outgoing { queue: receiver, shared: Arc::clone(&shared) };
    (HalfLink { queue: sender, ends: Ends(shared) }, outgoing)
}

impl<M: LinkMessage> HalfLink<M> {
    /// Both ends of the link. `rest` takes the stream when our own side ends the link.
    pub(crate) fn join<R: LinkMessage>(
        self,
        stream: Streaming<R>,
        rest: Option<oneshot::Sender<Streaming<R>>>,
    ) -> (LinkSender<M>, LinkReceiver<R>) {
        let ends = Arc::new(self.ends);
        let receiver = LinkReceiver { stream: Some(stream), rest, ends: Arc::clone(&ends) };
        (LinkSender { queue: self.queue, ends }, receiver)
    }
}
