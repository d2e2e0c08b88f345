//! Without the feature `sim` nothing is evaluated.
#![cfg(not(feature = "sim"))]

fn asked(count: &std::cell::Cell<u32>) -> bool {
    count.set(count.get() + 1);
    false
}

#[test]
fn conditions_are_not_evaluated_and_nothing_panics() {
    let count = std::cell::Cell::new(0);
    orrery_coverage::reachable!("production comes here");
    orrery_coverage::sometimes!(asked(&count), "production is asked");
    orrery_coverage::always!(asked(&count), "production is asked for details", asked(&count));
    orrery_coverage::unreachable!("production goes on", count.get());
    assert_eq!(count.get(), 0);
}
