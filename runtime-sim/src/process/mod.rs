//! Simulated processes: a table per host, the port that launches and signals, a scripted shell.

mod behaviour;
mod lifecycle;
mod output;
mod port;
mod script;
mod shell;
mod table;

use std::future::Future;
use std::sync::Arc;

use orrery_runtime::{BoxFuture, Command, ProcessId, Runtime};

pub use behaviour::Behaviour;
pub(crate) use table::{ProcessTable, Start};

/// A registered program: what runs when a command names it.
pub(crate) type Program = Arc<dyn Fn(Runtime, Command) -> BoxFuture<'static, i32> + Send + Sync>;

/// Boxes a program's main function.
pub(crate) fn program<F, Fut>(main: F) -> Program
where
    F: Fn(Runtime, Command) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = i32> + Send + 'static,
{
    Arc::new(move |runtime, command| Box::pin(main(runtime, command)))
}

/// A living process, as `ps` would show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessInfo {
    /// Its number.
    pub id: ProcessId,
    /// Its parent, while that lives.
    pub parent: Option<ProcessId>,
    /// The process that leads, or led, its group.
    pub group: ProcessId,
    /// The process that leads, or led, its session.
    pub session: ProcessId,
    /// Its command line.
    pub command: Vec<String>,
    /// Whether it is stopped.
    pub stopped: bool,
}
