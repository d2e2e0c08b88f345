//! Torn ends and rot, on bytes alone.

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;

use super::format::{HEADER, SegmentHeader, check_segment_header, put_record, segment_header};
use super::scan::{Contents, Expected, Flaw, scan};
use crate::{Ballot, Defect, KnownEntry, Position, Record, Value};

const SEQUENCE: u64 = 7;

fn entry(position: u64, length: usize) -> Record {
    let value = Value::Append(Bytes::from(vec![position as u8; length]));
    let ballot = Ballot { round: 1, proposer: 2 };
    Record::Entry(KnownEntry { position: Position(position), ballot, learned: false, value })
}

/// A segment with these many entries, each of which says that all before it was durable, and the
/// offsets at which they stand.
fn segment(lengths: &[usize]) -> (BytesMut, Vec<usize>) {
    let mut bytes = BytesMut::from(&segment_header(SEQUENCE, 80)[..]);
    let mut offsets = Vec::new();
    for (index, length) in lengths.iter().enumerate() {
        let synced = bytes.len() as u64;
        offsets.push(bytes.len());
        put_record(&mut bytes, SEQUENCE, 0, synced, entry(index as u64 + 1, *length));
    }
    (bytes, offsets)
}

/// Reads the newest segment, of which no more is known than it says itself.
fn read(bytes: BytesMut) -> Contents {
    scan(&bytes.freeze(), SEQUENCE, Expected::AtLeast(0))
}

/// Reads the newest segment, which was durable to its end.
fn read_durable(bytes: BytesMut, durable: usize) -> Contents {
    scan(&bytes.freeze(), SEQUENCE, Expected::AtLeast(durable as u64))
}

fn flaw(offset: usize, position: u64) -> Flaw {
    let position = Some(Position(position));
    Flaw { offset: offset as u64, position, defect: Defect::Record }
}

#[test]
fn what_was_written_is_read() {
    let (bytes, offsets) = segment(&[0, 1, 100, 5000]);
    let valid = SegmentHeader::Valid { before: Some(80) };
    assert_eq!(check_segment_header(&bytes, SEQUENCE), valid);
    assert_eq!(check_segment_header(&bytes, SEQUENCE + 1), SegmentHeader::Invalid);
    let (length, contents) = (bytes.len(), read(bytes));
    assert_eq!(contents.flaws, []);
    assert_eq!(contents.end, length as u64);
    let found: Vec<usize> = contents.records.iter().map(|placed| placed.offset as usize).collect();
    assert_eq!(found, offsets);
    assert_eq!(contents.records[2].record, entry(3, 100));
}

#[test]
fn a_torn_end_is_cut() {
    let (bytes, offsets) = segment(&[10, 20, 30]);
    // What is missing of the zeros after a record makes no difference to it.
    for end in offsets[2] + 1..bytes.len() - 8 {
        let mut torn = bytes.clone();
        torn.truncate(end);
        let contents = read(torn);
        assert_eq!(contents.flaws, [], "cut at {end}");
        assert_eq!(contents.records.len(), 2, "cut at {end}");
        assert_eq!(contents.end, offsets[2] as u64, "cut at {end}");
    }
}

#[test]
fn a_hole_in_what_was_not_synced_is_cut() {
    let (mut bytes, _) = segment(&[10]);
    let start = bytes.len();
    let synced = start as u64;
    put_record(&mut bytes, SEQUENCE, 0, synced, entry(2, 600));
    put_record(&mut bytes, SEQUENCE, 0, synced, entry(3, 10));
    bytes[start..start + 512].fill(0);
    let contents = read(bytes);
    assert_eq!(contents.flaws, []);
    assert_eq!(contents.records.len(), 1);
    assert_eq!(contents.end, start as u64);
}

#[test]
fn rot_in_the_last_record_is_damage_where_it_was_durable() {
    let (mut bytes, offsets) = segment(&[10, 20]);
    bytes[offsets[1] + HEADER] ^= 1;
    let length = bytes.len();
    let contents = read_durable(bytes, length);
    assert_eq!(contents.flaws, [flaw(offsets[1], 2)]);
    assert_eq!(contents.records.len(), 1);
}

#[test]
fn a_newest_segment_that_ends_before_what_was_durable_is_damaged() {
    let (mut bytes, offsets) = segment(&[10, 20]);
    let length = bytes.len();
    bytes[offsets[1]..].fill(0);
    let cut = Flaw { offset: offsets[1] as u64, position: None, defect: Defect::Cut };
    assert_eq!(read_durable(bytes, length).flaws, [cut]);
}

#[test]
fn a_torn_end_of_an_older_segment_is_damage() {
    let (mut bytes, offsets) = segment(&[10, 20]);
    let end = bytes.len() as u64;
    bytes.truncate(offsets[1] + HEADER + 3);
    let bytes = bytes.freeze();
    for expected in [Expected::Exactly(end), Expected::All] {
        let contents = scan(&bytes, SEQUENCE, expected);
        assert_eq!(contents.flaws, [flaw(offsets[1], 2)]);
    }
}

/// It was torn before the next segment was begun, which says where this one ends.
#[test]
fn what_is_torn_behind_the_end_of_an_older_segment_is_none_of_it() {
    let (mut bytes, offsets) = segment(&[10, 20]);
    bytes.truncate(offsets[1] + HEADER + 3);
    let contents = scan(&bytes.freeze(), SEQUENCE, Expected::Exactly(offsets[1] as u64));
    assert_eq!(contents.flaws, []);
    assert_eq!(contents.records.len(), 1);
}

proptest! {
    /// Whatever single bit flips in what was durable, the record that it is in is damaged, and no
    /// other.
    #[test]
    fn a_flipped_bit_is_found(
        lengths in proptest::collection::vec(0_usize..300, 1..8),
        place in any::<prop::sample::Index>(),
        bit in 0_u8..8,
    ) {
        let (mut bytes, offsets) = segment(&lengths);
        let end = bytes.len();
        let at = HEADER + place.index(end - HEADER);
        bytes[at] ^= 1 << bit;
        let record = offsets.iter().rposition(|offset| *offset <= at).expect("one of them");
        let contents = read_durable(bytes, end);
        let padding = contents.flaws.is_empty() && contents.records.len() == lengths.len();
        prop_assert!(padding || contents.flaws.len() == 1, "{:?}", contents.flaws);
        if !padding {
            prop_assert_eq!(contents.flaws[0].offset, offsets[record] as u64);
            prop_assert_eq!(contents.records.len(), lengths.len() - 1);
        }
    }

    /// Any bytes at all are read without a panic.
    #[test]
    fn garbage_is_no_record(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
        let contents = scan(&Bytes::from(bytes), SEQUENCE, Expected::AtLeast(0));
        prop_assert_eq!(contents.records, []);
    }
}
