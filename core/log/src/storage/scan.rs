//! Reading a segment from its beginning, and telling a torn end from rot.

use bytes::Bytes;

use super::format::{Found, HEADER, find_record, get_record};
use crate::Position;
use crate::record::Record;

/// A record and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Placed {
    pub(super) offset: u64,
    pub(super) length: usize,
    pub(super) record: Record,
}

/// What a segment holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Contents {
    pub(super) records: Vec<Placed>,
    /// Records that were durable and are not any more: their offsets, and their positions where
    /// those can be told.
    pub(super) damage: Vec<(u64, Option<Position>)>,
    /// Where the next record is to be written.
    pub(super) end: u64,
    /// Up to here, the records say, all was durable.
    pub(super) durable: u64,
}

/// Reads a segment. Of the `last` one, what was never durable may be torn: it is left out without
/// a word. All others were durable to their end before the next one began.
pub(super) fn scan(bytes: &Bytes, sequence: u64, last: bool) -> Contents {
    let mut contents = Contents::default();
    // Bad places, with what was read when they were met.
    let mut bad: Vec<(usize, Option<Position>, usize)> = Vec::new();
    let (mut offset, mut durable, mut end) = (HEADER, 0, HEADER);
    loop {
        match get_record(bytes, sequence, 0, offset) {
            Found::Record { record, synced, next } => {
                durable = durable.max(synced);
                if let Some(record) = record {
                    let place = offset as u64;
                    let length = next - offset;
                    contents.records.push(Placed { offset: place, length, record });
                }
                offset = next;
                end = next;
            }
            Found::BadPayload { position, next } if next <= bytes.len() => {
                bad.push((offset, position, contents.records.len()));
                offset = next;
            }
            found => {
                let resumed = find_record(bytes, sequence, offset);
                if found != Found::End || resumed.is_some() {
                    let position = match found {
                        Found::BadPayload { position, .. } => position,
                        _ => None,
                    };
                    bad.push((offset, position, contents.records.len()));
                }
                match resumed {
                    Some(next) => offset = next,
                    None => break,
                }
            }
        }
    }
    contents.end = end as u64;
    contents.durable = durable.min(contents.end);
    if !last {
        durable = u64::MAX;
    }
    for (offset, position, before) in bad {
        let offset = offset as u64;
        if offset < durable {
            contents.damage.push((offset, position));
        } else {
            // It was being written at a crash, and so was all that came later.
            contents.records.truncate(before);
            contents.end = offset;
            break;
        }
    }
    contents
}
