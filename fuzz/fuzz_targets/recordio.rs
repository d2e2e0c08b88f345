//! A stream of records gives the same records however it is cut into pieces.

#![no_main]

use libfuzzer_sys::fuzz_target;
use orrery_http::recordio::{Decoder, RecordError, encode};

const MAX_RECORD: usize = 4096;

/// What came out of a stream: its records, then how it went wrong, if it did.
type Outcome = (Vec<Vec<u8>>, Option<RecordError>);

fn decode<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Outcome {
    let mut decoder = Decoder::new(MAX_RECORD);
    let mut records = Vec::new();
    for piece in pieces {
        decoder.push(piece);
        loop {
            match decoder.next() {
                Ok(Some(record)) => records.push(record.to_vec()),
                Ok(None) => break,
                Err(error) => return (records, Some(error)),
            }
        }
    }
    (records, None)
}

fuzz_target!(|input: &[u8]| {
    let Some((cut, stream)) = input.split_first() else { return };
    let whole = decode(std::iter::once(stream));
    let size = usize::from(*cut).max(1);
    assert_eq!(decode(stream.chunks(size)), whole);
    assert_eq!(decode(stream.chunks(1)), whole);

    let records: Vec<Vec<u8>> = stream.chunks(size).map(<[u8]>::to_vec).collect();
    let encoded: Vec<u8> = records.iter().flat_map(|record| encode(record)).collect();
    assert_eq!(decode(encoded.chunks(size)), (records, None));
});
