//! Allocation over 1,000 agents and 50 frameworks.

use std::hint::black_box;
use std::time::Duration;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use orrery_allocator::{AgentKey, Allocator, FrameworkKey, FrameworkOptions, Grant, Options};
use orrery_model::Resources;
use orrery_runtime::{Generator, Instant};

const AGENTS: u32 = 1_000;
const FRAMEWORKS: u32 = 50;
const SECOND: Duration = Duration::from_secs(1);

fn cluster() -> Allocator {
    let total = Resources::parse("cpus:16;mem:65536;disk:200000;ports:[31000-32000]", "*");
    let total = total.unwrap_or_default();
    let mut allocator = Allocator::new(Options::default(), Generator::from_number(7));
    for number in 0..FRAMEWORKS {
        let roles = vec![format!("role-{}", number % 10)];
        let options = FrameworkOptions { roles, ..Default::default() };
        allocator.add_framework(FrameworkKey(number), &format!("fw-{number:04}"), options, true);
    }
    for number in 0..AGENTS {
        allocator.add_agent(AgentKey(number), format!("S{number}"), total.clone(), &[]);
    }
    allocator
}

fn give_back(allocator: &mut Allocator, grants: &[Grant], refuse: Option<Duration>, now: Instant) {
    for grant in grants {
        allocator.recover(grant.framework, grant.agent, &grant.resources, refuse, now);
    }
}

/// Everything is granted, and everything comes back.
fn cycle(criterion: &mut Criterion) {
    let mut allocator = cluster();
    let mut now = Instant::default();
    criterion.bench_function("allocation/1000_agents_50_frameworks/grant_all_and_recover", |b| {
        b.iter(|| {
            let grants = allocator.run(now);
            assert_eq!(grants.len(), AGENTS as usize);
            give_back(&mut allocator, &grants, None, now);
            now += SECOND;
        });
    });
}

fn first_run(criterion: &mut Criterion) {
    let fresh = cluster();
    criterion.bench_function("allocation/1000_agents_50_frameworks/first_run", |b| {
        b.iter_batched_ref(|| fresh.clone(), |a| a.run(Instant::default()), BatchSize::LargeInput);
    });
}

/// Every framework has refused every agent for long; one framework revives.
fn revive(criterion: &mut Criterion) {
    let mut allocator = cluster();
    let mut now = Instant::default();
    let refuse = Some(Duration::from_secs(1_000_000_000));
    loop {
        let grants = allocator.run(now);
        if grants.is_empty() {
            break;
        }
        give_back(&mut allocator, &grants, refuse, now);
        now += SECOND;
    }
    criterion.bench_function("allocation/1000_agents_50_frameworks/idle_run", |b| {
        b.iter(|| black_box(allocator.run(now)));
    });
    criterion.bench_function("allocation/1000_agents_50_frameworks/revive_one", |b| {
        b.iter_batched_ref(
            || allocator.clone(),
            |a| {
                a.revive(FrameworkKey(7), &[]);
                a.run(now)
            },
            BatchSize::LargeInput,
        );
    });
}

criterion_group!(benches, cycle, first_run, revive);
criterion_main!(benches);
