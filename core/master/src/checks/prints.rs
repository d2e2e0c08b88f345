//! Telling which of a master's books have changed, so that not all are recounted after each step:
//! most steps, such as those of pings, change none.

use orrery_allocator::AgentKey;

use crate::Master;
use crate::state::Agent;

/// Fingerprints of one master's books as they were when they were last looked at. They cover which
/// agents, frameworks, tasks, executors and offers there are, whose they are, the states of tasks,
/// who is connected, who is missing, and all accounts of the allocator.
#[derive(Debug, Default)]
pub struct Audit {
    counts: u64,
    /// By agent, ascending.
    agents: Vec<(AgentKey, u64)>,
    members: u64,
    others: u64,
    allocator: u64,
    /// Room for the next fingerprints.
    spare: Vec<(AgentKey, u64)>,
}

/// What is different from the last time.
#[derive(Debug)]
pub struct Changes {
    /// Agents of which anything is different, or any record that names them.
    pub(super) agents: Vec<AgentKey>,
    /// Whether the allocator has changed any account.
    pub(super) allocator: bool,
    members: bool,
    any: bool,
}

impl Changes {
    /// Whether nothing at all is different.
    pub fn is_empty(&self) -> bool {
        !self.any
    }

    /// Whether agents have come, gone or moved, or are known or missing that were not before.
    pub fn has_moved_agents(&self) -> bool {
        self.members
    }
}

impl Audit {
    /// Takes new fingerprints and compares them with the last. Everything is different for an audit
    /// that has never looked; it must always look at the same master.
    pub fn look_at(&mut self, master: &Master) -> Changes {
        let counts = of_counts(master);
        if counts == self.counts {
            return Changes { agents: Vec::new(), allocator: false, members: false, any: false };
        }
        self.counts = counts;
        let before = std::mem::take(&mut self.agents);
        let (members, others) = self.take_prints(master);
        // A change of an account can show in the allocator alone; 0 is for "never seen".
        let allocator = master.allocator.changes() + 1;
        let (moved, accounts) = (members != self.members, allocator != self.allocator);
        let others_changed = others != self.others;
        (self.members, self.others, self.allocator) = (members, others, allocator);
        let same = |now: &(AgentKey, u64)| before.binary_search(now).is_ok();
        let changed = self.agents.iter().filter(|now| !same(now)).map(|(key, _)| *key);
        let agents: Vec<AgentKey> = changed.collect();
        self.spare = before;
        let any = moved || accounts || others_changed || !agents.is_empty();
        Changes { agents, allocator: accounts, members: moved, any }
    }

    /// Takes the fingerprints of all agents; says what membership and all other books look like.
    fn take_prints(&mut self, master: &Master) -> (u64, u64) {
        self.agents = std::mem::take(&mut self.spare);
        self.agents.clear();
        let mut members = mixed(1, master.agents.len() as u64).wrapping_add(of_missing(master));
        for (key, agent) in &master.agents {
            let standing = of_standing(agent);
            members = mixed(members, standing ^ u64::from(key.0));
            let print = mixed(standing, master.allocator.revision(*key));
            self.agents.push((*key, of_agent(agent, print)));
        }
        (members, self.add_frameworks(master))
    }

    /// Adds each task and offer to the fingerprint of its agent, wherever it is booked; says what
    /// the frameworks themselves look like.
    fn add_frameworks(&mut self, master: &Master) -> u64 {
        let mut all = 0;
        for (key, framework) in &master.frameworks {
            let active = u64::from(framework.is_active());
            all = mixed(all, (u64::from(key.0) << 1) | active);
            for (id, task) in &framework.tasks {
                let print = mixed(
                    of_text(id),
                    (u64::from(key.0) << 32) ^ u64::from((task.state() as i32).unsigned_abs()),
                );
                all = all.wrapping_add(self.add(task.agent, print));
            }
            for number in &framework.offers {
                all = mixed(all, *number);
            }
        }
        for (number, offer) in &master.offers {
            let print = mixed(*number, u64::from(offer.framework.0));
            all = all.wrapping_add(self.add(offer.agent, print));
        }
        all
    }

    /// Whatever the order is: the sum stays the same. Returns what belongs to no agent.
    fn add(&mut self, agent: AgentKey, print: u64) -> u64 {
        match self.agents.binary_search_by_key(&agent, |(key, _)| *key) {
            Ok(index) => {
                self.agents[index].1 = self.agents[index].1.wrapping_add(print);
                0
            }
            Err(_) => print,
        }
    }
}

/// What has been counted so far, and how many there are of everything. Whatever changes a book
/// changes one of these; what most steps do, such as those of pings, changes none.
fn of_counts(master: &Master) -> u64 {
    let metrics = &master.metrics;
    let counters = metrics.counters.values().chain(metrics.terminal_tasks.values());
    let numbers = [
        counters.sum(),
        metrics.tasks_launched,
        master.allocator.changes(),
        master.next_offer,
        master.next_ticket,
        u64::from(master.next_key),
    ];
    let sizes = [
        master.offers.len(),
        master.agents.len(),
        master.links.len(),
        master.recovered.len(),
        master.unreachable.len(),
        master.gone.len(),
        master.pending.len(),
        master.frameworks.len(),
        master.connections.len(),
    ];
    let print = numbers.into_iter().fold(1, mixed);
    sizes.into_iter().fold(print, |print, size| mixed(print, size as u64))
}

/// Whether an agent is there, and since when.
fn of_standing(agent: &Agent) -> u64 {
    let flags = u64::from(agent.is_active()) | (u64::from(agent.leaving) << 1);
    let back = agent.reregistered.map_or(0, |time| time.as_nanoseconds() as u64);
    mixed(back, (agent.departures << 2) | flags)
}

/// Adds to `print` what else stands in an agent's own record.
fn of_agent(agent: &Agent, mut print: u64) -> u64 {
    // Which tasks they are is added with the tasks themselves.
    print = mixed(print, agent.tasks.len() as u64);
    for ((framework, id), task) in &agent.duplicates {
        print = mixed(print, of_text(id) ^ (u64::from(framework.0) << 1));
        print = mixed(print, u64::from((task.state() as i32).unsigned_abs()));
    }
    for (framework, executor) in agent.executors.keys() {
        print = mixed(print, of_text(executor) ^ (u64::from(framework.0) << 1));
    }
    for number in &agent.offers {
        print = mixed(print, *number);
    }
    print
}

/// Who is known and not there.
fn of_missing(master: &Master) -> u64 {
    let missing = master.recovered.keys().map(|id| mixed(1, of_text(id)));
    let unreachable = master.unreachable.keys().map(|id| mixed(2, of_text(id)));
    let gone = master.gone.keys().map(|id| mixed(3, of_text(id)));
    missing.chain(unreachable).chain(gone).fold(0, u64::wrapping_add)
}

/// Of a long text the beginning and the end: ids of one master differ in their end, and those of
/// two masters in their beginning.
fn of_text(text: &str) -> u64 {
    let bytes = text.as_bytes();
    let length = bytes.len() as u64;
    match (bytes.first_chunk::<8>(), bytes.last_chunk::<8>()) {
        (Some(first), Some(last)) => {
            mixed(mixed(length, u64::from_le_bytes(*first)), u64::from_le_bytes(*last))
        }
        _ => mixed(length, bytes.iter().fold(0, |word, byte| (word << 8) | u64::from(*byte))),
    }
}

/// One step of a hash: the halves of a product with an odd number, folded.
fn mixed(print: u64, value: u64) -> u64 {
    let product = u128::from(print ^ value) * u128::from(0x9e37_79b9_7f4a_7c15_u64);
    (product as u64) ^ ((product >> 64) as u64).rotate_left(29) ^ value
}
