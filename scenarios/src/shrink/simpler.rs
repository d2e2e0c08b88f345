//! What is simpler than something, the simplest first.

use std::time::Duration;

use orrery_runtime_sim::{self as sim, NetworkFault, ProcessFault, Ways};

use crate::plan::{Action, ClusterFault, Fault, Operation, Profile, Script, Temper};

/// Shorter and rounder times.
pub(super) fn durations(time: Duration) -> Vec<Duration> {
    let round = [0, 10, 100, 1_000, 5_000, 10_000, 20_000].map(Duration::from_millis);
    let seconds = Duration::from_secs(time.as_secs());
    let tenths = Duration::from_millis(time.as_millis() as u64 / 100 * 100);
    let mut shorter: Vec<Duration> = round.into_iter().chain([time / 2, seconds, tenths]).collect();
    shorter.retain(|one| *one < time);
    shorter.sort();
    shorter.dedup();
    shorter
}

/// Simpler actions.
pub(super) fn actions(action: &Action) -> Vec<Action> {
    match action {
        Action::Operate(framework, operation) => {
            let simpler = operations(operation).into_iter();
            simpler.map(|operation| Action::Operate(*framework, operation)).collect()
        }
        Action::Fail(fault, lasting) => {
            let simpler = faults(fault).into_iter().map(|fault| Action::Fail(fault, *lasting));
            let shorter = durations(*lasting).into_iter();
            simpler.chain(shorter.map(|time| Action::Fail(fault.clone(), time))).collect()
        }
    }
}

fn operations(operation: &Operation) -> Vec<Operation> {
    match operation {
        Operation::Launch { count, script } => {
            let fewer = fewer(*count).map(|count| Operation::Launch { count, script: *script });
            let simpler = scripts(*script);
            let simpler =
                simpler.into_iter().map(|script| Operation::Launch { count: *count, script });
            fewer.chain(simpler).collect()
        }
        Operation::Kill { count } => fewer(*count).map(|count| Operation::Kill { count }).collect(),
        Operation::FailOver { overlap } => {
            let shorter = durations(*overlap).into_iter();
            shorter.map(|overlap| Operation::FailOver { overlap }).collect()
        }
        _ => Vec::new(),
    }
}

fn fewer(count: usize) -> impl Iterator<Item = usize> {
    [1, count / 2, count.saturating_sub(1)].into_iter().filter(move |one| (1..count).contains(one))
}

fn scripts(script: Script) -> Vec<Script> {
    let plain = [Script::Nothing, Script::Long];
    match script {
        Script::Nothing => Vec::new(),
        Script::Long => vec![Script::Nothing],
        Script::Short(time, code) => {
            let shorter = durations(time).into_iter().map(|time| Script::Short(time, code));
            let successful = (code != 0).then_some(Script::Short(time, 0));
            plain.into_iter().chain(shorter).chain(successful).collect()
        }
        _ => plain.to_vec(),
    }
}

fn faults(fault: &Fault) -> Vec<Fault> {
    match fault {
        Fault::Cluster(ClusterFault::CrashLoop { place, .. }) => {
            vec![ProcessFault::Kill { host: place.to_string(), process: "*".to_owned() }.into()]
        }
        Fault::World(sim::Fault::Process(ProcessFault::Crash { host })) => {
            vec![ProcessFault::Kill { host: host.clone(), process: "*".to_owned() }.into()]
        }
        Fault::World(sim::Fault::Network(fault)) => {
            network(fault).into_iter().map(Fault::from).collect()
        }
        _ => Vec::new(),
    }
}

fn network(fault: &NetworkFault) -> Vec<NetworkFault> {
    match fault.clone() {
        NetworkFault::Cut { a, b, ways: Ways::Both } => vec![
            NetworkFault::Cut { a: a.clone(), b: b.clone(), ways: Ways::One },
            NetworkFault::Cut { a: b, b: a, ways: Ways::One },
        ],
        NetworkFault::Slow { a, b, latency, ways: Ways::Both } => vec![
            NetworkFault::Slow { a: a.clone(), b: b.clone(), latency, ways: Ways::One },
            NetworkFault::Slow { a: b, b: a, latency, ways: Ways::One },
        ],
        NetworkFault::Partition { left, right, ways } => {
            let mut simpler = Vec::new();
            if let ([a], [b]) = (&left[..], &right[..]) {
                simpler.push(NetworkFault::Cut { a: a.clone(), b: b.clone(), ways });
            }
            let fewer = |hosts: &[String]| -> Vec<Vec<String>> {
                let others = |leave: usize| {
                    let kept = hosts.iter().enumerate().filter(|(index, _)| *index != leave);
                    kept.map(|(_, host)| host.clone()).collect()
                };
                if hosts.len() > 1 { (0..hosts.len()).map(others).collect() } else { Vec::new() }
            };
            simpler.extend(fewer(&left).into_iter().map(|left| NetworkFault::Partition {
                left,
                right: right.clone(),
                ways,
            }));
            simpler.extend(fewer(&right).into_iter().map(|right| NetworkFault::Partition {
                left: left.clone(),
                right,
                ways,
            }));
            simpler
        }
        _ => Vec::new(),
    }
}

/// A framework with one of its properties as usual.
pub(super) fn profiles(profile: &Profile) -> Vec<Profile> {
    let usual = Profile::default();
    let with = |change: fn(&mut Profile, Profile)| {
        let mut simpler = profile.clone();
        change(&mut simpler, usual.clone());
        simpler
    };
    let all = [
        with(|profile, usual| *profile = Profile { temper: profile.temper, ..usual }),
        with(|profile, _| profile.temper = Temper::Launcher),
        with(|profile, usual| profile.partition_aware = usual.partition_aware),
        with(|profile, usual| profile.failover_timeout = usual.failover_timeout),
        with(|profile, usual| profile.checkpoint = usual.checkpoint),
        with(|profile, usual| profile.json = usual.json),
        with(|profile, usual| profile.roles = usual.roles),
        with(|profile, usual| profile.padding = usual.padding),
    ];
    all.into_iter().filter(|simpler| simpler != profile).collect()
}
