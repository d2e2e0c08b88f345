//! What [`parse`](crate::parse) found.

use std::collections::BTreeMap;

use crate::value::{FlagValue, Value};

/// One flag's value and where it came from.
#[derive(Clone, Debug)]
pub(crate) struct Loaded {
    pub(crate) value: Value,
    /// What `/flags` shows: the value, or for secrets the path of the file that holds it.
    pub(crate) shown: String,
    /// The name under which it was given, in lower case; the flag's own name for a default.
    pub(crate) name: String,
    /// Whether the command line or the environment gave it.
    pub(crate) given: bool,
}

/// A program's flags, all valid.
#[derive(Clone, Debug, Default)]
pub struct Flags {
    pub(crate) values: BTreeMap<&'static str, Loaded>,
    pub(crate) rest: Vec<String>,
    pub(crate) warnings: Vec<String>,
}

impl Flags {
    /// The flag's value; `None` when it was not given and has no default, or is of another type.
    pub fn get<T: FlagValue>(&self, name: &str) -> Option<T> {
        self.values.get(name).and_then(|loaded| T::from_value(&loaded.value))
    }

    /// The flag's value, or the type's own default (zero, false, empty) when it has none.
    pub fn value<T: FlagValue + Default>(&self, name: &str) -> T {
        self.get(name).unwrap_or_default()
    }

    /// Whether a boolean flag is true.
    pub fn is_set(&self, name: &str) -> bool {
        self.value(name)
    }

    /// Whether the command line or the environment gave the flag.
    pub fn is_given(&self, name: &str) -> bool {
        self.values.get(name).is_some_and(|loaded| loaded.given)
    }

    /// What stands after `--` on the command line.
    pub fn rest(&self) -> &[String] {
        &self.rest
    }

    /// What the program should log at its start, a line each: flags without effect, old names.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Every flag with a value, defaults included, by the name it was given under: what the
    /// endpoint `/flags` answers with.
    pub fn effective(&self) -> BTreeMap<String, String> {
        self.values.values().map(|loaded| (loaded.name.clone(), loaded.shown.clone())).collect()
    }
}
