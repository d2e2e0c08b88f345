//! `docs/plans.md` lists all that can stand in a plan, and what it lists is one.
#![cfg(feature = "sim")]

use std::collections::BTreeSet;

use orrery_runtime_sim::Fault;
use orrery_scenarios::plan::{
    Abuse, Blunder, ClusterFault, Operation, Plan, Profile, Script, Shape, Temper,
};

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/plans.md");

/// What stands in the page's plans, as one.
#[allow(clippy::disallowed_methods, reason = "the page is a file of the real system")]
fn plan_of_the_page() -> String {
    let page = std::fs::read_to_string(PAGE).expect("the page is there");
    let blocks = page.split("```text plan\n").skip(1);
    blocks.map(|block| block.split("```").next().unwrap_or_default()).collect()
}

#[test]
fn what_the_page_lists_is_a_plan() {
    let text = plan_of_the_page();
    let plan: Plan = text.parse().unwrap_or_else(|error| panic!("{error} of\n{text}"));
    assert_eq!(plan.to_string().parse(), Ok(plan));
}

#[test]
fn the_page_lists_everything() {
    let text = plan_of_the_page();
    let lines = text.lines().map(|line| line.split(" #").next().unwrap_or_default());
    let words: BTreeSet<&str> = lines.flat_map(str::split_whitespace).collect();
    let known = [
        Shape::SETTINGS,
        Profile::SETTINGS,
        Temper::KEYWORDS,
        Operation::KEYWORDS,
        Script::KEYWORDS,
        Abuse::KEYWORDS,
        Blunder::KEYWORDS,
        ClusterFault::KEYWORDS,
    ];
    let known = known.into_iter().flatten().copied().chain(Fault::keywords());
    let missing: Vec<&str> = known.filter(|keyword| !words.contains(keyword)).collect();
    assert!(missing.is_empty(), "{PAGE} has no example of {missing:?}");
}
