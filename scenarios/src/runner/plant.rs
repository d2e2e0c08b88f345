//! Bugs by name, for a canary: a run that must fail.

use crate::planted::{Bugs, CASES};

use super::{Again, Settings};

/// The bug of the simulator itself: the world draws from the system's entropy once.
const ENTROPY: &str = "Entropy";

/// A name that no bug has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no planted bug is called '{name}': expected {ENTROPY} or one of {}", names())]
pub struct PlantError {
    name: String,
}

fn names() -> String {
    CASES.iter().map(|case| case.bug.name).collect::<Vec<_>>().join(", ")
}

/// Switches the bug of this name on in all runs.
///
/// # Errors
/// There is no such bug.
pub fn plant(name: &str, settings: &mut Settings) -> Result<(), PlantError> {
    if let Again::Tests { bug } = &mut settings.again {
        *bug = Some(name.to_owned());
    }
    if name == ENTROPY {
        settings.entropy = true;
        return Ok(());
    }
    let found = CASES.iter().find(|case| case.bug.name == name);
    let case = found.ok_or_else(|| PlantError { name: name.to_owned() })?;
    settings.bugs = Bugs::of(case);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bugs_are_planted_by_their_names() {
        let mut settings = Settings::default();
        plant("AcceptKeepsOffer", &mut settings).expect("a name");
        assert!(settings.bugs != Bugs::default() && !settings.entropy);
        plant("Entropy", &mut settings).expect("a name");
        assert!(settings.entropy);
        let error = plant("Bug", &mut settings).expect_err("no bug").to_string();
        let expected = "no planted bug is called 'Bug': expected Entropy or one of ";
        assert!(error.starts_with(expected) && error.contains("AcceptKeepsOffer"), "{error}");
    }
}
