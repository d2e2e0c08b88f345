//! One HTTP/1.1 connection as both hyper and the responses on it see it.
//!
//! Hyper alone cannot do two things that a cluster manager needs, so they are done here:
//! - **Headers have a time limit, silence has none.** The clock runs from a request's first byte to
//!   its last header; a connection that waits between two requests may wait for ever.
//! - **A peer may stop sending and still get its answer, but a stream without a reader ends.**
//!   When the peer closes its direction, an ordinary response is still delivered. While a stream is
//!   being sent, the same sign means that the peer is gone: nobody who listens to events hangs up
//!   half.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use hyper::rt::{ReadBufCursor, Write};
use orrery_coverage::reachable;
use orrery_runtime::{BoxFuture, Clock, Instant};

use crate::adapter::Io;
use crate::body::{Body, BodyError};
use crate::limits;

/// Bytes of further requests that are kept while a stream is being sent. A peer that sends more is
/// no longer watched for its end; the next write finds out.
const AHEAD_MAX: usize = 4 << 10;

/// A handle to the connection, shared by hyper and the responses. All of them live in one task.
#[derive(Clone)]
pub(crate) struct Exchange(Arc<Mutex<State>>);

struct State {
    io: Io,
    clock: Arc<dyn Clock>,
    /// Requests whose service or response body still lives.
    in_flight: usize,
    /// When the headers that have begun to arrive must be whole.
    deadline: Option<Instant>,
    alarm: Option<BoxFuture<'static, ()>>,
    /// Set while the connection is being closed: how long what still comes is read.
    linger: Option<BoxFuture<'static, ()>>,
}

impl Exchange {
    /// Takes over a stream of which the first bytes may have been read ahead.
    pub(crate) fn new(io: Io, clock: Arc<dyn Clock>) -> Self {
        let deadline = (!io.ahead().is_empty()).then(|| clock.now() + limits::HEADERS_TIME);
        Self(Arc::new(Mutex::new(State {
            io,
            clock,
            in_flight: 0,
            deadline,
            alarm: None,
            linger: None,
        })))
    }

    /// Notes that a request's headers are whole; it is in flight until the guard is dropped.
    pub(crate) fn begin(&self) -> InFlight {
        let mut state = self.lock();
        state.in_flight += 1;
        state.deadline = None;
        state.alarm = None;
        InFlight(self.clone())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        cursor: &mut ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        match self.io.poll_fill(context, cursor) {
            Poll::Ready(Ok(length)) => {
                if length > 0 && self.in_flight == 0 && self.deadline.is_none() {
                    self.deadline = Some(self.clock.now() + limits::HEADERS_TIME);
                }
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => self.poll_deadline(context),
        }
    }

    /// Fails once the headers are overdue.
    fn poll_deadline(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(deadline) = self.deadline else {
            return Poll::Pending;
        };
        let alarm = self.alarm.get_or_insert_with(|| self.clock.sleep_until(deadline));
        std::task::ready!(alarm.as_mut().poll(context));
        reachable!("a request's headers take too long");
        let message = "the request's headers took too long";
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, message)))
    }

    /// Closes our direction, then reads on for a while. To close a socket on which something
    /// unread has arrived resets the connection, and the peer may lose the answer that says why,
    /// such as a 413 to a body that it is still sending.
    fn poll_close(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.linger.is_none() {
            std::task::ready!(Pin::new(&mut self.io).poll_shutdown(context))?;
        }
        let end = self.clock.now() + limits::LINGER;
        let linger = self.linger.get_or_insert_with(|| self.clock.sleep_until(end));
        if linger.as_mut().poll(context).is_ready() {
            reachable!("a closed connection is read until the time for that is over");
            return Poll::Ready(Ok(()));
        }
        loop {
            self.io.forget_ahead();
            match std::task::ready!(self.io.poll_read_ahead(context, usize::MAX)) {
                Ok(0) | Err(_) => return Poll::Ready(Ok(())),
                Ok(_) => {}
            }
        }
    }

    /// Completes when the peer has closed its direction or the connection has failed. What it sends
    /// meanwhile is kept for later.
    fn poll_gone(&mut self, context: &mut Context<'_>) -> Poll<()> {
        loop {
            let room = AHEAD_MAX.saturating_sub(self.io.ahead().len());
            if room == 0 {
                return Poll::Pending;
            }
            match std::task::ready!(self.io.poll_read_ahead(context, room)) {
                Ok(0) | Err(_) => return Poll::Ready(()),
                Ok(_) => {}
            }
        }
    }
}

impl hyper::rt::Read for Exchange {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        mut cursor: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        self.lock().poll_read(context, &mut cursor)
    }
}

impl Write for Exchange {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.lock().io).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.lock().io).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.lock().poll_close(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.lock().io.is_write_vectored()
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.lock().io).poll_write_vectored(context, buffers)
    }
}

/// A request in flight; dropping it tells the connection that the request is over.
pub(crate) struct InFlight(Exchange);

impl InFlight {
    /// The response's body, with which the request will be over.
    pub(crate) fn attach(self, body: Body) -> AttachedBody {
        AttachedBody { body, in_flight: self }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.in_flight = state.in_flight.saturating_sub(1);
    }
}

/// A response's body on its connection.
pub(crate) struct AttachedBody {
    body: Body,
    in_flight: InFlight,
}

impl http_body::Body for AttachedBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let frame = Pin::new(&mut self.body).poll_frame(context);
        if frame.is_pending()
            && self.body.is_stream()
            && self.in_flight.0.lock().poll_gone(context).is_ready()
        {
            reachable!("the reader of a stream hangs up");
            let error = io::Error::new(io::ErrorKind::ConnectionAborted, "the peer hung up");
            return Poll::Ready(Some(Err(BodyError::broken(error))));
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
