//! Cutting some links one after another and mending them in another order.

use std::time::Duration;

use super::NetworkControl;
use super::control::Way;
use crate::config::nanoseconds;
use crate::timers::Sleep;

/// Cuts a random choice of `ways` and mends them, unless all is mended meanwhile. The stream of
/// random values is one of its own, told apart by the time at which it starts.
pub(crate) async fn run(control: &NetworkControl, mut ways: Vec<Way>, step: Duration) {
    let world = control.world();
    let mends = || control.with(|network, _| network.mends);
    let before = mends();
    let mut random = world.generator("swizzle", world.now());
    random.shuffle(&mut ways);
    if !ways.is_empty() {
        ways.truncate(1 + random.below(ways.len() as u64) as usize);
    }
    let mut pause = async || {
        let wait = random.below(nanoseconds(step).saturating_add(1));
        let deadline = world.now().saturating_add(wait);
        Sleep::until(world.clone(), deadline).await;
    };
    for (from, to) in &ways {
        control.cut_one_way(from, to);
        pause().await;
        if mends() != before {
            return;
        }
    }
    let mut order = world.generator("swizzle order", world.now());
    order.shuffle(&mut ways);
    for (from, to) in &ways {
        pause().await;
        if mends() != before {
            return;
        }
        control.heal_one_way(from, to);
    }
}
