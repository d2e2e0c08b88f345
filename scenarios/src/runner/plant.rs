//! Bugs by name, for a canary: a run that must fail.

use orrery_planted::Bug;

use super::Settings;

/// The bug of the simulator itself: the world draws from the system's entropy once.
const ENTROPY: &str = "Entropy";

/// A name that no bug has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no planted bug is called '{name}': expected {ENTROPY} or one of {}", names())]
pub struct PlantError {
    name: String,
}

/// All that the product can be given.
fn bugs() -> impl Iterator<Item = &'static Bug> {
    orrery_master::PlantedBug::ALL.iter().chain(orrery_agent::PlantedBug::ALL)
}

fn names() -> String {
    bugs().map(|bug| bug.name).collect::<Vec<_>>().join(", ")
}

/// Switches the bug of this name on in all runs.
///
/// # Errors
/// There is no such bug.
pub fn plant(name: &str, settings: &mut Settings) -> Result<(), PlantError> {
    if name == ENTROPY {
        settings.entropy = true;
        return Ok(());
    }
    let found = bugs().find(|bug| bug.name == name);
    let bug = found.ok_or_else(|| PlantError { name: name.to_owned() })?;
    settings.bugs = std::iter::once(bug).collect();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::planted::Bugs;

    #[test]
    fn bugs_are_planted_by_their_names() {
        let mut settings = Settings::default();
        plant("AcceptKeepsOffer", &mut settings).expect("a name");
        assert!(settings.bugs != Bugs::default() && !settings.entropy);
        plant("Entropy", &mut settings).expect("a name");
        assert!(settings.entropy);
        let error = plant("Bug", &mut settings).expect_err("no bug").to_string();
        let expected = "no planted bug is called 'Bug': expected Entropy or one of Accept";
        assert!(error.starts_with(expected), "{error}");
    }
}
