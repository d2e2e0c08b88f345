//! A process's end of a stream.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::Side;
use crate::arena::Key;
use crate::host::Host;

/// One end of a connection, in a process's hands. Dropping it closes it.
pub(crate) struct Stream {
    host: Host,
    process: u32,
    connection: Key,
    side: Side,
}

impl Stream {
    pub(crate) fn new(host: Host, process: u32, connection: Key, side: Side) -> Self {
        Self { host, process, connection, side }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let end = (self.connection, self.side);
        let world = self.host.world();
        world.network.lock().poll_read(world, end, buffer, context)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        let end = (self.connection, self.side);
        let world = self.host.world();
        let Some(most) = self.host.may_send(self.process, data.len()) else {
            return world.network.lock().poll_write(world, end, data, context);
        };
        let written = world.network.lock().poll_write(world, end, &data[..most], context);
        if let Poll::Ready(Ok(length)) = written
            && self.host.has_sent(self.process, length)
        {
            return Poll::Pending;
        }
        written
    }

    /// Written bytes are already the kernel's.
    fn poll_flush(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let world = self.host.world();
        world.network.lock().shutdown(world, self.connection, self.side);
        Poll::Ready(Ok(()))
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let world = self.host.world();
        world.network.lock().close(world, self.connection, self.side);
    }
}
