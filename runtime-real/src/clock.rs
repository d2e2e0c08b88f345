//! Time from tokio and the operating system.

use std::time::{Duration, SystemTime};

use orrery_runtime::{BoxFuture, Clock, Instant, WallTime};

/// Tokio's timers end within about two years of being set, so longer waits are made of pieces.
const LONGEST_SLEEP: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// A monotonic clock that stands at zero when it is made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TokioClock {
    zero: tokio::time::Instant,
}

impl TokioClock {
    /// Starts the clock.
    pub(crate) fn new() -> Self {
        Self { zero: tokio::time::Instant::now() }
    }
}

impl Clock for TokioClock {
    fn now(&self) -> Instant {
        Instant::default() + self.zero.elapsed()
    }

    fn wall(&self) -> WallTime {
        let nanoseconds = |duration: Duration| i64::try_from(duration.as_nanos());
        let since_epoch = match SystemTime::now().duration_since(SystemTime::UNIX_EPOCH) {
            Ok(after) => nanoseconds(after).unwrap_or(i64::MAX),
            Err(before) => nanoseconds(before.duration()).map_or(i64::MIN, |before| -before),
        };
        WallTime::from_nanoseconds(since_epoch)
    }

    fn sleep_until(&self, deadline: Instant) -> BoxFuture<'static, ()> {
        let clock = *self;
        Box::pin(async move {
            loop {
                let remaining = deadline - clock.now();
                if remaining.is_zero() {
                    return;
                }
                tokio::time::sleep(remaining.min(LONGEST_SLEEP)).await;
            }
        })
    }
}
