//! Speed of both encodings on the two messages that a busy master sees most: an OFFERS event with
//! the offers of 20 agents, and an ACCEPT call that launches 10 tasks.

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use orrery_api::json::{self, JsonMessage};
use orrery_api::protobuf::{self, Checked};
use orrery_api::v1;
use orrery_api::v1::scheduler::{Call, Event, call, event};

fn scalar(name: &str, value: f64) -> v1::Resource {
    v1::Resource {
        name: name.into(),
        r#type: v1::value::Type::Scalar as i32,
        scalar: Some(v1::value::Scalar { value }),
        allocation_info: Some(v1::resource::AllocationInfo { role: Some("web/front".into()) }),
        ..Default::default()
    }
}

fn text(name: &str, value: &str) -> v1::Attribute {
    v1::Attribute {
        name: name.into(),
        r#type: v1::value::Type::Text as i32,
        text: Some(v1::value::Text { value: value.into() }),
        ..Default::default()
    }
}

fn offer(number: usize) -> v1::Offer {
    let ports = v1::Resource {
        name: "ports".into(),
        r#type: v1::value::Type::Ranges as i32,
        ranges: Some(v1::value::Ranges {
            range: vec![v1::value::Range { begin: 31_000, end: 32_000 }],
        }),
        ..Default::default()
    };
    let cluster = "a4a37d7c-f81c-4b19-b701-a57b60de0646";
    v1::Offer {
        id: v1::OfferId { value: format!("{cluster}-O{number}") },
        framework_id: v1::FrameworkId { value: format!("{cluster}-0000") },
        agent_id: v1::AgentId { value: format!("{cluster}-S{number}") },
        hostname: format!("agent-{number}.example.org"),
        resources: vec![scalar("cpus", 3.7), scalar("mem", 8096.0), scalar("disk", 2e4), ports],
        attributes: vec![text("rack", "r1"), text("zone", "z1")],
        executor_ids: vec![v1::ExecutorId { value: "default".into() }],
        ..Default::default()
    }
}

fn task(number: usize) -> v1::TaskInfo {
    v1::TaskInfo {
        name: format!("task {number}"),
        task_id: v1::TaskId { value: format!("web.{number}") },
        agent_id: v1::AgentId { value: "a4a37d7c-f81c-4b19-b701-a57b60de0646-S0".into() },
        resources: vec![scalar("cpus", 0.1), scalar("mem", 32.0)],
        command: Some(v1::CommandInfo {
            value: Some("exec ./server --port=$PORT0 --name=\"front\"".into()),
            ..Default::default()
        }),
        ..Default::default()
    }
}

fn offers() -> Event {
    Event {
        r#type: Some(event::Type::Offers as i32),
        offers: Some(event::Offers { offers: (0..20).map(offer).collect() }),
        ..Default::default()
    }
}

fn accept() -> Call {
    let launch = v1::offer::operation::Launch { task_infos: (0..10).map(task).collect() };
    let operation = v1::offer::Operation {
        r#type: Some(v1::offer::operation::Type::Launch as i32),
        launch: Some(launch),
        ..Default::default()
    };
    Call {
        r#type: Some(call::Type::Accept as i32),
        framework_id: Some(v1::FrameworkId { value: "f".into() }),
        accept: Some(call::Accept {
            offer_ids: vec![v1::OfferId { value: "o".into() }],
            operations: vec![operation],
            filters: Some(v1::Filters { refuse_seconds: Some(1.0) }),
        }),
        ..Default::default()
    }
}

fn codecs<M: JsonMessage + Checked>(criterion: &mut Criterion, name: &str, message: &M) {
    let mut group = criterion.benchmark_group(name);
    let text = json::encode(message);
    let binary = protobuf::encode(message);
    group.throughput(Throughput::Bytes(text.len() as u64));
    group.bench_function("json/encode", |bencher| bencher.iter(|| json::encode(message)));
    group.bench_function("json/decode", |bencher| {
        let decode = |text| json::decode::<M>(black_box(text));
        bencher.iter_batched(|| text.as_slice(), decode, BatchSize::SmallInput);
    });
    group.throughput(Throughput::Bytes(binary.len() as u64));
    group.bench_function("protobuf/encode", |bencher| bencher.iter(|| protobuf::encode(message)));
    group.bench_function("protobuf/decode", |bencher| {
        let decode = |binary| protobuf::decode::<M>(black_box(binary));
        bencher.iter_batched(|| binary.as_slice(), decode, BatchSize::SmallInput);
    });
    group.finish();
}

fn benches(criterion: &mut Criterion) {
    codecs(criterion, "offers", &offers());
    codecs(criterion, "accept", &accept());
}

criterion_group!(codec_benches, benches);
criterion_main!(codec_benches);
