//! Promises of [`crate::Random`].

use std::collections::BTreeSet;

use crate::Runtime;

/// Checks the entropy of `runtime`.
///
/// # Panics
/// Where a promise is broken.
// Nothing here waits; it is async like its siblings.
#[allow(clippy::unused_async)]
pub async fn check(runtime: &Runtime) {
    fills_every_byte(runtime);
    never_repeats(runtime);
}

fn fills_every_byte(runtime: &Runtime) {
    runtime.random.fill(&mut []);
    for length in [1, 7, 33, 1000] {
        // A byte that is zero in 32 independent fills was not filled.
        let mut seen = vec![0; length];
        for _ in 0..32 {
            let mut bytes = vec![0; length];
            runtime.random.fill(&mut bytes);
            for (seen, byte) in seen.iter_mut().zip(bytes) {
                *seen |= byte;
            }
        }
        assert!(seen.iter().all(|byte| *byte != 0), "some of {length} bytes were left out");
    }
}

fn never_repeats(runtime: &Runtime) {
    let mut seen = BTreeSet::new();
    for _ in 0..100 {
        let mut bytes = [0; 16];
        runtime.random.fill(&mut bytes);
        assert!(seen.insert(bytes), "the same 16 bytes twice");
        let mut generator = runtime.random.generator();
        assert!(seen.insert(generator.uuid()), "two generators of one stream");
        assert!(seen.insert(generator.uuid()), "a generator that repeats itself");
    }
}
