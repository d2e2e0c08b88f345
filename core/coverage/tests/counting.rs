//! What is counted, listed and told with the feature `sim`.
#![cfg(feature = "sim")]

use std::cell::RefCell;
use std::rc::Rc;

use orrery_coverage::{Coverage, Kind, catalogue, watch};

fn visit(number: u32) {
    orrery_coverage::reachable!("a number is visited");
    orrery_coverage::sometimes!(number > 10, "a large number is visited");
    orrery_coverage::always!(number < 1_000, "numbers stay small", number);
    if number == 13 {
        orrery_coverage::unreachable!("the unlucky number comes", number, number + 1);
    }
}

fn never_called<T>(_: T) {
    orrery_coverage::reachable!("a generic function is called");
}

/// What a thread of its own has met.
fn run(numbers: &'static [u32]) -> Coverage {
    let work = move || {
        watch(|_| ());
        numbers.iter().copied().for_each(visit);
        Coverage::take()
    };
    std::thread::scope(|scope| scope.spawn(work).join().expect("nobody panics"))
}

fn times(coverage: &Coverage, name: &str) -> u64 {
    coverage.tally_of(name).expect("there is such a point").times
}

#[test]
fn the_catalogue_lists_what_was_never_met_too() {
    let _: fn(u8) = never_called;
    let names: Vec<_> = catalogue().iter().map(|point| (point.kind, point.name)).collect();
    assert_eq!(
        names,
        [
            (Kind::Reachable, "a number is visited"),
            (Kind::Sometimes, "a large number is visited"),
            (Kind::Always, "numbers stay small"),
            (Kind::Unreachable, "the unlucky number comes"),
            (Kind::Reachable, "a generic function is called"),
        ]
    );
    let point = catalogue()[0];
    assert_eq!((point.file, point.module), ("core/coverage/tests/counting.rs", "counting"));
}

#[test]
fn a_run_counts_what_its_own_thread_met() {
    let (one, two) = (run(&[1, 11, 12]), run(&[1]));
    assert_eq!(times(&one, "a number is visited"), 3);
    assert_eq!(times(&one, "a large number is visited"), 2);
    assert_eq!(times(&two, "a number is visited"), 1);
    assert_eq!(times(&two, "a large number is visited"), 0);
    assert_eq!(one.tally_of("nobody wrote this"), None);
}

#[test]
fn what_was_taken_is_not_taken_again() {
    visit(1);
    assert_eq!(times(&Coverage::take(), "a number is visited"), 1);
    assert_eq!(times(&Coverage::take(), "a number is visited"), 0);
}

#[test]
fn merging_counts_runs_in_order() {
    let mut all = Coverage::default();
    for numbers in [&[1][..], &[20, 30], &[2], &[3]] {
        all.merge(&run(numbers));
    }
    let large = all.tally_of("a large number is visited").expect("is there");
    assert_eq!((large.times, large.runs, large.first, large.last), (2, 1, 2, 2));
    assert_eq!((all.runs(), all.runs_since_news()), (4, 2));
    let never: Vec<_> = all.never_met().iter().map(|point| point.name).collect();
    assert_eq!(never, ["a generic function is called"]);

    let mut halves = run(&[1]);
    halves.merge(&run(&[20, 30]));
    let mut second = run(&[2]);
    second.merge(&run(&[3]));
    halves.merge(&second);
    assert_eq!(halves, all, "merging is associative");
}

#[test]
fn the_report_begins_with_what_was_unmet_for_longest() {
    let mut all = Coverage::default();
    for numbers in [&[20][..], &[1], &[1]] {
        all.merge(&run(numbers));
    }
    let text = format!("{all:#}");
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "coverage: 3 of 4 points met in 3 runs, the last new one 2 runs ago");
    assert_eq!(lines[1], "unmet for    runs     times  kind       point");
    assert!(lines[2].starts_with("        3       0         0  reachable  a generic function"));
    assert!(lines[3].starts_with("        2       1         1  sometimes  a large number"));
    assert_eq!(lines.len(), 6, "{text}");
    assert_eq!(all.to_string().lines().count(), 3, "only what is rare: {all}");
    let some = format!("{all:#.3}");
    assert!(some.ends_with("\n… and 1 more") && some.lines().count() == 6, "{some}");
}

#[test]
fn a_breach_is_told_with_its_details() {
    let told = Rc::new(RefCell::new(Vec::new()));
    let place = told.clone();
    watch(move |breach| place.borrow_mut().push(breach.to_string()));
    visit(13);
    visit(1_000);
    let told = told.borrow();
    let begin = "unreachable! \"the unlucky number comes\" at core/coverage/tests/counting.rs:";
    assert!(told[0].starts_with(begin), "{told:?}");
    assert!(told[0].ends_with(": number = 13, number + 1 = 14"), "{told:?}");
    assert!(told[1].ends_with(": number = 1000"), "{told:?}");
    assert_eq!(told.len(), 2);
}

#[test]
#[should_panic(expected = "numbers stay small")]
fn a_breach_that_nobody_watches_for_panics() {
    visit(2_000);
}
