use proptest::prelude::*;

use super::*;

fn decode(max_record: usize, pieces: &[&[u8]]) -> Result<Vec<Bytes>, RecordError> {
    let mut decoder = Decoder::new(max_record);
    let mut records = Vec::new();
    for piece in pieces {
        decoder.push(piece);
        while let Some(record) = decoder.next()? {
            records.push(record);
        }
    }
    Ok(records)
}

#[test]
fn frames_as_mesos_does() {
    assert_eq!(encode(b"{}"), "2\n{}");
    assert_eq!(encode(b""), "0\n");
    assert_eq!(encode(&[b'x'; 1234])[..5], *b"1234\n");
}

#[test]
fn reads_records_in_any_pieces() {
    let expected = ["hello", "", "x"];
    let stream = b"5\nhello0\n1\nx";
    for cut in 0..stream.len() {
        let records = decode(5, &[&stream[..cut], &stream[cut..]]).expect("records");
        assert_eq!(records, expected);
    }
}

#[test]
fn knows_whether_a_record_has_begun() {
    let mut decoder = Decoder::new(10);
    assert!(decoder.is_at_boundary());
    for (bytes, boundary) in [("3", false), ("\n", false), ("ab", false), ("c", true)] {
        decoder.push(bytes.as_bytes());
        let _ = decoder.next();
        assert_eq!(decoder.is_at_boundary(), boundary, "{bytes:?}");
    }
}

#[test]
fn refuses_lengths_that_are_none() {
    for line in ["\n", "-1\n", "+1\n", "1 \n", " 1\n", "0x5\n", "5\r\n", "{\"type\"", "\u{0}"] {
        let error = decode(100, &[line.as_bytes()]).expect_err(line);
        assert!(matches!(error, RecordError::NotANumber { .. }), "{line:?}: {error}");
    }
    let error = decode(100, &[b"12a"]).expect_err("letters");
    assert_eq!(error.to_string(), "the record's length is '12a': expected decimal digits");
}

#[test]
fn refuses_lengths_that_lie() {
    let error = decode(100, &[b"101\n"]).expect_err("over the limit");
    assert_eq!(error.to_string(), "the record's length is 101: expected at most 100");
    let error = decode(usize::MAX, &[b"99999999999999999999\n"]).expect_err("over 64 bits");
    assert!(matches!(error, RecordError::TooLarge { .. }));
    let error = decode(100, &[&[b'0'; 21]]).expect_err("over 20 digits");
    assert!(matches!(error, RecordError::TooLong { .. }));
    assert_eq!(decode(100, &[b"00000000000000000001\nx"]).expect("20 digits"), ["x"]);
}

#[test]
fn stays_failed() {
    let mut decoder = Decoder::new(10);
    decoder.push(b"x");
    let error = decoder.next().expect_err("a letter");
    decoder.push(b"1\na");
    assert_eq!(decoder.next(), Err(error));
}

#[test]
fn a_claim_alone_takes_no_memory() {
    let mut decoder = Decoder::new(usize::MAX);
    decoder.push(b"9000000000000000000\n");
    assert_eq!(decoder.next(), Ok(None));
    assert!(decoder.buffer.capacity() < 1 << 20);
}

proptest! {
    #[test]
    fn gives_back_what_was_encoded(
        records in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..50), 0..10),
        size in 1_usize..20,
    ) {
        let stream: Vec<u8> = records.iter().flat_map(|record| encode(record)).collect();
        let pieces: Vec<&[u8]> = stream.chunks(size).collect();
        prop_assert_eq!(decode(50, &pieces).expect("records"), records);
    }

    #[test]
    fn never_panics(pieces in prop::collection::vec("[0-9\n]{0,5}[a-z]{0,5}", 0..20)) {
        let pieces: Vec<&[u8]> = pieces.iter().map(String::as_bytes).collect();
        let _ = decode(1000, &pieces);
    }
}
