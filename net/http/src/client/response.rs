//! The body of a response, as it arrives.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;

use super::body::{collect_data, next_data};
use super::{BodyError, pool::Lease};

/// The body of a response. Read to its end, its connection serves further requests; dropped before,
/// its connection is closed, which is how a subscriber leaves.
pub struct ResponseBody(Source);

enum Source {
    Incoming { body: Incoming, lease: Option<Lease> },
    Made(crate::Body),
}

impl ResponseBody {
    pub(super) fn new(body: Incoming, lease: Lease) -> Self {
        let mut made = Self(Source::Incoming { body, lease: Some(lease) });
        made.release_at_end();
        made
    }

    /// All of it, but at most `limit` bytes.
    ///
    /// # Errors
    /// [`BodyError::TooLarge`], or [`BodyError::Broken`] when the server stops in the middle.
    pub async fn collect(self, limit: usize) -> Result<Bytes, BodyError> {
        collect_data(self, limit).await
    }

    /// The next piece; `None` at the end.
    pub async fn next(&mut self) -> Option<Result<Bytes, BodyError>> {
        next_data(self).await
    }

    fn release_at_end(&mut self) {
        if let Source::Incoming { body, lease } = &mut self.0
            && body.is_end_stream()
            && let Some(lease) = lease.take()
        {
            lease.release();
        }
    }
}

/// A made-up response, for tests of code that reads them.
impl From<crate::Body> for ResponseBody {
    fn from(body: crate::Body) -> Self {
        Self(Source::Made(body))
    }
}

impl std::fmt::Debug for ResponseBody {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("ResponseBody")
    }
}

impl http_body::Body for ResponseBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match &mut self.0 {
            Source::Made(body) => Pin::new(body).poll_frame(context),
            Source::Incoming { body, lease } => {
                let frame = std::task::ready!(Pin::new(body).poll_frame(context));
                if frame.is_none()
                    && let Some(lease) = lease.take()
                {
                    lease.release();
                }
                Poll::Ready(frame.map(|frame| frame.map_err(BodyError::broken)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Source::Incoming { body, .. } => body.is_end_stream(),
            Source::Made(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Source::Incoming { body, .. } => body.size_hint(),
            Source::Made(body) => body.size_hint(),
        }
    }
}
