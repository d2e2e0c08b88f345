//! What waits for the disk, and how much of it there is.
//!
//! A disk that hangs must not let memory grow: others send what was not answered again and again.
//! So what comes while too much waits is dropped unanswered, before anything is made of it; it is
//! asked again. A replica's own coordinator needs no such rule: it has only so much under way to
//! each replica, its own included.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::mpsc;

use crate::Response;
use crate::disk_task::Job;
use crate::record::Record;

/// While this much waits for the disk, in bytes, nothing is taken from others.
pub(crate) const BACKLOG_MAX: usize = 64 << 20;

/// What a job or a record takes beside its payload, about, in bytes.
const OVERHEAD: usize = 256;

/// How much waits for the disk. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Backlog(Arc<AtomicUsize>);

impl Backlog {
    /// Whether too much waits to take more from others.
    pub(crate) fn is_full(&self) -> bool {
        self.0.load(Ordering::Relaxed) >= BACKLOG_MAX
    }
}

/// The disk task has ended.
#[derive(Debug)]
pub(crate) struct Ended;

/// Where jobs go.
pub(crate) struct Jobs {
    sender: mpsc::UnboundedSender<(usize, Job)>,
    backlog: Backlog,
}

/// Where the disk task takes them from.
pub(crate) struct Queue {
    receiver: mpsc::UnboundedReceiver<(usize, Job)>,
    backlog: Backlog,
    /// Bytes of the jobs that were taken and are not done.
    taken: usize,
}

/// A queue of jobs and its two ends.
pub(crate) fn queue() -> (Jobs, Queue) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let backlog = Backlog::default();
    (Jobs { sender, backlog: backlog.clone() }, Queue { receiver, backlog, taken: 0 })
}

impl Jobs {
    /// Puts a job behind the others.
    ///
    /// # Errors
    /// [`Ended`]: nothing does it any more.
    pub(crate) fn send(&self, job: Job) -> Result<(), Ended> {
        let size = size(&job);
        self.backlog.0.fetch_add(size, Ordering::Relaxed);
        self.sender.send((size, job)).map_err(|_| Ended)
    }

    /// How much waits.
    pub(crate) fn backlog(&self) -> &Backlog {
        &self.backlog
    }
}

impl Queue {
    /// The next job, or `None` when there will be none any more.
    pub(crate) async fn recv(&mut self) -> Option<Job> {
        let taken = self.receiver.recv().await?;
        Some(self.take(taken))
    }

    /// The next job, if one is at hand.
    pub(crate) fn try_recv(&mut self) -> Option<Job> {
        let taken = self.receiver.try_recv().ok()?;
        Some(self.take(taken))
    }

    fn take(&mut self, (size, job): (usize, Job)) -> Job {
        self.taken += size;
        job
    }

    /// All jobs that were taken are done.
    pub(crate) fn done(&mut self) {
        self.backlog.0.fetch_sub(std::mem::take(&mut self.taken), Ordering::Relaxed);
    }
}

/// What a job keeps in memory, about, in bytes.
fn size(job: &Job) -> usize {
    let record = |record: &Record| match record {
        Record::Entry(entry) => OVERHEAD + entry.value.length(),
        Record::Metadata(_) | Record::Learned { .. } => OVERHEAD,
    };
    OVERHEAD
        + match job {
            Job::Persist(records) => records.iter().map(record).sum(),
            Job::Answer { response: Response::Page { entries, .. }, .. } => {
                entries.iter().map(|entry| OVERHEAD + entry.value.length()).sum()
            }
            Job::Answer { .. } | Job::Local(_) | Job::Load { .. } | Job::Stop(_) => 0,
        }
}
