//! Bodies: of responses ([`Body`]), of requests ([`RequestBody`]), and streams that are written
//! bit by bit while the peer reads ([`channel`]).

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http::StatusCode;
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use orrery_coverage::reachable;
use tokio::sync::mpsc;

use crate::Response;

/// An error of somebody else's.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Why a body could not be read or written to its end.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// It is longer than the reader allows.
    #[error("the body is larger than {limit} bytes")]
    TooLarge {
        /// What was allowed, in bytes.
        limit: usize,
    },
    /// It stopped in the middle, or its framing is wrong.
    #[error("the body is broken: {0}")]
    Broken(#[source] BoxError),
}

impl BodyError {
    pub(crate) fn broken(error: impl Into<BoxError>) -> Self {
        Self::Broken(error.into())
    }

    /// What a peer is told whose request body this was: 413 or 400.
    pub fn response(&self) -> Response {
        let status = match self {
            Self::TooLarge { .. } => {
                reachable!("a request's body is too large");
                StatusCode::PAYLOAD_TOO_LARGE
            }
            Self::Broken(_) => {
                reachable!("a request's body breaks off");
                StatusCode::BAD_REQUEST
            }
        };
        crate::respond::text(status, self.to_string())
    }
}

/// The body of a response.
#[derive(Debug, Default)]
pub struct Body(Kind);

#[derive(Debug, Default)]
enum Kind {
    #[default]
    Empty,
    Full(Bytes),
    Stream(Stream),
    Other(UnsyncBoxBody<Bytes, BodyError>),
}

/// A body without content.
pub fn empty() -> Body {
    Body(Kind::Empty)
}

/// A body that is known as a whole.
pub fn full(content: impl Into<Bytes>) -> Body {
    let content = content.into();
    if content.is_empty() { empty() } else { Body(Kind::Full(content)) }
}

impl Body {
    /// Any other body, boxed.
    pub fn new<B>(body: B) -> Self
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        Self(Kind::Other(UnsyncBoxBody::new(body.map_err(BodyError::broken))))
    }

    /// True for the receiving half of [`channel`].
    pub fn is_stream(&self) -> bool {
        matches!(self.0, Kind::Stream(_))
    }

    /// The next piece; `None` at the end.
    pub async fn next(&mut self) -> Option<Result<Bytes, BodyError>> {
        next_data(self).await
    }

    /// All of it, but at most `limit` bytes.
    ///
    /// # Errors
    /// [`BodyError::TooLarge`], or what the body itself fails with.
    pub async fn collect(self, limit: usize) -> Result<Bytes, BodyError> {
        collect_data(self, limit).await
    }
}

impl From<Bytes> for Body {
    fn from(content: Bytes) -> Self {
        full(content)
    }
}

impl From<Vec<u8>> for Body {
    fn from(content: Vec<u8>) -> Self {
        full(content)
    }
}

impl From<String> for Body {
    fn from(content: String) -> Self {
        full(content)
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match &mut self.0 {
            Kind::Empty => Poll::Ready(None),
            Kind::Full(content) => {
                let content = std::mem::take(content);
                self.0 = Kind::Empty;
                Poll::Ready(Some(Ok(Frame::data(content))))
            }
            Kind::Stream(stream) => {
                stream.poll_next(context).map(|piece| piece.map(|piece| Ok(Frame::data(piece))))
            }
            Kind::Other(body) => Pin::new(body).poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Empty => true,
            Kind::Full(_) | Kind::Stream(_) => false,
            Kind::Other(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Empty => SizeHint::with_exact(0),
            Kind::Full(content) => SizeHint::with_exact(content.len() as u64),
            Kind::Stream(_) => SizeHint::default(),
            Kind::Other(body) => body.size_hint(),
        }
    }
}

// === streams ===

/// Why a piece was not taken into a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// The peer does not read fast enough: as many bytes as the stream may hold are waiting.
    #[error("the stream is full: its peer reads too slowly")]
    Full,
    /// The peer is gone.
    #[error("the stream is closed: its peer is gone")]
    Closed,
}

/// Writes a stream. The stream ends properly once the last clone is dropped.
#[derive(Clone, Debug)]
pub struct StreamSender {
    pieces: mpsc::UnboundedSender<Bytes>,
    waiting: Arc<AtomicUsize>,
    capacity: usize,
}

/// The reading half of a stream, inside a [`Body`].
#[derive(Debug)]
struct Stream {
    pieces: mpsc::UnboundedReceiver<Bytes>,
    waiting: Arc<AtomicUsize>,
}

/// A body that is written while it is sent. Each piece becomes one chunk on the wire. At most
/// `capacity_bytes` wait in it; a single larger piece is taken when nothing else waits, for it
/// could never be sent otherwise.
pub fn channel(capacity_bytes: usize) -> (StreamSender, Body) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let waiting = Arc::new(AtomicUsize::new(0));
    let stream = Stream { pieces: receiver, waiting: Arc::clone(&waiting) };
    let sender = StreamSender { pieces: sender, waiting, capacity: capacity_bytes };
    (sender, Body(Kind::Stream(stream)))
}

impl StreamSender {
    /// Queues a piece; never waits. An empty piece is nothing and is dropped.
    ///
    /// # Errors
    /// [`SendError::Full`] when the piece does not fit, [`SendError::Closed`] when the peer is
    /// gone.
    pub fn try_send(&self, piece: Bytes) -> Result<(), SendError> {
        if self.pieces.is_closed() {
            reachable!("something is sent on a stream whose reader is gone");
            return Err(SendError::Closed);
        }
        if piece.is_empty() {
            return Ok(());
        }
        let length = piece.len();
        self.reserve(length)?;
        self.pieces.send(piece).map_err(|_| {
            self.waiting.fetch_sub(length, Ordering::AcqRel);
            SendError::Closed
        })
    }

    /// Completes when the peer is gone or the body was dropped for another reason.
    pub async fn closed(&self) {
        self.pieces.closed().await;
    }

    /// True once the peer is gone.
    pub fn is_closed(&self) -> bool {
        self.pieces.is_closed()
    }

    /// Bytes that were queued and not yet handed to the connection.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Acquire)
    }

    fn reserve(&self, length: usize) -> Result<(), SendError> {
        let grown = |waiting: usize| {
            let total = waiting.checked_add(length)?;
            (waiting == 0 || total <= self.capacity).then_some(total)
        };
        self.waiting.fetch_update(Ordering::AcqRel, Ordering::Acquire, grown).map(|_| ()).map_err(
            |_| {
                reachable!("a stream is full because its peer reads too slowly");
                SendError::Full
            },
        )
    }
}

impl Stream {
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let piece = std::task::ready!(self.pieces.poll_recv(context));
        if let Some(piece) = &piece {
            self.waiting.fetch_sub(piece.len(), Ordering::AcqRel);
        }
        Poll::Ready(piece)
    }
}

// === request bodies ===

/// The body of a request, as it arrives.
#[derive(Debug)]
pub struct RequestBody(Source);

#[derive(Debug)]
enum Source {
    Incoming(hyper::body::Incoming),
    Made(Body),
}

impl RequestBody {
    /// All of it, but at most `limit` bytes. A declared length above the limit fails at once.
    ///
    /// # Errors
    /// [`BodyError::TooLarge`], or [`BodyError::Broken`] when the peer stops in the middle.
    pub async fn collect(self, limit: usize) -> Result<Bytes, BodyError> {
        collect_data(self, limit).await
    }

    /// The next piece; `None` at the end.
    pub async fn next(&mut self) -> Option<Result<Bytes, BodyError>> {
        next_data(self).await
    }
}

impl From<hyper::body::Incoming> for RequestBody {
    fn from(incoming: hyper::body::Incoming) -> Self {
        Self(Source::Incoming(incoming))
    }
}

impl From<Body> for RequestBody {
    fn from(body: Body) -> Self {
        Self(Source::Made(body))
    }
}

impl http_body::Body for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match &mut self.0 {
            Source::Incoming(body) => Pin::new(body)
                .poll_frame(context)
                .map(|frame| frame.map(|frame| frame.map_err(BodyError::broken))),
            Source::Made(body) => Pin::new(body).poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Source::Incoming(body) => body.is_end_stream(),
            Source::Made(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Source::Incoming(body) => body.size_hint(),
            Source::Made(body) => body.size_hint(),
        }
    }
}

// === reading ===

/// The next piece of data of any body; trailers are skipped.
pub(crate) async fn next_data<B>(body: &mut B) -> Option<Result<Bytes, BodyError>>
where
    B: http_body::Body<Data = Bytes, Error = BodyError> + Unpin,
{
    loop {
        match body.frame().await? {
            Ok(frame) => {
                if let Ok(data) = frame.into_data() {
                    return Some(Ok(data));
                }
            }
            Err(error) => return Some(Err(error)),
        }
    }
}

/// All data of any body, copied at most once.
pub(crate) async fn collect_data<B>(mut body: B, limit: usize) -> Result<Bytes, BodyError>
where
    B: http_body::Body<Data = Bytes, Error = BodyError> + Unpin,
{
    let declared = body.size_hint().lower();
    if declared > limit as u64 {
        return Err(BodyError::TooLarge { limit });
    }
    let Some(first) = next_data(&mut body).await.transpose()? else {
        return Ok(Bytes::new());
    };
    if first.len() > limit {
        return Err(BodyError::TooLarge { limit });
    }
    let Some(second) = next_data(&mut body).await.transpose()? else {
        return Ok(first);
    };
    let mut whole = BytesMut::from(first);
    let mut piece = second;
    loop {
        if piece.len() > limit - whole.len() {
            return Err(BodyError::TooLarge { limit });
        }
        whole.extend_from_slice(&piece);
        match next_data(&mut body).await.transpose()? {
            Some(next) => piece = next,
            None => return Ok(whole.freeze()),
        }
    }
}

#[cfg(test)]
mod tests;
