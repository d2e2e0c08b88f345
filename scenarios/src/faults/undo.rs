//! What takes a fault of the world back.

use std::time::Duration;

use orrery_runtime_sim::{
    Ahead, ClockFault, Config, Connecting, DiskFault, Fault, NetworkFault, Probability,
    ProcessFault, Tearing, ZookeeperFault,
};

/// The faults that take `fault` back in a world of this configuration. None if it is over at once,
/// ends by itself, or stays.
pub(super) fn undo(fault: &Fault, config: &Config) -> Vec<Fault> {
    match fault {
        Fault::Network(fault) => {
            network(fault.clone(), config).into_iter().map(Fault::from).collect()
        }
        Fault::Process(fault) => process(fault.clone()).into_iter().map(Fault::from).collect(),
        Fault::Disk(fault) => disk(fault.clone()).into_iter().map(Fault::from).collect(),
        Fault::Clock(fault) => vec![clock(fault.clone()).into()],
        Fault::Zookeeper(fault) => zookeeper(fault.clone()).into_iter().map(Fault::from).collect(),
        Fault::Mend => Vec::new(),
    }
}

fn zookeeper(fault: ZookeeperFault) -> Option<ZookeeperFault> {
    use ZookeeperFault::*;
    Some(match fault {
        LoseWatches { host, .. } => LoseWatches { host, count: 0 },
        LoseAnswers { host, .. } => LoseAnswers { host, count: 0 },
        Lag { host, .. } => Lag { host, by: Duration::ZERO },
        ExpireSessions { .. } | SetSequence { .. } => return None,
    })
}

fn network(fault: NetworkFault, config: &Config) -> Vec<NetworkFault> {
    use NetworkFault::*;
    let undo = match fault {
        Cut { a, b, ways } => Heal { a, b, ways },
        Partition { left, right, ways } => {
            let pairs = left.iter().flat_map(|a| right.iter().map(move |b| (a, b)));
            return pairs.map(|(a, b)| Heal { a: a.clone(), b: b.clone(), ways }).collect();
        }
        Isolate { host } => Rejoin { host },
        Slow { a, b, ways, .. } => Slow { a, b, latency: config.network.latency, ways },
        Tail { a, b, ways, .. } => Tail { a, b, tail: None, ways },
        Bandwidth { a, b, ways, .. } => {
            Bandwidth { a, b, bandwidth: config.network.bandwidth, ways }
        }
        Connecting { from, to, .. } => Connecting { from, to, answer: self::Connecting::Normal },
        Hold { from, to, .. } => Hold { from, to, on: false },
        Flip { a, b, ways, .. } => Flip { a, b, probability: Probability::NEVER, ways },
        ForgetName { name } | PointName { name, .. } => RestoreName { name },
        Heal { .. }
        | HealAll {}
        | Rejoin { .. }
        | Swizzle { .. }
        | Break { .. }
        | BreakAfter { .. }
        | RestoreName { .. }
        | ChangeAddress { .. }
        | TakeAddress { .. } => return Vec::new(),
    };
    vec![undo]
}

/// That hosts are booted and daemons started is not among it.
fn process(fault: ProcessFault) -> Option<ProcessFault> {
    use ProcessFault::*;
    Some(match fault {
        Pause { host, process } => Resume { host, process },
        LaunchLatency { host, .. } => LaunchLatency { host, latency: None },
        LaunchFailures { host, .. } => LaunchFailures { host, probability: Probability::NEVER },
        LaunchHang { host, .. } => LaunchHang { host, on: false },
        Behave { host, program, .. } => Behave { host, program, behaviour: None },
        CrashAt { host, .. } => ClearCrashPoints { host },
        Kill { .. }
        | Terminate { .. }
        | Resume { .. }
        | Crash { .. }
        | Boot { .. }
        | Reboot { .. }
        | OutOfMemory { .. }
        | ClearCrashPoints { .. } => return None,
    })
}

fn disk(fault: DiskFault) -> Option<DiskFault> {
    use DiskFault::*;
    Some(match fault {
        Tearing { host, .. } => Tearing { host, tearing: self::Tearing::Mixed },
        Full { host, .. } => Full { host, on: false },
        FailNth { host, operation, .. } => FailNth { host, operation, nth: 0 },
        ErrorRate { host, operation, .. } => {
            ErrorRate { host, operation, rate: Probability::NEVER }
        }
        Slow { host, .. } => Slow { host, latency: None },
        EmptyAtCrash { host, .. } => EmptyAtCrash { host, on: false },
        ReadOnly { host, .. } => ReadOnly { host, on: false },
        FlipBit { .. }
        | TruncateTail { .. }
        | Misdirect { .. }
        | LoseWrite { .. }
        | Stall { .. }
        | Wipe { .. }
        | Snapshot { .. }
        | Restore { .. }
        | DropCaches { .. } => return None,
    })
}

fn clock(fault: ClockFault) -> ClockFault {
    use ClockFault::*;
    match fault {
        Drift { host, .. } => Drift { host, drift: 0 },
        Step { host, .. } => Step { host, ahead: Ahead(0) },
        Coalesce { host, .. } => Coalesce { host, slack: Duration::ZERO },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lasts_is_taken_back() {
        for (line, expected) in [
            ("cut master-0 agent-1 one-way", "heal master-0 agent-1 one-way"),
            ("isolate agent-0", "rejoin agent-0"),
            ("latency a b 5ms..50ms both-ways", "latency a b 100us..500us both-ways"),
            ("tail a b 5% 1s..2s one-way", "tail a b none one-way"),
            ("connecting a b refuse", "connecting a b normal"),
            ("hold a b on", "hold a b off"),
            ("flip a b 2% both-ways", "flip a b 0% both-ways"),
            ("point-name master-0 agent-1", "restore-name master-0"),
            ("pause agent-0 mesos-agent", "resume agent-0 mesos-agent"),
            ("behave agent-0 executor hang", "behave agent-0 executor none"),
            ("launch-failures agent-0 50%", "launch-failures agent-0 0%"),
            ("crash-at a b sync * 1 after process", "clear-crash-points a"),
            ("full agent-0 on", "full agent-0 off"),
            ("fail-disk agent-0 sync 3", "fail-disk agent-0 sync 0"),
            ("tearing agent-0 blocks-512", "tearing agent-0 mixed"),
            ("drift agent-0 500", "drift agent-0 0"),
            ("clock agent-0 -1h", "clock agent-0 0s"),
            ("timer-slack agent-0 1s", "timer-slack agent-0 0s"),
        ] {
            let fault: Fault = line.parse().expect(line);
            let undone = undo(&fault, &Config::default());
            assert_eq!(undone, [expected.parse::<Fault>().expect(expected)], "{line}");
        }
        let parts: Fault = "partition a,b c one-way".parse().expect("a fault");
        assert_eq!(undo(&parts, &Config::default()).len(), 2);
    }

    #[test]
    fn what_is_over_at_once_or_stays_is_not() {
        for line in ["break a b all reset", "wipe agent-0", "crash agent-0", "stall agent-0 3s"] {
            let fault: Fault = line.parse().expect(line);
            assert_eq!(undo(&fault, &Config::default()), [], "{line}");
        }
    }
}
