//! Concurrent tasks.

use std::sync::Arc;

use crate::BoxFuture;

/// The port to concurrency.
pub trait Tasks: Send + Sync {
    /// Starts `future`. It runs until it ends, until the handle aborts it or until the process
    /// ends; dropping the handle does not stop it. `name` says what it does, for logs and traces.
    fn spawn(&self, name: &'static str, future: BoxFuture<'static, ()>) -> TaskHandle;

    /// Where tasks run that do not wait behind those which [`Tasks::spawn`] starts, however many
    /// these are. It is meant for short work that somebody outside waits for with a time limit.
    /// `None` when there is no such place.
    fn prompt(&self) -> Option<Arc<dyn Tasks>> {
        None
    }
}

/// A running task.
pub struct TaskHandle {
    abort: Box<dyn Fn() + Send + Sync>,
}

impl TaskHandle {
    /// Wraps what a runtime does to stop the task.
    pub fn new(abort: impl Fn() + Send + Sync + 'static) -> Self {
        Self { abort: Box::new(abort) }
    }

    /// Stops the task at its next suspension point. Without effect once it has ended.
    pub fn abort(&self) {
        (self.abort)();
    }

    /// Stops the task when the returned guard is dropped.
    pub fn abort_on_drop(self) -> AbortOnDrop {
        AbortOnDrop(self)
    }
}

impl std::fmt::Debug for TaskHandle {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("TaskHandle")
    }
}

/// Ties a task's life to a scope.
#[derive(Debug)]
pub struct AbortOnDrop(TaskHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}
