//! Faults of ZooKeeper ensembles.

use std::time::Duration;

use super::InjectError;
use super::table::faults;
use super::values::Extent;
use crate::world::World;
use crate::zookeeper::Ensemble;

faults! {
    /// Something about an ensemble.
    ZookeeperFault {
        /// Sessions that have a node below a path end, while their clients think them alive.
        ExpireSessions("Z1", "expire-sessions") {
            /// The path.
            path: String,
            /// All, or that of the first node by name: the leader's.
            extent: Extent,
        }
        /// Watches that are to be told are lost, each with its client's connection.
        LoseWatches("Z2 Z4", "lose-watches") {
            /// The server's host.
            host: String,
            /// How many.
            count: u32,
        }
        /// A server sees late what the others have committed: reads are old, watches are late.
        Lag("Z4", "lag") {
            /// The server's host.
            host: String,
            /// How late.
            by: Duration,
        }
        /// The next sequential node gets a chosen number.
        SetSequence("Z5", "set-sequence") {
            /// The path of its parent.
            path: String,
            /// The number; above 2147483647 it goes on below zero.
            next: u32,
        }
        /// Writes are carried out, and their answers lost with the client's connection.
        LoseAnswers("Z7", "lose-answers") {
            /// The server's host.
            host: String,
            /// How many.
            count: u32,
        }
    }
}

impl ZookeeperFault {
    pub(super) fn apply(&self, world: &World) -> Result<(), InjectError> {
        let on = |host: &String, act: &dyn Fn(&Ensemble, usize)| {
            let server = world.ensembles().into_iter().find_map(|ensemble| {
                let server = ensemble.server_on(host)?;
                Some((ensemble, server))
            });
            let (ensemble, server) = server.ok_or_else(|| InjectError::NoServer(host.clone()))?;
            act(&ensemble, server);
            Ok(())
        };
        match self {
            Self::ExpireSessions { path, extent } => {
                for ensemble in world.ensembles() {
                    ensemble.expire_sessions(path, *extent);
                }
                Ok(())
            }
            Self::SetSequence { path, next } => {
                for ensemble in world.ensembles() {
                    ensemble.set_sequence(path, next.cast_signed());
                }
                Ok(())
            }
            Self::LoseWatches { host, count } => {
                on(host, &|ensemble, server| ensemble.lose_watches(server, *count))
            }
            Self::LoseAnswers { host, count } => {
                on(host, &|ensemble, server| ensemble.lose_answers(server, *count))
            }
            Self::Lag { host, by } => on(host, &|ensemble, server| ensemble.set_lag(server, *by)),
        }
    }
}
