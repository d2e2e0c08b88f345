//! What the running thread has met.

use std::cell::RefCell;
use std::fmt::{self, Write};
use std::rc::Rc;

use crate::coverage::Coverage;
use crate::point::{POINTS, Point};

thread_local! {
    /// How often each point was met; empty until the first is.
    static TIMES: RefCell<Vec<u64>> = const { RefCell::new(Vec::new()) };
    static WATCHER: RefCell<Option<Watcher>> = const { RefCell::new(None) };
}

type Watcher = Rc<dyn Fn(Breach)>;

/// An `always!` that did not hold, or an `unreachable!` that was reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breach {
    /// Where.
    pub point: &'static Point,
    /// The details given there, as `name = value, name = value`.
    pub details: String,
}

impl fmt::Display for Breach {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.point.fmt(formatter)?;
        if !self.details.is_empty() {
            write!(formatter, ": {}", self.details)?;
        }
        Ok(())
    }
}

/// Has `watcher` told of every breach on the running thread from now on, instead of a panic. It
/// is called in the middle of whatever broke the promise, so it should only take note.
pub fn watch(watcher: impl Fn(Breach) + 'static) {
    WATCHER.with(|place| place.replace(Some(Rc::new(watcher))));
}

impl Coverage {
    /// Takes what the running thread has met since the last time, as one run.
    pub fn take() -> Self {
        Self::of_one_run(&TIMES.with(|times| std::mem::take(&mut *times.borrow_mut())))
    }
}

/// Counts that `point` was met.
pub fn hit(point: &'static Point) {
    // Destructors of thread-local values may still come by points when the counts are gone.
    let _ = TIMES.try_with(|times| {
        let mut times = times.borrow_mut();
        if times.is_empty() {
            times.resize(POINTS.len(), 0);
        }
        if let Some(count) = times.get_mut(point.index()) {
            *count += 1;
        }
    });
}

/// Tells the watcher that `point` does not keep its promise.
///
/// # Panics
/// When nobody watches.
#[cold]
pub fn broken(point: &'static Point, details: &[(&str, &dyn fmt::Debug)]) {
    let mut text = String::new();
    for (index, (name, value)) in details.iter().enumerate() {
        let comma = if index == 0 { "" } else { ", " };
        // Writing to a string does not fail.
        let _ = write!(text, "{comma}{name} = {value:?}");
    }
    let breach = Breach { point, details: text };
    match WATCHER.try_with(|watcher| watcher.borrow().clone()) {
        Ok(Some(watcher)) => watcher(breach),
        _ => panic!("{breach}"),
    }
}
