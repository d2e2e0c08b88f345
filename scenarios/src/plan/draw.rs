//! Drawing plans. Each seed takes a subset of all kinds of faults and operations with weights of
//! its own, so that some runs are calm, and some full of one kind of trouble.

use std::time::Duration;

use orrery_runtime::Generator;

use super::{Abuse, Action, Fault, Operation, Place, Plan, Script, Shape, Step, Temper};

/// So many kinds of faults there are.
const FAULTS: usize = 8;

impl Plan {
    /// The plan that follows from the state of `random`.
    pub fn draw(random: &mut Generator) -> Self {
        let shape = shape(random);
        let length = between(random, 8_000, 40_000);
        let mut steps = operations(random, &shape, length);
        steps.extend(faults(random, &shape, length));
        steps.sort_by_key(|step| step.at);
        Self { shape, steps }
    }
}

fn shape(random: &mut Generator) -> Shape {
    let frameworks = (0..between(random, 1, 3)).map(|_| temper(random)).collect();
    let offer_timeout =
        (random.below(2) == 0).then(|| Duration::from_millis(between(random, 1_000, 8_000)));
    Shape {
        agents: between(random, 1, 4) as usize,
        frameworks,
        ping_timeout: Duration::from_millis(between(random, 1_000, 3_000)),
        reregister_timeout: Duration::from_millis(between(random, 2_000, 20_000)),
        offer_timeout,
        executor_registration_timeout: Duration::from_millis(between(random, 3_000, 10_000)),
        ..Shape::default()
    }
}

fn temper(random: &mut Generator) -> Temper {
    *pick(random, &[Temper::Launcher, Temper::Hoarder, Temper::Killer, Temper::Careful])
}

fn operations(random: &mut Generator, shape: &Shape, length: u64) -> Vec<Step> {
    let mut steps = Vec::new();
    for framework in 0..shape.frameworks.len() {
        let first =
            Operation::Launch { count: between(random, 1, 4) as usize, script: script(random) };
        steps.push(step(between(random, 0, 2_000), Action::Operate(framework, first)));
        for _ in 0..between(random, 2, 9) {
            let action = Action::Operate(framework, operation(random));
            steps.push(step(random.below(length), action));
        }
    }
    steps
}

fn operation(random: &mut Generator) -> Operation {
    match random.below(20) {
        0..8 => Operation::Launch { count: between(random, 1, 4) as usize, script: script(random) },
        8..12 => Operation::Kill { count: between(random, 1, 4) as usize },
        12..15 => Operation::Abuse(abuse(random)),
        15 => Operation::Suppress,
        16 => Operation::Revive,
        17..19 => Operation::Reconcile,
        _ => Operation::FailOver { overlap: Duration::from_millis(random.below(4_000)) },
    }
}

fn script(random: &mut Generator) -> Script {
    match random.below(8) {
        0 => Script::Nothing,
        1 | 2 => Script::Short(random.below(5_000), 0),
        3 => Script::Short(random.below(2_000), 3),
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

fn faults(random: &mut Generator, shape: &Shape, length: u64) -> Vec<Step> {
    let weights: [u64; FAULTS] =
        std::array::from_fn(|_| if random.below(2) == 0 { between(random, 1, 4) } else { 0 });
    let total: u64 = weights.iter().sum();
    if total == 0 {
        return Vec::new();
    }
    let count = random.below(10);
    let mut steps = Vec::new();
    for _ in 0..count {
        let mut rest = random.below(total);
        let kind = weights.iter().position(|weight| {
            let hit = rest < *weight;
            rest = rest.saturating_sub(*weight);
            hit
        });
        let fault = fault(random, shape, kind.unwrap_or_default());
        steps.push(step(random.below(length), Action::Fail(fault)));
    }
    steps
}

fn fault(random: &mut Generator, shape: &Shape, kind: usize) -> Fault {
    let agent = random.below(shape.agents as u64) as usize;
    let scheduler = random.below(shape.frameworks.len() as u64) as usize;
    let edge = match random.below(3) {
        0 => Place::Scheduler(scheduler),
        _ => Place::Agent(agent),
    };
    let place = if random.below(4) == 0 { Place::Master(0) } else { edge };
    let time = lasting(random);
    match kind {
        0 => Fault::Kill(place, time),
        1 => Fault::KillExecutor(agent),
        2 => Fault::Crash(place, time),
        3 => Fault::Pause(place, time),
        4 => Fault::Cut(Place::Master(0), edge, time),
        5 if random.below(2) == 0 => Fault::CutOneWay(Place::Master(0), edge, time),
        5 => Fault::CutOneWay(edge, Place::Master(0), time),
        6 => Fault::Slow(Place::Master(0), edge, between(random, 5, 800), time),
        _ => Fault::Reset(Place::Master(0), edge),
    }
}

/// Most faults are short; some last longer than every time-out.
fn lasting(random: &mut Generator) -> Duration {
    let most = *pick(random, &[200, 2_000, 8_000, 30_000]);
    Duration::from_millis(between(random, 1, most))
}

fn step(at: u64, action: Action) -> Step {
    Step { at: Duration::from_millis(at), action }
}

/// A number between two, both included.
fn between(random: &mut Generator, least: u64, most: u64) -> u64 {
    least + random.below(most - least + 1)
}

fn pick<'a, T>(random: &mut Generator, all: &'a [T]) -> &'a T {
    &all[random.below(all.len() as u64) as usize]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_follows_from_its_generator_and_has_its_steps_in_order() {
        for seed in 0..200 {
            let plan = Plan::draw(&mut Generator::from_number(seed));
            assert_eq!(plan, Plan::draw(&mut Generator::from_number(seed)));
            assert!(plan.steps.is_sorted_by_key(|step| step.at));
            assert_eq!(plan.to_string().lines().count(), plan.steps.len() + 1);
        }
    }

    #[test]
    fn every_kind_of_fault_and_abuse_is_drawn() {
        let mut text = String::new();
        for seed in 0..200 {
            text += &Plan::draw(&mut Generator::from_number(seed)).to_string();
        }
        for word in [
            "kill master-0",
            "kill agent",
            "kill scheduler",
            "kill an executor",
            "crash master-0",
            "crash agent",
            "pause",
            "cut master-0 = ",
            " > ",
            "slow",
            "reset",
            "Used",
            "Withdrawn",
            "Foreign",
            "Invented",
            "TooLarge",
            "fails over",
            "Stubborn",
        ] {
            assert!(text.contains(word), "{word}");
        }
    }
}
