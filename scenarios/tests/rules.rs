//! The catalogue in `docs/simulation.md` is whole: every number of the design is there, and what it
//! names is there, too.
#![cfg(feature = "sim")]

use std::path::{Path, PathBuf};

use orrery_scenarios::checks::Invariant;

/// How many entries of each kind the design has.
const COUNTS: [(char, usize); 3] = [('S', 33), ('L', 14), ('G', 25)];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The rows of the catalogue: number, and what checks it.
#[allow(clippy::disallowed_methods, reason = "the document is a real file")]
fn rows() -> Vec<(String, String)> {
    let document = std::fs::read_to_string(root().join("docs/simulation.md")).expect("it is there");
    let (_, rest) = document.split_once("<!-- catalogue of invariants -->\n").expect("a beginning");
    let (catalogue, _) = rest.split_once("<!-- end of catalogue -->\n").expect("an end");
    let cells = |line: &str| line.split('|').map(|cell| cell.trim().to_owned()).collect();
    let rows = catalogue.lines().map(cells).filter_map(|cells: Vec<String>| {
        let [_, number, _, checked, _] = cells.try_into().ok()?;
        Some((number, checked))
    });
    rows.filter(|(number, _)| number.ends_with(|it: char| it.is_ascii_digit())).collect()
}

#[test]
fn every_number_is_there_once_and_in_order() {
    let numbers = COUNTS.iter().flat_map(|(kind, count)| (1..=*count).map(move |n| (*kind, n)));
    let numbers: Vec<String> = numbers.map(|(kind, n)| format!("{kind}{n}")).collect();
    let listed: Vec<String> = rows().into_iter().map(|(number, _)| number).collect();
    assert_eq!(listed, numbers);
}

#[test]
fn every_file_and_every_rule_is_there() {
    for (number, checked) in rows() {
        for path in checked.split('`').skip(1).step_by(2).filter(|it| it.contains('/')) {
            assert!(root().join(path).is_file(), "{number}: {path}");
        }
        // Rules stand first, by their names.
        let rules = checked.split([',', ';', ':', '(']).map(str::trim);
        let is_rule = |word: &&str| word.chars().all(|it| it.is_ascii_lowercase());
        for name in rules.take_while(is_rule).filter(|word| !["", "gone"].contains(word)) {
            assert!(Invariant::ALL.iter().any(|one| one.to_string() == name), "{number}: {name}");
        }
    }
}

/// Every rule has its line in the table of what is checked.
#[test]
#[allow(clippy::disallowed_methods, reason = "the document is a real file")]
fn every_rule_is_described() {
    let document = std::fs::read_to_string(root().join("docs/simulation.md")).expect("it is there");
    for rule in Invariant::ALL {
        assert!(document.contains(&format!("\n| {rule} |")), "{rule}");
    }
}
