//! Proofs that a cluster cannot come to rest, whatever it does. Each is a fact about the world, not
//! about what the cluster believes.

use crate::scenario::Scene;

/// Why nobody can be blamed, if that can be proved.
pub(super) fn prove(scene: &Scene) -> Option<String> {
    if scene.core().agent_count() == 0 {
        return Some("no agent was healed, so there is nothing to run tasks on".to_owned());
    }
    if !scene.core().has_all_masters() && !scene.oracle().has_led() {
        // Two empty replicas of three cannot know that the third has not voted already.
        return Some("no master has led yet, and a new log needs all masters once".to_owned());
    }
    scene.oracle().lost_registry()
}
