//! What goes wrong in a run: drawn from the seed, printed when the run fails.

use std::fmt;
use std::time::Duration;

use orrery_runtime::Generator;
use orrery_runtime_sim::{Fault, World, ZookeeperFault};

use super::cluster::{Cluster, GROUP, MASTERS, SERVERS, master};

/// How long things go wrong.
pub const DURATION: u64 = 120;

/// One thing that goes wrong, or is set right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    Fault(Fault),
    KillMaster(usize),
    StopMaster(usize),
    StartMaster(usize),
    StartServer(usize),
    /// An operator removes the leader's node.
    RemoveFirst,
}

/// A run's timed acts.
#[derive(Clone, Debug)]
pub struct Plan {
    pub steps: Vec<(Duration, Act)>,
    /// Whether only clients are hit. Then no two masters ever lead at once.
    pub calm: bool,
}

impl fmt::Display for Plan {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, act) in &self.steps {
            match act {
                Act::Fault(fault) => writeln!(formatter, "{:8.3}  {fault}", at.as_secs_f64())?,
                act => writeln!(formatter, "{:8.3}  {act:?}", at.as_secs_f64())?,
            }
        }
        Ok(())
    }
}

impl Plan {
    pub fn draw(random: &mut Generator) -> Self {
        let calm = random.below(2) == 0;
        let mut steps = Vec::new();
        for number in 0..MASTERS {
            let start = Duration::from_millis(random.below(8_000));
            steps.push((start, Act::StartMaster(number)));
            let drift = random.below(1_001).cast_signed() - 500;
            steps.push((Duration::ZERO, fault(format!("drift {} {drift}", master(number)))));
        }
        for _ in 0..3 + random.below(10) {
            let at = Duration::from_millis(10_000 + random.below(DURATION * 1_000 - 10_000));
            let length = Duration::from_millis(100 + random.below(45_000));
            let acts = if calm || random.below(2) == 0 {
                against_master(random)
            } else {
                against_server(random)
            };
            for (index, act) in acts.into_iter().enumerate() {
                steps.push((at + length * u32::try_from(index).unwrap_or(0), act));
            }
        }
        steps.sort_by_key(|(at, _)| *at);
        // Numbers are never given out again.
        let mut counts = 0;
        steps.retain(|(_, act)| {
            let sets =
                matches!(act, Act::Fault(Fault::Zookeeper(ZookeeperFault::SetSequence { .. })));
            counts += u32::from(sets);
            !sets || counts == 1
        });
        Self { steps, calm }
    }
}

fn fault(line: String) -> Act {
    match line.parse() {
        Ok(fault) => Act::Fault(fault),
        Err(error) => panic!("'{line}': {error}"),
    }
}

/// What hits clients alone: the act, and what takes it back later.
fn against_master(random: &mut Generator) -> Vec<Act> {
    let number = random.below(MASTERS as u64) as usize;
    let host = if random.below(5) == 0 { "agent".to_owned() } else { master(number) };
    let servers = SERVERS.join(",");
    let server = SERVERS[random.below(3) as usize];
    match random.below(8) {
        0 => vec![Act::KillMaster(number), Act::StartMaster(number)],
        1 => vec![Act::StopMaster(number), Act::StartMaster(number)],
        2 => vec![fault(format!("pause {host} *")), fault(format!("resume {host} *"))],
        3 => vec![fault(format!("isolate {host}")), fault(format!("rejoin {host}"))],
        // Catalogue: N4.
        4 => vec![
            fault(format!("partition {host} {servers} both-ways")),
            fault(format!("rejoin {host}")),
        ],
        5 => vec![
            fault(format!("partition {host} {servers} one-way")),
            fault(format!("rejoin {host}")),
        ],
        6 => vec![fault(format!("break {host} {server} all reset"))],
        _ => vec![
            fault(format!("latency {host} {server} 100ms..2s both-ways")),
            fault(format!("latency {host} {server} 100us..500us both-ways")),
        ],
    }
}

/// What hits the ensemble.
fn against_server(random: &mut Generator) -> Vec<Act> {
    let number = random.below(3) as usize;
    let (server, other) = (SERVERS[number], SERVERS[(number + 1) % 3]);
    match random.below(12) {
        0 | 1 => vec![fault(format!("kill {server} zookeeper")), Act::StartServer(number)],
        // Catalogue: Z6.
        2 => vec![
            fault(format!("pause {server} *")),
            fault(format!("pause {other} *")),
            fault(format!("resume {server} *")),
            fault(format!("resume {other} *")),
        ],
        3 => vec![fault(format!("pause {server} *")), fault(format!("resume {server} *"))],
        4 => vec![fault(format!("isolate {server}")), fault(format!("rejoin {server}"))],
        5 => vec![fault(format!("expire-sessions {GROUP} one"))],
        6 => vec![fault(format!("expire-sessions {GROUP} all"))],
        7 => {
            vec![fault(format!("lose-watches {server} {}", 1 + random.below(3))), Act::RemoveFirst]
        }
        8 => vec![
            fault(format!("lose-answers {server} {}", 1 + random.below(3))),
            fault(format!("expire-sessions {GROUP} all")),
        ],
        9 => vec![fault(format!("lag {server} 3s")), fault(format!("lag {server} 0s"))],
        10 => vec![
            fault(format!("set-sequence {GROUP} 2147483647")),
            fault(format!("expire-sessions {GROUP} one")),
        ],
        _ => vec![Act::RemoveFirst],
    }
}

impl Cluster {
    pub fn act(&mut self, act: &Act) {
        let world: World = self.world.clone();
        match act {
            Act::Fault(fault) => world.inject(fault).expect("its hosts are known"),
            Act::KillMaster(number) => self.kill_master(*number),
            Act::StopMaster(number) => self.stop_master(*number),
            Act::StartMaster(number) => self.start_master(*number),
            Act::StartServer(number) => self.ensemble.start_server(*number),
            Act::RemoveFirst => self.ensemble.remove_first(GROUP),
        }
    }
}
