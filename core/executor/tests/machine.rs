//! What the command executor does about what happens to it.

mod common;

use std::time::Duration;

use common::{Bench, PROCESS, nanoseconds, policy, settings, task};
use orrery_api::v1;
use orrery_api::v1::TaskState::{
    TaskFailed, TaskFinished, TaskKilled, TaskKilling, TaskRunning, TaskStarting,
};
use orrery_api::v1::task_status::{Reason, Source};
use orrery_executor::{CommandError, Input, Output, command_of};
use orrery_runtime::{ExitStatus, Signal, Target};

const GROUP: Target = Target::Group(PROCESS);
const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_command_that_succeeds_finishes() {
    let mut bench = Bench::running(settings(false), false);
    bench.exited(ExitStatus::Exited(0));
    assert_eq!(bench.states("t"), [TaskStarting, TaskRunning, TaskFinished]);
    assert_eq!(bench.message(), "Command exited with status 0");
    assert_eq!(bench.launches, 1);
    assert_eq!(bench.exit, None, "it waits for the acknowledgements");
    bench.acknowledge_all();
    assert_eq!(bench.exit, Some(0));
}

#[test]
fn a_status_says_who_sends_it_and_when() {
    let bench = Bench::running(settings(false), false);
    let status = bench.last();
    assert_eq!(status.source, Some(Source::Executor as i32));
    assert_eq!(status.timestamp, Some(5.0));
    assert_eq!(status.executor_id.as_ref().map(|id| id.value.as_str()), Some("e"));
    assert_eq!(status.uuid.as_ref().map(|uuid| uuid.len()), Some(16));
    assert_ne!(status.uuid, bench.statuses[0].uuid);
}

#[test]
fn a_command_that_fails_or_dies_has_failed() {
    for (exit, message) in [
        (ExitStatus::Exited(3), "Command exited with status 3"),
        (ExitStatus::Signaled(9), "Command terminated with signal Killed"),
    ] {
        let mut bench = Bench::running(settings(false), false);
        bench.exited(exit);
        assert_eq!(bench.states("t").last(), Some(&TaskFailed));
        assert_eq!(bench.message(), message);
        assert_eq!(bench.last().reason, None);
    }
}

#[test]
fn what_cannot_be_launched_has_failed() {
    let mut bench = Bench::subscribed(settings(false), false);
    bench.launch(task("t"));
    bench.feed(Input::LaunchFailed("no such file".to_owned()));
    assert_eq!(bench.states("t"), [TaskStarting, TaskFailed]);
    assert_eq!(bench.message(), "Command could not be launched: no such file");

    let mut bench = Bench::subscribed(settings(false), false);
    bench.launch(v1::TaskInfo { command: None, ..task("t") });
    assert_eq!(bench.states("t"), [TaskStarting, TaskFailed]);
    assert_eq!(bench.launches, 0);
}

#[test]
fn a_kill_sends_sigterm_then_sigkill_after_three_seconds() {
    let mut bench = Bench::running(settings(false), true);
    bench.kill("t", None);
    assert_eq!(bench.states("t").last(), Some(&TaskKilling));
    assert_eq!(bench.signals(), [(GROUP, Signal::Terminate)]);
    bench.wait(Duration::from_millis(2999));
    assert!(bench.signals().is_empty(), "not yet");
    bench.wait(Duration::from_millis(1));
    assert_eq!(bench.signals(), [(GROUP, Signal::Kill)]);
    bench.exited(ExitStatus::Signaled(9));
    assert_eq!(bench.states("t"), [TaskStarting, TaskRunning, TaskKilling, TaskKilled]);
    assert_eq!(bench.message(), "Command terminated with signal Killed");
}

#[test]
fn only_frameworks_that_ask_for_it_hear_of_killing() {
    let mut bench = Bench::running(settings(false), false);
    bench.kill("t", None);
    bench.exited(ExitStatus::Signaled(15));
    assert_eq!(bench.states("t"), [TaskStarting, TaskRunning, TaskKilled]);
}

#[test]
fn the_grace_period_of_the_call_goes_before_that_of_the_task() {
    for (own, asked, expected) in [(None, Some(1), 1), (Some(7), None, 7), (Some(7), Some(0), 0)] {
        let mut bench = Bench::subscribed(settings(false), false);
        let kill_policy = own.map(|seconds| policy(SECOND * seconds));
        bench.launch(v1::TaskInfo { kill_policy, ..task("t") });
        bench.feed(Input::Launched(PROCESS));
        bench.kill("t", asked.map(|seconds| SECOND * seconds));
        let waits = bench.machine_deadline().map(|at| at.since(bench.now.instant));
        assert_eq!(waits, Some(SECOND * expected));
    }
}

impl Bench {
    fn machine_deadline(&self) -> Option<orrery_runtime::Instant> {
        orrery_runtime::machine::Machine::deadline(&self.machine)
    }
}

#[test]
fn a_second_kill_can_shorten_the_grace_period_but_is_not_told_again() {
    let mut bench = Bench::running(settings(false), true);
    bench.kill("t", Some(SECOND * 60));
    bench.wait(SECOND * 2);
    bench.kill("t", Some(SECOND * 5));
    assert!(bench.signals().is_empty());
    bench.wait(SECOND * 3);
    assert_eq!(bench.signals(), [(GROUP, Signal::Kill)]);
    assert_eq!(bench.states("t"), [TaskStarting, TaskRunning, TaskKilling]);
}

#[test]
fn a_task_that_ends_well_while_being_killed_has_finished() {
    let mut bench = Bench::running(settings(false), false);
    bench.kill("t", None);
    bench.exited(ExitStatus::Exited(0));
    assert_eq!(bench.states("t").last(), Some(&TaskFinished));
}

#[test]
fn a_kill_before_the_launch_is_kept() {
    let mut bench = Bench::subscribed(settings(false), true);
    bench.kill("t", None);
    bench.launch(task("t"));
    assert_eq!(bench.states("t"), [TaskKilled]);
    assert_eq!(bench.last().reason, Some(Reason::TaskKilledDuringLaunch as i32));
    assert_eq!(bench.launches, 0);
    bench.acknowledge_all();
    assert_eq!(bench.exit, Some(0));
}

#[test]
fn a_kill_while_the_process_starts_waits_for_it() {
    let mut bench = Bench::subscribed(settings(false), true);
    bench.launch(task("t"));
    bench.kill("t", None);
    assert!(bench.signals().is_empty());
    bench.feed(Input::Launched(PROCESS));
    assert_eq!(bench.signals(), [(GROUP, Signal::Terminate)]);
    bench.exited(ExitStatus::Signaled(15));
    assert_eq!(bench.states("t"), [TaskStarting, TaskKilling, TaskKilled]);
}

#[test]
fn a_second_task_is_turned_away_and_the_first_goes_on() {
    let mut bench = Bench::running(settings(false), false);
    bench.launch(task("u"));
    bench.launch(task("u"));
    bench.launch(task("t"));
    assert_eq!(bench.states("u"), [TaskFailed]);
    assert_eq!(bench.states("t"), [TaskStarting, TaskRunning]);
    assert_eq!(bench.launches, 1);
}

#[test]
fn a_shutdown_leaves_the_task_all_but_two_seconds() {
    let mut bench = Bench::running(settings(false), false);
    bench.shut_down();
    assert_eq!(bench.signals(), [(GROUP, Signal::Terminate)]);
    bench.wait(SECOND * 3);
    assert_eq!(bench.signals(), [(GROUP, Signal::Kill)]);
    bench.exited(ExitStatus::Signaled(9));
    assert_eq!(bench.states("t").last(), Some(&TaskKilled));
    bench.acknowledge_all();
    assert_eq!(bench.exit, Some(0));
}

#[test]
fn a_shutdown_hastens_a_slow_kill() {
    let mut bench = Bench::running(settings(false), false);
    bench.kill("t", Some(SECOND * 60));
    bench.shut_down();
    bench.wait(SECOND * 3);
    assert_eq!(bench.signals(), [(GROUP, Signal::Kill)]);
}

#[test]
fn a_shutdown_without_a_task_ends_at_once() {
    let mut bench = Bench::subscribed(settings(false), false);
    bench.shut_down();
    assert_eq!(bench.exit, Some(0));
}

#[test]
fn a_task_may_not_run_longer_than_its_completion_time() {
    let mut bench = Bench::subscribed(settings(false), true);
    let max_completion_time = Some(nanoseconds(SECOND * 10));
    bench.launch(v1::TaskInfo { max_completion_time, ..task("t") });
    bench.feed(Input::Launched(PROCESS));
    bench.wait(SECOND * 10);
    assert_eq!(bench.signals(), [(GROUP, Signal::Terminate)]);
    bench.exited(ExitStatus::Signaled(15));
    assert_eq!(bench.states("t"), [TaskStarting, TaskRunning, TaskKilling, TaskFailed]);
    assert_eq!(bench.last().reason, Some(Reason::MaxCompletionTimeReached as i32));
}

#[test]
fn without_checkpoint_a_lost_agent_ends_the_task_and_the_executor() {
    let mut bench = Bench::running(settings(false), false);
    bench.feed(Input::Disconnected("reset".to_owned()));
    assert_eq!(bench.signals(), [(GROUP, Signal::Terminate)]);
    assert_eq!(bench.exit, None);
    bench.exited(ExitStatus::Signaled(15));
    assert_eq!(bench.exit, Some(1), "nobody is left to acknowledge");
}

#[test]
fn with_checkpoint_the_task_goes_on_and_updates_are_sent_again() {
    let mut bench = Bench::running(settings(true), false);
    let starting = bench.statuses[0].clone();
    bench.acknowledge(&starting);
    bench.feed(Input::Disconnected("reset".to_owned()));
    assert!(bench.signals().is_empty());
    bench.exited(ExitStatus::Exited(0));
    assert_eq!(bench.states("t"), [TaskStarting, TaskRunning], "nobody hears it yet");
    bench.wait(SECOND * 2);
    let call = bench.subscribe_call().expect("the pause is at most two seconds");
    let states: Vec<i32> =
        call.unacknowledged_updates.iter().map(|update| update.status.state).collect();
    assert_eq!(states, [TaskRunning as i32, TaskFinished as i32]);
    assert!(call.unacknowledged_tasks.is_empty(), "an update of it was acknowledged");
    bench.subscribe(false);
    assert!(bench.outputs.is_empty(), "the subscription carried everything");
    bench.acknowledge_all();
    assert_eq!(bench.exit, Some(0));
}

#[test]
fn what_happens_while_subscribing_is_sent_once_subscribed() {
    let mut bench = Bench::running(settings(true), false);
    bench.feed(Input::Disconnected("reset".to_owned()));
    bench.wait(SECOND * 2);
    let call = bench.subscribe_call().expect("it subscribes again");
    assert_eq!(call.unacknowledged_tasks.len(), 1);
    bench.exited(ExitStatus::Exited(0));
    bench.subscribe(false);
    assert!(matches!(bench.outputs.as_slice(), [Output::Send(_)]));
    assert_eq!(bench.states("t"), [TaskStarting, TaskRunning, TaskFinished]);
}

#[test]
fn an_agent_that_stays_away_is_given_up() {
    let mut bench = Bench::running(settings(true), false);
    bench.feed(Input::Disconnected("reset".to_owned()));
    let start = bench.now.instant;
    while bench.signals().is_empty() {
        bench.wait(SECOND);
        bench.feed(Input::Disconnected("refused".to_owned()));
        assert!(bench.now.instant.since(start) <= SECOND * 910);
        if bench.now.instant.since(start) > SECOND * 903 {
            break;
        }
    }
    bench.exited(ExitStatus::Signaled(15));
    assert_eq!(bench.exit, Some(1));
}

#[test]
fn the_last_acknowledgement_is_waited_for_one_minute() {
    let mut bench = Bench::running(settings(false), false);
    bench.exited(ExitStatus::Exited(0));
    bench.wait(SECOND * 59);
    assert_eq!(bench.exit, None);
    bench.wait(SECOND);
    assert_eq!(bench.exit, Some(0));
}

#[test]
fn a_first_contact_that_fails_is_tried_for_a_minute() {
    let mut bench = Bench::new(settings(false));
    bench.feed(Input::Disconnected("refused".to_owned()));
    bench.wait(SECOND * 2);
    assert!(bench.subscribe_call().is_some());
    bench.wait(SECOND * 60);
    assert_eq!(bench.exit, Some(1));
}

#[test]
fn a_refusal_ends_with_an_error() {
    let mut bench = Bench::new(settings(true));
    bench.feed(Input::Refused("400".to_owned()));
    assert_eq!(bench.exit, Some(1));
}

#[test]
fn a_heartbeat_goes_out_every_half_hour() {
    let mut bench = Bench::running(settings(false), false);
    bench.wait(SECOND * 1800);
    assert!(matches!(bench.outputs.as_slice(), [Output::Send(call)] if call.update.is_none()));
}

#[test]
fn a_shell_line_is_run_by_sh_and_a_program_with_its_arguments() {
    let shell = command_of(&task("t"), &settings(false)).expect("a command");
    assert_eq!(shell.program.to_str(), Some("/bin/sh"));
    assert_eq!(shell.arguments, ["sh", "-c", "exit 0"]);
    assert_eq!(shell.working_directory.to_str(), Some("/sandbox"));
    assert!(!shell.new_session && shell.stdout.is_none() && shell.stderr.is_none());

    let variable = v1::environment::Variable {
        name: "LEVEL".to_owned(),
        value: Some("2".to_owned()),
        ..v1::environment::Variable::default()
    };
    let mut info = task("t");
    info.command = Some(v1::CommandInfo {
        shell: Some(false),
        value: Some("./run".to_owned()),
        arguments: vec!["runner".to_owned(), "-v".to_owned()],
        environment: Some(v1::Environment { variables: vec![variable] }),
        ..v1::CommandInfo::default()
    });
    let program = command_of(&info, &settings(false)).expect("a command");
    assert_eq!(program.program, std::path::Path::new("/sandbox/./run"));
    assert_eq!(program.arguments, ["runner", "-v"]);
    assert!(program.environment.contains(&("LEVEL".to_owned(), "2".to_owned())));
    assert!(program.environment.contains(&("PATH".to_owned(), "/bin".to_owned())));
    assert_eq!(program.environment.len(), 2);

    info.command = Some(v1::CommandInfo::default());
    assert_eq!(command_of(&info, &settings(false)), Err(CommandError::NoValue));
}
