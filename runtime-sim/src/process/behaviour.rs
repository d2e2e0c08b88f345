//! Programs that do not do what they should.

use std::path::Path;

use orrery_runtime::{BoxFuture, ExitStatus};

use crate::config::{Latency, nanoseconds};
use crate::host::Host;
use crate::timers::Sleep;

const SIGKILL: i32 = 9;

/// How a program misbehaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behaviour {
    /// It ends after a moment with this code and does nothing else: 0–1 ms after its launch it may
    /// be gone before whoever launched it looks.
    Exit {
        /// When.
        within: Latency,
        /// Its exit code, 0–255.
        code: u8,
    },
    /// It is itself, until SIGKILL ends it after a while.
    Die {
        /// When.
        within: Latency,
    },
    /// It does nothing, for ever.
    Hang,
    /// It is itself, but SIGTERM does not end it.
    IgnoreTerminate,
}

impl Behaviour {
    /// A number for the hash.
    pub(crate) fn code(self) -> u64 {
        match self {
            Self::Exit { within, code } => nanoseconds(within.maximum) << 9 | u64::from(code) << 1,
            Self::Die { within } => nanoseconds(within.maximum) << 1 | 1,
            Self::Hang => 3,
            Self::IgnoreTerminate => 5,
        }
    }
}

async fn wait(host: &Host, within: Latency) {
    let delay = within.draw(&mut host.random().lock());
    let deadline = host.world().now().saturating_add(delay);
    Sleep::until(host.world().clone(), deadline).await;
}

/// What process `id` does in place of `main`, the program at `path`.
pub(crate) fn behave(
    host: &Host,
    id: u32,
    path: &Path,
    main: impl FnOnce() -> BoxFuture<'static, i32>,
) -> BoxFuture<'static, i32> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let behaviour = host.faults().lock().behaviours.get(name.as_ref()).copied();
    let Some(behaviour) = behaviour else { return main() };
    let host = host.clone();
    match behaviour {
        Behaviour::Exit { within, code } => Box::pin(async move {
            wait(&host, within).await;
            i32::from(code)
        }),
        Behaviour::Die { within } => {
            let main = main();
            Box::pin(async move {
                tokio::select! {
                    biased;
                    code = main => code,
                    () = wait(&host, within) => {
                        host.end_process(id, ExitStatus::Signaled(SIGKILL));
                        std::future::pending().await
                    }
                }
            })
        }
        Behaviour::Hang => Box::pin(std::future::pending()),
        Behaviour::IgnoreTerminate => {
            if let Some(process) = host.table().lock().get_mut(id) {
                process.ignores_terminate = true;
            }
            main()
        }
    }
}
