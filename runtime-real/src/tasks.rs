//! Concurrent tasks on tokio.
//!
//! Tokio's threads take tasks in the order in which these became ready. When thousands of
//! connections have something to say at once, whatever becomes ready then waits until all of them
//! had their turn. What must be prompt therefore has a thread of its own.

use std::cell::Cell;
use std::sync::{Arc, OnceLock};

use orrery_runtime::{BoxFuture, TaskHandle, Tasks};
use tokio::runtime::{Builder, Handle, Runtime};
use tracing::Instrument;

use crate::priority::go_first;

/// Threads for files that prompt tasks write. Each costs memory only while it is busy.
const BLOCKING_THREADS: usize = 4;

thread_local! {
    static IS_PROMPT: Cell<bool> = const { Cell::new(false) };
}

/// Whether this thread is one for prompt tasks.
pub(crate) fn on_prompt_thread() -> bool {
    IS_PROMPT.get()
}

/// Spawns on the tokio runtime that it was made in.
#[derive(Debug)]
pub(crate) struct TokioTasks {
    handle: Handle,
    /// Started by whoever first has something prompt to do.
    prompt: OnceLock<Option<PromptThread>>,
}

impl TokioTasks {
    pub(crate) fn new() -> Self {
        Self { handle: Handle::current(), prompt: OnceLock::new() }
    }
}

impl Tasks for TokioTasks {
    fn spawn(&self, name: &'static str, future: BoxFuture<'static, ()>) -> TaskHandle {
        spawn_on(&self.handle, name, future)
    }

    fn prompt(&self) -> Option<Arc<dyn Tasks>> {
        let thread = self.prompt.get_or_init(PromptThread::start).as_ref()?;
        Some(Arc::new(PromptTasks(thread.handle.clone())))
    }
}

/// Spawns on the thread for prompt tasks.
#[derive(Debug)]
struct PromptTasks(Handle);

impl Tasks for PromptTasks {
    fn spawn(&self, name: &'static str, future: BoxFuture<'static, ()>) -> TaskHandle {
        spawn_on(&self.0, name, future)
    }

    fn prompt(&self) -> Option<Arc<dyn Tasks>> {
        Some(Arc::new(Self(self.0.clone())))
    }
}

fn spawn_on(handle: &Handle, name: &'static str, future: BoxFuture<'static, ()>) -> TaskHandle {
    let span = tracing::info_span!("task", name);
    let task = handle.spawn(future.instrument(span));
    TaskHandle::new(move || task.abort())
}

/// A tokio runtime of one thread. Its tasks are dropped with it.
#[derive(Debug)]
struct PromptThread {
    handle: Handle,
    /// Only taken when this is dropped.
    runtime: Option<Runtime>,
}

impl PromptThread {
    fn start() -> Option<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .max_blocking_threads(BLOCKING_THREADS)
            .thread_name("prompt")
            .on_thread_start(begin)
            .enable_all()
            .build();
        match runtime {
            Ok(runtime) => Some(Self { handle: runtime.handle().clone(), runtime: Some(runtime) }),
            Err(error) => {
                tracing::warn!(%error, "no thread for prompt tasks; they share the others'");
                None
            }
        }
    }
}

/// What a thread for prompt tasks does first.
fn begin() {
    IS_PROMPT.set(true);
    go_first();
}

impl Drop for PromptThread {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Its last user may be dropped where nobody can wait for its tasks.
            runtime.shutdown_background();
        }
    }
}
