//! Carries out what the machine decides.

use std::io;
use std::ops::ControlFlow;

use orrery_coverage::reachable;
use orrery_executor::{CommandExecutor, Input, Output, Settings};
use orrery_http::Client;
use orrery_runtime::machine::Feeder;
use orrery_runtime::tasks::AbortOnDrop;
use orrery_runtime::{Command, Runtime, Signal, Target};
use tokio::sync::mpsc;
use tracing::{error, warn};

use crate::connection::{Connection, Endpoint};

/// Calls that may wait for the agent. A command executor has few; one that has more unanswered
/// talks to an agent that is stuck.
const CALLS: usize = 256;

pub(crate) struct Carrier {
    runtime: Runtime,
    client: Client,
    endpoint: Endpoint,
    feeder: Feeder<CommandExecutor>,
    connection: Option<Open>,
}

/// The present connection: dropping it ends it.
struct Open {
    calls: mpsc::Sender<orrery_api::v1::executor::Call>,
    _task: AbortOnDrop,
}

impl Carrier {
    pub(crate) fn new(
        runtime: Runtime,
        settings: &Settings,
        feeder: Feeder<CommandExecutor>,
    ) -> Self {
        let client = Client::new(runtime.clone());
        let endpoint = Endpoint::new(settings);
        Self { runtime, client, endpoint, feeder, connection: None }
    }

    /// Breaks off with the exit code.
    pub(crate) fn carry(&mut self, output: Output) -> ControlFlow<i32> {
        match output {
            Output::Subscribe(call) => self.subscribe(*call),
            Output::Send(call) => self.send(*call),
            Output::Launch(command) => self.launch(command),
            Output::Signal(target, signal) => self.signal(target, signal),
            Output::Exit(code) => return ControlFlow::Break(code),
        }
        ControlFlow::Continue(())
    }

    fn subscribe(&mut self, call: orrery_api::v1::executor::Call) {
        let (calls, queue) = mpsc::channel(CALLS);
        let connection = Connection {
            runtime: self.runtime.clone(),
            client: self.client.clone(),
            endpoint: self.endpoint.clone(),
            feeder: self.feeder.clone(),
        };
        let task = self.runtime.spawn("agent connection", connection.run(call, queue));
        self.connection = Some(Open { calls, _task: task.abort_on_drop() });
    }

    fn send(&mut self, call: orrery_api::v1::executor::Call) {
        let Some(open) = &self.connection else { return };
        if let Err(mpsc::error::TrySendError::Full(_)) = open.calls.try_send(call) {
            reachable!("an executor has more calls waiting than it may have");
            // Nothing is lost by starting afresh: SUBSCRIBE carries what is not acknowledged.
            self.connection = None;
            let feeder = self.feeder.clone();
            self.runtime.spawn("agent connection is stuck", async move {
                let reason = "the agent answers too slowly".to_owned();
                // Nobody listens when the executor is exiting.
                let _ = feeder.feed(Input::Disconnected(reason)).await;
            });
        }
        // A closed queue means that the connection has ended; it has told the machine so.
    }

    fn launch(&mut self, command: Command) {
        let (runtime, feeder) = (self.runtime.clone(), self.feeder.clone());
        self.runtime.spawn("task process", async move {
            let process = match runtime.processes.launch(command).await {
                Ok(process) => process,
                Err(error) => {
                    reachable!("the system does not start a task's command");
                    let _ = feeder.feed(Input::LaunchFailed(error.to_string())).await;
                    return;
                }
            };
            if feeder.feed(Input::Launched(process)).await.is_err() {
                return;
            }
            let exit = runtime.processes.wait(process).await.map_err(|error| error.to_string());
            let _ = feeder.feed(Input::Exited(exit)).await;
        });
    }

    fn signal(&self, target: Target, signal: Signal) {
        match self.runtime.processes.signal(target, signal) {
            Ok(()) => {}
            // It has ended by itself meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                reachable!("a task ends just before it is sent a signal");
            }
            Err(error) if signal == Signal::Terminate => {
                warn!(%error, ?target, "SIGTERM cannot be sent");
            }
            Err(error) => error!(%error, ?target, "SIGKILL cannot be sent"),
        }
    }
}
