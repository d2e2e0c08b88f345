//! Telling which of a master's books have changed, so that not all are recounted after each step:
//! most steps, such as those of pings, change none.

use orrery_allocator::AgentKey;

use crate::Master;

/// Fingerprints of one master's books as they were when they were last looked at. They cover which
/// agents, frameworks, tasks, executors and offers there are, whose they are, the states of tasks,
/// who is connected, who is missing, and all accounts of the allocator.
#[derive(Debug, Default)]
pub struct Audit {
    /// By agent, ascending.
    agents: Vec<(AgentKey, u64)>,
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
    any: bool,
}

impl Changes {
    /// Whether nothing at all is different.
    pub fn is_empty(&self) -> bool {
        !self.any
    }
}

impl Audit {
    /// Takes new fingerprints and compares them with the last. Everything is different for an audit
    /// that has never looked; it must always look at the same master.
    pub fn look_at(&mut self, master: &Master) -> Changes {
        let before = std::mem::take(&mut self.agents);
        self.agents = std::mem::take(&mut self.spare);
        self.agents.clear();
        self.agents.extend(master.agents.keys().map(|key| (*key, of_agent(master, *key))));
        let others = self.add_frameworks(master).wrapping_add(of_missing(master));
        // A change of an account can show in the allocator alone; 0 is for "never seen".
        let allocator = master.allocator.changes() + 1;
        let same = |now: &(AgentKey, u64)| before.binary_search(now).is_ok();
        let changed = self.agents.iter().filter(|now| !same(now)).map(|(key, _)| *key);
        let agents: Vec<AgentKey> = changed.collect();
        let changes = Changes {
            allocator: allocator != self.allocator,
            any: !agents.is_empty()
                || allocator != self.allocator
                || others != self.others
                || before.len() != self.agents.len(),
            agents,
        };
        self.spare = before;
        (self.others, self.allocator) = (others, allocator);
        changes
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
                    (u64::from(key.0) << 32) ^ u64::from(task.message.state.unsigned_abs()),
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

/// What stands in an agent's own record, and when the allocator last changed its account.
fn of_agent(master: &Master, key: AgentKey) -> u64 {
    let agent = &master.agents[&key];
    let mut print = mixed(master.allocator.revision(key), agent.departures);
    print = mixed(print, u64::from(agent.is_active()) | (u64::from(agent.leaving) << 1));
    print = mixed(print, agent.reregistered.map_or(0, |time| time.as_nanoseconds() as u64));
    // Which tasks they are is added with the tasks themselves.
    print = mixed(print, agent.tasks.len() as u64);
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

fn of_text(text: &str) -> u64 {
    let mut print = text.len() as u64;
    for word in text.as_bytes().chunks(8) {
        let mut bytes = [0; 8];
        bytes[..word.len()].copy_from_slice(word);
        print = mixed(print, u64::from_le_bytes(bytes));
    }
    print
}

/// One step of a hash: the halves of a product with an odd number, folded.
fn mixed(print: u64, value: u64) -> u64 {
    let product = u128::from(print ^ value) * u128::from(0x9e37_79b9_7f4a_7c15_u64);
    (product as u64) ^ ((product >> 64) as u64).rotate_left(29) ^ value
}
