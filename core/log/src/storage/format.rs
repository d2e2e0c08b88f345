//! How records stand in a segment.
//!
//! ```text
//!   segment  header (32 bytes): "ORRERYLG", version, where the records of the segment before it
//!            end (in units of 8 bytes; 0 where that is not said), sequence number, checksum, 0
//!            record, record, …, zeros or nothing
//!   record   header (32 bytes): magic, length of the payload, position, synced, two checksums
//!            payload: a protobuf `Record`
//!            zeros up to a multiple of 8
//! ```
//!
//! Numbers are little-endian. Checksums are CRC32C, begun with the segment's sequence number and
//! the record's offset, so that a record that is not where it belongs does not fit. `synced` is the
//! offset up to which the segment was known to be durable when the record was written: it tells
//! a record that has rotted from one that a crash tore.

use bytes::{BufMut, Bytes, BytesMut};
use orrery_api::log as proto;
use prost::Message as _;

use crate::record::Record;
use crate::wire::{decode_record, encode_record};
use crate::{PlantedBug, Position};

/// The version of this format.
pub(crate) const VERSION: u32 = 2;

/// Length of the header of a segment and of a record, in bytes.
pub(crate) const HEADER: usize = 32;

/// Records begin at multiples of this.
const ALIGNMENT: usize = 8;

const SEGMENT_MAGIC: u64 = u64::from_le_bytes(*b"ORRERYLG");
const RECORD_MAGIC: u32 = u32::from_le_bytes(*b"Rec1");

/// Where a record that is about no single position says it stands.
const NO_POSITION: u64 = u64::MAX;

pub(super) fn word(bytes: &[u8], at: usize) -> u32 {
    let mut word = [0; 4];
    word.copy_from_slice(bytes.get(at..at + 4).unwrap_or(&[0; 4]));
    u32::from_le_bytes(word)
}

pub(super) fn long(bytes: &[u8], at: usize) -> u64 {
    u64::from(word(bytes, at)) | u64::from(word(bytes, at + 4)) << 32
}

fn place(sequence: u64, offset: u64) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&sequence.to_le_bytes()), &offset.to_le_bytes())
}

/// The header of a segment that follows one whose records end `before`.
pub(crate) fn segment_header(sequence: u64, before: u64) -> Bytes {
    let mut header = BytesMut::with_capacity(HEADER);
    header.put_u64_le(SEGMENT_MAGIC);
    header.put_u32_le(VERSION);
    // No segment is as long as what does not fit.
    header.put_u32_le(u32::try_from(before / ALIGNMENT as u64).unwrap_or(0));
    header.put_u64_le(sequence);
    let checksum = crc32c::crc32c(&header);
    header.put_u32_le(checksum);
    header.put_u32_le(0);
    header.freeze()
}

/// What the first bytes of a segment say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SegmentHeader {
    /// It is one of ours.
    Valid {
        /// Where the records of the segment before it end, in bytes, if that is said.
        before: Option<u64>,
    },
    /// It is of another version of this format.
    Version(u32),
    /// It is none.
    Invalid,
}

pub(crate) fn check_segment_header(bytes: &[u8], sequence: u64) -> SegmentHeader {
    let Some(header) = bytes.get(..HEADER) else { return SegmentHeader::Invalid };
    if long(header, 0) != SEGMENT_MAGIC || word(header, 24) != crc32c::crc32c(&header[..24]) {
        return SegmentHeader::Invalid;
    }
    match (word(header, 8), long(header, 16) == sequence) {
        (VERSION, true) => {
            let before = u64::from(word(header, 12)) * ALIGNMENT as u64;
            SegmentHeader::Valid { before: Some(before).filter(|before| *before > 0) }
        }
        (VERSION, false) => SegmentHeader::Invalid,
        (version, _) => SegmentHeader::Version(version),
    }
}

/// Appends a record to `buffer`, which goes to `start` in the segment. Returns its offset and its
/// length there.
pub(crate) fn put_record(
    buffer: &mut BytesMut,
    sequence: u64,
    start: u64,
    synced: u64,
    record: Record,
) -> (u64, usize) {
    let offset = start + buffer.len() as u64;
    let position = match &record {
        Record::Entry(entry) => entry.position.0,
        _ => NO_POSITION,
    };
    let record = encode_record(record);
    let length = record.encoded_len();
    let begin = buffer.len();
    buffer.reserve(HEADER + length + ALIGNMENT);
    buffer.put_bytes(0, HEADER);
    // Room was reserved, so this cannot fail.
    let _ = record.encode(buffer);
    let seed = place(sequence, offset);
    let payload_checksum = crc32c::crc32c_append(seed, &buffer[begin + HEADER..]);
    let mut header = [0; HEADER];
    let mut fields = &mut header[..];
    fields.put_u32_le(RECORD_MAGIC);
    fields.put_u32_le(length as u32);
    fields.put_u64_le(position);
    fields.put_u64_le(synced);
    fields.put_u32_le(payload_checksum);
    let checksum = crc32c::crc32c_append(seed, &header[..28]);
    header[28..].copy_from_slice(&checksum.to_le_bytes());
    buffer[begin..begin + HEADER].copy_from_slice(&header);
    let padding = padded(length) - length;
    buffer.put_bytes(0, padding);
    (offset, HEADER + padded(length))
}

fn padded(length: usize) -> usize {
    length.next_multiple_of(ALIGNMENT)
}

/// What stands at some offset of a segment.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Found {
    /// A record, and where the next one begins.
    Record {
        /// What it says.
        record: Record,
        /// The segment was durable up to here when it was written.
        synced: u64,
        /// Where the next one begins.
        next: usize,
    },
    /// Nothing was written here.
    End,
    /// A record whose header fits and whose payload does not.
    BadPayload {
        /// The position that it is about.
        position: Option<Position>,
        /// Where the next one begins.
        next: usize,
    },
    /// No record.
    Bad,
}

/// Looks at what stands at `offset` of `bytes`, which stand at `base` in their segment.
pub(crate) fn get_record(bytes: &Bytes, sequence: u64, base: u64, offset: usize) -> Found {
    let Some(rest) = bytes.get(offset..).filter(|rest| !rest.is_empty()) else {
        return Found::End;
    };
    let Some(header) = rest.get(..HEADER) else {
        return if is_zero(rest) { Found::End } else { Found::Bad };
    };
    let seed = place(sequence, base + offset as u64);
    let fits = word(header, 0) == RECORD_MAGIC
        && word(header, 28) == crc32c::crc32c_append(seed, &header[..28]);
    if !fits {
        return if is_zero(header) { Found::End } else { Found::Bad };
    }
    let (length, synced) = (word(header, 4) as usize, long(header, 16));
    let position = Some(long(header, 8)).filter(|position| *position != NO_POSITION);
    let position = position.map(Position);
    let next = offset + HEADER + padded(length);
    let bad = Found::BadPayload { position, next };
    let Some(payload) = rest.get(HEADER..HEADER + length) else { return bad };
    let checksum = crc32c::crc32c_append(seed, payload);
    if checksum != word(header, 24) && !PlantedBug::AcceptsTornRecord.is_planted() {
        return bad;
    }
    let payload = bytes.slice(offset + HEADER..offset + HEADER + length);
    match proto::Record::decode(payload).map(decode_record) {
        Ok(Ok(record)) => Found::Record { record, synced, next },
        Ok(Err(_)) | Err(_) => bad,
    }
}

/// The next offset after `offset` at which a whole record stands.
pub(crate) fn find_record(bytes: &Bytes, sequence: u64, offset: usize) -> Option<usize> {
    let first = (offset + 1).next_multiple_of(ALIGNMENT);
    (first..bytes.len()).step_by(ALIGNMENT).find(|offset| {
        word(bytes, *offset) == RECORD_MAGIC
            && matches!(get_record(bytes, sequence, 0, *offset), Found::Record { .. })
    })
}

/// Whether there are only zeros. A megabyte of them stands behind the last record, so whole pieces
/// are looked at, which takes a processor far less than byte after byte.
pub(crate) fn is_zero(bytes: &[u8]) -> bool {
    bytes.chunks(1 << 12).all(|piece| piece.iter().fold(0, |any, byte| any | byte) == 0)
}
