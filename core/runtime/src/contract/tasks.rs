//! Promises of [`crate::Tasks`].

use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::finish;
use crate::Runtime;

/// Checks the tasks of `runtime`.
///
/// # Panics
/// Where a promise is broken.
pub async fn check(runtime: &Runtime) {
    run_without_their_handle(runtime).await;
    run_concurrently(runtime).await;
    stop_when_aborted(runtime).await;
    stop_with_their_guard(runtime).await;
    run_promptly_and_start_others(runtime).await;
}

async fn run_without_their_handle(runtime: &Runtime) {
    let (sender, receiver) = oneshot::channel();
    let clock = runtime.clone();
    drop(runtime.spawn("answer", async move {
        clock.sleep(Duration::from_millis(1)).await;
        let _ = sender.send(7);
    }));
    assert_eq!(finish(runtime, "a task", receiver).await, Ok(7));
}

async fn run_concurrently(runtime: &Runtime) {
    let (to_echo, mut echo_input) = mpsc::channel::<u32>(1);
    let (to_us, mut answers) = mpsc::channel(1);
    let task = runtime.spawn("echo", async move {
        while let Some(value) = echo_input.recv().await {
            let _ = to_us.send(value + 1).await;
        }
    });
    for value in 0..100 {
        to_echo.send(value).await.expect("the task runs");
        assert_eq!(finish(runtime, "an echo", answers.recv()).await, Some(value + 1));
    }
    drop(to_echo);
    assert_eq!(finish(runtime, "the end of a task", answers.recv()).await, None);
    task.abort();
}

/// A task that only ends by force; the receiver errs when it has ended.
fn endless() -> (impl Future<Output = ()> + Send + 'static, oneshot::Receiver<()>) {
    let (sender, receiver) = oneshot::channel::<()>();
    let future = async move {
        std::future::pending::<()>().await;
        drop(sender);
    };
    (future, receiver)
}

async fn stop_when_aborted(runtime: &Runtime) {
    let (future, mut ended) = endless();
    let task = runtime.spawn("endless", future);
    runtime.sleep(Duration::from_millis(1)).await;
    assert_eq!(ended.try_recv(), Err(oneshot::error::TryRecvError::Empty));
    task.abort();
    assert!(finish(runtime, "an aborted task", ended).await.is_err());
    task.abort();
    let (future, ended) = endless();
    runtime.spawn("aborted before it began", future).abort();
    assert!(finish(runtime, "a task aborted at once", ended).await.is_err());
}

async fn stop_with_their_guard(runtime: &Runtime) {
    let (future, mut ended) = endless();
    let guard = runtime.spawn("guarded", future).abort_on_drop();
    runtime.sleep(Duration::from_millis(1)).await;
    assert_eq!(ended.try_recv(), Err(oneshot::error::TryRecvError::Empty));
    drop(guard);
    assert!(finish(runtime, "a task without its guard", ended).await.is_err());
}

/// A prompt task may start one that is not, and one of its own kind; both are its equals in all
/// else.
async fn run_promptly_and_start_others(runtime: &Runtime) {
    let (sender, mut receiver) = mpsc::channel(3);
    let (all, own) = (runtime.clone(), sender.clone());
    runtime.prompt().spawn("prompt", async move {
        let (again, other) = (own.clone(), own.clone());
        all.prompt().spawn("prompt too", async move {
            let _ = again.send(1).await;
        });
        all.spawn("not prompt", async move {
            let _ = other.send(2).await;
        });
        all.sleep(Duration::from_millis(1)).await;
        let _ = own.send(3).await;
    });
    drop(sender);
    let mut came = Vec::new();
    while let Some(number) = finish(runtime, "prompt tasks", receiver.recv()).await {
        came.push(number);
    }
    came.sort_unstable();
    assert_eq!(came, [1, 2, 3]);
    let (future, ended) = endless();
    runtime.prompt().spawn("endless", future).abort();
    assert!(finish(runtime, "an aborted prompt task", ended).await.is_err());
}
