//! What hyper needs from a runtime, made from the ports: tasks, timers and byte streams.

use std::future::Future;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use hyper::rt::ReadBufCursor;
use orrery_runtime::{BoxFuture, ByteStream, Clock, Instant, Runtime};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Most bytes that one read from a stream takes.
const READ_SIZE: usize = 16 << 10;

/// Spawns hyper's inner tasks on the port.
#[derive(Clone, Debug)]
pub struct Executor(Runtime);

impl Executor {
    /// An executor on `runtime`.
    pub fn new(runtime: Runtime) -> Self {
        Self(runtime)
    }
}

impl<F> hyper::rt::Executor<F> for Executor
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, future: F) {
        self.0.spawn("http2", future);
    }
}

/// Gives hyper the port's clock. Hyper counts in the standard library's instants: they are mapped
/// onto the port's by their distance from one common reading, so time passes as the port says.
#[derive(Clone)]
pub struct Timer {
    clock: Arc<dyn Clock>,
    standard_zero: std::time::Instant,
    port_zero: Instant,
}

impl Timer {
    /// A timer on `clock`.
    #[allow(
        clippy::disallowed_methods,
        reason = "hyper's interface needs one standard instant to count from; its value is not used"
    )]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let port_zero = clock.now();
        Self { clock, standard_zero: std::time::Instant::now(), port_zero }
    }

    fn sleep_until_port(&self, deadline: Instant) -> Pin<Box<dyn hyper::rt::Sleep>> {
        Box::pin(Sleep(Mutex::new(self.clock.sleep_until(deadline))))
    }
}

impl hyper::rt::Timer for Timer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn hyper::rt::Sleep>> {
        self.sleep_until_port(self.clock.now() + duration)
    }

    fn sleep_until(&self, deadline: std::time::Instant) -> Pin<Box<dyn hyper::rt::Sleep>> {
        let offset = deadline.saturating_duration_since(self.standard_zero);
        self.sleep_until_port(self.port_zero + offset)
    }

    fn now(&self) -> std::time::Instant {
        self.standard_zero + self.clock.now().since(self.port_zero)
    }
}

/// Hyper wants timers that may be shared between threads, the port's futures may only be moved: the
/// mutex bridges that and is never locked, since polling has the only reference.
struct Sleep(Mutex<BoxFuture<'static, ()>>);

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let future = self.0.get_mut().unwrap_or_else(PoisonError::into_inner);
        future.as_mut().poll(context)
    }
}

impl hyper::rt::Sleep for Sleep {}

/// A byte stream as hyper takes it. Bytes that were read ahead, to look at them, come first.
pub struct Io {
    stream: Box<dyn ByteStream>,
    ahead: BytesMut,
    end: End,
}

/// When a stream is cut off from our side.
enum End {
    Never,
    After(BoxFuture<'static, ()>),
    Reached,
}

impl Io {
    /// Wraps a stream.
    pub fn new(stream: Box<dyn ByteStream>) -> Self {
        Self { stream, ahead: BytesMut::new(), end: End::Never }
    }

    /// Wraps a stream that fails once `end` completes. This is how to end an HTTP/2 connection of
    /// hyper's client, which lives in tasks that nobody else holds.
    pub fn until(
        stream: Box<dyn ByteStream>,
        end: impl Future<Output = ()> + Send + 'static,
    ) -> Self {
        Self { stream, ahead: BytesMut::new(), end: End::After(Box::pin(end)) }
    }

    /// Fails once the stream is cut off.
    fn check_end(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        if let End::After(end) = &mut self.end
            && end.as_mut().poll(context).is_ready()
        {
            self.end = End::Reached;
        }
        match self.end {
            End::Reached => Err(io::ErrorKind::ConnectionAborted.into()),
            End::Never | End::After(_) => Ok(()),
        }
    }

    /// The bytes that were read ahead and not yet taken.
    pub(crate) fn ahead(&self) -> &[u8] {
        &self.ahead
    }

    /// Throws away what was read ahead.
    pub(crate) fn forget_ahead(&mut self) {
        self.ahead.clear();
    }

    /// Reads once from the stream and keeps what came. 0 means that the peer sends no more.
    pub(crate) fn poll_read_ahead(
        &mut self,
        context: &mut Context<'_>,
        most: usize,
    ) -> Poll<io::Result<usize>> {
        let mut space = [MaybeUninit::uninit(); READ_SIZE];
        let length = most.min(READ_SIZE);
        let mut buffer = ReadBuf::uninit(&mut space[..length]);
        ready!(Pin::new(&mut self.stream).poll_read(context, &mut buffer))?;
        self.ahead.extend_from_slice(buffer.filled());
        Poll::Ready(Ok(buffer.filled().len()))
    }

    /// Reads into hyper's buffer; the number of bytes, 0 at the end.
    pub(crate) fn poll_fill(
        &mut self,
        context: &mut Context<'_>,
        cursor: &mut ReadBufCursor<'_>,
    ) -> Poll<io::Result<usize>> {
        self.check_end(context)?;
        if !self.ahead.is_empty() {
            let length = self.ahead.len().min(cursor.remaining());
            cursor.put_slice(&self.ahead[..length]);
            self.ahead.advance(length);
            if self.ahead.is_empty() {
                // Gives the memory back: most connections live long and never read ahead again.
                self.ahead = BytesMut::new();
            }
            return Poll::Ready(Ok(length));
        }
        let mut space = [MaybeUninit::uninit(); READ_SIZE];
        let length = cursor.remaining().min(READ_SIZE);
        let mut buffer = ReadBuf::uninit(&mut space[..length]);
        ready!(Pin::new(&mut self.stream).poll_read(context, &mut buffer))?;
        cursor.put_slice(buffer.filled());
        Poll::Ready(Ok(buffer.filled().len()))
    }
}

impl std::fmt::Debug for Io {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Io")
    }
}

impl hyper::rt::Read for Io {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        mut cursor: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        self.poll_fill(context, &mut cursor).map_ok(|_| ())
    }
}

impl hyper::rt::Write for Io {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check_end(context)?;
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check_end(context)?;
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check_end(context)?;
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check_end(context)?;
        Pin::new(&mut self.stream).poll_write_vectored(context, buffers)
    }
}
