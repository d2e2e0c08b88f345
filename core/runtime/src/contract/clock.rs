//! Promises of [`crate::Clock`].

use std::time::Duration;

use super::finish;
use crate::{Instant, Runtime};

/// Checks the clock of `runtime`.
///
/// # Panics
/// Where a promise is broken.
pub async fn check(runtime: &Runtime) {
    never_goes_back(runtime);
    rings_never_early(runtime).await;
    past_deadlines_ring_at_once(runtime).await;
    far_deadlines_do_not_ring(runtime).await;
    time_limits(runtime).await;
}

fn never_goes_back(runtime: &Runtime) {
    let mut last = runtime.clock.now();
    for _ in 0..1000 {
        let now = runtime.clock.now();
        assert!(now >= last, "the clock went back from {last:?} to {now:?}");
        last = now;
    }
    assert!(runtime.clock.wall().as_nanoseconds() > 0, "civil time before 1970");
}

async fn rings_never_early(runtime: &Runtime) {
    for milliseconds in [0, 1, 3, 20] {
        let deadline = runtime.clock.now() + Duration::from_millis(milliseconds);
        finish(runtime, "a sleep", runtime.clock.sleep_until(deadline)).await;
        assert!(runtime.clock.now() >= deadline, "woken before {deadline:?}");
    }
    let before = runtime.clock.now();
    runtime.sleep(Duration::from_millis(5)).await;
    assert!(runtime.clock.now() - before >= Duration::from_millis(5));
}

async fn past_deadlines_ring_at_once(runtime: &Runtime) {
    finish(runtime, "a past deadline", runtime.clock.sleep_until(Instant::default())).await;
    finish(runtime, "a deadline now", runtime.clock.sleep_until(runtime.clock.now())).await;
}

/// Deadlines that were added up until they saturated mean "never".
async fn far_deadlines_do_not_ring(runtime: &Runtime) {
    let never = Instant::from_nanoseconds(u64::MAX);
    let in_a_century = runtime.clock.now() + Duration::from_secs(100 * 365 * 24 * 60 * 60);
    for deadline in [never, in_a_century] {
        let sleep = runtime.clock.sleep_until(deadline);
        let rang = runtime.timeout(Duration::from_millis(5), sleep).await;
        assert_eq!(rang, None, "{deadline:?} is far away");
    }
}

async fn time_limits(runtime: &Runtime) {
    let limit = Duration::from_millis(1);
    let late = runtime.timeout(limit, std::future::pending::<()>()).await;
    assert_eq!(late, None);
    assert_eq!(runtime.timeout(limit, std::future::ready(7)).await, Some(7));
    assert_eq!(runtime.timeout(Duration::ZERO, std::future::ready(7)).await, Some(7));
}
