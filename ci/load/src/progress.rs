//! How far the measurement has come, counted by everybody who takes part in it.

use std::fmt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use orrery_runtime::Instant;
use tokio::sync::Notify;

/// Counts up to a number that is known beforehand, and remembers when it began and when it ended.
#[derive(Debug)]
pub struct Counter {
    target: u64,
    count: AtomicU64,
    /// Nanoseconds on the runtime's clock.
    first: AtomicU64,
    last: AtomicU64,
    reached: Notify,
}

impl Counter {
    fn new(target: u64) -> Self {
        Self {
            target,
            count: AtomicU64::new(0),
            first: AtomicU64::new(0),
            last: AtomicU64::new(0),
            reached: Notify::new(),
        }
    }

    /// One more, at `now`.
    pub fn count(&self, now: Instant) {
        let before = self.count.fetch_add(1, Ordering::Relaxed);
        if before == 0 {
            self.first.store(now.as_nanoseconds(), Ordering::Relaxed);
        }
        if before + 1 == self.target {
            self.last.store(now.as_nanoseconds(), Ordering::Relaxed);
            self.reached.notify_one();
        }
    }

    /// So many as yet.
    pub fn get(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// Waits until all were counted. For one waiter.
    pub async fn reached(&self) {
        while self.get() < self.target {
            self.reached.notified().await;
        }
    }

    /// When the first was counted.
    pub fn first(&self) -> Instant {
        Instant::from_nanoseconds(self.first.load(Ordering::Relaxed))
    }

    /// When the last was counted.
    pub fn last(&self) -> Instant {
        Instant::from_nanoseconds(self.last.load(Ordering::Relaxed))
    }
}

impl fmt::Display for Counter {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} of {}", self.get(), self.target)
    }
}

/// All counters, and the first thing that went wrong.
#[derive(Debug)]
pub struct Progress {
    /// Emulated agents that the master has let in.
    pub registered: Counter,
    /// Tasks for which ACCEPT was called.
    pub launched: Counter,
    /// Tasks whose framework was told TASK_RUNNING.
    pub running: Counter,
    /// Tasks whose agent was told that TASK_RUNNING is acknowledged.
    pub running_acknowledged: Counter,
    /// Tasks whose framework was told TASK_FINISHED.
    pub finished: Counter,
    /// Tasks whose agent was told that TASK_FINISHED is acknowledged.
    pub finished_acknowledged: Counter,
    failure: Mutex<Option<String>>,
    failed: Notify,
}

impl Progress {
    /// Nothing has happened yet.
    pub fn new(agents: u32, tasks: u32) -> Self {
        let counter = || Counter::new(u64::from(tasks));
        Self {
            registered: Counter::new(u64::from(agents)),
            launched: counter(),
            running: counter(),
            running_acknowledged: counter(),
            finished: counter(),
            finished_acknowledged: counter(),
            failure: Mutex::new(None),
            failed: Notify::new(),
        }
    }

    /// Something went wrong that makes the measurement void. The first report counts.
    pub fn fail(&self, reason: impl Into<String>) {
        if let Ok(mut failure) = self.failure.lock() {
            failure.get_or_insert_with(|| reason.into());
        }
        self.failed.notify_one();
    }

    /// Waits for the first report of [`Progress::fail`]. For one waiter.
    pub async fn failed(&self) -> String {
        loop {
            let failure = self.failure.lock().ok().and_then(|failure| failure.clone());
            match failure {
                Some(reason) => return reason,
                None => self.failed.notified().await,
            }
        }
    }

    /// How far everything came.
    pub fn missing(&self) -> String {
        let Self { registered, launched, running, finished, .. } = self;
        let tasks = format!("tasks launched {launched}, running {running}, finished {finished}");
        if registered.target == 0 {
            return tasks;
        }
        let Self { running_acknowledged, finished_acknowledged, .. } = self;
        format!(
            "agents registered {registered}; {tasks}; running and acknowledged \
             {running_acknowledged}, finished and acknowledged {finished_acknowledged}"
        )
    }

    /// From the first ACCEPT to the last of `counter`, and how many tasks a second that makes.
    pub fn rate(&self, counter: &Counter) -> (Duration, f64) {
        let duration = counter.last().since(self.launched.first());
        (duration, counter.get() as f64 / duration.as_secs_f64().max(1e-9))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_counter_knows_its_first_and_last_time() {
        let progress = Progress::new(0, 2);
        let at = Instant::from_nanoseconds;
        progress.launched.count(at(5));
        progress.launched.count(at(6));
        for now in [500_000_005, 1_000_000_005] {
            progress.running.count(at(now));
        }
        progress.running.reached().await;
        assert_eq!(progress.rate(&progress.running), (Duration::from_secs(1), 2.0));
        assert_eq!(progress.finished.to_string(), "0 of 2");
    }

    #[tokio::test]
    async fn the_first_failure_is_the_one_that_is_told() {
        let progress = Progress::new(1, 1);
        progress.fail("first");
        progress.fail("second");
        assert_eq!(progress.failed().await, "first");
    }
}
