//! The one task: how far it is, and how it is being killed.

use std::time::Duration;

use orrery_api::v1;
use orrery_runtime::{ExitStatus, Instant, Now, ProcessId};

use crate::planted::PlantedBug;

/// How long a task has between SIGTERM and SIGKILL when nobody says otherwise.
const KILL_GRACE: Duration = Duration::from_secs(3);

/// How far the task is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Its process is being started.
    Launching,
    /// Its process runs.
    Running(ProcessId),
    /// It has reached a terminal state.
    Ended,
}

/// On whose account the task is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// KILL, SHUTDOWN or the loss of the agent.
    Request,
    /// It ran longer than its max_completion_time.
    CompletionTime,
}

/// A kill that is under way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kill {
    pub(crate) cause: Cause,
    since: Instant,
    grace: Duration,
    /// When SIGKILL follows; unset before SIGTERM and after SIGKILL.
    pub(crate) escalate_at: Option<Instant>,
}

/// The task that the executor runs or ran.
#[derive(Debug)]
pub(crate) struct Task {
    pub(crate) id: v1::TaskId,
    pub(crate) phase: Phase,
    pub(crate) kill: Option<Kill>,
    grace: Duration,
    max_completion_time: Option<Duration>,
    /// When it has run for too long; unset unless it runs undisturbed.
    pub(crate) complete_by: Option<Instant>,
}

impl Task {
    pub(crate) fn new(info: &v1::TaskInfo) -> Self {
        Self {
            id: info.task_id.clone(),
            phase: Phase::Launching,
            kill: None,
            grace: grace_of(info.kill_policy.as_ref()).unwrap_or(KILL_GRACE),
            max_completion_time: info.max_completion_time.as_ref().map(duration_of),
            complete_by: None,
        }
    }

    /// Its process runs from now on.
    pub(crate) fn started(&mut self, now: Now, process: ProcessId) {
        self.phase = Phase::Running(process);
        self.complete_by = self.max_completion_time.map(|limit| now.instant + limit);
    }

    /// The task's own grace period.
    pub(crate) fn grace(&self) -> Duration {
        self.grace
    }

    /// Begins a kill; SIGTERM has still to be sent.
    pub(crate) fn begin_kill(&mut self, now: Now, cause: Cause, grace: Duration) {
        self.complete_by = None;
        self.kill = Some(Kill { cause, since: now.instant, grace, escalate_at: None });
    }

    /// SIGTERM was sent: SIGKILL follows after the grace period.
    pub(crate) fn terminated(&mut self, now: Now) {
        if PlantedBug::KillNeverEscalates.is_planted() {
            return;
        }
        if let Some(kill) = &mut self.kill {
            kill.escalate_at = Some(now.instant + kill.grace);
        }
    }

    /// A later KILL brought another grace period, counted from the first one.
    pub(crate) fn change_grace(&mut self, grace: Duration) {
        if let Some(kill) = &mut self.kill {
            kill.grace = grace;
            let escalate_at = kill.since + grace;
            kill.escalate_at = kill.escalate_at.map(|_| escalate_at);
        }
    }

    /// The kill has to be over within `grace` from now, if it would take longer.
    pub(crate) fn hasten(&mut self, now: Now, grace: Duration) {
        if let Some(kill) = &mut self.kill {
            kill.grace = kill.grace.min(grace);
            let latest = now.instant + grace;
            kill.escalate_at = kill.escalate_at.map(|at| at.min(latest));
        }
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        let escalate_at = self.kill.and_then(|kill| kill.escalate_at);
        escalate_at.into_iter().chain(self.complete_by).min()
    }

    /// The terminal state that follows from how the process ended.
    pub(crate) fn outcome(&self, status: ExitStatus) -> v1::TaskState {
        match self.kill.map(|kill| kill.cause) {
            _ if status == ExitStatus::Exited(0) => v1::TaskState::TaskFinished,
            Some(Cause::Request) => v1::TaskState::TaskKilled,
            Some(Cause::CompletionTime) | None => v1::TaskState::TaskFailed,
        }
    }
}

/// The grace period that a kill policy names. A negative one counts as none at all.
pub(crate) fn grace_of(policy: Option<&v1::KillPolicy>) -> Option<Duration> {
    policy?.grace_period.as_ref().map(duration_of)
}

fn duration_of(info: &v1::DurationInfo) -> Duration {
    Duration::from_nanos(u64::try_from(info.nanoseconds).unwrap_or(0))
}
