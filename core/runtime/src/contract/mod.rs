//! What every runtime must do, as tests that run on any of them.
//!
//! The real runtime and the simulator's pass the same checks, so what the logic learns in
//! simulation holds in production. A check panics where a promise is broken. None of them measures
//! real time: of clocks they ask only that they never go back and never ring early.

pub mod clock;
pub mod coordination;
pub mod disk;
pub mod machine;
pub mod network;
pub mod processes;
pub mod random;
pub mod tasks;

use std::io;
use std::time::Duration;

use crate::Runtime;

/// Long enough for anything that does not hang. Only a failing check ever waits for all of it.
const PATIENCE: Duration = Duration::from_secs(60);

/// Finishes `future` or panics when it hangs.
async fn finish<T>(runtime: &Runtime, what: &str, future: impl Future<Output = T>) -> T {
    match runtime.timeout(PATIENCE, future).await {
        Some(value) => value,
        None => panic!("{what}: nothing happened within {PATIENCE:?}"),
    }
}

/// The kind of the error that `result` must be.
fn failure<T>(what: &str, result: io::Result<T>) -> io::ErrorKind {
    match result {
        Ok(_) => panic!("{what}: succeeded, but must fail"),
        Err(error) => error.kind(),
    }
}
