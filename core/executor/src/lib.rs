//! The command executor: runs one task as a process and tells the agent how it fares.
//!
//! [`CommandExecutor`] is a [`Machine`](orrery_runtime::machine::Machine): it hears the agent's
//! events and what became of the process, and says which calls to send, what to launch and whom to
//! signal. It promises, for any order of what it hears:
//!
//! - a task is launched at most once, and never after TASK_KILLED was reported for it;
//! - its states are reported in legal order with exactly one terminal state, and none after it;
//! - every update is kept, and sent again after a lost connection, until the agent acknowledged it;
//! - with the agent gone for good, the process is ended and the executor exits.
//!
//! [`Settings`] reads the environment that the agent gives to executors.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod command;
mod machine;
mod planted;
mod session;
mod settings;
mod task;
mod updates;

pub use command::{CommandError, command_of};
pub use machine::{CommandExecutor, Input, Output};
pub use planted::PlantedBug;
pub use settings::{Settings, SettingsError};
