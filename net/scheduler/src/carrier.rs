//! Carries out what the machine wants.

use std::ops::ControlFlow;
use std::time::Duration;

use orrery_detector::Detector;
use orrery_runtime::Runtime;
use orrery_runtime::machine::Feeder;
use orrery_runtime::tasks::AbortOnDrop;
use orrery_scheduler::{Framework, Output, SchedulerMachine};
use tokio::sync::oneshot;

use crate::connection::Attempt;
use crate::options::Options;
use crate::queue::{CallSender, queue};

/// How long the last calls of a session (its TEARDOWN among them) may take to be answered.
const FLUSH_TIME: Duration = Duration::from_secs(5);

/// The connection that counts.
struct Current {
    number: u64,
    calls: CallSender,
    done: oneshot::Receiver<()>,
    task: AbortOnDrop,
}

pub(crate) struct Carrier<F: Framework> {
    runtime: Runtime,
    options: Options,
    feeder: Feeder<SchedulerMachine<F>>,
    detector: Detector,
    current: Option<Current>,
}

impl<F: Framework> Carrier<F> {
    pub(crate) fn new(
        runtime: Runtime,
        options: Options,
        feeder: Feeder<SchedulerMachine<F>>,
    ) -> Self {
        let detector = Detector::new(runtime.clone(), options.masters.clone());
        Self { runtime, options, feeder, detector, current: None }
    }

    pub(crate) fn carry(&mut self, output: Output) -> ControlFlow<()> {
        match output {
            Output::Connect { connection, call } => self.connect(connection, *call),
            Output::Send { connection, call } => {
                if let Some(current) = self.of(connection) {
                    current.calls.send(*call);
                }
            }
            Output::Disconnect { connection } => {
                if self.of(connection).is_some() {
                    self.current = None;
                }
            }
            Output::Finished(_) => return ControlFlow::Break(()),
        }
        ControlFlow::Continue(())
    }

    /// Waits until the last calls were answered, but not for long.
    pub(crate) async fn flush(self) {
        let Some(Current { calls, done, task, .. }) = self.current else {
            return;
        };
        drop(calls);
        // An error means that the connection ended by itself, which is as good.
        let _ = self.runtime.timeout(FLUSH_TIME, done).await;
        drop(task);
    }

    fn of(&self, connection: u64) -> Option<&Current> {
        self.current.as_ref().filter(|current| current.number == connection)
    }

    fn connect(&mut self, number: u64, call: orrery_api::v1::scheduler::Call) {
        let (calls, receiver, gauge) = queue();
        let attempt = Attempt {
            runtime: self.runtime.clone(),
            feeder: self.feeder.clone(),
            connection: number,
            detector: self.detector.clone(),
            media_type: self.options.encoding.media_type(),
            authorization: self.options.authorization(),
            calls: receiver,
            gauge,
        };
        let (ended, done) = oneshot::channel();
        let task = self.runtime.spawn("scheduler connection", async move {
            attempt.run(call).await;
            // Nobody listens unless the session is over.
            let _ = ended.send(());
        });
        self.current = Some(Current { number, calls, done, task: task.abort_on_drop() });
    }
}
