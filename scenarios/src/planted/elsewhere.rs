//! The bugs that tests of their own find: those of parts that a cluster of a random plan has too
//! few of. The replicated log, the lease and the election are played by themselves, under faults
//! that are all about them.

use orrery_agent::PlantedBug as Agent;
use orrery_election::PlantedBug as Election;
use orrery_journal::PlantedBug as Journal;
use orrery_lease::PlantedBug as Lease;
use orrery_log::PlantedBug as Log;
use orrery_master::PlantedBug as Master;
use orrery_net_master::PlantedBug as NetMaster;
use orrery_planted::Bug;
use orrery_runtime::PlantedBug as Runtime;
use orrery_zookeeper::PlantedBug as ZooKeeper;

/// A bug, and the test that finds it.
#[derive(Clone, Copy, Debug)]
pub struct Elsewhere {
    /// The bug.
    pub bug: &'static Bug,
    /// The file of the test, seen from the root of the repository.
    pub test: &'static str,
    /// How many seeds, or random runs, that takes; `None` where the test is a script, which shows
    /// the bug each time.
    pub seeds: Option<u64>,
}

/// Random orders and faults of the log's machines, without a network.
const LOG_RANDOM: &str = "core/log/src/model/planted_test.rs";
/// Orders that are written down.
const LOG_SCRIPT: &str = "core/log/src/model/script_test.rs";
/// Replicas that were told different things about their cluster.
const LOG_AGREEMENT: &str = "core/log/src/model/agreement_test.rs";
/// Replicas on simulated hosts.
const LOG_CLUSTER: &str = "scenarios/tests/replicated_log.rs";
/// Members that vote, on a random network.
const LEASE: &str = "core/lease/src/property_test.rs";
/// Contenders and detectors before simulated ZooKeeper servers.
const ELECTION: &str = "runtime-sim/tests/election/main.rs";

/// A file that is replaced again and again, on a disk that forgets.
const FILES: &str = "scenarios/tests/replaced_files.rs";

/// A journal whose process and host die again and again.
const JOURNAL: &str = "scenarios/tests/journal.rs";

/// Agents and frameworks that come back.
const RECOVERY: &str = "scenarios/tests/agent_recovery.rs";

/// Masters of which one has another quorum than the others.
const QUORUM: &str = "scenarios/tests/wrong_quorum.rs";

const fn random(bug: &'static Bug, test: &'static str, seeds: u64) -> Elsewhere {
    Elsewhere { bug, test, seeds: Some(seeds) }
}

const fn script(bug: &'static Bug, test: &'static str) -> Elsewhere {
    Elsewhere { bug, test, seeds: None }
}

/// All of them, by the part of the product that has them.
pub const ELSEWHERE: &[Elsewhere] = &[
    random(Runtime::FolderIsNotSynced.bug(), FILES, 1),
    random(NetMaster::QuorumIsNotChecked.bug(), QUORUM, 1),
    random(Master::ReplacedAgentMayReturn.bug(), RECOVERY, 2),
    random(Agent::PendingUpdatesWaitForRetry.bug(), RECOVERY, 1),
    random(Agent::RefusalForgetsIdentity.bug(), RECOVERY, 1),
    random(Journal::TornBatchIsDamage.bug(), JOURNAL, 2),
    script(Log::PromiseIsNotDurable.bug(), LOG_SCRIPT),
    random(Log::AnswersBeforeSync.bug(), LOG_CLUSTER, 1),
    random(Log::QuorumOffByOne.bug(), LOG_RANDOM, 6),
    random(Log::LearnsWithoutQuorum.bug(), LOG_RANDOM, 176),
    script(Log::TellsForeignLearned.bug(), LOG_SCRIPT),
    random(Log::VotesBeforeRecovery.bug(), LOG_RANDOM, 230),
    random(Log::EmptyReplicaVotes.bug(), LOG_RANDOM, 230),
    random(Log::FillsHoleWithNop.bug(), LOG_RANDOM, 21),
    script(Log::LowestBallotWins.bug(), LOG_SCRIPT),
    random(Log::AcceptsTornRecord.bug(), LOG_CLUSTER, 12),
    random(Log::AcceptsStaleWrite.bug(), LOG_RANDOM, 59),
    script(Log::CountsFormerLives.bug(), LOG_SCRIPT),
    script(Log::PromiseIsAskedOnce.bug(), LOG_SCRIPT),
    script(Log::HeedsStrangers.bug(), LOG_AGREEMENT),
    random(Log::VotesDespiteDamage.bug(), LOG_CLUSTER, 1),
    random(Lease::VoteIsNotDurable.bug(), LEASE, 7),
    random(Lease::VotesDespiteLeader.bug(), LEASE, 37),
    random(Lease::LeaseFromAnswer.bug(), LEASE, 18),
    random(Lease::VotesAfterRestart.bug(), LEASE, 679),
    random(Election::TrustsOldNode.bug(), ELECTION, 7),
    random(Election::LeadsOnAfterExpiry.bug(), ELECTION, 2),
    random(Election::RepeatsUnknownJoin.bug(), ELECTION, 29),
    random(Election::OverlooksRemoval.bug(), ELECTION, 10),
    random(Election::NamesLeaderAfterExpiry.bug(), ELECTION, 2),
    random(Election::WaitsForNoGroup.bug(), ELECTION, 1),
    random(ZooKeeper::WaitsForVerdict.bug(), ELECTION, 2),
    random(ZooKeeper::ForgetsWatches.bug(), ELECTION, 13),
];

impl std::fmt::Display for Elsewhere {
    /// A line of the table.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Bug { name, package, what } = self.bug;
        let (package, what) = (package.trim_start_matches("orrery-"), what.trim());
        write!(formatter, "| `{name}`: {what} | {package} | `{}` | ", self.test)?;
        match self.seeds {
            Some(seeds) => write!(formatter, "{seeds} | |"),
            None => write!(formatter, "a script | |"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each test plants its bugs by name, or all that its crate has.
    #[test]
    #[allow(clippy::disallowed_methods, reason = "the tests are real files")]
    fn every_test_is_there_and_plants_its_bug() {
        for Elsewhere { bug, test, .. } in ELSEWHERE {
            let path = format!("{}/../{test}", env!("CARGO_MANIFEST_DIR"));
            let text = std::fs::read_to_string(&path).expect("the test is there");
            assert!(text.contains(bug.name) || text.contains("PlantedBug::ALL"), "{}", bug.name);
        }
    }

    #[test]
    fn every_bug_of_these_crates_is_listed_once() {
        let all = [Log::ALL, Lease::ALL, Election::ALL, ZooKeeper::ALL, Journal::ALL];
        for bug in all.into_iter().flatten() {
            assert_eq!(ELSEWHERE.iter().filter(|one| one.bug == bug).count(), 1, "{}", bug.name);
        }
    }
}
