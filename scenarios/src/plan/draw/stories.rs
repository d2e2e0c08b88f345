//! Stories: a few things that must happen to the same agents within seconds, and by chance seldom
//! do. Some plans have one of them besides all else. Each tells what it is after.

mod registry;

use std::time::Duration;

use orrery_runtime::Generator;
use orrery_runtime_sim::{DiskFault, Ending, Extent, Latency, NetworkFault, ProcessFault, Ways};

use super::{between, pick, time};
use crate::plan::{Action, Fault, Operation, Place, Script, Shape, Step};

pub(super) use registry::draw as draw_of_registry;

/// One plan of so many has a story.
const RARITY: u64 = 4;
/// Of so many agents a story makes use at most.
const AGENTS: usize = 4;

/// A story: its name, and what adds its steps.
type Story = (&'static str, fn(&mut Teller<'_>));

const STORIES: &[Story] = &[
    // A kill comes while the agent is not there to hear it, and the agent is back before anybody
    // gives it up (MESOS-9180).
    ("kill-while-away", |teller| {
        teller.launch(Script::Long);
        teller.pass(2_000, 4_000);
        let away = teller.milliseconds(300, 2_000);
        let cut = teller.is_heads();
        for agent in teller.agents() {
            if cut {
                teller.disconnect(Place::Agent(agent));
                teller.lose(Place::Agent(agent), away);
            } else {
                teller.restart(agent, away);
            }
        }
        teller.pass(50, 300);
        teller.operate(Operation::Kill { count: 4 });
    }),
    // A launch is lost on its way. The master dies as well, and the next one gives the agent up,
    // never having known the task, before the agent is back without it.
    ("launch-into-the-void", |teller| {
        let away = teller.given_up() + teller.milliseconds(6_000, 12_000);
        for agent in teller.agents() {
            teller.lose(Place::Agent(agent), away);
        }
        teller.launch(Script::Long);
        teller.pass(1_500, 6_000);
        if teller.is_heads() {
            let dead = teller.milliseconds(100, 1_000);
            teller.kill_masters(dead);
        }
        teller.at += away;
        teller.launch(Script::Nothing);
    }),
    // Tasks end while their agents are being cut off for good.
    ("end-on-the-way", |teller| {
        let short = teller.milliseconds(0, 1_000);
        teller.launch(Script::Short(short, 0));
        teller.pass(200, 3_000);
        let given_up = teller.given_up();
        for agent in teller.agents() {
            teller.lose(Place::Agent(agent), given_up);
        }
        teller.at += given_up;
        teller.launch(Script::Nothing);
    }),
    // A kill is lost with the connection that carried it, and the master stays the same.
    ("kill-unheard", |teller| {
        teller.launch(Script::Long);
        teller.pass(2_000, 4_000);
        let unheard = teller.milliseconds(100, 1_500);
        teller.lose(Place::Scheduler(teller.framework), unheard);
        teller.pass(5, 50);
        teller.operate(Operation::Kill { count: 4 });
        teller.pass(5, 50);
        teller.disconnect(Place::Scheduler(teller.framework));
    }),
    // Agents stay away after a change of masters. The next one gives them up while the registry is
    // slow, and is replaced as well before that is stored.
    ("given-up-in-vain", |teller| {
        let away = teller.shape.reregister_timeout + teller.milliseconds(8_000, 12_000);
        for agent in teller.agents() {
            teller.lose(Place::Agent(agent), away);
        }
        teller.pass(100, 500);
        let dead = teller.milliseconds(100, 500);
        teller.kill_masters(dead);
        teller.at += teller.shape.reregister_timeout;
        teller.slow_registry(Duration::from_secs(6));
        teller.pass(500, 3_500);
        teller.kill_masters(dead);
    }),
    // Many agents register while the registry is slow, so that their admissions are stored
    // together, and then the master is replaced (MESOS-9786).
    ("crowd", |teller| {
        teller.at = Duration::ZERO;
        teller.slow_registry(Duration::from_secs(4));
        teller.pass(2_000, 6_000);
        let dead = teller.milliseconds(100, 1_000);
        teller.kill_masters(dead);
    }),
];

/// The steps of a story, in some plans.
pub(super) fn draw(
    random: &mut Generator,
    shape: &Shape,
    length: Duration,
    wanted: impl Fn(&str) -> bool,
) -> Vec<Step> {
    let is_told = random.below(RARITY) == 0;
    let (name, tell) = pick(random, STORIES);
    if !is_told || !wanted(name) {
        return Vec::new();
    }
    let mut teller = Teller::begin(random, shape, length);
    tell(&mut teller);
    teller.steps
}

/// Where a story has come to.
struct Teller<'a> {
    random: &'a mut Generator,
    shape: &'a Shape,
    /// Whose tasks it is about.
    framework: usize,
    at: Duration,
    steps: Vec<Step>,
}

impl<'a> Teller<'a> {
    /// Begins in the first half of a plan.
    fn begin(random: &'a mut Generator, shape: &'a Shape, length: Duration) -> Self {
        let at = Duration::from_millis(500) + time(random, length / 2);
        let framework = random.below(shape.frameworks.len() as u64) as usize;
        Self { random, shape, framework, at, steps: Vec::new() }
    }

    /// How long an agent that does not answer is waited for.
    fn given_up(&self) -> Duration {
        self.shape.reregister_timeout + self.shape.ping_timeout * 4
    }

    fn is_heads(&mut self) -> bool {
        self.random.below(2) == 0
    }

    fn milliseconds(&mut self, least: u64, most: u64) -> Duration {
        Duration::from_millis(between(self.random, least, most))
    }

    /// Some time passes.
    fn pass(&mut self, least: u64, most: u64) {
        let time = self.milliseconds(least, most);
        self.at += time;
    }

    fn agents(&self) -> std::ops::Range<usize> {
        0..self.shape.agents.min(AGENTS)
    }

    fn operate(&mut self, operation: Operation) {
        let action = Action::Operate(self.framework, operation);
        self.steps.push(Step { at: self.at, action });
    }

    fn launch(&mut self, script: Script) {
        let count = between(self.random, 1, 4) as usize;
        self.operate(Operation::Launch { count, script });
    }

    fn fail(&mut self, fault: impl Into<Fault>, lasting: Duration) {
        self.steps.push(Step { at: self.at, action: Action::Fail(fault.into(), lasting) });
    }

    /// Nothing reaches somebody from any master, or the other way round.
    fn lose(&mut self, whom: Place, lasting: Duration) {
        for master in 0..self.shape.masters {
            let (a, b) = (Place::Master(master).to_string(), whom.to_string());
            self.fail(NetworkFault::Cut { a, b, ways: Ways::Both }, lasting);
        }
    }

    /// The connections between somebody and all masters end, and both notice.
    fn disconnect(&mut self, whom: Place) {
        for master in 0..self.shape.masters {
            let (a, b) = (Place::Master(master).to_string(), whom.to_string());
            let ending = Ending::Reset;
            self.fail(NetworkFault::Break { a, b, extent: Extent::All, ending }, Duration::ZERO);
        }
    }

    /// The masters' disks take their time.
    fn slow_registry(&mut self, lasting: Duration) {
        let slow = Latency::from_millis(100, 600);
        for master in 0..self.shape.masters {
            let host = Place::Master(master).to_string();
            self.fail(DiskFault::Slow { host, latency: Some(slow) }, lasting);
        }
    }

    fn restart(&mut self, agent: usize, lasting: Duration) {
        let (host, process) = (Place::Agent(agent).to_string(), "mesos-agent".to_owned());
        self.fail(ProcessFault::Kill { host, process }, lasting);
    }

    fn kill_masters(&mut self, lasting: Duration) {
        for master in 0..self.shape.masters {
            let (host, process) = (Place::Master(master).to_string(), "mesos-master".to_owned());
            self.fail(ProcessFault::Kill { host, process }, lasting);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Plan;

    #[test]
    fn every_story_is_told() {
        for (name, _) in STORIES {
            let mut plans = (0..400).map(|seed| Plan::draw_of(seed, |it| it == *name));
            let is_told =
                |plan: Plan| plan.steps.iter().any(|it| matches!(it.action, Action::Fail(..)));
            assert!(plans.any(is_told), "{name} is never told");
        }
    }
}
