//! A TCP stream that may be taken from the thread for prompt tasks to the others, and back.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::tasks::on_prompt_thread;

/// A stream that is registered with the reactor of the threads that use it: when a task on others
/// takes it over, the first use there moves the registration. Who would leave it where it was
/// would have one thread wake the tasks of all connections that it ever accepted.
#[derive(Debug)]
pub(crate) struct Stream {
    /// `None` only when it could not be taken to another thread's reactor.
    stream: Option<TcpStream>,
    /// Whose reactor it is registered with.
    on_prompt: bool,
}

impl Stream {
    /// Wraps a stream that was made on this thread.
    pub(crate) fn new(stream: TcpStream) -> Self {
        Self { stream: Some(stream), on_prompt: on_prompt_thread() }
    }

    /// The stream, registered with the reactor of this thread.
    fn here(&mut self) -> io::Result<Pin<&mut TcpStream>> {
        if self.on_prompt != on_prompt_thread() {
            self.on_prompt = on_prompt_thread();
            let stream = self.stream.take().map(TcpStream::into_std).transpose()?;
            self.stream = stream.map(TcpStream::from_std).transpose()?;
        }
        let stream = self.stream.as_mut().map(Pin::new);
        stream.ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.here()?.poll_read(context, buffer)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.here()?.poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.here()?.poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.here()?.poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.here()?.poll_write_vectored(context, buffers)
    }
}
