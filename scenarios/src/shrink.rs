//! Making a plan that fails as small as it can be while it fails in the same way.
//!
//! A pass at a time: steps are left out, in large groups first; then whole nodes, with all that
//! concerns them; then what is left is made shorter, sooner, and more like the defaults. Passes are
//! repeated until none gets any further, or so many runs were made as are allowed. Everything
//! follows from the plan: shrinking it again gives the same.

mod nodes;
mod regression;
mod simpler;

use std::collections::BTreeSet;

use crate::plan::{Plan, Shape};
use crate::runner::{self, Failed, Settings};

pub use regression::{WritePlanError, write};

/// How many runs [`shrink_failure`] makes at most.
pub const RUNS: usize = 600;

/// Other seeds that a smaller plan is tried with. What it leaves open follows from its seed, so a
/// step that has nothing to do with the failure may still shift what has.
const SEEDS: std::ops::Range<u64> = 0..2;

/// What became of a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shrunk {
    /// The smallest plan that was found.
    pub plan: Plan,
    /// How many plans were tried.
    pub runs: usize,
}

/// Shrinks a plan that fails. `fails` plays a plan and says whether it fails in the same way; it is
/// asked at most `runs` times, never twice about the same plan, and never about `plan` itself.
pub fn shrink(plan: &Plan, runs: usize, fails: impl FnMut(&Plan) -> bool) -> Shrunk {
    let tried = BTreeSet::from([plan.to_string()]);
    let mut shrinking = Shrinking { plan: plan.clone(), left: runs, tried, fails };
    loop {
        let before = shrinking.plan.clone();
        shrinking.drop_steps();
        shrinking.drop_nodes();
        shrinking.simplify_steps();
        shrinking.close_gaps();
        shrinking.simplify_shape();
        if shrinking.plan == before || shrinking.left == 0 {
            return Shrunk { plan: shrinking.plan, runs: runs - shrinking.left };
        }
    }
}

/// Shrinks the plan of a failure, as long as it is a failure of the same kind. Returns the failure
/// of the smallest plan, and how many plans were tried.
pub fn shrink_failure(failed: &Failed, settings: &Settings) -> (Failed, usize) {
    shrink_failure_watched(failed, settings, |_, _| ())
}

/// As [`shrink_failure`], and `watch` is told after each run how many there were, and of the
/// smallest plan so far.
pub fn shrink_failure_watched(
    failed: &Failed,
    settings: &Settings,
    mut watch: impl FnMut(usize, &Plan),
) -> (Failed, usize) {
    let settings = Settings { trace: false, ..settings.clone() };
    let play = |plan: &Plan| {
        let run = runner::run_plan(plan.clone(), &settings);
        runner::failure(&run).filter(|found| found.kind() == failed.kind())
    };
    let (mut runs, mut smallest) = (0, failed.plan.clone());
    let shrunk = shrink(&failed.plan, RUNS, |plan| {
        let fails = play(plan).is_some();
        if fails {
            smallest.clone_from(plan);
        }
        runs += 1;
        watch(runs, &smallest);
        fails
    });
    (play(&shrunk.plan).unwrap_or_else(|| failed.clone()), shrunk.runs)
}

struct Shrinking<F> {
    plan: Plan,
    left: usize,
    /// The texts of all plans that were tried.
    tried: BTreeSet<String>,
    fails: F,
}

impl<F: FnMut(&Plan) -> bool> Shrinking<F> {
    /// Takes a plan instead if it fails as well, with this seed or another.
    fn take(&mut self, plan: Plan) -> bool {
        for seed in std::iter::once(plan.seed).chain(SEEDS) {
            let candidate = Plan { seed, ..plan.clone() };
            if self.left == 0 || !self.tried.insert(candidate.to_string()) {
                continue;
            }
            self.left -= 1;
            if (self.fails)(&candidate) {
                self.plan = candidate;
                return true;
            }
        }
        false
    }

    /// Takes the first plan of several that fails as well.
    fn take_one_of(&mut self, plans: impl IntoIterator<Item = Plan>) -> bool {
        plans.into_iter().any(|plan| self.take(plan))
    }

    /// Leaves out all steps, halves of them, quarters, and so on down to each one by itself.
    fn drop_steps(&mut self) {
        let mut size = self.plan.steps.len();
        while size > 0 {
            let mut start = 0;
            while start < self.plan.steps.len() {
                let mut plan = self.plan.clone();
                plan.steps.drain(start..(start + size).min(plan.steps.len()));
                if !self.take(plan) {
                    start += size;
                }
            }
            size /= 2;
        }
    }

    /// Leaves out nodes: each with what concerns it alone.
    fn drop_nodes(&mut self) {
        for kind in nodes::KINDS {
            for number in (0..(kind.count)(&self.plan.shape)).rev() {
                if let Some(plan) = nodes::without(&self.plan, kind, number) {
                    self.take(plan);
                }
            }
        }
    }

    /// Replaces each step's action by a simpler one, for as long as there is one that does.
    fn simplify_steps(&mut self) {
        for index in 0..self.plan.steps.len() {
            while let Some(step) = self.plan.steps.get(index) {
                let plans: Vec<Plan> = simpler::actions(&step.action)
                    .into_iter()
                    .filter_map(|action| {
                        let mut plan = self.plan.clone();
                        plan.steps.get_mut(index)?.action = action;
                        Some(plan)
                    })
                    .collect();
                if !self.take_one_of(plans) {
                    break;
                }
            }
        }
    }

    /// Brings each step closer to the one before it, with all that come later.
    fn close_gaps(&mut self) {
        for index in 0..self.plan.steps.len() {
            let at = |index: usize| self.plan.steps.get(index).map(|step| step.at);
            let before = index.checked_sub(1).and_then(at).unwrap_or_default();
            let gap = at(index).unwrap_or_default().saturating_sub(before);
            let plans: Vec<Plan> = simpler::durations(gap)
                .into_iter()
                .map(|shorter| {
                    let mut plan = self.plan.clone();
                    let later = plan.steps.iter_mut().skip(index);
                    later.for_each(|step| step.at = step.at.saturating_sub(gap - shorter));
                    plan
                })
                .collect();
            self.take_one_of(plans);
        }
    }

    /// Gives every setting its default.
    fn simplify_shape(&mut self) {
        let defaults = Shape::default();
        let frameworks = self.plan.shape.frameworks.clone();
        self.take_shape(|shape| *shape = Shape { frameworks, ..with_nodes(&defaults, shape) });
        self.take_shape(|shape| shape.elections = defaults.elections);
        self.take_shape(|shape| shape.reconfiguration = defaults.reconfiguration);
        self.take_shape(|shape| shape.ping_timeout = defaults.ping_timeout);
        self.take_shape(|shape| shape.reregister_timeout = defaults.reregister_timeout);
        self.take_shape(|shape| shape.offer_timeout = defaults.offer_timeout);
        let timeout = defaults.executor_registration_timeout;
        self.take_shape(|shape| shape.executor_registration_timeout = timeout);
        self.take_shape(|shape| shape.agent_resources.clone_from(&defaults.agent_resources));
        for number in 0..self.plan.shape.frameworks.len() {
            let Some(profile) = self.plan.shape.frameworks.get(number).cloned() else { return };
            let plans: Vec<Plan> = simpler::profiles(&profile)
                .into_iter()
                .map(|profile| {
                    let mut plan = self.plan.clone();
                    plan.shape.frameworks.get_mut(number).into_iter().for_each(|one| {
                        one.clone_from(&profile);
                    });
                    plan
                })
                .collect();
            for plan in plans {
                self.take(plan);
            }
        }
    }

    fn take_shape(&mut self, change: impl FnOnce(&mut Shape)) {
        let mut plan = self.plan.clone();
        change(&mut plan.shape);
        self.take(plan);
    }
}

/// `settings` with as many masters and agents as `nodes` has.
fn with_nodes(settings: &Shape, nodes: &Shape) -> Shape {
    Shape { masters: nodes.masters, agents: nodes.agents, ..settings.clone() }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::plan::{Action, Operation};

    fn launches(plan: &Plan) -> usize {
        let is_launch = |step: &&crate::plan::Step| {
            matches!(step.action, Action::Operate(_, Operation::Launch { .. }))
        };
        plan.steps.iter().filter(is_launch).count()
    }

    #[test]
    fn only_what_the_failure_needs_is_left() {
        for seed in 0..30 {
            let plan = Plan::draw(seed);
            if launches(&plan) < 2 {
                continue;
            }
            let shrunk = shrink(&plan, 10_000, |plan| launches(plan) >= 2);
            assert_eq!(launches(&shrunk.plan), 2);
            assert_eq!(shrunk.plan.steps.len(), 2, "{}", shrunk.plan);
            assert!(shrunk.plan.steps.iter().all(|step| step.at == Duration::ZERO));
            assert_eq!(shrunk.plan.shape.agents, 1);
            assert_eq!(shrunk, shrink(&plan, 10_000, |plan| launches(plan) >= 2));
        }
    }

    #[test]
    fn no_more_runs_are_made_than_allowed_and_none_twice() {
        let mut asked = BTreeSet::new();
        let shrunk = shrink(&Plan::draw(3), 25, |plan| {
            assert!(asked.insert(plan.to_string()));
            false
        });
        assert_eq!(asked.len(), 25);
        assert_eq!(shrunk, Shrunk { plan: Plan::draw(3), runs: 25 });
    }
}
