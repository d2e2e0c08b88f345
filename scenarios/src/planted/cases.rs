//! Which bug is expected to break which rule.

use orrery_agent::PlantedBug as Agent;
use orrery_allocator::PlantedBug as Allocator;
use orrery_executor::PlantedBug as Executor;
use orrery_http::PlantedBug as Http;
use orrery_master::PlantedBug as Master;
use orrery_model::PlantedBug as Model;
use orrery_net_agent::PlantedBug as NetAgent;
use orrery_net_master::PlantedBug as NetMaster;
use orrery_planted::Bug;
use orrery_runtime::PlantedBug as Runtime;
use orrery_scheduler::PlantedBug as Scheduler;

use super::Case;
use crate::checks::Invariant;
use crate::checks::Invariant::{
    Acknowledgements, Answers, Conservation, Convergence, Daemons, Executors, Identity, Kills,
    Leaks, Losses, Membership, Offers, Order, Reconciliation, Records, Registry, Returns, Roles,
    Runs, States, Tasks, Written,
};

const fn case(bug: &'static Bug, invariant: Invariant) -> Case {
    Case { bug, invariant, with: &[] }
}

/// All bugs, by the part of the product that has them.
pub const CASES: &[Case] = &[
    case(Model::DifferencesAreRounded.bug(), Conservation),
    case(Runtime::RenamesBeforeSync.bug(), Daemons),
    case(Allocator::ReleaseForgetsRoles.bug(), Conservation),
    case(Allocator::UnusedClientsStay.bug(), Roles),
    case(Allocator::RefusalsNeverEnd.bug(), Convergence),
    case(Allocator::SuppressionIsIgnored.bug(), Roles),
    case(Allocator::GrantsAreNotBooked.bug(), Conservation),
    case(Master::AcceptKeepsOffer.bug(), Offers),
    case(Master::DisconnectKeepsOffers.bug(), Offers),
    case(Master::AcceptRecoversWholeOffer.bug(), Conservation),
    case(Master::DeclineKeepsResources.bug(), Conservation),
    case(Master::RescindedOfferStaysOpen.bug(), Offers),
    case(Master::RescindsInSilence.bug(), Offers),
    case(Master::FailoverKeepsOffers.bug(), Offers),
    case(Master::TerminalTaskKeepsResources.bug(), Conservation),
    Case {
        bug: Master::TerminalStateIsOverwritten.bug(),
        invariant: Records,
        // A second terminal state comes only from an agent that has a bug of its own.
        with: &[Agent::UpdateAfterTerminal.bug()],
    },
    case(Master::ReplacedAgentForgetsTasks.bug(), Losses),
    case(Master::UnreachableEndIsNeverTold.bug(), Losses),
    case(Master::LostLaunchIsForgotten.bug(), Tasks),
    case(Master::RefusedLaunchIsDropped.bug(), Answers),
    case(Master::ReconciliationOvertakes.bug(), Order),
    case(Master::ReconciliationInvents.bug(), Reconciliation),
    case(Master::UnreachableIsCalledGone.bug(), Reconciliation),
    case(Master::ReturnIsNotTold.bug(), Returns),
    case(Master::PartitionStatesForAll.bug(), States),
    case(Master::ReturnedAgentStaysUnreachable.bug(), Membership),
    case(Master::AgentIdIsUsedTwice.bug(), Identity),
    case(Master::ReplacedAgentStays.bug(), Identity),
    case(Master::LastAcknowledgementIsKept.bug(), Tasks),
    case(Master::PongIsNotCounted.bug(), Leaks),
    case(Master::NoHeartbeats.bug(), Leaks),
    case(Master::SubscribesUnsuppressed.bug(), Roles),
    case(Master::KillIsNotRepeated.bug(), Kills),
    case(Master::KillOfUnknownIsDropped.bug(), Answers),
    case(Master::AbsenceIsToldBeforeStored.bug(), Registry),
    case(Master::DeclineOfNothingPanics.bug(), Daemons),
    case(Master::UnknownReturnIsNotTold.bug(), Returns),
    case(Master::PruneLeavesTasks.bug(), Membership),
    case(Master::RemovalLimitIsIgnored.bug(), Membership),
    case(Master::RemovalRateIsIgnored.bug(), Membership),
    case(Agent::KillDuringLaunchStillLaunches.bug(), Runs),
    case(Agent::ForwardsUpdatesOutOfOrder.bug(), Order),
    case(Agent::ResendsAcknowledgedUpdate.bug(), Acknowledgements),
    case(Agent::UpdateAfterTerminal.bug(), Tasks),
    case(Agent::ForgetsUpdatesAtRestart.bug(), Tasks),
    case(Agent::ForgetsAcknowledgementsAtRestart.bug(), Order),
    case(Agent::DeliversAgainAfterRestart.bug(), Runs),
    case(Agent::ForgetsLateExecutors.bug(), Convergence),
    case(Agent::OverlooksReboot.bug(), Tasks),
    case(Agent::ForgetsExecutorsToStart.bug(), Tasks),
    case(Agent::UnstartedExecutorIsDamage.bug(), Written),
    case(Agent::CleanUpForgetsIdentity.bug(), Identity),
    case(Executor::StartsAgainWhenBack.bug(), Runs),
    case(Executor::BrokenConnectionLosesUpdates.bug(), Executors),
    case(Executor::LeavesUnacknowledged.bug(), Executors),
    case(Executor::KillNeverEscalates.bug(), Kills),
    case(Executor::KillDuringStartIsLost.bug(), Order),
    case(Executor::TellsKillingToAll.bug(), States),
    case(Executor::ExitStatusIsLost.bug(), Executors),
    case(Scheduler::DeliversRepeatedUpdates.bug(), Acknowledgements),
    case(Scheduler::AcknowledgesOnce.bug(), Tasks),
    case(Scheduler::KillsAreSaidOnce.bug(), Kills),
    case(Scheduler::NeverReconciles.bug(), Tasks),
    case(Scheduler::UnknownIsAnAnswer.bug(), Tasks),
    case(Scheduler::SilenceIsBelieved.bug(), Convergence),
    case(Http::RecordWaitsForTheNext.bug(), Convergence),
    case(NetMaster::StoresOneChangeOfABatch.bug(), Registry),
    case(NetMaster::ToldBeforeItIsStored.bug(), Registry),
    case(NetMaster::FirstMessageIsLost.bug(), Convergence),
    case(NetAgent::LeftoversStay.bug(), Runs),
    case(NetAgent::ExitIsNotTold.bug(), Tasks),
    case(NetAgent::OrphansStay.bug(), Tasks),
    case(NetAgent::ActsBeforeItIsWritten.bug(), Written),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::planted::elsewhere::ELSEWHERE;

    /// The bugs of all crates that are part of the clusters which random plans are played on.
    fn declared() -> Vec<&'static Bug> {
        let all: [&[Bug]; 10] = [
            Model::ALL,
            Runtime::ALL,
            Allocator::ALL,
            Master::ALL,
            Agent::ALL,
            Executor::ALL,
            Scheduler::ALL,
            Http::ALL,
            NetMaster::ALL,
            NetAgent::ALL,
        ];
        all.into_iter().flatten().collect()
    }

    #[test]
    fn every_bug_has_one_case_or_a_test_of_its_own() {
        for bug in declared() {
            let cases = CASES.iter().filter(|case| case.bug == bug).count();
            let tests = ELSEWHERE.iter().filter(|one| one.bug == bug).count();
            assert_eq!(cases + tests, 1, "{bug:?}");
        }
        assert!(CASES.len() >= 40);
    }
}
