//! Election and discovery of the leading master through ZooKeeper, with Mesos' own nodes: existing
//! tools find our leader, and we find theirs.
//!
//! - [`Contender`]: a master that wants to lead. It is told when it does and when no more.
//! - [`Detector`]: who leads. Agents, schedulers and masters that do not lead use it.
//! - [`Membership`] and [`Members`]: the same for a group in which nobody leads, as the replicas of
//!   the log are one.
//!
//! Decisions are made by two machines without I/O, [`ContenderMachine`] and [`ObserverMachine`];
//! the rest feeds them from a session of the coordination port.
//!
//! # What to rely on
//!
//! A leader is told that it leads no more before the service gives its session up, as far as a
//! client can know (`orrery-zookeeper` says how far). Whoever must be alone in doing something
//! needs the log's ballots as well: between two steps of a process any time can pass.
//!
//! When the connection to ZooKeeper is lost, nothing is told at first. After the session's time-out
//! a leader is told that it leads no more, and a detector that nobody does, whether a server can be
//! reached or not.

#![forbid(unsafe_code)]

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use orrery_api::json;
use orrery_api::v1::MasterInfo;
use orrery_runtime::Runtime;
use orrery_runtime::coordination::{Coordination, SessionOptions};
use prost::Message;

mod contender;
mod driver;
mod group;
mod member;
mod observer;
mod planted;
mod url;

pub use contender::{ContenderEvent, ContenderMachine, Loss};
pub use group::{JSON_LABEL, Kind, LOG_REPLICAS, Member, PROTOBUF_LABEL};
pub use member::{ElectionError, Input, Output};
pub use observer::{ObserverMachine, Sight};
pub use planted::PlantedBug;
pub use url::{Url, UrlError};

use driver::Running;

/// Where and how to meet.
#[derive(Clone, Debug)]
pub struct Options {
    /// `--zk`, or `--master` of an agent.
    pub url: Url,
    /// `--zk_session_timeout`: how long a leader that falls silent is waited for. The service may
    /// choose another value, by default between 4 s and 40 s.
    pub session_timeout: Duration,
}

impl Options {
    /// Mesos' session time-out, which is ten seconds.
    pub const fn new(url: Url) -> Self {
        Self { url, session_timeout: Duration::from_secs(10) }
    }

    fn session(&self) -> SessionOptions {
        SessionOptions {
            servers: self.url.servers.clone(),
            timeout: self.session_timeout,
            credentials: self.url.credentials.clone(),
        }
    }
}

/// A master's candidacy. Dropping it withdraws.
#[derive(Debug)]
pub struct Contender(Running<ContenderEvent>);

impl Contender {
    /// Contends for `master` to lead.
    pub fn start(
        runtime: &Runtime,
        coordination: &Arc<dyn Coordination>,
        options: &Options,
        master: &MasterInfo,
    ) -> Self {
        let data = Bytes::from(json::encode(master));
        let machine = ContenderMachine::new(Kind::Masters, &options.url, data);
        Self(Running::start(runtime, coordination, options.session(), machine))
    }

    /// What becomes of it next; `None` after [`ContenderEvent::Failed`]. Safe to cancel.
    pub async fn next(&mut self) -> Option<ContenderEvent> {
        self.0.next().await
    }

    /// Ends the candidacy and waits until ZooKeeper knows, so that the next master leads at once.
    /// Takes no longer than the session's time-out. Stop acting as the leader before.
    pub async fn withdraw(self) {
        self.0.stop().await;
    }
}

/// Finds the leading master. Dropping it ends its session.
#[derive(Debug)]
pub struct Detector(Running<Sight>);

impl Detector {
    /// Begins to look.
    pub fn start(
        runtime: &Runtime,
        coordination: &Arc<dyn Coordination>,
        options: &Options,
    ) -> Self {
        let machine = ObserverMachine::new(Kind::Masters, &options.url);
        Self(Running::start(runtime, coordination, options.session(), machine))
    }

    /// Who leads, each time that changes; the same master again when it was elected again. A leader
    /// whose node cannot be read counts as none, and the log says why. Safe to cancel.
    ///
    /// # Errors
    /// Why it cannot be found out; from then on this waits for ever.
    pub async fn next(&mut self) -> Result<Option<MasterInfo>, ElectionError> {
        match self.0.next().await {
            Some(Ok(members)) => Ok(members.first().and_then(master_info)),
            Some(Err(error)) => Err(error),
            None => std::future::pending().await,
        }
    }
}

/// What a member of the masters' group says of itself. A node that is none of a master counts as if
/// nobody led: whoever looks for the leader would be sent nowhere.
fn master_info(member: &Member) -> Option<MasterInfo> {
    let read = if member.name.starts_with(JSON_LABEL) {
        json::decode::<MasterInfo>(&member.data).map_err(|error| error.to_string())
    } else {
        MasterInfo::decode(member.data.clone()).map_err(|error| error.to_string())
    };
    let checked = read.and_then(|info| match u16::try_from(info.port) {
        Ok(1..) => Ok(info),
        _ => Err(format!("MasterInfo.port is {}: expected 1 to 65535", info.port)),
    });
    let name = &member.name;
    checked
        .inspect_err(|error| tracing::error!(%name, error, "the leader's node is unreadable"))
        .ok()
}

/// A place in a group in which nobody leads. Dropping it leaves the group.
#[derive(Debug)]
pub struct Membership(Running<ContenderEvent>);

impl Membership {
    /// Joins the group whose node `options` name, with `data` for the others to read.
    pub fn start(
        runtime: &Runtime,
        coordination: &Arc<dyn Coordination>,
        options: &Options,
        data: Bytes,
    ) -> Self {
        let machine = ContenderMachine::new(Kind::Replicas, &options.url, data);
        Self(Running::start(runtime, coordination, options.session(), machine))
    }

    /// Waits until the place is lost for good; losing a session is not that. Safe to cancel.
    pub async fn failed(&mut self) -> ElectionError {
        loop {
            match self.0.next().await {
                Some(ContenderEvent::Failed(error)) => return error,
                Some(_) => {}
                None => std::future::pending().await,
            }
        }
    }

    /// Leaves the group and waits until ZooKeeper knows.
    pub async fn leave(self) {
        self.0.stop().await;
    }
}

/// Who is in a group. Dropping it ends its session.
#[derive(Debug)]
pub struct Members(Running<Sight>);

impl Members {
    /// Watches the group whose node `options` name.
    pub fn start(
        runtime: &Runtime,
        coordination: &Arc<dyn Coordination>,
        options: &Options,
    ) -> Self {
        let machine = ObserverMachine::new(Kind::Replicas, &options.url);
        Self(Running::start(runtime, coordination, options.session(), machine))
    }

    /// Who is there, by number, each time that changes. Safe to cancel.
    ///
    /// # Errors
    /// Why it cannot be found out; from then on this waits for ever.
    pub async fn next(&mut self) -> Result<Vec<Member>, ElectionError> {
        match self.0.next().await {
            Some(sight) => sight,
            None => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_without_a_port_that_can_be_reached_is_unreadable() {
        let port = |data: Bytes, name: &str| {
            let member = Member { name: name.to_owned(), sequence: 1, data };
            master_info(&member).map(|info| info.port)
        };
        let json = |number: &str| {
            let text = format!(r#"{{"id": "m", "ip": 1, "port": {number}}}"#);
            port(text.into(), "json.info_0000000001")
        };
        assert_eq!(json("5050"), Some(5050));
        assert_eq!(json("65535"), Some(65_535));
        for number in ["0", "65536", "99999", "-1"] {
            assert_eq!(json(number), None, "{number}");
        }
        let protobuf = |port_number| {
            let info = MasterInfo { port: port_number, ..Default::default() };
            port(info.encode_to_vec().into(), "info_0000000001")
        };
        assert_eq!((protobuf(5050), protobuf(0), protobuf(99_999)), (Some(5050), None, None));
    }
}
