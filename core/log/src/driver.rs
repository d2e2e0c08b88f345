//! Runs a [`LogMachine`]: feeds it, and carries out what it wants.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};

use orrery_runtime::machine::{Driver, Feeder};
use orrery_runtime::{Address, Runtime};
use tokio::sync::{Semaphore, mpsc};

use crate::backlog::queue;
use crate::disk_task::{DiskTask, Job};
use crate::handle::{Handle, PAYLOAD, Right, Shared, Waiting};
use crate::limits::Limits;
use crate::log::{Responses, Transport};
use crate::machine::{Input, LogMachine, Output, Setup};
use crate::replica::Replica;
use crate::signal::Signal;
use crate::storage::{self, Opened};
use crate::{LogError, Membership, Options, Response, StartError};

/// Inputs that may wait for the machine.
const QUEUE: usize = 1024;

/// Opens the folder and runs the replica in it.
pub(crate) async fn start(
    runtime: &Runtime,
    options: Options,
    transport: Arc<dyn Transport>,
) -> Result<Handle, StartError> {
    let Options { folder, address, quorum, membership, auto_initialize, timing } = options;
    let cluster = membership.cluster(&address, quorum);
    let (members, total, changes) = members(&address, quorum, membership)?;
    let limits = Limits::default();
    let mut replica = Replica::new(address.clone(), limits);
    let mut restore = |record| replica.restore(record);
    let Opened { storage, damage } = storage::open(runtime, &folder, &mut restore).await?;
    for damage in &damage {
        tracing::error!(%damage, "a record of the replicated log is damaged");
    }
    let setup = Setup { members, cluster, total, auto_initialize, timing, limits };
    let (jobs, job_queue) = queue();
    let backlog = jobs.backlog().clone();
    let ended = Arc::new(Signal::new());
    let shared = Arc::new(Shared {
        runtime: runtime.clone(),
        waiting: Mutex::default(),
        jobs,
        payload: Semaphore::new(PAYLOAD),
        ended: Arc::clone(&ended),
    });
    let random = runtime.random.generator();
    let mut outputs = Vec::new();
    let machine = LogMachine::new(setup, replica, !damage.is_empty(), random, &mut outputs);
    let (driver, feeder) = Driver::new(machine, QUEUE);
    transport.start(Responses { feeder: feeder.clone(), backlog });
    let carrier = Carrier { shared: Arc::clone(&shared), transport, feeder: feeder.clone() };
    for output in outputs {
        // Nothing can have ended yet.
        let _ = carrier.carry(output);
    }
    let disk = DiskTask {
        runtime: runtime.clone(),
        folder,
        storage,
        synced: runtime.clock.now(),
        jobs: job_queue,
        feeder: feeder.clone(),
        address,
        ended,
    };
    let mut tasks = vec![
        runtime.spawn("replicated log disk", disk.run()).abort_on_drop(),
        runtime.spawn("replicated log", run(driver, runtime.clone(), carrier)).abort_on_drop(),
    ];
    if let Some(changes) = changes {
        let task = follow(changes, feeder.clone());
        tasks.push(runtime.spawn("replicated log members", task).abort_on_drop());
    }
    Ok(Handle::new(feeder, shared, tasks))
}

type Members = BTreeSet<Address>;
type Changes = mpsc::Receiver<Members>;

/// The members at first, how many there are in all, and what tells of others.
fn members(
    address: &Address,
    quorum: usize,
    membership: Membership,
) -> Result<(Members, usize, Option<Changes>), StartError> {
    let (members, total, changes) = match membership {
        Membership::Fixed(mut members) => {
            members.insert(address.clone());
            let total = members.len();
            (members, total, None)
        }
        Membership::Changing(changes) => {
            let total = quorum.saturating_mul(2).saturating_sub(1);
            (BTreeSet::from([address.clone()]), total, Some(changes))
        }
    };
    let expected = total / 2 + 1;
    match quorum == expected {
        true => Ok((members, total, changes)),
        false => Err(StartError::Quorum { quorum, expected, members: total }),
    }
}

async fn run(driver: Driver<LogMachine>, runtime: Runtime, carrier: Carrier) {
    let shared = Arc::clone(&carrier.shared);
    driver.run(runtime, move |output| carrier.carry(output)).await;
    shared.ended.set(LogError::Stopped);
    // Whoever waits learns that nothing will come.
    *shared.waiting() = Waiting::default();
}

async fn follow(mut changes: Changes, feeder: Feeder<LogMachine>) {
    while let Some(members) = changes.recv().await {
        if feeder.feed(Input::Members(members)).await.is_err() {
            return;
        }
    }
}

/// Carries out what the machine wants.
struct Carrier {
    shared: Arc<Shared>,
    transport: Arc<dyn Transport>,
    feeder: Feeder<LogMachine>,
}

impl Carrier {
    fn carry(&self, output: Output) -> ControlFlow<()> {
        let job = match output {
            Output::Persist(records) => Some(Job::Persist(records)),
            // Of a writer that only shows itself: where so much waits, one less is no loss.
            Output::Local(Response::Written { count: 0, .. })
                if self.shared.jobs.backlog().is_full() =>
            {
                None
            }
            Output::Local(response) => Some(Job::Local(response)),
            Output::Reply { caller, response, stored } => {
                let answer = self.shared.waiting().callers.remove(&caller);
                answer.map(|answer| Job::Answer { answer, response, stored })
            }
            other => {
                self.tell(other);
                None
            }
        };
        if let Some(job) = job
            && self.shared.jobs.send(job).is_err()
        {
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    }

    fn tell(&self, output: Output) {
        let mut waiting = self.shared.waiting();
        // Who does not wait any more needs nothing.
        match output {
            Output::Send(to, request) => self.transport.send(&to, request),
            Output::Members(members) => self.transport.members(&members),
            Output::Voting(client, result) => {
                let _ = waiting.voting.remove(&client).map(|sender| sender.send(result));
            }
            Output::Elected(client, ballot, position) => {
                let lost = Arc::new(Signal::new());
                waiting.writers.insert(ballot, Arc::clone(&lost));
                let (shared, feeder) = (Arc::clone(&self.shared), self.feeder.clone());
                let right = Right { ballot, position, lost, shared, feeder };
                // Where nobody takes it, it is given up again.
                let _ = waiting.elections.remove(&client).map(|sender| sender.send(right));
            }
            Output::Written(client, result) => {
                let _ = waiting.writes.remove(&client).map(|sender| sender.send(result));
            }
            Output::Deposed(ballot) => {
                if let Some(lost) = waiting.writers.remove(&ballot) {
                    lost.set(());
                }
            }
            Output::Persist(_) | Output::Local(_) | Output::Reply { .. } => {}
        }
    }
}
