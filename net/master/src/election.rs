//! The ways in which a master comes to lead.

use std::sync::Arc;

use orrery_api::v1;
use orrery_election::{self as zookeeper, Contender, ContenderEvent, Detector};
use orrery_net_lease::{self as lease, Member};
use orrery_runtime::coordination::Coordination;
use orrery_runtime::{Address, Runtime};
use tokio::sync::mpsc;

use crate::info::public_address;

/// How a master comes to lead.
pub(crate) enum Election {
    /// It is the only one.
    Alone {
        /// Whether it was told that it leads.
        told: bool,
    },
    /// The masters vote among themselves.
    Peers { member: Member, events: mpsc::UnboundedReceiver<lease::Event> },
    /// The lowest node in ZooKeeper leads.
    ZooKeeper(Box<ZooKeeper>),
}

/// A place among the masters in ZooKeeper.
pub(crate) struct ZooKeeper {
    runtime: Runtime,
    coordination: Arc<dyn Coordination>,
    options: zookeeper::Options,
    contender: Option<Contender>,
    detector: Detector,
}

impl ZooKeeper {
    pub(crate) fn new(
        runtime: &Runtime,
        coordination: Arc<dyn Coordination>,
        options: zookeeper::Options,
    ) -> Self {
        let detector = Detector::start(runtime, &coordination, &options);
        Self { runtime: runtime.clone(), coordination, options, contender: None, detector }
    }

    async fn stand(&mut self, info: &v1::MasterInfo) {
        self.resign().await;
        let Self { runtime, coordination, options, .. } = self;
        self.contender = Some(Contender::start(runtime, coordination, options, info));
    }

    async fn resign(&mut self) {
        if let Some(contender) = self.contender.take() {
            contender.withdraw().await;
        }
    }

    async fn next(&mut self) -> Event {
        let contending = async {
            match &mut self.contender {
                Some(contender) => contender.next().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            event = contending => match event {
                Some(ContenderEvent::Elected { name, session }) => {
                    tracing::info!(name, session, "elected through ZooKeeper");
                    Event::Elected
                }
                Some(ContenderEvent::Lost(loss)) => {
                    tracing::warn!(%loss, "the election through ZooKeeper is lost");
                    Event::Deposed
                }
                Some(ContenderEvent::Failed(error)) => Event::Broken(error.to_string()),
                None => Event::Broken("the candidacy in ZooKeeper has ended".to_owned()),
            },
            leader = self.detector.next() => match leader {
                Ok(leader) => Event::Leader(leader.as_ref().map(public_address)),
                Err(error) => Event::Broken(error.to_string()),
            },
        }
    }
}

/// What comes of an election.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// This master is to lead.
    Elected,
    /// It may lead no more.
    Deposed,
    /// Who leads, as far as is known.
    Leader(Option<Address>),
    /// There will be no more events: the election cannot go on.
    Broken(String),
}

impl Election {
    /// Stands for election as `info`.
    pub(crate) async fn stand(&mut self, info: &v1::MasterInfo) {
        match self {
            Self::Alone { told } => *told = false,
            // A member always stands.
            Self::Peers { .. } => {}
            Self::ZooKeeper(zookeeper) => zookeeper.stand(info).await,
        }
    }

    /// What happens next.
    pub(crate) async fn next(&mut self) -> Event {
        match self {
            Self::Alone { told: true } => std::future::pending().await,
            Self::Alone { told } => {
                *told = true;
                Event::Elected
            }
            Self::Peers { events, .. } => match events.recv().await {
                Some(lease::Event::Elected { term }) => {
                    tracing::info!(term, "elected by the other masters");
                    Event::Elected
                }
                Some(lease::Event::Deposed) => Event::Deposed,
                Some(lease::Event::Leader(leader)) => Event::Leader(leader),
                None => Event::Broken("the election has ended".to_owned()),
            },
            Self::ZooKeeper(zookeeper) => zookeeper.next().await,
        }
    }

    /// Does not lead any more, if it did, and lets another one lead at once.
    pub(crate) async fn resign(&mut self) {
        match self {
            Self::Alone { .. } => {}
            Self::Peers { member, .. } => member.resign().await,
            Self::ZooKeeper(zookeeper) => zookeeper.resign().await,
        }
    }

    /// Whether there is nobody else who could lead.
    pub(crate) fn is_alone(&self) -> bool {
        matches!(self, Self::Alone { .. })
    }
}
