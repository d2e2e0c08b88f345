//! Bugs on purpose: known ways to be wrong, which tests switch on to prove that the simulator
//! would find them.
//!
//! A crate declares its bugs in one place, each with a sentence on what it does wrong and the
//! number of the bug in another cluster manager that it is modelled on, if there is one:
//!
//! ```
//! mod planted {
//!     orrery_planted::bugs! {
//!         /// MESOS-482: an acknowledged update stays in its stream and is sent again.
//!         ResendsAcknowledgedUpdate,
//!     }
//! }
//! use planted::PlantedBug;
//!
//! fn acknowledge(queue: &mut Vec<u32>) {
//!     if PlantedBug::ResendsAcknowledgedUpdate.is_planted() {
//!         return;
//!     }
//!     queue.remove(0);
//! }
//!
//! let mut queue = vec![1];
//! acknowledge(&mut queue);
//! assert!(queue.is_empty(), "no bug without a test that plants it");
//! assert_eq!(planted::PlantedBug::ALL[0].name, "ResendsAcknowledgedUpdate");
//! ```
//!
//! The switch stands at the one place in production code where the mistake would be made. Without
//! the feature `planted-bugs`, which nothing but the simulator turns on, it is the constant `false`
//! and the compiler removes the line. What is planted belongs to the thread, as each simulated run
//! has one of its own.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

/// What is known of a bug without running it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bug {
    /// Its name, in the form of Rust's types.
    pub name: &'static str,
    /// The package that has it.
    pub package: &'static str,
    /// What it does wrong, in a sentence that may begin with the bug that it is modelled on.
    pub what: &'static str,
}

/// Declares `PlantedBug`, the bugs of a crate: see the crate's description.
#[macro_export]
macro_rules! bugs {
    ($($(#[doc = $what:literal])+ $name:ident),+ $(,)?) => {
        /// One known way to be wrong: a single line at the place in production code where the
        /// mistake would be made.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum PlantedBug {
            $($(#[doc = $what])+ $name),+
        }

        impl PlantedBug {
            /// All of them.
            pub const ALL: &'static [$crate::Bug] = &[
                $($crate::Bug {
                    name: stringify!($name),
                    package: env!("CARGO_PKG_NAME"),
                    what: concat!($($what),+),
                }),+
            ];

            /// What is known of it.
            pub const fn bug(self) -> &'static $crate::Bug {
                match self {
                    $(Self::$name => const {
                        &$crate::Bug {
                            name: stringify!($name),
                            package: env!("CARGO_PKG_NAME"),
                            what: concat!($($what),+),
                        }
                    }),+
                }
            }

            /// True when a test has planted it on this thread; never outside of tests.
            #[inline]
            pub(crate) fn is_planted(self) -> bool {
                $crate::is_planted(self.bug())
            }
        }
    };
}

#[cfg(feature = "planted-bugs")]
mod switches {
    use std::cell::RefCell;

    use crate::Bug;

    thread_local! {
        static PLANTED: RefCell<Vec<Bug>> = const { RefCell::new(Vec::new()) };
    }

    /// From now on exactly these bugs are planted on this thread.
    pub fn plant(bugs: impl IntoIterator<Item = Bug>) {
        PLANTED.with_borrow_mut(|planted| {
            planted.clear();
            planted.extend(bugs);
        });
    }

    /// Whether a test has planted `bug` on this thread.
    #[inline]
    pub fn is_planted(bug: &Bug) -> bool {
        PLANTED.with_borrow(|planted| planted.iter().any(|one| one.name == bug.name))
    }
}

#[cfg(feature = "planted-bugs")]
pub use switches::{is_planted, plant};

/// Never true outside of tests.
#[cfg(not(feature = "planted-bugs"))]
#[inline]
pub const fn is_planted(_bug: &Bug) -> bool {
    false
}

#[cfg(all(test, feature = "planted-bugs"))]
mod tests {
    mod planted {
        crate::bugs! {
            /// The first.
            One,
            /// MESOS-1:
            /// the second.
            Two,
        }
    }
    use planted::PlantedBug;

    #[allow(clippy::disallowed_methods, reason = "another thread is what this is about")]
    #[test]
    fn only_what_was_planted_on_this_thread_is_planted() {
        crate::plant([*PlantedBug::Two.bug()]);
        assert!(PlantedBug::Two.is_planted() && !PlantedBug::One.is_planted());
        let elsewhere = std::thread::spawn(|| PlantedBug::Two.is_planted());
        assert!(!elsewhere.join().expect("it does not panic"));
        crate::plant([]);
        assert!(!PlantedBug::Two.is_planted());
    }

    #[test]
    fn a_bug_says_what_it_does() {
        let [one, two] = PlantedBug::ALL else { panic!("two were declared") };
        assert_eq!((one.name, one.package), ("One", "orrery-planted"));
        assert_eq!(two.what, " MESOS-1: the second.");
    }
}
