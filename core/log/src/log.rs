//! The log as the rest of the program sees it: [`Log`], [`Writer`] and [`Reader`].

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use orrery_runtime::machine::Feeder;
use orrery_runtime::{Address, Runtime};

use crate::backlog::Backlog;
use crate::driver;
use crate::handle::{Answer, Handle, Right};
use crate::machine::{Input, LogMachine};
use crate::{
    Ballot, Disagreement, Entry, LogError, Options, Origin, Position, ReadError, ReplicaState,
    Request, Response, StartError, Value, WriteError,
};

/// Carries requests to other replicas, and their responses back.
pub trait Transport: Send + Sync + 'static {
    /// Called once, before anything else: responses go there.
    fn start(&self, responses: Responses);

    /// Sends `request` to the replica at `to`, or loses it. Never waits. Requests to one replica
    /// that arrive do so in order, as long as one connection carries them.
    fn send(&self, to: &Address, request: Request);

    /// From now on only these replicas are sent to.
    fn members(&self, members: &BTreeSet<Address>);
}

/// Where a [`Transport`] delivers responses. It does not keep the replica running.
#[derive(Clone, Debug)]
pub struct Responses {
    pub(crate) feeder: Feeder<LogMachine>,
    pub(crate) backlog: Backlog,
}

impl Responses {
    /// Takes a response of the replica at `from`; one with entries is dropped while too much waits
    /// for the disk. False when the replica has ended.
    pub async fn deliver(&self, from: Address, response: Response) -> bool {
        if matches!(response, Response::Page { .. }) && self.backlog.is_full() {
            return true;
        }
        self.feeder.feed(Input::Response { from, response }).await.is_ok()
    }
}

/// One replica of a replicated log, and the way to write and read it. Cheap to clone; the replica
/// ends once the last clone, writer and reader are gone.
#[derive(Clone, Debug)]
pub struct Log {
    handle: Handle,
}

/// What a replica knows of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// The replica's id, drawn when its folder was made.
    pub id: u64,
    /// What it may do.
    pub state: ReplicaState,
    /// The highest ballot that it has promised.
    pub promised: Ballot,
    /// The first position that is not truncated.
    pub beginning: Position,
    /// The last position up to which it knows all that is agreed upon; before `beginning` when it
    /// knows nothing.
    pub ending: Position,
    /// Of the entries from `beginning` to the highest position it has heard of, how many it does
    /// not know to be agreed upon.
    pub missing: u64,
}

impl Log {
    /// Opens or makes the replica in `options.folder` and begins to run it. Its peers must be able
    /// to reach it from now on: hand what they ask to [`Log::request`].
    ///
    /// # Errors
    /// [`StartError`] when the folder cannot be used. Damage that other replicas can heal is no
    /// error; see [`Log::ready`].
    pub async fn start(
        runtime: &Runtime,
        options: Options,
        transport: Arc<dyn Transport>,
    ) -> Result<Self, StartError> {
        let handle = driver::start(runtime, options, transport).await?;
        Ok(Self { handle })
    }

    /// Waits until this replica votes.
    ///
    /// # Errors
    /// [`LogError::Damaged`] when too many replicas are damaged to heal it, which no waiting mends;
    /// [`LogError::Disk`] when the replica has ended.
    pub async fn ready(&self) -> Result<(), LogError> {
        self.handle.voting().await
    }

    /// Waits until the replica has ended by itself, and says why. A daemon should then end too.
    pub async fn ended(&self) -> LogError {
        self.handle.ended().await
    }

    /// Ends the replica, for all that use it, and returns once it does not touch its folder any
    /// more.
    pub async fn stop(&self) {
        self.handle.stop(None).await;
    }

    /// Ends the replica because another one is reached at the address of this one.
    pub async fn conflict(&self, address: Address) {
        self.handle.stop(Some(LogError::Conflict(address))).await;
    }

    /// Ends the replica because it, or one with its id, also answers at `other`.
    pub async fn twice(&self, own: Address, other: Address) {
        self.handle.stop(Some(LogError::Twice { own, other })).await;
    }

    /// Ends the replica because it is of another cluster than those that it has found.
    pub async fn disagree(&self, disagreement: Disagreement) {
        self.handle.stop(Some(LogError::Disagreement(disagreement))).await;
    }

    /// Elects this replica's coordinator and returns once it may write: it then has promises of a
    /// quorum, every position before its first append is agreed upon, and the local replica knows
    /// all of them. Tries again until that is so; drop the future to give up. A later writer,
    /// anywhere, deposes this one.
    ///
    /// # Errors
    /// As [`Log::ready`].
    pub async fn writer(&self) -> Result<Writer, LogError> {
        self.ready().await?;
        let right = self.handle.elect().await?;
        Ok(Writer { handle: self.handle.clone(), right })
    }

    /// Reads what the local replica knows to be agreed upon.
    pub fn reader(&self) -> Reader {
        Reader { handle: self.handle.clone() }
    }

    /// What the replica knows of itself.
    ///
    /// # Errors
    /// [`LogError::Disk`] when it has ended.
    pub async fn status(&self) -> Result<Status, LogError> {
        self.handle.inspect(|machine| machine.status()).await
    }

    /// The replicas that it knows of, itself among them.
    ///
    /// # Errors
    /// [`LogError::Disk`] when it has ended.
    pub async fn members(&self) -> Result<BTreeSet<Address>, LogError> {
        self.handle.inspect(|machine| machine.members().clone()).await
    }

    /// Takes a request of another replica; `answer` is given at most one response, once what it
    /// says is durable, and none while too much waits for the disk.
    ///
    /// # Errors
    /// [`LogError::Disk`] when the replica has ended.
    pub async fn request(
        &self,
        from: Origin,
        request: Request,
        answer: impl FnOnce(Response) + Send + 'static,
    ) -> Result<(), LogError> {
        self.handle.request(from, request, Answer::new(answer)).await
    }
}

/// The exclusive right to write, until another writer is elected. Dropping it gives it up. Appends
/// may be under way together (call from several tasks, or join the futures); they stand in the log
/// in the order in which they were first polled.
#[derive(Debug)]
pub struct Writer {
    handle: Handle,
    right: Right,
}

impl Writer {
    /// The last position of the log when this writer was elected: all entries up to here can be
    /// read, and all later ones are its own.
    pub fn position(&self) -> Position {
        self.right.position
    }

    /// Appends `data` and returns its position once a quorum has it durably.
    ///
    /// # Errors
    /// [`WriteError::Lost`]: it is not in the log and never will be. [`WriteError::Unknown`]: it
    /// may come to stand in the log or not; so it is when `within` has passed. After any error this
    /// writer is deposed: elect a new one and read what the log holds.
    pub async fn append(&self, data: Bytes, within: Duration) -> Result<Position, WriteError> {
        self.write(Value::Append(data), within).await
    }

    /// Removes all entries before `to`, which is cut down to the position of this truncation.
    /// Returns the position at which the truncation itself stands.
    ///
    /// # Errors
    /// As [`Writer::append`].
    pub async fn truncate(&self, to: Position, within: Duration) -> Result<Position, WriteError> {
        self.write(Value::Truncate(to), within).await
    }

    /// Returns once this writer is deposed.
    pub async fn lost(&self) {
        self.right.lost.wait().await;
    }

    async fn write(&self, value: Value, within: Duration) -> Result<Position, WriteError> {
        self.handle.write(self.right.ballot, value, within).await
    }
}

/// Reads the local replica. What it returns is agreed upon; what was agreed upon lately may be
/// missing, unless this replica's own [`Writer`] wrote it.
#[derive(Clone, Debug)]
pub struct Reader {
    handle: Handle,
}

impl Reader {
    /// The first position that is not truncated.
    ///
    /// # Errors
    /// [`ReadError::Ended`] when the replica has ended.
    pub async fn beginning(&self) -> Result<Position, ReadError> {
        Ok(self.handle.inspect(|machine| machine.status().beginning).await?)
    }

    /// The last position that can be read; before [`Reader::beginning`] when there is none.
    ///
    /// # Errors
    /// [`ReadError::Ended`] when the replica has ended.
    pub async fn ending(&self) -> Result<Position, ReadError> {
        Ok(self.handle.inspect(|machine| machine.status().ending).await?)
    }

    /// The entries from `from` to `to`, both included, that are appended data or truncations; fewer
    /// than asked for when they are large: go on after the last one until the list is empty.
    ///
    /// # Errors
    /// [`ReadError::Truncated`] and [`ReadError::Unknown`] when a position lies outside of what can
    /// be read, [`ReadError::Damaged`] when the disk has rotted there: the replica heals itself
    /// then, and reading can be tried again.
    pub async fn read(&self, from: Position, to: Position) -> Result<Vec<Entry>, ReadError> {
        self.handle.read(from, to).await
    }
}
