//! What an agent wants done.

use std::path::PathBuf;

use orrery_api::link::from_agent;
use orrery_api::v1;
use orrery_api::v1::executor;
use orrery_journal::Change;
use orrery_runtime::{Command, ProcessId};

use crate::{ConnectionNumber, LinkNumber, RequestNumber};

/// One run of one executor.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Container {
    /// The framework it belongs to.
    pub framework_id: String,
    /// The executor that runs in it.
    pub executor_id: String,
    /// A random UUID.
    pub container_id: String,
}

/// How to start a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Launch {
    /// Which one.
    pub container: Container,
    /// Its sandbox, an absolute path: to be made with all folders above it before the start.
    pub directory: PathBuf,
    /// Symbolic link that shall name `directory`, replacing an older one.
    pub latest: PathBuf,
    /// The executor's process; it leads a session, works in `directory` and appends its output to
    /// `stdout` and `stderr` there.
    pub command: Command,
}

/// One effect.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Make these changes to what a restart needs durable before any output that follows is carried
    /// out. There is an id by then.
    Checkpoint(Vec<Change>),
    /// Look up the master and connect to it; answered by `LinkUp` or `LinkDown`.
    Connect {
        /// Name of this attempt and of the connection that comes of it.
        link: LinkNumber,
    },
    /// Close the connection, or give up opening it. `LinkDown` need not follow.
    Disconnect {
        /// Which one.
        link: LinkNumber,
    },
    /// Send to the master on the connection that is up. May be lost: all that matters is repeated.
    ToMaster(Box<from_agent::Body>),
    /// The master has given the agent its id for the first time: make its folders, and write down
    /// durably that this is the agent from now on.
    Admitted {
        /// The agent, with its id.
        agent_info: Box<v1::AgentInfo>,
    },
    /// A master has let in an agent that has taken over what an earlier run has left: write down
    /// durably what the agent is now and under which boot of its host. What was written down of an
    /// agent that no master lets in stays as it is, so that it can go back to what it was.
    Readmitted {
        /// The agent.
        agent_info: Box<v1::AgentInfo>,
    },
    /// Write down durably that no later run is to go on as this agent.
    Forget,
    /// Start a container; answered by `ContainerLaunched` or `ContainerLaunchFailed`.
    Launch(Box<Launch>),
    /// Kill every process of the session that `process` leads; `ContainerExited` follows.
    Destroy {
        /// Which one.
        container: Container,
        /// The container's first process.
        process: ProcessId,
    },
    /// Send on an executor's event stream.
    ExecutorEvent {
        /// Which one.
        connection: ConnectionNumber,
        /// What.
        event: Box<executor::Event>,
    },
    /// End an executor's event stream.
    CloseConnection {
        /// Which one.
        connection: ConnectionNumber,
    },
    /// Answer an executor's call.
    Reply {
        /// Which one.
        request: RequestNumber,
        /// HTTP status; 200 opens the event stream of a SUBSCRIBE.
        status: u16,
        /// Plain text, empty unless the call was refused.
        text: String,
    },
    /// Everything has ended: stop the daemon. The last output.
    Stop {
        /// Set when the agent must stop against its operator's wish.
        error: Option<String>,
    },
}
