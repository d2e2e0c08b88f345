//! Drawing faults: the kinds, and what each draws.
//!
//! These faults of the world are for plans written by hand alone:
//! - `terminate` (P2): daemons in the simulator have no handler for SIGTERM, so it is `kill`;
//! - `wipe` and `restore` of a master (D12, D14): a registry that has one copy is lost with it;
//! - `bit-rot`, `truncate-tail`, `misdirect` and `lose-write` (D7–D9): a daemon that finds its
//!   records damaged refuses to start, rightly, until somebody removes them;
//! - `restore` of an agent (D14): what it has told already it would tell again, as if it were new.

use std::time::Duration;

use orrery_runtime::Generator;
use orrery_runtime_sim::{
    Ahead, Behaviour, ClockFault, Connecting, CrashKind, CrashPoint, DiskFault, DiskOperation,
    Ending, Extent, Latency, Moment, NetworkFault, Operation, Probability, ProcessFault, Tail,
    Tearing, Ways,
};

use super::{between, pick, time, weighted};
use crate::plan::{Action, ClusterFault, Fault, Place, Shape, Step};

/// A kind of fault: its name, and what adds steps with it.
type Kind = (&'static str, fn(&mut Draw<'_>));

/// Every kind that is drawn. Each is switched on and off by itself.
const KINDS: &[Kind] = &[
    ("kill", |draw| {
        let place = draw.place();
        draw.add(ProcessFault::Kill { host: place.to_string(), process: daemon(place) });
    }),
    ("kill-executor", |draw| {
        let agent = Place::Agent(draw.agent());
        draw.once(ClusterFault::KillExecutor { agent });
    }),
    ("crash-loop", |draw| {
        let (place, life) = (draw.place(), Duration::from_millis(draw.number(10, 3_000)));
        draw.add(ClusterFault::CrashLoop { place, life });
    }),
    ("crash", |draw| {
        let host = draw.place().to_string();
        draw.add(ProcessFault::Crash { host });
    }),
    ("pause", |draw| {
        let place = draw.place();
        draw.add(ProcessFault::Pause { host: place.to_string(), process: daemon(place) });
    }),
    ("out-of-memory", |draw| {
        let host = Place::Agent(draw.agent()).to_string();
        let process = (*draw.pick(&["mesos-executor", "mesos-agent"])).to_owned();
        let session = draw.is_heads();
        draw.add(ProcessFault::OutOfMemory { host, process, session });
    }),
    ("launches", |draw| {
        let host = Place::Agent(draw.agent()).to_string();
        let slow = Latency::from_millis(0, draw.number(1, 20_000));
        let probability = draw.percent(1, 100);
        let fault = match draw.number(0, 2) {
            0 => ProcessFault::LaunchLatency { host, latency: Some(slow) },
            1 => ProcessFault::LaunchFailures { host, probability },
            _ => ProcessFault::LaunchHang { host, on: true },
        };
        draw.add(fault);
    }),
    ("behave", |draw| {
        let host = Place::Agent(draw.agent()).to_string();
        let within = Latency::from_millis(0, *draw.pick(&[1, 100, 5_000]));
        let code = *draw.pick(&[0, 1]);
        let behaviour = match draw.number(0, 3) {
            0 => Behaviour::Exit { within, code },
            1 => Behaviour::Die { within },
            2 => Behaviour::Hang,
            _ => Behaviour::IgnoreTerminate,
        };
        let program = "executor".to_owned();
        draw.add(ProcessFault::Behave { host, program, behaviour: Some(behaviour) });
    }),
    ("crash-at", crash_at),
    ("cut", |draw| {
        let ([a, b], ways) = (draw.ends(), draw.ways());
        draw.add(NetworkFault::Cut { a, b, ways });
    }),
    ("partition", |draw| {
        let (left, right) = draw.sides();
        let ways = draw.ways();
        draw.add(NetworkFault::Partition { left, right, ways });
    }),
    ("isolate", |draw| {
        let host = draw.place().to_string();
        draw.add(NetworkFault::Isolate { host });
    }),
    ("swizzle", |draw| {
        let (left, right) = draw.sides();
        let step = Duration::from_millis(draw.number(1, 1_000));
        draw.once(NetworkFault::Swizzle { hosts: [left, right].concat(), step });
    }),
    ("latency", |draw| {
        let ([a, b], ways, most) = (draw.ends(), draw.ways(), draw.number(5, 800));
        let latency = Latency::from_millis(most / 10, most);
        draw.add(NetworkFault::Slow { a, b, latency, ways });
    }),
    ("tail", |draw| {
        let ([a, b], ways) = (draw.ends(), draw.ways());
        let latency = Latency::from_millis(100, draw.number(200, 10_000));
        let tail = Tail { probability: draw.percent(1, 20), latency };
        draw.add(NetworkFault::Tail { a, b, tail: Some(tail), ways });
    }),
    ("bandwidth", |draw| {
        let ([a, b], ways, bandwidth) = (draw.ends(), draw.ways(), draw.number(50, 20_000));
        draw.add(NetworkFault::Bandwidth { a, b, bandwidth: Some(bandwidth), ways });
    }),
    ("break", |draw| {
        let [a, b] = draw.ends();
        let (ending, extent) = (draw.ending(), *draw.pick(&[Extent::All, Extent::One]));
        draw.once(NetworkFault::Break { a, b, extent, ending });
    }),
    ("break-after", |draw| {
        let ([from, to], ending, bytes) = (draw.ends(), draw.ending(), draw.number(1, 4_000));
        draw.once(NetworkFault::BreakAfter { from, to, bytes, ending });
    }),
    ("connecting", |draw| {
        let [from, to] = draw.ends();
        let answer = *draw.pick(&[Connecting::Hang, Connecting::Refuse, Connecting::Close]);
        draw.add(NetworkFault::Connecting { from, to, answer });
    }),
    ("hold", |draw| {
        let [from, to] = draw.ends();
        draw.add(NetworkFault::Hold { from, to, on: true });
    }),
    ("flip", |draw| {
        let ([a, b], ways, probability) = (draw.ends(), draw.ways(), draw.percent(1, 10));
        draw.add(NetworkFault::Flip { a, b, probability, ways });
    }),
    ("names", |draw| {
        let name = draw.master().to_string();
        let host = draw.edge().to_string();
        let fault = match draw.is_heads() {
            true => NetworkFault::ForgetName { name },
            false => NetworkFault::PointName { name, host },
        };
        draw.add(fault);
    }),
    ("address", |draw| {
        let (host, owner) = (draw.agent(), draw.agent());
        let [host, owner] = [host, owner].map(|number| Place::Agent(number).to_string());
        let fault = match host == owner {
            true => NetworkFault::ChangeAddress { host },
            false => NetworkFault::TakeAddress { host, owner },
        };
        draw.add(fault);
    }),
    ("full", |draw| {
        let host = draw.daemon_host();
        draw.add(DiskFault::Full { host, on: true });
    }),
    ("read-only", |draw| {
        let host = draw.daemon_host();
        draw.add(DiskFault::ReadOnly { host, on: true });
    }),
    ("disk-errors", |draw| {
        let host = draw.daemon_host();
        let operation =
            *draw.pick(&[DiskOperation::Read, DiskOperation::Write, DiskOperation::Sync]);
        let (nth, rate) = (draw.number(1, 8), draw.percent(1, 30));
        let fault = match draw.is_heads() {
            true => DiskFault::FailNth { host, operation, nth },
            false => DiskFault::ErrorRate { host, operation, rate },
        };
        draw.add(fault);
    }),
    ("slow-disk", |draw| {
        let (host, most) = (draw.daemon_host(), draw.number(1, 2_000));
        let fault = match draw.is_heads() {
            true => DiskFault::Stall { host, duration: draw.lasting() },
            false => DiskFault::Slow { host, latency: Some(Latency::from_millis(most / 10, most)) },
        };
        draw.add(fault);
    }),
    ("torn", torn),
    ("wipe", |draw| {
        let host = Place::Agent(draw.agent()).to_string();
        draw.add(DiskFault::Wipe { host });
    }),
    ("drift", |draw| {
        let host = draw.place().to_string();
        let drift = draw.number(0, 1_000) as i64 - 500;
        draw.add(ClockFault::Drift { host, drift });
    }),
    ("clock", |draw| {
        let host = draw.place().to_string();
        let hour = 3_600_000_000_000;
        let ahead = Ahead(draw.number(0, 2 * hour) as i64 - hour as i64);
        draw.add(ClockFault::Step { host, ahead });
    }),
    ("timer-slack", |draw| {
        let host = draw.place().to_string();
        let slack = Duration::from_millis(draw.number(1, 1_000));
        draw.add(ClockFault::Coalesce { host, slack });
    }),
];

/// The names of all kinds.
pub(super) fn kinds() -> Vec<&'static str> {
    KINDS.iter().map(|(name, _)| *name).collect()
}

/// Crash points of daemons: what they do when they die.
fn crash_at(draw: &mut Draw<'_>) {
    let place = draw.place();
    let any = || "*".to_owned();
    let operation = match draw.number(0, 6) {
        0 => Operation::Open(any()),
        1 => Operation::Write(any()),
        2 => Operation::Sync(any()),
        3 => Operation::Rename(any()),
        4 => Operation::Remove(any()),
        5 => Operation::Launch(any()),
        _ => Operation::Send(draw.number(1, 4_000)),
    };
    let point = CrashPoint {
        process: daemon(place),
        operation,
        nth: draw.number(1, 10),
        moment: *draw.pick(&[Moment::Before, Moment::After]),
        kind: *draw.pick(&[CrashKind::ProcessKill, CrashKind::HostCrash]),
    };
    draw.add(ProcessFault::CrashAt { host: place.to_string(), point });
}

/// A loss of power that tears what was not synced in one way or another.
fn torn(draw: &mut Draw<'_>) {
    let host = draw.daemon_host();
    let tear = match draw.number(0, 4) {
        0 => DiskFault::Tearing { host: host.clone(), tearing: Tearing::Blocks(512) },
        1 => DiskFault::Tearing { host: host.clone(), tearing: Tearing::Blocks(4_096) },
        2 => DiskFault::Tearing { host: host.clone(), tearing: Tearing::Scattered(512) },
        3 => DiskFault::Tearing { host: host.clone(), tearing: Tearing::Scattered(4_096) },
        _ => DiskFault::EmptyAtCrash { host: host.clone(), on: true },
    };
    draw.add(tear);
    draw.add(ProcessFault::Crash { host });
}

/// What the daemon of a place is called among processes.
fn daemon(place: Place) -> String {
    let name = match place {
        Place::Master(_) => "mesos-master",
        Place::Agent(_) => "mesos-agent",
        Place::Scheduler(_) => "framework",
    };
    name.to_owned()
}

/// The faults of one plan.
pub(super) fn draw(
    random: &mut Generator,
    shape: &Shape,
    length: Duration,
    wanted: impl Fn(&str) -> bool,
) -> Vec<Step> {
    // Few kinds at once, some, or most.
    let percent = *pick(random, &[10, 25, 60]);
    let weights: Vec<u64> = KINDS
        .iter()
        .map(|(name, _)| {
            let weight = between(random, 1, 4);
            let is_on = random.below(100) < percent;
            if is_on && wanted(name) { weight } else { 0 }
        })
        .collect();
    let count = random.below(10);
    let mut draw = Draw { random, shape, at: Duration::ZERO, steps: Vec::new() };
    for _ in 0..count {
        draw.at = time(draw.random, length);
        if let Some((_, add)) = weighted(draw.random, &weights).and_then(|kind| KINDS.get(kind)) {
            add(&mut draw);
        }
    }
    draw.steps
}

/// Where a fault is being drawn.
struct Draw<'a> {
    random: &'a mut Generator,
    shape: &'a Shape,
    at: Duration,
    steps: Vec<Step>,
}

impl Draw<'_> {
    /// A fault that lasts for a while.
    fn add(&mut self, fault: impl Into<Fault>) {
        let lasting = self.lasting();
        self.steps.push(Step { at: self.at, action: Action::Fail(fault.into(), lasting) });
    }

    /// A fault that is over at once.
    fn once(&mut self, fault: impl Into<Fault>) {
        let action = Action::Fail(fault.into(), Duration::ZERO);
        self.steps.push(Step { at: self.at, action });
    }

    /// Most faults are short; some last longer than every time-out.
    fn lasting(&mut self) -> Duration {
        let most = *self.pick(&[200, 2_000, 8_000, 30_000]);
        Duration::from_millis(self.number(1, most))
    }

    fn number(&mut self, least: u64, most: u64) -> u64 {
        between(self.random, least, most)
    }

    fn percent(&mut self, least: u64, most: u64) -> Probability {
        Probability::from_percent(self.number(least, most) as u32)
    }

    fn is_heads(&mut self) -> bool {
        self.random.below(2) == 0
    }

    fn pick<'b, T>(&mut self, all: &'b [T]) -> &'b T {
        pick(self.random, all)
    }

    fn agent(&mut self) -> usize {
        self.random.below(self.shape.agents as u64) as usize
    }

    /// An agent or, more rarely, a framework.
    fn edge(&mut self) -> Place {
        match self.random.below(3) {
            0 => Place::Scheduler(self.random.below(self.shape.frameworks.len() as u64) as usize),
            _ => Place::Agent(self.agent()),
        }
    }

    fn master(&mut self) -> Place {
        Place::Master(self.random.below(self.shape.masters as u64) as usize)
    }

    fn place(&mut self) -> Place {
        if self.random.below(4) == 0 { self.master() } else { self.edge() }
    }

    /// A host with a disk that its daemon uses.
    fn daemon_host(&mut self) -> String {
        let place =
            if self.random.below(4) == 0 { self.master() } else { Place::Agent(self.agent()) };
        place.to_string()
    }

    /// A master and an agent or framework, in either order.
    fn ends(&mut self) -> [String; 2] {
        let ends = [self.master().to_string(), self.edge().to_string()];
        let [a, b] = ends;
        if self.is_heads() { [a, b] } else { [b, a] }
    }

    fn ways(&mut self) -> Ways {
        if self.is_heads() { Ways::Both } else { Ways::One }
    }

    fn ending(&mut self) -> Ending {
        *self.pick(&[Ending::Reset, Ending::End, Ending::Silence])
    }

    /// All hosts of the cluster, in two groups.
    fn sides(&mut self) -> (Vec<String>, Vec<String>) {
        let Shape { masters, agents, ref frameworks, .. } = *self.shape;
        let masters = (0..masters).map(Place::Master);
        let agents = (0..agents).map(Place::Agent);
        let places = masters.chain(agents).chain((0..frameworks.len()).map(Place::Scheduler));
        places.map(|place| place.to_string()).partition(|_| self.random.below(2) == 0)
    }
}
