//! How fast whole clusters run: the standard mix of three masters, twenty agents, three frameworks
//! and faults, for ten simulated minutes each, and then until the cluster is at rest. What is
//! printed is for one core; the same arguments give the same runs. A fourth argument names a folder
//! for the plans of runs that fail, one of each kind of failure.
//!
//! ```text
//! cargo run --release -p orrery-scenarios --features sim --example standard_mix -- 0 5 10 failures
//! ```

#[cfg(feature = "sim")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[cfg(feature = "sim")]
fn main() {
    use std::time::Duration;

    use orrery_scenarios::plan::Plan;
    use orrery_scenarios::runner::{Settings, failure, keep, run_plan, usage};

    let argument = |place, usual| {
        std::env::args().nth(place).map_or(usual, |text| text.parse().expect("a number"))
    };
    let (first, runs, minutes): (u64, u64, u64) = (argument(1, 0), argument(2, 5), argument(3, 10));
    let folder = std::env::args().nth(4).map(std::path::PathBuf::from);
    let (mut simulated, mut processor, mut steps, mut failures) = (0.0, 0.0, 0, 0);
    for seed in first..first + runs {
        let plan = Plan::standard_mix(seed, Duration::from_secs(60 * minutes));
        let run = run_plan(plan, &Settings::default());
        let (elapsed, cost) = (run.elapsed.as_secs_f64(), run.processor.as_secs_f64());
        println!(
            "seed {seed}: {elapsed:.0} simulated seconds, {} events, {cost:.2} s of the processor, \
             hash {:016x}",
            run.events, run.hash,
        );
        if let Some(failed) = failure(&run) {
            failures += 1;
            println!("  failed: {}: {}", failed.violation.invariant, failed.violation.message);
            if let Some(folder) = &folder {
                keep::keep(folder, &failed).expect("the folder can be written");
            }
        }
        simulated += elapsed;
        processor += cost;
        steps += run.steps;
    }
    println!(
        "{runs} runs, {failures} failures: on one core {:.0} simulated seconds a second and {:.0} \
         events a second with timers and tasks; at most {} MB",
        simulated / processor,
        steps as f64 / processor,
        usage::peak_memory().unwrap_or_default() >> 20,
    );
}

#[cfg(not(feature = "sim"))]
fn main() {}
