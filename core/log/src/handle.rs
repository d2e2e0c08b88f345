//! How the rest of the program reaches a running replica.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use orrery_runtime::Runtime;
use orrery_runtime::machine::Feeder;
use orrery_runtime::tasks::AbortOnDrop;
use tokio::sync::{Semaphore, oneshot};

use crate::backlog::Jobs;
use crate::coordinator::Client;
use crate::disk_task::Job;
use crate::machine::{Caller, Input, LogMachine};
use crate::signal::Signal;
use crate::{
    Ballot, Entry, LogError, Origin, Position, ReadError, Request, Response, Value, WriteError,
};

/// Payload of appends that may be under way, in bytes; more waits.
pub(crate) const PAYLOAD: usize = 64 << 20;

/// Longest data of one append, in bytes.
pub const APPEND_MAX: usize = 16 << 20;

/// What an append takes of [`PAYLOAD`] beside its data, in bytes.
const OVERHEAD: usize = 256;

/// Takes the response to a request.
pub(crate) struct Answer(Box<dyn FnOnce(Response) + Send>);

impl Answer {
    pub(crate) fn new(answer: impl FnOnce(Response) + Send + 'static) -> Self {
        Self(Box::new(answer))
    }

    pub(crate) fn give(self, response: Response) {
        (self.0)(response);
    }
}

/// Who waits for what.
#[derive(Default)]
pub(crate) struct Waiting {
    next: u64,
    pub(crate) callers: BTreeMap<Caller, Answer>,
    pub(crate) voting: BTreeMap<Client, oneshot::Sender<Result<(), LogError>>>,
    pub(crate) elections: BTreeMap<Client, oneshot::Sender<Right>>,
    pub(crate) writes: BTreeMap<Client, oneshot::Sender<Result<Position, WriteError>>>,
    pub(crate) writers: BTreeMap<Ballot, Arc<Signal<()>>>,
}

impl Waiting {
    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}

/// What the tasks of a replica and its users share.
pub(crate) struct Shared {
    pub(crate) runtime: Runtime,
    pub(crate) waiting: Mutex<Waiting>,
    pub(crate) jobs: Jobs,
    pub(crate) payload: Semaphore,
    pub(crate) ended: Arc<Signal<LogError>>,
}

impl Shared {
    pub(crate) fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right to write. Dropping it gives it up.
pub(crate) struct Right {
    pub(crate) ballot: Ballot,
    pub(crate) position: Position,
    pub(crate) lost: Arc<Signal<()>>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) feeder: Feeder<LogMachine>,
}

impl std::fmt::Debug for Right {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Right({})", self.ballot)
    }
}

impl Drop for Right {
    fn drop(&mut self) {
        feed_later(&self.shared, &self.feeder, Input::Resign(self.ballot));
    }
}

/// Someone who wants to write. Dropping it gives up.
struct Standing<'a> {
    handle: &'a Handle,
    client: Client,
}

impl Drop for Standing<'_> {
    fn drop(&mut self) {
        let Handle { feeder, shared, .. } = self.handle;
        if shared.waiting().elections.remove(&self.client).is_some() {
            feed_later(shared, feeder, Input::GiveUp(self.client));
        }
    }
}

/// Feeds an input from where nothing may wait.
fn feed_later(shared: &Shared, feeder: &Feeder<LogMachine>, input: Input) {
    let feeder = feeder.clone();
    shared.runtime.spawn("replicated log input", async move {
        // A replica that has ended needs no input.
        let _ = feeder.feed(input).await;
    });
}

/// What keeps a replica running and reaches it. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Handle {
    feeder: Feeder<LogMachine>,
    shared: Arc<Shared>,
    _tasks: Arc<Vec<AbortOnDrop>>,
}

impl std::fmt::Debug for Handle {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Handle")
    }
}

impl Handle {
    pub(crate) fn new(
        feeder: Feeder<LogMachine>,
        shared: Arc<Shared>,
        tasks: Vec<AbortOnDrop>,
    ) -> Self {
        Self { feeder, shared, _tasks: Arc::new(tasks) }
    }

    /// Why the replica has ended, or is about to.
    fn end(&self) -> LogError {
        self.shared.ended.get().unwrap_or(LogError::Stopped)
    }

    pub(crate) async fn ended(&self) -> LogError {
        self.shared.ended.wait().await.unwrap_or(LogError::Stopped)
    }

    /// Ends the replica; with an error if it is ended for one.
    pub(crate) async fn stop(&self, reason: Option<LogError>) {
        if let Some(reason) = reason {
            self.shared.ended.set(reason);
        }
        let (sender, stopped) = oneshot::channel();
        if self.shared.jobs.send(Job::Stop(sender)).is_ok() {
            // Its task has ended as well when it does not answer.
            let _ = stopped.await;
        }
    }

    pub(crate) async fn feed(&self, input: Input) -> Result<(), LogError> {
        self.feeder.feed(input).await.map_err(|_| self.end())
    }

    pub(crate) async fn inspect<T: Send + 'static>(
        &self,
        look: impl FnOnce(&LogMachine) -> T + Send + 'static,
    ) -> Result<T, LogError> {
        self.feeder.inspect(look).await.map_err(|_| self.end())
    }

    pub(crate) async fn request(
        &self,
        from: Origin,
        request: Request,
        answer: Answer,
    ) -> Result<(), LogError> {
        if self.shared.jobs.backlog().is_full() {
            return Ok(());
        }
        let caller = {
            let mut waiting = self.shared.waiting();
            let caller = Caller(waiting.number());
            waiting.callers.insert(caller, answer);
            caller
        };
        let fed = self.feed(Input::Request { from, caller, request }).await;
        if fed.is_err() {
            self.shared.waiting().callers.remove(&caller);
        }
        fed
    }

    pub(crate) async fn voting(&self) -> Result<(), LogError> {
        let (sender, receiver) = oneshot::channel();
        let client = {
            let mut waiting = self.shared.waiting();
            let client = Client(waiting.number());
            waiting.voting.insert(client, sender);
            client
        };
        self.feed(Input::AwaitVoting(client)).await?;
        self.unless_ended(receiver).await?
    }

    pub(crate) async fn elect(&self) -> Result<Right, LogError> {
        let (sender, receiver) = oneshot::channel();
        let client = {
            let mut waiting = self.shared.waiting();
            let client = Client(waiting.number());
            waiting.elections.insert(client, sender);
            client
        };
        let _standing = Standing { handle: self, client };
        self.feed(Input::Elect(client)).await?;
        self.unless_ended(receiver).await
    }

    /// What comes, unless the replica ends before.
    async fn unless_ended<T>(&self, receiver: oneshot::Receiver<T>) -> Result<T, LogError> {
        tokio::select! {
            biased;
            received = receiver => received.map_err(|_| self.end()),
            error = self.ended() => Err(error),
        }
    }

    pub(crate) async fn write(
        &self,
        ballot: Ballot,
        value: Value,
        within: Duration,
    ) -> Result<Position, WriteError> {
        let length = value.length();
        if length > APPEND_MAX {
            return Err(WriteError::TooLarge { length, limit: APPEND_MAX });
        }
        let written = self.shared.runtime.timeout(within, self.write_now(ballot, value)).await;
        if written.is_none() {
            // What was sent may yet be agreed upon, so nothing may be written after it as if it had
            // failed.
            feed_later(&self.shared, &self.feeder, Input::Resign(ballot));
        }
        written.unwrap_or(Err(WriteError::Unknown("time ran out")))
    }

    async fn write_now(&self, ballot: Ballot, value: Value) -> Result<Position, WriteError> {
        let room = u32::try_from(value.length() + OVERHEAD).unwrap_or(u32::MAX);
        let room = self.shared.payload.acquire_many(room).await;
        let _room = room.map_err(|_| WriteError::Lost)?;
        let (sender, receiver) = oneshot::channel();
        let client = {
            let mut waiting = self.shared.waiting();
            let client = Client(waiting.number());
            waiting.writes.insert(client, sender);
            client
        };
        if self.feed(Input::Write { ballot, client, value }).await.is_err() {
            return Err(WriteError::Lost);
        }
        receiver.await.unwrap_or(Err(WriteError::Unknown("the replica has ended")))
    }

    pub(crate) async fn read(
        &self,
        mut from: Position,
        to: Position,
    ) -> Result<Vec<Entry>, ReadError> {
        loop {
            let page = self.inspect(move |machine| machine.read(from, to)).await??;
            let entries = match page.stored.is_empty() {
                true => page.entries,
                false => {
                    let (respond, loaded) = oneshot::channel();
                    let (entries, stored) = (page.entries, page.stored);
                    let job = Job::Load { entries, stored, respond };
                    self.shared.jobs.send(job).map_err(|_| self.end())?;
                    loaded.await.map_err(|_| self.end())??
                }
            };
            let entries: Vec<Entry> = entries
                .into_iter()
                .filter(|entry| entry.value != Value::Nop)
                .map(|entry| Entry { position: entry.position, value: entry.value })
                .collect();
            from = page.next;
            if !entries.is_empty() || from > to {
                return Ok(entries);
            }
        }
    }
}

#[cfg(test)]
#[path = "handle_test.rs"]
mod tests;
