//! Points in the product's code that simulated runs should come by, and a count of which did.
//!
//! A simulator that finds nothing either has nothing to find or never goes where it is. These four
//! macros stand in the product's own code, next to the path that they speak of, and say which:
//!
//! | macro | stands for | a run in which it happens |
//! |---|---|---|
//! | [`reachable!`] | a rare path that some run should take | counts |
//! | [`sometimes!`] | a rare state that some run should be in here | counts |
//! | [`always!`] | a condition that must hold whenever this line runs | fails when it does not |
//! | [`unreachable!`] | a path that nothing should take | fails |
//!
//! ```
//! use orrery_coverage::{always, reachable, sometimes};
//!
//! fn rescind(open: &mut Vec<u32>, offer: u32) {
//!     let before = open.len();
//!     open.retain(|id| *id != offer);
//!     if open.len() == before {
//!         return reachable!("an offer is gone before it is rescinded");
//!     }
//!     sometimes!(open.is_empty(), "the last open offer is rescinded");
//!     always!(!open.contains(&offer), "a rescinded offer is no longer open", offer);
//! }
//! # rescind(&mut vec![1], 1);
//! ```
//!
//! The name of a point is a sentence without a full stop, in the present tense, and no other point
//! has it: goals and reports know points by their names. What follows the name of an [`always!`] or
//! an [`unreachable!`] is shown, by `Debug`, when it is broken.
//!
//! # What they cost
//!
//! Counting exists only with the feature `sim`, which nothing but the simulator turns on. Without
//! it the conditions are still checked by the compiler, and nothing is evaluated, counted or kept.
//! The one exception is [`unreachable!`], which then logs an error: it costs nothing as long as it
//! is true, and a daemon that came there should not keep it to itself. It does not panic, so what
//! follows must be able to go on. `always!` says nothing in production, for its conditions may be
//! as dear as one likes.
//!
//! # How they are counted
//!
//! Every point puts a static into one slice when the program is linked (see the crate `linkme`), so
//! the [`catalogue`] lists points that no run has ever come by. Counts belong to the thread. The
//! simulator plays each run on a thread of its own and puts the thread's [`Coverage`] into its
//! report; [`Coverage::merge`] adds up runs, and what it displays as names first what no run has
//! met for the longest. [`watch`] says who is told of a broken promise; on a thread where nobody
//! watches, it panics, so that plain tests fail too.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

#[cfg(feature = "sim")]
mod coverage;
mod macros;
#[cfg(feature = "sim")]
mod point;
#[cfg(feature = "sim")]
mod record;
#[cfg(feature = "sim")]
mod report;

#[cfg(feature = "sim")]
pub use {
    coverage::{Coverage, Tally},
    point::{Kind, Point, catalogue},
    record::{Breach, watch},
};

/// What the macros expand to. Not for anybody else.
#[doc(hidden)]
pub mod expansion {
    #[cfg(feature = "sim")]
    pub use {
        crate::point::POINTS,
        crate::record::{broken, hit},
        linkme,
    };

    /// Logs that production came where it should not.
    #[cold]
    #[inline(never)]
    pub fn reached(name: &str, file: &str, line: u32, details: &[(&str, &dyn std::fmt::Debug)]) {
        tracing::error!(
            point = name,
            file,
            line,
            ?details,
            "a place thought unreachable was reached"
        );
    }
}
