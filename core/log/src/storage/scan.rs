//! Reading a segment from its beginning, and telling a torn end from rot.

use bytes::Bytes;

use super::format::{Found, HEADER, find_record, get_record};
use crate::record::Record;
use crate::{Defect, Position};

/// A record and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Placed {
    pub(super) offset: u64,
    pub(super) length: usize,
    pub(super) record: Record,
}

/// What is known of a segment before it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expected {
    /// It is the newest: durable up to here at least, in bytes. What follows may be torn.
    AtLeast(u64),
    /// Another one follows, so all of it is durable, and its records end here. What may stand
    /// behind was torn before the next one was begun.
    Exactly(u64),
    /// Another one follows, and does not say where this one ends.
    All,
}

/// Something that is wrong in a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Flaw {
    pub(super) offset: u64,
    /// The position that it is about, where that can be told.
    pub(super) position: Option<Position>,
    pub(super) defect: Defect,
}

/// What a segment holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Contents {
    pub(super) records: Vec<Placed>,
    /// What was durable and is not any more.
    pub(super) flaws: Vec<Flaw>,
    /// Where the next record is to be written.
    pub(super) end: u64,
    /// Up to here, all was durable.
    pub(super) durable: u64,
}

/// Reads a segment. Of the newest one, what was never durable may be torn: it is left out without
/// a word.
pub(super) fn scan(bytes: &Bytes, sequence: u64, expected: Expected) -> Contents {
    let (bytes, least) = match expected {
        Expected::AtLeast(durable) => (bytes.clone(), durable),
        Expected::Exactly(end) => {
            let length = usize::try_from(end).unwrap_or(usize::MAX).min(bytes.len());
            (bytes.slice(..length), end)
        }
        Expected::All => (bytes.clone(), 0),
    };
    let mut contents = Contents::default();
    let (bad, said) = read(&bytes, sequence, &mut contents);
    let durable = match expected {
        Expected::AtLeast(durable) => said.max(durable),
        Expected::Exactly(_) | Expected::All => u64::MAX,
    };
    for Bad { offset, position, before } in bad {
        if offset < durable {
            contents.flaws.push(Flaw { offset, position, defect: Defect::Record });
        } else {
            // It was being written at a crash, and so was all that came later.
            contents.records.truncate(before);
            contents.end = offset;
            break;
        }
    }
    let end = contents.end;
    if end < least && contents.flaws.iter().all(|flaw| flaw.offset < end) {
        contents.flaws.push(Flaw { offset: end, position: None, defect: Defect::Cut });
    }
    contents.durable = durable.min(end);
    contents
}

/// A place at which no record stands where there should be one.
struct Bad {
    offset: u64,
    position: Option<Position>,
    /// How many records were read when it was met.
    before: usize,
}

/// Reads all records, wherever they stand. Returns the bad places between them, and up to where the
/// records say that the segment was durable.
fn read(bytes: &Bytes, sequence: u64, contents: &mut Contents) -> (Vec<Bad>, u64) {
    let mut bad = Vec::new();
    let (mut offset, mut durable, mut end) = (HEADER, 0, HEADER);
    loop {
        let place = offset as u64;
        let before = contents.records.len();
        match get_record(bytes, sequence, 0, offset) {
            Found::Record { record, synced, next } => {
                durable = durable.max(synced);
                let length = next - offset;
                contents.records.push(Placed { offset: place, length, record });
                offset = next;
                end = next;
            }
            Found::BadPayload { position, next } if next <= bytes.len() => {
                bad.push(Bad { offset: place, position, before });
                offset = next;
            }
            found => {
                let resumed = find_record(bytes, sequence, offset);
                if found != Found::End || resumed.is_some() {
                    let position = match found {
                        Found::BadPayload { position, .. } => position,
                        _ => None,
                    };
                    bad.push(Bad { offset: place, position, before });
                }
                match resumed {
                    Some(next) => offset = next,
                    None => break,
                }
            }
        }
    }
    contents.end = end as u64;
    (bad, durable)
}
