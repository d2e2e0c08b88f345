//! Runs contenders and observers, each on a session of its own.

use std::convert::Infallible;
use std::sync::Arc;

use orrery_runtime::coordination::{Coordination, Happening, Session, SessionOptions};
use orrery_runtime::machine::Machine;
use orrery_runtime::{Instant, Runtime};
use tokio::sync::mpsc;

use crate::member::{Input, Output};

/// A machine that runs until this is dropped.
#[derive(Debug)]
pub(crate) struct Running<E> {
    events: mpsc::UnboundedReceiver<E>,
    stop: mpsc::Sender<Infallible>,
}

impl<E: Send + 'static> Running<E> {
    /// Begins a session and runs `machine` on it.
    pub(crate) fn start<M>(
        runtime: &Runtime,
        coordination: &Arc<dyn Coordination>,
        options: SessionOptions,
        machine: M,
    ) -> Self
    where
        M: Machine<Input = Input, Output = Output<E>>,
    {
        let (stop, stopped) = mpsc::channel(1);
        // As many events as changes of a leader: their reader decides nothing before it has read.
        let (teller, events) = mpsc::unbounded_channel();
        let drive = Drive {
            runtime: runtime.clone(),
            coordination: Arc::clone(coordination),
            options,
            machine,
            stopped,
            teller,
        };
        runtime.spawn("election", drive.run());
        Self { events, stop }
    }

    /// What is told next; `None` once all was told. Safe to cancel.
    pub(crate) async fn next(&mut self) -> Option<E> {
        self.events.recv().await
    }

    /// Stops the machine and waits until its session is closed.
    pub(crate) async fn stop(self) {
        let Self { mut events, stop } = self;
        drop(stop);
        while events.recv().await.is_some() {}
    }
}

struct Drive<M, E> {
    runtime: Runtime,
    coordination: Arc<dyn Coordination>,
    options: SessionOptions,
    machine: M,
    stopped: mpsc::Receiver<Infallible>,
    teller: mpsc::UnboundedSender<E>,
}

impl<M, E> Drive<M, E>
where
    M: Machine<Input = Input, Output = Output<E>>,
{
    async fn run(mut self) {
        let mut outputs = Vec::new();
        let mut session = self.coordination.open(self.options.clone());
        loop {
            let input = self.next(&mut session).await;
            self.machine.step(self.runtime.now(), input, &mut outputs);
            for output in outputs.drain(..) {
                match output {
                    // Nothing of the old session can be heard from here on.
                    Output::Reopen => session = self.coordination.open(self.options.clone()),
                    // A session that is over says so when it is listened to.
                    Output::Ask(token, request) => {
                        let _ = session.request(token, request).await;
                    }
                    // The owner may be gone, which is the next thing to be noticed.
                    Output::Tell(event) => {
                        let _ = self.teller.send(event);
                    }
                    Output::Done => return session.close().await,
                }
            }
        }
    }

    async fn next(&mut self, session: &mut Session) -> Input {
        let deadline = self.machine.deadline().unwrap_or(Instant::from_nanoseconds(u64::MAX));
        tokio::select! {
            biased;
            _ = self.stopped.recv() => Input::Withdraw,
            happening = session.next() => {
                Input::Happened(happening.unwrap_or(Happening::Expired))
            }
            () = self.runtime.clock.sleep_until(deadline) => Input::Tick,
        }
    }
}
