//! Drawing plans. Each seed switches kinds of faults and operations on and off and gives each a
//! weight of its own, so that some runs are calm, and some full of one kind of trouble.

mod executors;
mod faults;
mod mix;
mod shape;
mod stories;

use std::time::Duration;

use orrery_runtime::Generator;

use super::{Abuse, Action, Blunder, Operation, Plan, Script, Shape, Step};

impl Plan {
    /// The plan of a seed.
    pub fn draw(seed: u64) -> Self {
        Self::draw_of(seed, |_| true)
    }

    /// The plan of a seed, with those kinds of faults alone that `wanted` agrees to, whichever the
    /// seed would switch on. [`Plan::fault_kinds`] names them.
    pub fn draw_of(seed: u64, wanted: impl Fn(&str) -> bool) -> Self {
        let mut random = Generator::from_number(seed);
        let mut shape = shape::draw(&mut random);
        let length = Duration::from_millis(between(&mut random, 8_000, 40_000));
        let mut steps = operations(&mut random, &shape, length);
        steps.extend(faults::draw(&mut random, &shape, length, &wanted));
        steps.extend(executors::draw(&mut random, &shape, length, &wanted));
        steps.extend(stories::draw(&mut random, &shape, length, &wanted));
        steps.extend(stories::draw_of_registry(&mut random, &mut shape, length, &wanted));
        steps.sort_by_key(|step| step.at);
        Self { seed, shape, steps }
    }

    /// The kinds of faults that are drawn.
    pub fn fault_kinds() -> Vec<&'static str> {
        faults::kinds().into_iter().chain(executors::kinds()).collect()
    }
}

/// So many kinds of operations there are.
const OPERATIONS: usize = 8;

/// How likely each operation is in a run.
#[derive(Debug)]
struct Weights([u64; OPERATIONS]);

impl Weights {
    /// What most runs do is rarely switched off.
    fn draw(random: &mut Generator) -> Self {
        let usual = [8, 4, 3, 1, 1, 2, 1, 1];
        Self(usual.map(|weight| match random.below(3) {
            0 => 0,
            1 => weight,
            _ => weight * between(random, 1, 3),
        }))
    }
}

fn operations(random: &mut Generator, shape: &Shape, length: Duration) -> Vec<Step> {
    let weights = Weights::draw(random);
    let mut steps = Vec::new();
    for framework in 0..shape.frameworks.len() {
        let first = launch(random);
        let at = time(random, Duration::from_secs(2));
        steps.push(Step { at, action: Action::Operate(framework, first) });
        for _ in 0..between(random, 2, 9) {
            let action = Action::Operate(framework, operation(random, &weights));
            steps.push(Step { at: time(random, length), action });
        }
    }
    steps
}

fn operation(random: &mut Generator, weights: &Weights) -> Operation {
    match weighted(random, &weights.0) {
        Some(1) => Operation::Kill { count: between(random, 1, 4) as usize },
        Some(2) => Operation::Abuse(abuse(random)),
        Some(3) => Operation::Suppress,
        Some(4) => Operation::Revive,
        Some(5) => Operation::Reconcile,
        Some(6) => Operation::FailOver { overlap: overlap(random) },
        Some(7) => Operation::Blunder(*pick(random, &Blunder::ALL)),
        _ => launch(random),
    }
}

/// Mostly the old process ends soon, sometimes two go on with one id (P11).
fn overlap(random: &mut Generator) -> Duration {
    let most = *pick(random, &[1, 4, 4, 20]);
    time(random, Duration::from_secs(most))
}

fn launch(random: &mut Generator) -> Operation {
    Operation::Launch { count: between(random, 1, 4) as usize, script: script(random) }
}

fn script(random: &mut Generator) -> Script {
    match random.below(8) {
        0 => Script::Nothing,
        1 | 2 => Script::Short(time(random, Duration::from_secs(5)), 0),
        3 => Script::Short(time(random, Duration::from_secs(2)), 3),
        4 | 5 => Script::Long,
        6 => Script::Stubborn,
        _ => Script::Parent,
    }
}

fn abuse(random: &mut Generator) -> Abuse {
    *pick(
        random,
        &[
            Abuse::Used,
            Abuse::Used,
            Abuse::Withdrawn,
            Abuse::Withdrawn,
            Abuse::Foreign,
            Abuse::Invented,
            Abuse::TooLarge,
        ],
    )
}

/// A number between two, both included.
fn between(random: &mut Generator, least: u64, most: u64) -> u64 {
    least + random.below(most - least + 1)
}

/// Whole milliseconds below `end`.
fn time(random: &mut Generator, end: Duration) -> Duration {
    Duration::from_millis(random.below(end.as_millis().max(1) as u64))
}

fn pick<'a, T>(random: &mut Generator, all: &'a [T]) -> &'a T {
    &all[random.below(all.len() as u64) as usize]
}

/// The number of a weight, as likely as the weight says; `None` if all are zero.
fn weighted(random: &mut Generator, weights: &[u64]) -> Option<usize> {
    let total: u64 = weights.iter().sum();
    let mut rest = random.below(total.max(1));
    weights.iter().position(|weight| {
        let hit = rest < *weight;
        rest = rest.saturating_sub(*weight);
        hit
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_plan_follows_from_its_seed_and_has_its_steps_in_order() {
        for seed in 0..500 {
            let plan = Plan::draw(seed);
            assert_eq!(plan, Plan::draw(seed));
            assert!(plan.steps.is_sorted_by_key(|step| step.at));
        }
    }

    #[test]
    fn every_plan_is_read_back_from_its_text() {
        for seed in 0..2_000 {
            let plan = Plan::draw(seed);
            let text = plan.to_string();
            assert_eq!(text.parse(), Ok(plan), "{text}");
        }
    }

    #[test]
    fn only_wanted_kinds_are_drawn() {
        for seed in 0..200 {
            let plan = Plan::draw_of(seed, |kind| kind == "drift");
            for step in plan.steps {
                let text = step.action.to_string();
                assert!(matches!(step.action, Action::Operate(..)) || text.contains("drift"));
            }
        }
    }

    #[test]
    fn every_kind_of_operation_is_drawn() {
        let mut seen = BTreeSet::new();
        for seed in 0..2_000 {
            for step in Plan::draw(seed).steps {
                let text = step.action.to_string();
                seen.extend(text.split(' ').map(str::to_owned));
            }
        }
        let operations =
            [Operation::KEYWORDS, Script::KEYWORDS, Abuse::KEYWORDS, Blunder::KEYWORDS];
        for keyword in operations.concat() {
            assert!(seen.contains(keyword), "{keyword} is not among {seen:?}");
        }
    }

    #[test]
    fn every_kind_of_fault_is_drawn() {
        for kind in Plan::fault_kinds() {
            let mut plans = (0..400).map(|seed| Plan::draw_of(seed, |it| it == kind));
            let drawn =
                plans.any(|plan| plan.steps.iter().any(|it| matches!(it.action, Action::Fail(..))));
            assert!(drawn, "{kind} is never drawn");
        }
    }

    #[test]
    fn most_plans_are_small_and_some_are_not() {
        let agents: Vec<usize> = (0..1_000).map(|seed| Plan::draw(seed).shape.agents).collect();
        assert!(agents.iter().filter(|count| **count <= 4).count() > 900);
        assert!(agents.iter().any(|count| *count > 30));
    }
}
