//! Whether the state machine takes its turns, which is what `/health` says.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use orrery_master::Master;
use orrery_runtime::machine::Feeder;
use orrery_runtime::{Instant, Runtime};

/// A machine that has not come to a question for so long does not work any more. However many
/// agents come back at once, their queue is bounded, and a question waits no longer than it.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// For how long a sign of life spares the machine another question.
const FRESH: Duration = Duration::from_secs(1);

/// Asks the machine for a sign of life when somebody asks for the master's health, and does not
/// wait for it: the answer is about the last sign that was asked for. So it is prompt even when the
/// machine is not, and costs nothing when nobody wants to know. Who asks again and again waits for
/// nobody's locks either: to start a task takes one of all threads that run tasks, and theirs do
/// not go before others.
pub(crate) struct Pulse {
    runtime: Runtime,
    feeder: Feeder<Master>,
    last: Arc<Mutex<Option<Sign>>>,
}

/// What is known of the machine.
#[derive(Clone, Copy)]
enum Sign {
    /// A question waits for its answer since then.
    Asked(Instant),
    /// It gave a sign of life then.
    Heard(Instant),
}

impl Pulse {
    pub(crate) fn new(runtime: Runtime, feeder: Feeder<Master>) -> Self {
        Self { runtime, feeder, last: Arc::default() }
    }

    /// Whether the machine is alive, as far as is known. `Err` says for how long it has not been
    /// heard of.
    pub(crate) fn check(&self) -> Result<(), Duration> {
        let now = self.runtime.clock.now();
        {
            let mut last = lock(&self.last);
            match *last {
                Some(Sign::Asked(since)) if now.since(since) > LONGEST_WAIT => {
                    return Err(now.since(since));
                }
                Some(Sign::Asked(_)) => return Ok(()),
                Some(Sign::Heard(at)) if now.since(at) < FRESH => return Ok(()),
                Some(Sign::Heard(_)) | None => *last = Some(Sign::Asked(now)),
            }
        }
        let (runtime, feeder) = (self.runtime.clone(), self.feeder.clone());
        let last = Arc::clone(&self.last);
        self.runtime.spawn("pulse", async move {
            // A machine that has ended leaves the question open.
            if feeder.inspect(|_| ()).await.is_ok() {
                *lock(&last) = Some(Sign::Heard(runtime.clock.now()));
            }
        });
        Ok(())
    }
}

/// What is under the lock is replaced as a whole, which a panic elsewhere cannot interrupt.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[path = "pulse_test.rs"]
mod tests;
