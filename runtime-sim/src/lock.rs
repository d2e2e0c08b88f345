//! A mutex that forgets poisoning.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// A mutex for state that only the simulation's one thread touches. It exists because the ports
/// must be `Sync`. A panic anywhere ends the run, so the state left behind by one is only ever read
/// for the report: poisoning would turn that report into a second panic.
#[derive(Debug, Default)]
pub(crate) struct Lock<T>(Mutex<T>);

impl<T> Lock<T> {
    /// Wraps `value`.
    pub(crate) const fn new(value: T) -> Self {
        Self(Mutex::new(value))
    }

    /// Takes the lock. Never held while a task runs.
    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
