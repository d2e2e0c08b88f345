//! Leaving nodes out of plans. Those that come after get other numbers.

use orrery_runtime_sim::text::{Words, join};

use crate::plan::{Action, Fault, Place, Plan, Shape, Step};

/// A kind of node.
pub(super) struct Kind {
    /// How many a cluster has.
    pub(super) count: fn(&Shape) -> usize,
    /// Takes one out of the shape.
    remove: fn(&mut Shape, usize),
    /// The number of a place of this kind.
    number: fn(Place) -> Option<usize>,
    place: fn(usize) -> Place,
    /// How many must stay.
    least: usize,
}

/// Those that can be left out.
pub(super) const KINDS: &[Kind] = &[
    Kind {
        count: |shape| shape.frameworks.len(),
        remove: |shape, number| {
            shape.frameworks.remove(number);
        },
        number: |place| match place {
            Place::Scheduler(number) => Some(number),
            _ => None,
        },
        place: Place::Scheduler,
        least: 0,
    },
    Kind {
        count: |shape| shape.agents,
        remove: |shape, _| shape.agents -= 1,
        number: |place| match place {
            Place::Agent(number) => Some(number),
            _ => None,
        },
        place: Place::Agent,
        least: 1,
    },
    Kind {
        count: |shape| shape.masters,
        remove: |shape, _| shape.masters -= 1,
        number: |place| match place {
            Place::Master(number) => Some(number),
            _ => None,
        },
        place: Place::Master,
        least: 1,
    },
];

/// The plan without a node and without the steps that concern it alone; `None` if there would be
/// too few.
pub(super) fn without(plan: &Plan, kind: &Kind, number: usize) -> Option<Plan> {
    let count = (kind.count)(&plan.shape);
    if count <= kind.least || number >= count {
        return None;
    }
    let mut plan = plan.clone();
    (kind.remove)(&mut plan.shape, number);
    let steps = std::mem::take(&mut plan.steps);
    plan.steps = steps.into_iter().filter_map(|step| step_without(step, kind, number)).collect();
    Some(plan)
}

fn step_without(step: Step, kind: &Kind, number: usize) -> Option<Step> {
    let action = match step.action {
        Action::Operate(framework, operation) => {
            let Place::Scheduler(framework) =
                renumbered(Place::Scheduler(framework), kind, number)?
            else {
                return None;
            };
            Action::Operate(framework, operation)
        }
        Action::Fail(fault, lasting) => Action::Fail(fault_without(&fault, kind, number)?, lasting),
    };
    Some(Step { at: step.at, action })
}

/// What a place is called without that node; `None` if it is that node.
fn renumbered(place: Place, kind: &Kind, removed: usize) -> Option<Place> {
    match (kind.number)(place) {
        Some(number) if number == removed => None,
        Some(number) if number > removed => Some((kind.place)(number - 1)),
        _ => Some(place),
    }
}

/// Hosts stand in a fault's text as words, or as lists with commas.
fn fault_without(fault: &Fault, kind: &Kind, removed: usize) -> Option<Fault> {
    let mut words = Words::split(&fault.to_string()).ok()?;
    let mut renamed = Vec::new();
    while let Some(word) = words.take() {
        let hosts = word.split(',').map(Place::of_host);
        let Some(places) = hosts.collect::<Option<Vec<Place>>>() else {
            renamed.push(word);
            continue;
        };
        let left = places.into_iter().filter_map(|place| renumbered(place, kind, removed));
        let names: Vec<String> = left.map(|place| place.to_string()).collect();
        if names.is_empty() {
            return None;
        }
        renamed.push(names.join(","));
    }
    join(&renamed).parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nodes_after_it_get_other_numbers() {
        let plan: Plan = "agents 3\n\
                          framework launcher\n\
                          framework hoarder\n\
                          at 1s framework 0 kill 1\n\
                          at 1s framework 1 kill 2\n\
                          at 2s cut master-0 agent-1 one-way for 3s\n\
                          at 2s partition agent-0,agent-1,scheduler-0 agent-2 both-ways\n\
                          at 3s crash-loop agent-2 20ms for 1s"
            .parse()
            .expect("a plan");
        let [frameworks, agents, masters] = KINDS else { panic!("three kinds") };
        let text = without(&plan, agents, 1).expect("enough").to_string();
        assert_eq!(
            text,
            "seed 0\n\
             framework launcher\n\
             framework hoarder\n\
             at 1s framework 0 kill 1\n\
             at 1s framework 1 kill 2\n\
             at 2s partition agent-0,scheduler-0 agent-1 both-ways\n\
             at 3s crash-loop agent-1 20ms for 1s\n"
        );
        let text = without(&plan, frameworks, 0).expect("enough").to_string();
        assert_eq!(
            text,
            "seed 0\n\
             agents 3\n\
             framework hoarder\n\
             at 1s framework 0 kill 2\n\
             at 2s cut master-0 agent-1 one-way for 3s\n\
             at 2s partition agent-0,agent-1 agent-2 both-ways\n\
             at 3s crash-loop agent-2 20ms for 1s\n"
        );
        assert_eq!(without(&plan, masters, 0), None);
    }
}
