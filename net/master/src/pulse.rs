//! Whether the state machine takes its turns, which is what `/health` says.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use orrery_master::Master;
use orrery_runtime::machine::Feeder;
use orrery_runtime::{Instant, Runtime};

/// A machine that has not come to a question for so long does not work any more. However many
/// agents come back at once, their queue is bounded, and a question waits no longer than it.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// Asks the machine for a sign of life whenever somebody asks for the master's health, and does not
/// wait for it: the answer is about the last sign that was asked for. So it is prompt even when the
/// machine is not, and costs nothing when nobody wants to know.
pub(crate) struct Pulse {
    runtime: Runtime,
    feeder: Feeder<Master>,
    /// Since when a question waits for its answer.
    asked: Arc<Mutex<Option<Instant>>>,
}

impl Pulse {
    pub(crate) fn new(runtime: Runtime, feeder: Feeder<Master>) -> Self {
        Self { runtime, feeder, asked: Arc::default() }
    }

    /// Whether the machine is alive, as far as is known. `Err` says for how long it has not been
    /// heard of.
    pub(crate) fn check(&self) -> Result<(), Duration> {
        let now = self.runtime.clock.now();
        let mut asked = lock(&self.asked);
        if let Some(since) = *asked {
            let silence = now.since(since);
            if silence > LONGEST_WAIT {
                return Err(silence);
            }
            return Ok(());
        }
        *asked = Some(now);
        let (feeder, asked) = (self.feeder.clone(), Arc::clone(&self.asked));
        self.runtime.spawn("pulse", async move {
            // A machine that has ended leaves the question open.
            if feeder.inspect(|_| ()).await.is_ok() {
                *lock(&asked) = None;
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
