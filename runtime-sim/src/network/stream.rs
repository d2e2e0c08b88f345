//! A process's end of a stream.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::Side;
use crate::arena::Key;
use crate::world::Inner;

/// One end of a connection, in a process's hands. Dropping it closes it.
pub(crate) struct Stream {
    world: Arc<Inner>,
    connection: Key,
    side: Side,
}

impl Stream {
    pub(crate) fn new(world: Arc<Inner>, connection: Key, side: Side) -> Self {
        Self { world, connection, side }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let end = (self.connection, self.side);
        self.world.network.lock().poll_read(&self.world, end, buffer, context)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        let end = (self.connection, self.side);
        self.world.network.lock().poll_write(&self.world, end, data, context)
    }

    /// Written bytes are already the kernel's.
    fn poll_flush(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.world.network.lock().shutdown(&self.world, self.connection, self.side);
        Poll::Ready(Ok(()))
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.world.network.lock().close(&self.world, self.connection, self.side);
    }
}
