//! The queue between the framework and the connection that carries its calls.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use orrery_api::v1::scheduler::Call;
use orrery_coverage::reachable;
use tokio::sync::{Notify, mpsc};

/// How many calls may wait before no more events are read. The queue itself takes all calls, since
/// one event may lead to any number of them (killing every task, say) and none of them may be
/// lost; what bounds it is that nothing new comes in while it is long.
pub const HIGH_WATER: usize = 8_192;

struct Level {
    waiting: AtomicUsize,
    sunk: Notify,
}

/// The framework's end.
pub(crate) struct CallSender {
    calls: mpsc::UnboundedSender<Call>,
    level: Arc<Level>,
}

/// The connection's end.
pub(crate) struct CallReceiver {
    calls: mpsc::UnboundedReceiver<Call>,
    level: Arc<Level>,
}

/// Watches how long the queue is.
pub(crate) struct Gauge {
    level: Arc<Level>,
}

pub(crate) fn queue() -> (CallSender, CallReceiver, Gauge) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let level = Arc::new(Level { waiting: AtomicUsize::new(0), sunk: Notify::new() });
    let gauge = Gauge { level: level.clone() };
    (
        CallSender { calls: sender, level: level.clone() },
        CallReceiver { calls: receiver, level },
        gauge,
    )
}

impl CallSender {
    /// Queues a call. Without effect when the connection is gone: it is about to say so.
    pub(crate) fn send(&self, call: Call) {
        self.level.waiting.fetch_add(1, Ordering::Relaxed);
        if self.calls.send(call).is_err() {
            self.level.waiting.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl CallReceiver {
    /// Waits for calls and moves up to `limit` of them to `calls`. False when none are left and
    /// none will come. Safe to cancel.
    pub(crate) async fn take(&mut self, calls: &mut Vec<Call>, limit: usize) -> bool {
        let taken = self.calls.recv_many(calls, limit).await;
        let before = self.level.waiting.fetch_sub(taken, Ordering::Relaxed);
        if before >= HIGH_WATER && before - taken < HIGH_WATER {
            self.level.sunk.notify_one();
        }
        taken > 0
    }
}

impl Gauge {
    /// Waits until fewer than [`HIGH_WATER`] calls are queued.
    pub(crate) async fn low(&self) {
        // A wake-up left over from before only leads to one more look.
        while self.level.waiting.load(Ordering::Relaxed) >= HIGH_WATER {
            reachable!("events wait because a framework's calls pile up");
            self.level.sunk.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::task::{Context, Poll, Waker};

    use super::*;

    fn ready<T>(future: impl Future<Output = T>) -> Option<T> {
        let mut future = std::pin::pin!(future);
        match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(value) => Some(value),
            Poll::Pending => None,
        }
    }

    #[test]
    fn a_long_queue_holds_events_back_until_it_is_short_again() {
        let (sender, mut receiver, gauge) = queue();
        assert!(ready(gauge.low()).is_some());
        for _ in 0..HIGH_WATER {
            sender.send(Call::default());
        }
        let mut waiting = std::pin::pin!(gauge.low());
        let mut context = Context::from_waker(Waker::noop());
        assert!(waiting.as_mut().poll(&mut context).is_pending());
        let mut calls = Vec::new();
        assert_eq!(ready(receiver.take(&mut calls, 10)), Some(true));
        assert_eq!(calls.len(), 10);
        assert!(waiting.as_mut().poll(&mut context).is_ready());
    }

    #[test]
    fn what_was_queued_is_taken_before_the_end_is_told() {
        let (sender, mut receiver, _gauge) = queue();
        sender.send(Call::default());
        drop(sender);
        let mut calls = Vec::new();
        assert_eq!(ready(receiver.take(&mut calls, 10)), Some(true));
        assert_eq!(ready(receiver.take(&mut calls, 10)), Some(false));
    }
}
