//! From the start of a process to its end.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::task::Poll;

use orrery_runtime::{BoxFuture, ExitStatus, ProcessId, Runtime, Signal, Target};

use super::Start;
use crate::host::Host;
use crate::network::Owner;
use crate::ports::Ports;

const SIGKILL: i32 = 9;
const SIGTERM: i32 = 15;

impl Host {
    /// Enters a process into the table and makes its runtime. Nothing runs in it yet.
    pub(crate) fn create_process(&self, start: Start) -> (ProcessId, Runtime) {
        let world = self.world();
        let id = self.table().lock().reserve();
        let name = format!("{}/{id}", self.name());
        let node = world.handle.create_node().name(name).build();
        let alive = Arc::new(AtomicBool::new(true));
        let command = start.command.join(" ");
        let parent = start.parent.unwrap_or(0);
        self.table().lock().insert(id, start, node.id(), Arc::clone(&alive));
        world.know_node(node.id(), self, id);
        let stream = self.random().lock().next_u64();
        self.record(id, "start", &[u64::from(parent), stream], || command);
        let random = world.generator("process", stream);
        (ProcessId(id), Ports::runtime(self, id, node, alive, random))
    }

    /// Runs the main function of a process; the process ends with it.
    pub(crate) fn run_main(&self, id: u32, main: BoxFuture<'static, i32>) {
        let node = self.table().lock().node(id);
        let node = node.and_then(|node| self.world().handle.get_node(node));
        let Some(node) = node else { return };
        let host = self.clone();
        let run = self.world().counted(Box::pin(async move {
            let code = main.await;
            host.end_process(id, ExitStatus::Exited(code & 0xff));
        }));
        drop(node.spawn(run));
    }

    /// Ends a living process: its streams and listeners close, its tasks are dropped, whoever waits
    /// for it is told. Its children live on.
    pub(crate) fn end_process(&self, id: u32, status: ExitStatus) {
        let node = self.table().lock().end(id, status);
        let Some(node) = node else { return };
        let code = u64::from(status.as_wait_status().unsigned_abs());
        self.record(id, "exit", &[code], || status.to_string());
        let world = self.world();
        let owner = Owner { host: self.index(), process: id };
        world.network.lock().close_process(world, owner);
        // Dropping its tasks runs their destructors, which come back to the models: so no lock may
        // be held here.
        world.handle.kill(node);
    }

    /// Carries out a signal; false when it reached nobody.
    pub(crate) fn deliver(&self, target: Target, signal: Signal) -> bool {
        let selected = self.table().lock().select(target);
        for id in &selected {
            self.record(*id, "signal", &[signal as u64], || format!("{signal:?}"));
            match signal {
                Signal::Kill => self.end_process(*id, ExitStatus::Signaled(SIGKILL)),
                Signal::Terminate => self.terminate(*id),
            }
        }
        !selected.is_empty()
    }

    fn terminate(&self, id: u32) {
        let ends = match self.table().lock().get_mut(id) {
            Some(process) if process.ignores_terminate => false,
            Some(process) => {
                process.terminate_pending = process.stopped;
                !process.stopped
            }
            None => false,
        };
        if ends {
            self.end_process(id, ExitStatus::Signaled(SIGTERM));
        }
    }

    /// Stops a process or lets it go on; false when it is not alive.
    pub(crate) fn set_stopped(&self, id: u32, stopped: bool) -> bool {
        let mut table = self.table().lock();
        let node = table.node(id);
        let (Some(process), Some(node)) = (table.get_mut(id), node) else { return false };
        process.stopped = stopped;
        let terminate = !stopped && std::mem::take(&mut process.terminate_pending);
        drop(table);
        self.record(id, if stopped { "pause" } else { "resume" }, &[], String::new);
        if stopped {
            self.world().handle.pause(node);
        } else {
            self.world().handle.resume(node);
        }
        if terminate {
            self.terminate(id);
        }
        true
    }

    /// Completes when the process has ended; `None` when nothing is known of it.
    pub(crate) async fn exit_of(&self, id: u32) -> Option<ExitStatus> {
        std::future::poll_fn(|context| {
            let mut table = self.table().lock();
            if !table.is_known(id) {
                return Poll::Ready(None);
            }
            match table.status(id) {
                Some(status) => Poll::Ready(Some(status)),
                None => {
                    table.watch(id, context.waker());
                    Poll::Pending
                }
            }
        })
        .await
    }
}
