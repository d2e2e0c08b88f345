//! The command executor on the wire: drives `orrery_executor::CommandExecutor` over the agent's
//! HTTP executor API, and starts and signals the task's process through the ports.
//!
//! One connection carries SUBSCRIBE and then the agent's events; a second one carries our calls,
//! one after the other, each until the agent has answered it, so that updates keep their order.
//! When the first breaks the second is given up with it: the next SUBSCRIBE carries whatever is
//! not acknowledged.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod carrier;
mod connection;

use std::ops::ControlFlow;

use orrery_executor::{CommandExecutor, Input, Settings};
use orrery_runtime::Runtime;
use orrery_runtime::machine::Driver;

use carrier::Carrier;

/// Inputs that may wait for the machine.
const INPUTS: usize = 64;

/// Runs a command executor until its task is over, and returns the exit code that its process
/// should end with. `environment` is the whole environment that the agent started it with.
pub async fn run(runtime: Runtime, environment: Vec<(String, String)>) -> i32 {
    let settings = match Settings::from_environment(environment) {
        Ok(settings) => settings,
        Err(error) => {
            tracing::error!(%error, "this is not an executor's environment");
            return 1;
        }
    };
    let machine = CommandExecutor::new(settings.clone(), runtime.random.generator());
    let (driver, feeder) = Driver::new(machine, INPUTS);
    if feeder.feed(Input::Start).await.is_err() {
        return 1;
    }
    let mut carrier = Carrier::new(runtime.clone(), &settings, feeder);
    let mut exit_code = 1;
    driver
        .run(runtime, |output| {
            let ended = carrier.carry(output);
            if let ControlFlow::Break(code) = ended {
                exit_code = code;
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        })
        .await;
    exit_code
}
