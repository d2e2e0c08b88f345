//! Torn ends and rot, on bytes alone.

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;

use super::format::{HEADER, SegmentHeader, check_segment_header, put_record, segment_header};
use super::scan::{Contents, scan};
use crate::{Ballot, KnownEntry, Position, Record, Value};

const SEQUENCE: u64 = 7;

fn entry(position: u64, length: usize) -> Record {
    let value = Value::Append(Bytes::from(vec![position as u8; length]));
    let ballot = Ballot { round: 1, proposer: 2 };
    Record::Entry(KnownEntry { position: Position(position), ballot, learned: false, value })
}

/// A segment with these many entries, each of which says that all before it was durable, and the
/// offsets at which they stand.
fn segment(lengths: &[usize], marked: bool) -> (BytesMut, Vec<usize>) {
    let mut bytes = BytesMut::from(&segment_header(SEQUENCE)[..]);
    let mut offsets = Vec::new();
    for (index, length) in lengths.iter().enumerate() {
        let synced = bytes.len() as u64;
        offsets.push(bytes.len());
        let record = entry(index as u64 + 1, *length);
        put_record(&mut bytes, SEQUENCE, 0, synced, Some(record));
    }
    if marked {
        let synced = bytes.len() as u64;
        put_record(&mut bytes, SEQUENCE, 0, synced, None);
    }
    (bytes, offsets)
}

fn read(bytes: BytesMut, last: bool) -> Contents {
    scan(&bytes.freeze(), SEQUENCE, last)
}

#[test]
fn what_was_written_is_read() {
    let (bytes, offsets) = segment(&[0, 1, 100, 5000], true);
    assert_eq!(check_segment_header(&bytes, SEQUENCE), SegmentHeader::Valid);
    assert_eq!(check_segment_header(&bytes, SEQUENCE + 1), SegmentHeader::Invalid);
    let (length, contents) = (bytes.len(), read(bytes, true));
    assert_eq!(contents.damage, []);
    assert_eq!(contents.end, length as u64);
    let found: Vec<usize> = contents.records.iter().map(|placed| placed.offset as usize).collect();
    assert_eq!(found, offsets);
    assert_eq!(contents.records[2].record, entry(3, 100));
}

#[test]
fn a_torn_end_is_cut() {
    let (bytes, offsets) = segment(&[10, 20, 30], false);
    // What is missing of the zeros after a record makes no difference to it.
    for end in offsets[2] + 1..bytes.len() - 8 {
        let mut torn = bytes.clone();
        torn.truncate(end);
        let contents = read(torn, true);
        assert_eq!(contents.damage, [], "cut at {end}");
        assert_eq!(contents.records.len(), 2, "cut at {end}");
        assert_eq!(contents.end, offsets[2] as u64, "cut at {end}");
    }
}

#[test]
fn a_hole_in_what_was_not_synced_is_cut() {
    let (mut bytes, _) = segment(&[10], false);
    let start = bytes.len();
    let synced = start as u64;
    put_record(&mut bytes, SEQUENCE, 0, synced, Some(entry(2, 600)));
    put_record(&mut bytes, SEQUENCE, 0, synced, Some(entry(3, 10)));
    bytes[start..start + 512].fill(0);
    let contents = read(bytes, true);
    assert_eq!(contents.damage, []);
    assert_eq!(contents.records.len(), 1);
    assert_eq!(contents.end, start as u64);
}

#[test]
fn rot_in_the_last_record_is_damage_where_a_marker_follows() {
    let (mut bytes, offsets) = segment(&[10, 20], true);
    bytes[offsets[1] + HEADER] ^= 1;
    let contents = read(bytes, true);
    assert_eq!(contents.damage, [(offsets[1] as u64, Some(Position(2)))]);
    assert_eq!(contents.records.len(), 1);
}

#[test]
fn a_torn_end_of_an_older_segment_is_damage() {
    let (mut bytes, offsets) = segment(&[10, 20], false);
    bytes.truncate(offsets[1] + HEADER + 3);
    let contents = read(bytes, false);
    assert_eq!(contents.damage, [(offsets[1] as u64, Some(Position(2)))]);
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
        let (mut bytes, offsets) = segment(&lengths, true);
        let (_, marker) = bytes.split_at(bytes.len() - HEADER);
        let end = bytes.len() - marker.len();
        let at = HEADER + place.index(end - HEADER);
        bytes[at] ^= 1 << bit;
        let record = offsets.iter().rposition(|offset| *offset <= at).expect("one of them");
        let contents = read(bytes, true);
        let padding = contents.damage.is_empty() && contents.records.len() == lengths.len();
        prop_assert!(padding || contents.damage.len() == 1, "{:?}", contents.damage);
        if !padding {
            prop_assert_eq!(contents.damage[0].0, offsets[record] as u64);
            prop_assert_eq!(contents.records.len(), lengths.len() - 1);
        }
    }

    /// Any bytes at all are read without a panic.
    #[test]
    fn garbage_is_no_record(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
        let contents = scan(&Bytes::from(bytes), SEQUENCE, true);
        prop_assert_eq!(contents.records, []);
    }
}
