//! The status update streams: one queue per task of updates that await acknowledgement.
//!
//! Only the head of a queue is in flight. It is sent again after 10 s, then after twice as long
//! each time up to 10 min, until exactly its uuid is acknowledged. While the agent is not
//! registered nothing is sent; on registration every head goes out at once, and when the master
//! tells of a framework, whose subscription may be new, those of that framework.
//!
//! What is queued and what is acknowledged is also written down, as changes to a file of the
//! stream's own, from which a later run of the agent restores it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use orrery_api::{link, v1};
use orrery_coverage::{reachable, sometimes};
use orrery_journal::Change;
use orrery_model::task_state::is_terminal;
use orrery_runtime::Instant;

use crate::records::{self, Record, Records};
use crate::{PlantedBug, paths};

const RETRY_INTERVAL_MIN: Duration = Duration::from_secs(10);
const RETRY_INTERVAL_MAX: Duration = Duration::from_secs(600);

/// Names a task: its framework's id and its own.
pub(crate) type TaskKey = (String, String);

/// The updates of one task, oldest first.
#[derive(Debug)]
struct Stream {
    queue: VecDeque<link::StatusUpdate>,
    /// Every uuid ever seen, acknowledged or not: a repeated one must not be queued again.
    received: BTreeSet<Bytes>,
    interval: Duration,
    /// When the head is sent again; `None` while paused.
    retry_at: Option<Instant>,
    /// Where it is written down, if it is.
    file: Option<File>,
}

/// The file of a stream.
#[derive(Debug)]
struct File {
    path: String,
    /// In bytes.
    length: u64,
}

impl Stream {
    fn new(file: Option<String>) -> Self {
        Self {
            queue: VecDeque::new(),
            received: BTreeSet::new(),
            interval: RETRY_INTERVAL_MIN,
            retry_at: None,
            file: file.map(|path| File { path, length: 0 }),
        }
    }

    /// Adds a record to the stream's file.
    fn write_down(&mut self, content: Bytes, changes: &mut Vec<Change>) {
        if let Some(file) = &mut self.file {
            let offset = file.length;
            file.length += content.len() as u64;
            changes.push(Change::Append { path: file.path.clone(), offset, content });
        }
    }
}

/// What became of an acknowledgement.
#[derive(Debug)]
pub(crate) enum Acknowledged {
    /// It named no update in flight.
    Ignored,
    /// The head was removed; the next one, if any, is in flight now.
    Advanced,
    /// The head was terminal: the stream is gone.
    Ended(Box<link::StatusUpdate>),
}

/// All streams of an agent.
#[derive(Debug, Default)]
pub(crate) struct Streams {
    streams: BTreeMap<TaskKey, Stream>,
    retries: BTreeSet<(Instant, TaskKey)>,
    running: bool,
    /// Updates to send now, in order; the caller drains it.
    pub(crate) outbox: Vec<link::StatusUpdate>,
}

impl Streams {
    /// Queues an update; false when its uuid was queued before. `file` is where a stream that
    /// begins with it is written down.
    pub(crate) fn push(
        &mut self,
        now: Instant,
        key: TaskKey,
        update: link::StatusUpdate,
        file: Option<String>,
        changes: &mut Vec<Change>,
    ) -> bool {
        let stream = self.streams.entry(key.clone()).or_insert_with(|| Stream::new(file));
        if !stream.received.insert(update.uuid.clone()) {
            reachable!("an executor sends an update twice");
            return false;
        }
        stream.write_down(records::update(&update), changes);
        let overtakes = PlantedBug::ForwardsUpdatesOutOfOrder.is_planted();
        if overtakes {
            stream.queue.push_front(update);
        } else {
            stream.queue.push_back(update);
        }
        if overtakes || stream.queue.len() == 1 {
            self.send_head(now, &key, RETRY_INTERVAL_MIN);
        }
        true
    }

    /// Whether no task has a stream.
    pub(crate) fn is_empty(&self) -> bool {
        self.streams.is_empty()
    }

    /// Whether all that is not acknowledged is written down.
    pub(crate) fn are_written_down(&self) -> bool {
        self.streams.values().all(|stream| stream.queue.is_empty() || stream.file.is_some())
    }

    /// The tasks that updates await acknowledgement of, with the update in flight and the newest.
    pub(crate) fn unacknowledged(
        &self,
    ) -> impl Iterator<Item = (&TaskKey, &link::StatusUpdate, &link::StatusUpdate)> {
        self.streams
            .iter()
            .filter_map(|(key, stream)| Some((key, stream.queue.front()?, stream.queue.back()?)))
    }

    /// Whether updates of this task await acknowledgement.
    pub(crate) fn contains(&self, key: &TaskKey) -> bool {
        self.streams.contains_key(key)
    }

    /// Whether an update of this uuid was queued before.
    pub(crate) fn has_received(&self, key: &TaskKey, uuid: &[u8]) -> bool {
        self.streams.get(key).is_some_and(|stream| stream.received.contains(uuid))
    }

    /// Takes an acknowledgement, which counts only for the update in flight.
    pub(crate) fn acknowledge(
        &mut self,
        now: Instant,
        key: &TaskKey,
        uuid: &[u8],
        changes: &mut Vec<Change>,
    ) -> Acknowledged {
        let Some(stream) = self.streams.get_mut(key) else {
            return Acknowledged::Ignored;
        };
        if stream.queue.front().is_none_or(|head| head.uuid != uuid) {
            reachable!("an acknowledgement comes for an update that is not the first in its queue");
            return Acknowledged::Ignored;
        }
        if PlantedBug::ResendsAcknowledgedUpdate.is_planted() && stream.queue.len() == 1 {
            return Acknowledged::Advanced;
        }
        let Some(head) = stream.queue.pop_front() else {
            return Acknowledged::Ignored;
        };
        stream.write_down(records::acknowledgement(&head.uuid), changes);
        let goes_on = PlantedBug::UpdateAfterTerminal.is_planted() && !stream.queue.is_empty();
        if is_terminal(state_of(&head)) && !goes_on {
            if !stream.queue.is_empty() {
                reachable!("updates wait behind a terminal one");
                tracing::warn!(
                    framework_id = key.0,
                    task_id = key.1,
                    dropped = stream.queue.len(),
                    "updates were queued behind an acknowledged terminal one"
                );
            }
            self.remove(key, changes);
            return Acknowledged::Ended(Box::new(head));
        }
        self.send_head(now, key, RETRY_INTERVAL_MIN);
        Acknowledged::Advanced
    }

    /// Sends nothing until [`Streams::resume`].
    pub(crate) fn pause(&mut self) {
        self.running = false;
        self.retries.clear();
        for stream in self.streams.values_mut() {
            stream.retry_at = None;
        }
    }

    /// Sends every head now and goes on.
    pub(crate) fn resume(&mut self, now: Instant) {
        self.running = true;
        let keys: Vec<_> = self.streams.keys().cloned().collect();
        sometimes!(!keys.is_empty(), "updates go out at once because the agent has a master again");
        for key in keys {
            self.send_head(now, &key, RETRY_INTERVAL_MIN);
        }
    }

    /// Sends every head of a framework now, and again after the shortest interval: the master
    /// drops what comes for a framework that is not subscribed, and now it may be.
    pub(crate) fn resume_framework(&mut self, now: Instant, framework_id: &str) {
        if PlantedBug::PendingUpdatesWaitForRetry.is_planted() {
            return;
        }
        for key in self.keys_of(framework_id) {
            let Some(stream) = self.streams.get(&key) else { continue };
            if stream.retry_at == Some(now + stream.interval) {
                // It was sent in this very instant.
                continue;
            }
            sometimes!(
                stream.retry_at.is_some(),
                "an update that was sent in vain goes out because its framework is back"
            );
            self.send_head(now, &key, RETRY_INTERVAL_MIN);
        }
    }

    /// When [`Streams::retry_due`] has something to do.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.retries.first().map(|(at, _)| *at)
    }

    /// Sends again what has waited long enough.
    pub(crate) fn retry_due(&mut self, now: Instant) {
        while let Some((at, key)) = self.retries.first().cloned() {
            if at > now {
                return;
            }
            reachable!("an update is sent again because no acknowledgement came");
            let interval = self.streams.get(&key).map_or(RETRY_INTERVAL_MIN, |s| s.interval);
            sometimes!(
                interval == RETRY_INTERVAL_MAX,
                "an update is sent again after the longest pause"
            );
            self.retries.remove(&(at, key.clone()));
            self.send_head(now, &key, (interval * 2).min(RETRY_INTERVAL_MAX));
        }
    }

    /// Forgets every stream of a framework that is gone.
    pub(crate) fn remove_framework(&mut self, framework_id: &str, changes: &mut Vec<Change>) {
        for key in self.keys_of(framework_id) {
            self.remove(&key, changes);
        }
    }

    /// The streams of a framework.
    fn keys_of(&self, framework_id: &str) -> Vec<TaskKey> {
        let from = (framework_id.to_owned(), String::new());
        let keys = self.streams.range(from..).map(|(key, _)| key);
        keys.take_while(|key| key.0 == framework_id).cloned().collect()
    }

    /// Forgets a stream. The file of a task that had an executor goes when the executor does.
    fn remove(&mut self, key: &TaskKey, changes: &mut Vec<Change>) {
        let Some(stream) = self.streams.remove(key) else {
            return;
        };
        if let Some(at) = stream.retry_at {
            self.retries.remove(&(at, key.clone()));
        }
        let folder = paths::unlaunched_meta(&key.0, &key.1);
        if stream.file.is_some_and(|file| file.path.starts_with(&folder)) {
            changes.push(Change::RemoveFolder { path: folder });
        }
    }

    /// Restores a stream from its file. Until [`Streams::resume`] nothing of it is sent. A stream
    /// whose end was acknowledged is over, and one without a record has not begun.
    pub(crate) fn restore(&mut self, key: TaskKey, path: String, records: &Records) {
        if records.records.is_empty() {
            return;
        }
        let mut stream = Stream::new(Some(path));
        if let Some(file) = &mut stream.file {
            file.length = records.content.len() as u64;
        }
        for record in &records.records {
            match record {
                Record::Update(update) => {
                    stream.received.insert(update.uuid.clone());
                    if !PlantedBug::ForgetsUpdatesAtRestart.is_planted() {
                        stream.queue.push_back(link::StatusUpdate::clone(update));
                    }
                }
                Record::Acknowledged(uuid) => {
                    if PlantedBug::ForgetsAcknowledgementsAtRestart.is_planted() {
                        continue;
                    }
                    let head = stream.queue.pop_front_if(|head| head.uuid == uuid);
                    if head.is_some_and(|head| is_terminal(state_of(&head))) {
                        return;
                    }
                }
            }
        }
        sometimes!(stream.queue.len() > 1, "several updates of a task wait through a restart");
        self.streams.insert(key, stream);
    }

    /// The update of a task that is to be acknowledged next.
    pub(crate) fn head(&self, key: &TaskKey) -> Option<&link::StatusUpdate> {
        self.streams.get(key)?.queue.front()
    }

    /// Puts the head in flight and sets its next retry; nothing while paused or without a head.
    fn send_head(&mut self, now: Instant, key: &TaskKey, interval: Duration) {
        let Some(stream) = self.streams.get_mut(key) else {
            return;
        };
        if let Some(at) = stream.retry_at.take() {
            self.retries.remove(&(at, key.clone()));
        }
        let Some(head) = stream.queue.front() else {
            return;
        };
        if !self.running {
            return reachable!("an update waits because the agent has no master");
        }
        self.outbox.push(head.clone());
        stream.interval = interval;
        stream.retry_at = Some(now + interval);
        self.retries.insert((now + interval, key.clone()));
    }
}

/// The state that an update reports.
pub(crate) fn state_of(update: &link::StatusUpdate) -> v1::TaskState {
    let state = update.status.as_ref().map_or(0, |status| status.state);
    v1::TaskState::try_from(state).unwrap_or(v1::TaskState::TaskUnknown)
}
