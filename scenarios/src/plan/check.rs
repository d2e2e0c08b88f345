//! What a plan says must be possible in its own cluster: a host that is not there, a framework that
//! nobody added and an amount with a digit too many are mistakes, and not plans in which nothing
//! happens.

use std::borrow::Cow;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::time::Duration;

use orrery_model::Resources;
use orrery_runtime_sim::text::{ParseFaultError, Text};
use orrery_runtime_sim::{self as sim, NetworkFault, ProcessFault};

use crate::daemons::zookeeper_hosts;

use super::{Action, ClusterFault, Elections, Fault, Flag, Operation, Place, Profile, Shape, Step};

/// How large a cluster may be. The upper ends keep a slip of the finger from filling the memory.
const MASTERS: RangeInclusive<usize> = 1..=9;
const AGENTS: RangeInclusive<usize> = 1..=10_000;
const FRAMEWORKS: usize = 1_000;
const ROLES: RangeInclusive<usize> = 1..=1_000;
const PADDING: RangeInclusive<usize> = 0..=100_000;
/// What time-outs may be; shorter ones end before a cluster without faults has answered.
const TIMEOUT: RangeInclusive<Duration> = Duration::from_millis(100)..=hours(1);
/// How many agents a master may be told to remember.
const REMEMBERED: RangeInclusive<usize> = 0..=1_000_000;
/// How many tasks one operation may be about.
const COUNT: RangeInclusive<usize> = 1..=10_000;
/// When steps may happen: runs are given up as stuck some hours later.
const TIME: RangeInclusive<Duration> = Duration::ZERO..=hours(2);

const fn hours(hours: u64) -> Duration {
    Duration::from_secs(hours * 3_600)
}

type Checked = Result<(), ParseFaultError>;

/// Checks the settings of a cluster.
pub(super) fn check_shape(shape: &Shape) -> Checked {
    check_range("masters", &shape.masters, &MASTERS)?;
    check_range("agents", &shape.agents, &AGENTS)?;
    check_time("ping-timeout", shape.ping_timeout, &TIMEOUT)?;
    check_time("reregister-timeout", shape.reregister_timeout, &TIMEOUT)?;
    if let Some(timeout) = shape.offer_timeout {
        check_time("offer-timeout", timeout, &TIMEOUT)?;
    }
    check_registry(shape)?;
    let timeout = shape.executor_registration_timeout;
    check_time("executor-registration-timeout", timeout, &TIMEOUT)?;
    check_resources("agent-resources", &shape.agent_resources)?;
    let frameworks = shape.frameworks.len();
    if frameworks > FRAMEWORKS {
        let expected = format!("at most {FRAMEWORKS} of them");
        return Err(ParseFaultError::new("frameworks", &frameworks.to_string(), expected));
    }
    // The others were checked when they were read.
    shape.frameworks.last().map_or(Ok(()), check_profile)
}

/// Checks what a master remembers of agents, and how fast it gives them up.
fn check_registry(shape: &Shape) -> Checked {
    if shape.forgets_all() && shape.masters > 1 {
        let expected = "replicated-log where there are several masters";
        return Err(ParseFaultError::new("registry", "in-memory", expected));
    }
    if let Some(interval) = shape.removal_interval {
        check_time("removal-interval", interval, &TIMEOUT)?;
    }
    check_time("registry-gc-interval", shape.registry_gc_interval, &TIMEOUT)?;
    check_range("registry-max-agent-count", &shape.registry_max_agent_count, &REMEMBERED)
}

fn check_profile(profile: &Profile) -> Checked {
    check_range("roles", &profile.roles, &ROLES)?;
    check_range("padding", &profile.padding, &PADDING)
}

/// Checks a step against the cluster that it is for.
pub(super) fn check_step(step: &Step, shape: &Shape) -> Checked {
    check_time("time", step.at, &TIME)?;
    match &step.action {
        Action::Operate(framework, operation) => {
            check_number("framework", *framework, shape.frameworks.len())?;
            match operation {
                Operation::Launch { count, .. } | Operation::Kill { count } => {
                    check_range("count", count, &COUNT)
                }
                _ => Ok(()),
            }
        }
        Action::Fail(Fault::Cluster(fault), _) => check_cluster_fault(fault, shape),
        Action::Fail(Fault::World(fault), _) => check_world_fault(fault, shape),
    }
}

fn check_cluster_fault(fault: &ClusterFault, shape: &Shape) -> Checked {
    match fault {
        ClusterFault::CrashLoop { place, .. } => check_host("place", &place.to_string(), shape),
        ClusterFault::KillExecutor { agent }
        | ClusterFault::CleanUp { agent }
        | ClusterFault::Strand { agent, .. } => check_agent("agent", *agent, shape),
        ClusterFault::Change { place, flag } => match flag {
            Flag::Version(_) => check_host("place", &place.to_string(), shape),
            Flag::Quorum(quorum) => check_quorum(*place, *quorum, shape),
            Flag::Resources(text) => {
                check_agent("place", *place, shape)?;
                check_resources("resources", text)
            }
            Flag::Attributes(text) => {
                check_agent("place", *place, shape)?;
                check_attributes(text)
            }
        },
    }
}

fn check_world_fault(fault: &sim::Fault, shape: &Shape) -> Checked {
    for (field, host) in fault.hosts() {
        check_host(field, &host, shape)?;
    }
    match fault {
        sim::Fault::Network(
            NetworkFault::ForgetName { name }
            | NetworkFault::PointName { name, .. }
            | NetworkFault::RestoreName { name },
        ) => check_host("name", name, shape),
        sim::Fault::Process(
            ProcessFault::Kill { host, process }
            | ProcessFault::Terminate { host, process }
            | ProcessFault::Pause { host, process }
            | ProcessFault::Resume { host, process }
            | ProcessFault::OutOfMemory { host, process, .. },
        ) => check_process(host, process),
        sim::Fault::Process(ProcessFault::CrashAt { host, point }) => {
            check_process(host, &point.process)
        }
        _ => Ok(()),
    }
}

/// The places of a shape by the beginning of their names, and how many there are of each.
fn places(shape: &Shape) -> [(&'static str, usize); 4] {
    [
        ("master", shape.masters),
        ("agent", shape.agents),
        ("scheduler", shape.frameworks.len()),
        ("zookeeper", zookeeper_hosts(shape).len()),
    ]
}

fn check_host(field: &'static str, host: &str, shape: &Shape) -> Checked {
    let is_there = |(kind, count): (&str, usize)| {
        let number = host.strip_prefix(kind).and_then(|rest| rest.strip_prefix('-'));
        let number = number.and_then(|number| number.parse().ok());
        // `agent-01` is no name of a host.
        number.is_some_and(|number: usize| number < count && host == format!("{kind}-{number}"))
    };
    if places(shape).into_iter().any(is_there) {
        return Ok(());
    }
    let names = places(shape).into_iter().filter_map(|(kind, count)| match count {
        0 => None,
        1 => Some(format!("{kind}-0")),
        _ => Some(format!("{kind}-0 to {kind}-{}", count - 1)),
    });
    let names: Vec<String> = names.collect();
    Err(ParseFaultError::new(field, host, format!("a host of this plan: {}", names.join(", "))))
}

fn check_agent(field: &'static str, place: Place, shape: &Shape) -> Checked {
    match place {
        Place::Agent(number) if number < shape.agents => Ok(()),
        _ => {
            let expected = match shape.agents {
                1 => "agent-0".to_owned(),
                agents => format!("agent-0 to agent-{}", agents.saturating_sub(1)),
            };
            Err(ParseFaultError::new(field, &place.to_string(), expected))
        }
    }
}

fn check_quorum(place: Place, quorum: usize, shape: &Shape) -> Checked {
    let meets = shape.elections == Elections::ZooKeeper;
    if !(meets && matches!(place, Place::Master(number) if number < shape.masters)) {
        let expected = "a master, and 'elections zookeeper' ahead of it";
        return Err(ParseFaultError::new("place", &place.to_string(), expected));
    }
    check_range("quorum", &quorum, &(1..=2 * shape.masters))
}

/// Checks a pattern of processes against what runs on a host of that kind.
fn check_process(host: &str, pattern: &str) -> Checked {
    let programs: &[&str] = match Place::of_host(host) {
        Some(Place::Master(_)) => &["mesos-master"],
        Some(Place::Agent(_)) => &["mesos-agent", "mesos-executor", "sh"],
        Some(Place::Scheduler(_)) => &["framework"],
        _ => return Ok(()),
    };
    if programs.iter().any(|program| sim::matches(pattern, program)) {
        return Ok(());
    }
    let expected = format!("* or what runs there: {}", programs.join(", "));
    Err(ParseFaultError::new("process", pattern, expected))
}

fn check_number(field: &'static str, number: usize, count: usize) -> Checked {
    if number < count {
        return Ok(());
    }
    let expected: Cow<'static, str> = match count {
        0 => "a framework of this plan, which has none: add a line 'framework launcher'".into(),
        1 => "0, the number of the only framework".into(),
        _ => format!("a number from 0 to {}", count - 1).into(),
    };
    Err(ParseFaultError::new(field, &number.to_string(), expected))
}

fn check_range<T: PartialOrd + Display>(
    field: &'static str,
    value: &T,
    range: &RangeInclusive<T>,
) -> Checked {
    if range.contains(value) {
        return Ok(());
    }
    let expected = format!("a number from {} to {}", range.start(), range.end());
    Err(ParseFaultError::new(field, &value.to_string(), expected))
}

fn check_time(field: &'static str, time: Duration, range: &RangeInclusive<Duration>) -> Checked {
    if range.contains(&time) {
        return Ok(());
    }
    let expected = format!("a time from {} to {}", written(*range.start()), written(*range.end()));
    Err(ParseFaultError::new(field, &written(time), expected))
}

/// A time as plans have it.
fn written(time: Duration) -> String {
    let mut words = Vec::new();
    time.write(&mut words);
    words.concat()
}

fn check_resources(field: &'static str, text: &str) -> Checked {
    let parsed = Resources::parse(text, "*");
    parsed.map(drop).map_err(|error| ParseFaultError::new(field, text, expected_by(&error)))
}

fn check_attributes(text: &str) -> Checked {
    let parsed = orrery_model::attributes::parse(text);
    parsed.map(drop).map_err(|error| ParseFaultError::new("attributes", text, expected_by(&error)))
}

/// What a parser of the product's says that it expected.
fn expected_by(error: &impl Display) -> String {
    format!("what an agent's flag takes, but {error}")
}

#[cfg(test)]
mod tests {
    use crate::plan::Plan;

    fn error_of(text: &str) -> String {
        text.parse::<Plan>().expect_err(text).to_string()
    }

    #[test]
    fn a_cluster_that_cannot_be_is_refused_at_its_line() {
        for (text, expected) in [
            ("masters 0", "line 1: masters '0': expected a number from 1 to 9"),
            ("seed 1\nagents 999999", "line 2: agents '999999': expected a number from 1 to 10000"),
            ("ping-timeout 0s", "line 1: ping-timeout '0s': expected a time from 100ms to 1h"),
            ("framework launcher roles 0", "line 1: roles '0': expected a number from 1 to 1000"),
        ] {
            assert_eq!(error_of(text), expected);
        }
        let error = error_of("\n\nagent-resources cpus:-1");
        let expected =
            "line 3: agent-resources 'cpus:-1': expected what an agent's flag takes, but ";
        assert!(error.starts_with(expected), "{error}");
    }

    #[test]
    fn what_is_not_in_the_cluster_is_refused_wherever_its_size_is_told() {
        let hosts = "expected a host of this plan: master-0, agent-0 to agent-2, scheduler-0";
        for (line, expected) in [
            ("crash agent-3", format!("host 'agent-3': {hosts}")),
            ("cut master-0 agent-01 one-way", format!("b 'agent-01': {hosts}")),
            ("partition agent-0,agent-1 nowhere both-ways", format!("right 'nowhere': {hosts}")),
            ("lose-answers zookeeper-0 1", format!("host 'zookeeper-0': {hosts}")),
            ("forget-name master-1", format!("name 'master-1': {hosts}")),
            ("crash-loop scheduler-1 1s", format!("place 'scheduler-1': {hosts}")),
            ("kill-executor master-0", "agent 'master-0': expected agent-0 to agent-2".to_owned()),
            (
                "kill master-0 mesos-agent",
                "process 'mesos-agent': expected * or what runs there: mesos-master".to_owned(),
            ),
            (
                "framework 1 launch 1 long",
                "framework '1': expected 0, the number of the only framework".to_owned(),
            ),
            ("framework 0 kill 0", "count '0': expected a number from 1 to 10000".to_owned()),
        ] {
            let text = format!("at 1s {line}\nat 2s mend\nagents 3\nframework launcher");
            assert_eq!(error_of(&text), format!("line 1: {expected}"));
        }
        let error = error_of("at 1s framework 0 suppress");
        assert!(error.contains("which has none: add a line 'framework launcher'"), "{error}");
        let error = error_of("masters 3\nregistry in-memory");
        assert!(error.contains("registry 'in-memory': expected replicated-log where"), "{error}");
        let error = error_of("removal-interval 1ms");
        assert!(error.contains("removal-interval '1ms': expected a time from 100ms"), "{error}");
        let error = error_of("at 3h mend");
        assert_eq!(error, "line 1: time '3h': expected a time from 0s to 2h");
        let error = error_of("at 1s change agent-0 attributes :::");
        assert!(error.starts_with("line 1: attributes ':::': expected what an agent's"), "{error}");
    }

    #[test]
    fn what_is_there_is_taken() {
        let text = "elections zookeeper\n\
                    masters 3\n\
                    framework hoarder\n\
                    at 0s lag zookeeper-2 1s\n\
                    at 1s kill agent-1 mesos-*\n\
                    at 1s pause scheduler-0 *\n\
                    at 1s crash-at master-2 mesos-master sync * 1 after host\n\
                    at 2s change agent-0 resources cpus:1;mem:64";
        assert_eq!(text.parse::<Plan>().expect("a plan").steps.len(), 5);
    }
}
