//! Arithmetic of what a typical offer and a typical task hold.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use orrery_model::Resources;

fn arithmetic(criterion: &mut Criterion) {
    let read = |text: &str| Resources::parse(text, "*").unwrap_or_default().allocated_to("web");
    let offer = read("cpus:16;mem:65536;disk:200000;ports:[31000-31009, 31020-31099, 31200-32000]");
    let task = read("cpus:0.5;mem:256;disk:10;ports:[31040-31041]");
    let scalars = read("cpus:0.5;mem:256");
    let rest = &offer - &task;

    criterion.bench_function("resources/contains", |b| {
        b.iter(|| black_box(&offer).contains(black_box(&task)));
    });
    criterion.bench_function("resources/subtract", |b| {
        b.iter(|| black_box(&offer) - black_box(&task));
    });
    criterion.bench_function("resources/add", |b| {
        b.iter(|| black_box(&rest) + black_box(&task));
    });
    criterion.bench_function("resources/subtract_and_add_scalars_in_place", |b| {
        let mut free = offer.clone();
        b.iter(|| {
            free -= black_box(&scalars);
            free += black_box(&scalars);
        });
    });
    criterion.bench_function("resources/allocate", |b| {
        let free = offer.unallocated();
        b.iter(|| black_box(&free).allocated_to(black_box("web")));
    });
    let messages = offer.to_messages();
    criterion.bench_function("resources/from_messages", |b| {
        b.iter(|| Resources::from_messages(black_box(&messages)));
    });
    criterion.bench_function("resources/to_messages", |b| {
        b.iter(|| black_box(&offer).to_messages());
    });
}

criterion_group!(benches, arithmetic);
criterion_main!(benches);
