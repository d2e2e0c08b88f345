//! How fast event streams are framed and taken apart.

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use orrery_http::recordio::{Decoder, encode};

/// About the size of an update event in JSON.
const RECORD: usize = 500;
const RECORDS: usize = 1000;
/// What one read from a socket gives, which no record's boundary agrees with.
const PIECE: usize = 8191;

fn recordio(criterion: &mut Criterion) {
    let record = vec![b'x'; RECORD];
    let stream: Vec<u8> = (0..RECORDS).flat_map(|_| encode(&record)).collect();
    let mut group = criterion.benchmark_group("recordio");
    group.throughput(Throughput::Bytes(RECORD as u64));
    group.bench_function("encode", |bencher| bencher.iter(|| encode(&record)));
    group.throughput(Throughput::Bytes(stream.len() as u64));
    group.bench_function("decode", |bencher| {
        bencher.iter_batched(
            || Decoder::new(RECORD),
            |mut decoder| {
                let mut count = 0;
                for piece in stream.chunks(PIECE) {
                    decoder.push(piece);
                    while let Ok(Some(_)) = decoder.next() {
                        count += 1;
                    }
                }
                assert_eq!(count, RECORDS);
            },
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

criterion_group!(benches, recordio);
criterion_main!(benches);
