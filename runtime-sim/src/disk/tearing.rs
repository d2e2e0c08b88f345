//! What a loss of power leaves of a file that was being written.

use bytes::Bytes;
use orrery_runtime::Generator;

use super::tree::{Change, Content};

const SECTOR: usize = 512;

/// How a loss of power tears what was written and not synced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tearing {
    /// Writes reach the platter in order; the one under way is torn after whole sectors of 512
    /// bytes, or anywhere.
    #[default]
    Mixed,
    /// Writes reach the platter in order; the one under way is torn at a multiple of so many bytes
    /// of the file: 512 for old disks, 4,096 for newer ones.
    Blocks(u32),
    /// Each block of so many bytes reaches the platter or does not, in whatever order; where one is
    /// missing before another, what was there before stays, or zeros.
    Scattered(u32),
}

/// Decides what a crash left of one file. With `empty`, what was never synced is empty.
pub(crate) fn settle(content: &mut Content, tearing: Tearing, empty: bool, random: &mut Generator) {
    let pending = std::mem::take(&mut content.pending);
    let lost = empty && content.durable.is_empty();
    if !pending.is_empty() && !lost {
        let changes: Vec<Change> = pending.into_iter().map(|(_, change)| change).collect();
        let left = match tearing {
            Tearing::Scattered(size) => scatter(&changes, block(size), random),
            _ => cut(changes, tearing, random),
        };
        for change in left {
            change.apply(&mut content.durable);
        }
    }
    content.current = content.durable.clone();
}

fn block(size: u32) -> usize {
    (size as usize).max(1)
}

/// The first few changes, and a part of the next.
fn cut(mut changes: Vec<Change>, tearing: Tearing, random: &mut Generator) -> Vec<Change> {
    let kept = random.below(changes.len() as u64 + 1) as usize;
    let torn = changes.get(kept).map(|change| tear(change, tearing, random));
    changes.truncate(kept);
    changes.extend(torn);
    changes
}

/// The part of a change that reached the platter.
fn tear(change: &Change, tearing: Tearing, random: &mut Generator) -> Change {
    let Change::Write { offset, data } = change else {
        return Change::Write { offset: 0, data: Bytes::new() };
    };
    let mut length = random.below(data.len() as u64 + 1) as usize;
    match tearing {
        Tearing::Blocks(size) => {
            let end = offset + length;
            length = (end - end % block(size)).saturating_sub(*offset);
        }
        _ if random.below(2) == 0 => length -= length % SECTOR,
        _ => {}
    }
    Change::Write { offset: *offset, data: data.slice(..length) }
}

/// Each block of each change by itself.
fn scatter(changes: &[Change], size: usize, random: &mut Generator) -> Vec<Change> {
    let mut left = Vec::new();
    for change in changes {
        let Change::Write { offset, data } = change else {
            left.extend((random.below(2) == 0).then(|| change.clone()));
            continue;
        };
        let mut start = 0;
        while start < data.len() {
            let end = data.len().min(start + size - (offset + start) % size);
            if random.below(2) == 0 {
                let data = data.slice(start..end);
                left.push(Change::Write { offset: offset + start, data });
            }
            start = end;
        }
    }
    left
}

#[cfg(test)]
mod tests {
    use super::*;

    fn torn(tearing: Tearing, seed: u64) -> Vec<u8> {
        let mut content = Content { durable: vec![1; 700], ..Content::default() };
        for offset in [700, 4_700] {
            let data = Bytes::from(vec![2; 4_000]);
            content.pending.push_back((1, Change::Write { offset, data }));
        }
        settle(&mut content, tearing, false, &mut Generator::from_number(seed));
        content.durable
    }

    #[test]
    fn writes_are_torn_at_blocks_of_the_file() {
        for size in [512, 4_096] {
            let lengths = (0..64).map(|seed| torn(Tearing::Blocks(size), seed).len());
            let lengths: std::collections::BTreeSet<usize> = lengths.collect();
            let at_boundary = |length: &usize| {
                length.is_multiple_of(size as usize) || [700, 4_700, 8_700].contains(length)
            };
            assert!(lengths.iter().all(at_boundary), "{lengths:?}");
            assert!(lengths.len() > 3, "{lengths:?}");
        }
    }

    #[test]
    fn scattered_blocks_leave_holes() {
        let holes = (0..64).filter(|seed| {
            let content = torn(Tearing::Scattered(512), *seed);
            assert!(content.starts_with(&[1; 700]), "what was durable stays");
            let first_hole = content.iter().position(|byte| *byte == 0);
            first_hole.is_some_and(|hole| content[hole..].contains(&2))
        });
        assert!(holes.count() > 32);
    }
}
