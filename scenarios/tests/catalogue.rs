//! The list of faults in `docs/simulation.md` is complete, and says truly what is drawn.
#![cfg(feature = "sim")]

use std::collections::BTreeSet;

use orrery_runtime_sim::Fault;
use orrery_scenarios::plan::{ClusterFault, Operation, Plan, Profile, Temper};

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/simulation.md");
const PLANS: u64 = 4_000;

/// How many faults of each letter there are.
const IDS: [(char, usize); 6] = [('N', 20), ('P', 15), ('D', 14), ('C', 5), ('Z', 7), ('L', 7)];

/// What takes faults back, which runs do by themselves.
const NOT_DRAWN: [&str; 8] =
    ["heal", "heal-all", "rejoin", "resume", "boot", "clear-crash-points", "restore-name", "mend"];

/// A row of the table: an id, what it is called in plans, and whether it is drawn.
struct Row {
    id: String,
    words: Vec<String>,
    is_drawn: bool,
}

#[allow(clippy::disallowed_methods, reason = "the page is a file of the real system")]
fn rows() -> Vec<Row> {
    let page = std::fs::read_to_string(PAGE).expect("the page is there");
    let table = page.split("<!-- catalogue of faults -->").nth(1).expect("it has the table");
    let table = table.split("<!--").next().unwrap_or_default();
    let rows = table.lines().filter(|line| line.starts_with("| ")).skip(1);
    let row = |line: &str| {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let [_, id, _, words, drawn, ..] = cells[..] else { panic!("too short: {line}") };
        let words = words.split_whitespace().map(|word| word.trim_matches('`').to_owned());
        assert!(["yes", "no"].contains(&drawn), "{line}");
        Row { id: id.to_owned(), words: words.collect(), is_drawn: drawn == "yes" }
    };
    rows.map(row).collect()
}

/// Every word of the plans of many seeds.
fn drawn_words() -> BTreeSet<String> {
    let plans = (0..PLANS).map(|seed| Plan::draw(seed).to_string());
    let words =
        plans.flat_map(|plan| plan.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
    words.collect()
}

#[test]
fn every_fault_is_listed_once() {
    let listed: Vec<String> = rows().into_iter().map(|row| row.id).collect();
    let all = IDS
        .into_iter()
        .flat_map(|(letter, count)| (1..=count).map(move |number| format!("{letter}{number}")));
    assert_eq!(listed, all.collect::<Vec<_>>());
}

#[test]
fn what_is_listed_can_stand_in_plans_and_is_drawn_where_it_says_so() {
    let drawn = drawn_words();
    let words = [Operation::KEYWORDS, ClusterFault::KEYWORDS, Temper::KEYWORDS, Profile::SETTINGS];
    let words: BTreeSet<&str> =
        words.into_iter().flatten().copied().chain(Fault::keywords()).collect();
    for row in rows() {
        for word in &row.words {
            assert!(words.contains(word.as_str()), "{}: {word} means nothing in a plan", row.id);
            assert_eq!(drawn.contains(word), row.is_drawn, "{}: {word}", row.id);
        }
        assert!(!row.is_drawn || !row.words.is_empty(), "{} has no name in a plan", row.id);
    }
}

#[test]
fn every_fault_of_the_world_is_drawn_but_for_what_takes_others_back() {
    let drawn = drawn_words();
    let never: BTreeSet<&str> =
        Fault::keywords().filter(|keyword| !drawn.contains(*keyword)).collect();
    assert_eq!(never, BTreeSet::from(NOT_DRAWN));
}
