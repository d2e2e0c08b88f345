//! Drawing what goes wrong around executors: agents that die at a bad moment, executors that miss
//! an agent's return, and links between the two that break. It is drawn beside all other faults, so
//! that more kinds of those do not make it rare.

use std::time::Duration;

use orrery_runtime::Generator;
use orrery_runtime_sim::{
    CrashKind, CrashPoint, DiskFault, Ending, Extent, Latency, Moment, NetworkFault, Operation,
    ProcessFault,
};

use super::{between, pick, time};
use crate::plan::{Action, ClusterFault, Fault, Place, Shape, Step};

/// The name of an agent's daemon among processes.
const DAEMON: &str = "mesos-agent";
/// Longer than any run: for good.
const FOR_GOOD: Duration = Duration::from_secs(24 * 3_600);

/// A kind of fault: its name, and what adds steps with it.
type Kind = (&'static str, fn(&mut Draw<'_>));

/// Every kind that is drawn.
const KINDS: &[Kind] = &[
    ("strand", |draw| {
        let agent = Place::Agent(draw.agent);
        let time = match draw.below(2) {
            0 => FOR_GOOD,
            _ => draw.milliseconds(20_000),
        };
        let down = draw.milliseconds(3_000);
        draw.add(Duration::ZERO, ClusterFault::Strand { agent, time }, down);
    }),
    ("orphan", |draw| {
        let agent = Place::Agent(draw.agent);
        let down = draw.milliseconds(4_000) + Duration::from_millis(100);
        draw.kill(down);
        for _ in 0..=draw.below(3) {
            let after = time(draw.random, down);
            draw.add(after, ClusterFault::KillExecutor { agent }, Duration::ZERO);
        }
    }),
    ("kill-at-launch", |draw| {
        let nth = between(draw.random, 1, 3);
        draw.kill_at(Operation::Launch("*".to_owned()), nth);
    }),
    // A launch takes several writes: of itself, of the process, of what then is told.
    ("kill-at-write", |draw| {
        let nth = between(draw.random, 1, 12);
        draw.kill_at(Operation::Sync("*/journal.*".to_owned()), nth);
    }),
    ("die-unwritten", |draw| {
        let (host, most) = (draw.host(), between(draw.random, 100, 1_500));
        let slow = draw.milliseconds(4_000) + Duration::from_millis(most);
        let latency = Some(Latency::from_millis(most / 10, most));
        let fault = match draw.below(2) {
            0 => DiskFault::Stall { host: host.clone(), duration: slow },
            _ => DiskFault::Slow { host: host.clone(), latency },
        };
        draw.add(Duration::ZERO, fault, slow);
        let (after, down) = (time(draw.random, slow), draw.milliseconds(2_000));
        let dies: Fault = match draw.below(3) {
            0 => ProcessFault::Crash { host }.into(),
            _ => ProcessFault::Kill { host, process: DAEMON.to_owned() }.into(),
        };
        draw.add(after, dies, down);
    }),
    ("executor-link", |draw| {
        for _ in 0..=draw.below(3) {
            let (host, peer) = (draw.host(), draw.host());
            let ending = *pick(draw.random, &[Ending::Reset, Ending::End]);
            let fault = match draw.below(2) {
                0 => NetworkFault::Break { a: host, b: peer, extent: Extent::All, ending },
                _ => {
                    let bytes = between(draw.random, 1, 3_000);
                    NetworkFault::BreakAfter { from: host, to: peer, bytes, ending }
                }
            };
            let after = draw.milliseconds(3_000);
            draw.add(after, fault, Duration::ZERO);
        }
    }),
];

/// The names of all kinds.
pub(super) fn kinds() -> impl Iterator<Item = &'static str> {
    KINDS.iter().map(|(name, _)| *name)
}

/// What goes wrong around executors in one plan: nothing in half of them.
pub(super) fn draw(
    random: &mut Generator,
    shape: &Shape,
    length: Duration,
    wanted: impl Fn(&str) -> bool,
) -> Vec<Step> {
    let mut steps = Vec::new();
    let count = random.below(2) * between(random, 1, 3);
    for _ in 0..count {
        let (name, add) = *pick(random, KINDS);
        let at = time(random, length);
        let agent = random.below(shape.agents as u64) as usize;
        let mut draw = Draw { random, agent, at, steps: Vec::new() };
        add(&mut draw);
        if wanted(name) {
            steps.extend(draw.steps);
        }
    }
    steps
}

/// Where a fault is being drawn.
struct Draw<'a> {
    random: &'a mut Generator,
    agent: usize,
    at: Duration,
    steps: Vec<Step>,
}

impl Draw<'_> {
    fn host(&self) -> String {
        Place::Agent(self.agent).to_string()
    }

    /// A fault `after` the time of the first.
    fn add(&mut self, after: Duration, fault: impl Into<Fault>, lasting: Duration) {
        let action = Action::Fail(fault.into(), lasting);
        self.steps.push(Step { at: self.at + after, action });
    }

    /// The agent is killed, and is down for so long.
    fn kill(&mut self, down: Duration) {
        let process = DAEMON.to_owned();
        self.add(Duration::ZERO, ProcessFault::Kill { host: self.host(), process }, down);
    }

    /// The agent is killed at a point of its work, early, so that there is some still.
    fn kill_at(&mut self, operation: Operation, nth: u64) {
        let point = CrashPoint {
            process: DAEMON.to_owned(),
            operation,
            nth,
            moment: *pick(self.random, &[Moment::Before, Moment::After]),
            kind: CrashKind::ProcessKill,
        };
        self.at /= 4;
        let (host, lasting) = (self.host(), self.milliseconds(20_000));
        self.add(Duration::ZERO, ProcessFault::CrashAt { host, point }, lasting);
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.random.below(bound)
    }

    fn milliseconds(&mut self, most: u64) -> Duration {
        Duration::from_millis(between(self.random, 1, most))
    }
}
