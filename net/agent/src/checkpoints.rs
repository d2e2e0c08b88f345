//! Between the machine and the world: an output is carried out once all that was written down
//! before it is durable.
//!
//! While nothing waits for the disk, outputs pass at once. Otherwise they queue up, and whatever is
//! written down meanwhile becomes durable together, by one sync.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use orrery_agent::Output;
use orrery_coverage::{reachable, sometimes};
use orrery_journal::{Change, JournalError};
use orrery_runtime::Runtime;
use tokio::sync::mpsc;

use crate::daemon::{Shared, lock};
use crate::planted::PlantedBug;
use crate::remedy;
use crate::store::Store;

/// With more outputs than this waiting for the disk, the master is not listened to.
const WAITING_MOST: usize = 8192;
/// The pause before it is looked whether there is room again.
const ROOM_PAUSE: Duration = Duration::from_millis(10);

/// Outputs that wait.
pub(crate) struct Checkpoints {
    waiting: Mutex<Waiting>,
    wake: mpsc::Sender<()>,
}

#[derive(Default)]
struct Waiting {
    outputs: VecDeque<Output>,
    /// Some are being carried out; what comes later must not overtake them.
    busy: bool,
}

impl Checkpoints {
    /// An empty queue, and what wakes its carrier.
    pub(crate) fn new() -> (Self, mpsc::Receiver<()>) {
        let (wake, woken) = mpsc::channel(1);
        (Self { waiting: Mutex::default(), wake }, woken)
    }

    /// Gives an output back that need not wait; keeps any other.
    fn pass(&self, output: Output) -> Option<Output> {
        let mut waiting = lock(&self.waiting);
        if !waiting.busy && waiting.outputs.is_empty() && !waits(&output) {
            return Some(output);
        }
        waiting.outputs.push_back(output);
        drop(waiting);
        // It is full when the carrier is about to look anyway.
        let _ = self.wake.try_send(());
        None
    }

    /// All that waits; `None` when there is nothing.
    fn take(&self) -> Option<VecDeque<Output>> {
        let mut waiting = lock(&self.waiting);
        waiting.busy = !waiting.outputs.is_empty();
        waiting.busy.then(|| std::mem::take(&mut waiting.outputs))
    }

    /// Waits while too much waits for the disk.
    pub(crate) async fn room(&self, runtime: &Runtime) {
        while lock(&self.waiting).outputs.len() > WAITING_MOST {
            reachable!("an agent's disk is too slow for what the master wants");
            runtime.sleep(ROOM_PAUSE).await;
        }
    }
}

/// Whether carrying out an output takes the disk, or ends the agent.
fn waits(output: &Output) -> bool {
    matches!(
        output,
        Output::Checkpoint(_)
            | Output::Admitted { .. }
            | Output::Readmitted { .. }
            | Output::Forget
            | Output::Stop { .. }
    )
}

impl Shared {
    /// Takes an output of the machine. Never waits.
    pub(crate) fn carry(self: &Arc<Self>, output: Output) -> ControlFlow<()> {
        let ends = matches!(output, Output::Stop { .. });
        if PlantedBug::ActsBeforeItIsWritten.is_planted() && !waits(&output) {
            self.perform(output);
        } else if let Some(output) = self.checkpoints.pass(output) {
            self.perform(output);
        }
        if ends { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    /// Carries out what waits until the machine stops; returns why it does so against its
    /// operator's wish, if it does.
    pub(crate) async fn carry_waiting(
        self: Arc<Self>,
        mut store: Store,
        mut woken: mpsc::Receiver<()>,
    ) -> Option<String> {
        loop {
            let carried = match self.checkpoints.take() {
                Some(outputs) => self.carry_all(&mut store, outputs).await,
                None => tokio::select! {
                    biased;
                    // We hold the other end ourselves, so it never closes.
                    _ = woken.recv() => continue,
                    error = store.failed() => Err(JournalError::Disk(error)),
                },
            };
            match carried {
                Ok(ControlFlow::Continue(())) => {}
                Ok(ControlFlow::Break(error)) => return error,
                Err(error) => {
                    reachable!("an agent ends because it cannot write down what it does");
                    tracing::error!(%error, "cannot write a checkpoint");
                    return Some(unwritten(&error));
                }
            }
        }
    }

    /// Breaks off once the machine has stopped, with the reason.
    async fn carry_all(
        self: &Arc<Self>,
        store: &mut Store,
        mut outputs: VecDeque<Output>,
    ) -> Result<ControlFlow<Option<String>>, JournalError> {
        while !outputs.is_empty() {
            // What is written down after the agent has got its id needs the folder that this makes.
            let is_own = |output: &Output| waits(output) && !is_checkpoint(output);
            let end = outputs.iter().position(is_own).map_or(outputs.len(), |at| at + 1);
            let mut changes: Vec<Change> = Vec::new();
            let mut others = Vec::new();
            for output in outputs.drain(..end) {
                match output {
                    Output::Checkpoint(more) => {
                        sometimes!(!changes.is_empty(), "checkpoints share a sync");
                        changes.extend(more);
                    }
                    other => others.push(other),
                }
            }
            if !changes.is_empty() {
                store.commit(changes).await?;
            }
            for output in others {
                match output {
                    Output::Admitted { agent_info } => store.admitted(&agent_info).await?,
                    Output::Readmitted { agent_info } => store.readmitted(&agent_info).await?,
                    Output::Forget => store.forget().await?,
                    Output::Stop { error } => return Ok(ControlFlow::Break(error)),
                    other => self.perform(other),
                }
            }
        }
        Ok(ControlFlow::Continue(()))
    }
}

/// What an operator is told of an agent that cannot write down what it does.
fn unwritten(error: &JournalError) -> String {
    let what = format!("cannot write down what it does: {error}");
    match error {
        JournalError::Disk(disk) => format!("{what}. {}", remedy::of_disk(&disk.source)),
        JournalError::Damaged { .. } => what,
    }
}

fn is_checkpoint(output: &Output) -> bool {
    matches!(output, Output::Checkpoint(_))
}
