//! Stories of what masters know of agents, and for how long. Each needs settings of its own, which
//! few plans have: they are drawn after all else, so that other plans stay as they are.

use std::time::Duration;

use orrery_runtime::Generator;
use orrery_runtime_sim::Probability;

use super::{Story, Teller, between, pick, time};
use crate::plan::{ClusterFault, Elections, Place, RegistryKind, Script, Shape, Step};

/// One plan of so many has such a story.
const RARITY: u64 = 8;
/// The most agents of a story that needs several.
const SEVERAL: u64 = 4;

/// What a story needs of its cluster: its name, and what changes the settings.
type Setting = fn(&mut Generator, &mut Shape);

const STORIES: &[(Story, Setting)] = &[
    // The only master forgets all when it dies, and is asked for tasks before their agents are
    // back.
    (
        ("forgetful-master", |teller| {
            teller.launch(Script::Long);
            teller.pass(2_000, 4_000);
            let away = teller.milliseconds(2_000, 20_000);
            for agent in teller.agents() {
                if teller.is_heads() {
                    teller.lose(Place::Agent(agent), away);
                } else {
                    teller.restart(agent, away);
                }
            }
            teller.pass(50, 1_000);
            let dead = teller.milliseconds(100, 1_000);
            teller.kill_masters(dead);
            teller.at += away;
            teller.launch(Script::Nothing);
        }),
        |_, shape| {
            if shape.masters == 1 && shape.elections == Elections::Peers {
                shape.registry = RegistryKind::InMemory;
            }
        },
    ),
    // Agents are away for so long that they are forgotten, and come back with their tasks.
    (
        ("forgotten-agents", |teller| {
            teller.launch(Script::Long);
            teller.pass(2_000, 4_000);
            let kept = teller.shape.registry_max_agent_age.min(Duration::from_secs(10));
            let forgotten = kept + teller.shape.registry_gc_interval * 2;
            let away = teller.given_up() + forgotten + teller.milliseconds(0, 8_000);
            for agent in teller.agents() {
                teller.lose(Place::Agent(agent), away);
            }
            if teller.is_heads() {
                teller.at += teller.shape.ping_timeout * 3;
                let dead = teller.milliseconds(100, 1_000);
                teller.kill_masters(dead);
            }
            teller.at += away;
            teller.launch(Script::Nothing);
        }),
        |random, shape| {
            shape.registry_gc_interval = Duration::from_millis(between(random, 500, 3_000));
            match random.below(2) {
                0 => shape.registry_max_agent_count = random.below(2) as usize,
                _ => shape.registry_max_agent_age = time(random, Duration::from_secs(5)),
            }
        },
    ),
    // Several agents stay away at once, and some are back before their turn has come.
    (
        ("given-up-slowly", |teller| {
            teller.launch(Script::Long);
            teller.pass(2_000, 4_000);
            let by_next_master = teller.is_heads();
            let silent = teller.shape.ping_timeout * 3;
            let least = if by_next_master { teller.shape.reregister_timeout } else { silent };
            let turns = teller.shape.removal_interval.unwrap_or_default() * 4;
            for agent in teller.agents() {
                let away = least + time(teller.random, silent + turns);
                teller.lose(Place::Agent(agent), away);
            }
            if by_next_master {
                let dead = teller.milliseconds(100, 1_000);
                teller.kill_masters(dead);
            }
            teller.at += least + silent + turns;
            teller.launch(Script::Nothing);
        }),
        |random, shape| {
            let several = between(random, 2, SEVERAL) as usize;
            shape.agents = shape.agents.max(several);
            shape.removal_interval = Some(Duration::from_millis(between(random, 1_000, 10_000)));
        },
    ),
    // More agents than may be given up do not come back to a new master, which ends; or fewer.
    (
        ("too-many-away", |teller| {
            teller.launch(Script::Long);
            teller.pass(2_000, 4_000);
            let away = teller.given_up() + teller.milliseconds(0, 10_000);
            for agent in 0..between(teller.random, 1, teller.agents().len() as u64) {
                teller.lose(Place::Agent(agent as usize), away);
            }
            let dead = teller.milliseconds(100, 1_000);
            teller.kill_masters(dead);
            teller.at += away;
            teller.launch(Script::Nothing);
        }),
        |random, shape| {
            let several = between(random, 2, SEVERAL) as usize;
            shape.agents = shape.agents.max(several);
            let percent = *pick(random, &[0, 20, 50, 80]);
            shape.recovery_removal_limit = Probability::from_percent(percent);
        },
    ),
    // An operator ends all that an agent has, and starts it again: soon, or when it is given up.
    (
        ("clean-up", |teller| {
            for script in [Script::Long, Script::Stubborn] {
                teller.launch(script);
            }
            teller.pass(1_000, 4_000);
            let late = if teller.is_heads() { teller.given_up() } else { Duration::ZERO };
            for agent in teller.agents() {
                let agent = Place::Agent(agent);
                let down = late + teller.milliseconds(10, 20_000);
                teller.fail(ClusterFault::CleanUp { agent }, down);
            }
            teller.at += late + Duration::from_secs(20);
            teller.launch(Script::Nothing);
        }),
        |_, _| {},
    ),
];

/// The steps of a story, in some plans, whose settings are changed for it.
pub(in crate::plan::draw) fn draw(
    random: &mut Generator,
    shape: &mut Shape,
    length: Duration,
    wanted: impl Fn(&str) -> bool,
) -> Vec<Step> {
    let is_told = random.below(RARITY) == 0;
    let ((name, tell), set) = pick(random, STORIES);
    if !is_told || !wanted(name) {
        return Vec::new();
    }
    set(random, shape);
    let mut teller = Teller::begin(random, shape, length);
    tell(&mut teller);
    teller.steps
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Plan;

    #[test]
    fn every_story_is_told_and_few_plans_have_one() {
        for ((name, _), _) in STORIES {
            let plans = (0..1_000).map(|seed| Plan::draw_of(seed, |it| it == *name));
            let told = plans.filter(|plan| {
                plan.steps.iter().any(|step| matches!(step.action, crate::plan::Action::Fail(..)))
            });
            let told = told.count();
            assert!((5..50).contains(&told), "{name} is told in {told} of 1,000 plans");
        }
    }
}
