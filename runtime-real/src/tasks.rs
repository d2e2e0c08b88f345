//! Concurrent tasks on tokio.

use orrery_runtime::{BoxFuture, TaskHandle, Tasks};
use tracing::Instrument;

/// Spawns on the tokio runtime that the caller is in.
#[derive(Debug)]
pub(crate) struct TokioTasks;

impl Tasks for TokioTasks {
    fn spawn(&self, name: &'static str, future: BoxFuture<'static, ()>) -> TaskHandle {
        let span = tracing::info_span!("task", name);
        let task = tokio::spawn(future.instrument(span));
        TaskHandle::new(move || task.abort())
    }
}
