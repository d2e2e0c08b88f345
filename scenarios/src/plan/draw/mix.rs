//! The standard mix: the plans by which the simulator's speed is measured.

use std::time::Duration;

use orrery_runtime::Generator;

use super::{between, faults, operations};
use crate::plan::{Plan, Profile, Shape, Step, Temper};

/// How many masters the mix has, which elect one among themselves.
const MASTERS: usize = 3;
/// How many agents it has.
const AGENTS: usize = 20;
/// Its frameworks.
const FRAMEWORKS: [Temper; 3] = [Temper::Launcher, Temper::Careful, Temper::Killer];
/// Faults that any number of can be borne for as long as one likes.
const FAULTS: [&str; 8] =
    ["kill", "kill-executor", "crash", "pause", "cut", "isolate", "latency", "break"];
/// Each such part of a run has operations and faults of its own.
const PART: Duration = Duration::from_secs(30);

impl Plan {
    /// A run of at least `length` with three masters, twenty agents and three frameworks that
    /// launch and kill tasks, while about every four seconds something fails somewhere: what a hunt
    /// is made of. It follows from `seed`.
    pub fn standard_mix(seed: u64, length: Duration) -> Self {
        let mut random = Generator::from_number(seed);
        let shape = Shape {
            masters: MASTERS,
            agents: AGENTS,
            frameworks: FRAMEWORKS.map(Profile::from).into(),
            offer_timeout: Some(Duration::from_secs(30)),
            ..Shape::default()
        };
        let mut steps: Vec<Step> = Vec::new();
        let mut begin = Duration::ZERO;
        while begin < length {
            let mut part = operations(&mut random, &shape, PART);
            for _ in 0..between(&mut random, 1, 3) {
                part.extend(faults::draw(&mut random, &shape, PART, |it| FAULTS.contains(&it)));
            }
            steps.extend(part.into_iter().map(|step| Step { at: begin + step.at, ..step }));
            begin += PART;
        }
        steps.sort_by_key(|step| step.at);
        Self { seed, shape, steps }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Action;

    #[test]
    fn the_mix_follows_from_its_seed_and_has_work_and_faults_all_along() {
        let length = Duration::from_secs(600);
        let plan = Plan::standard_mix(5, length);
        assert_eq!(plan, Plan::standard_mix(5, length));
        assert_ne!(plan.steps, Plan::standard_mix(6, length).steps);
        for part in 0..5 {
            let inside = |step: &&Step| step.at.as_secs() / 120 == part;
            let is_fault = |step: &Step| matches!(step.action, Action::Fail(..));
            let faults = plan.steps.iter().filter(inside).filter(|step| is_fault(step)).count();
            let all = plan.steps.iter().filter(inside).count();
            assert!(faults > 0 && all - faults > 20, "part {part}: {faults} of {all}");
        }
    }
}
