//! `MANIFEST`: what a folder holds at least, beside the segments themselves.
//!
//! A segment cannot tell that it was cut between two records, made blank or removed. So a small
//! file of its own says which segments there are and how far the newest one is durable. It is
//! written after what it tells of is durable, and never ahead of it, so that no loss of power makes
//! it say too much. It may say too little: what is not older than a megabyte, or a fifth of a
//! second in which nothing came, is not in it yet.
//!
//! It has two places to write to in turn, far enough from each other that a torn write leaves one
//! of them whole.

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use bytes::{BufMut, Bytes, BytesMut};
use orrery_runtime::{Disk, File, OpenOptions};

use super::format::{long, word};

/// The version of this format.
pub(crate) const VERSION: u32 = 1;

const NAME: &str = "MANIFEST";

const MAGIC: u64 = u64::from_le_bytes(*b"ORRERYMF");

/// Length of what is written at a time, in bytes.
const SLOT: usize = 64;

/// One place after the other begins at multiples of this, in bytes. No disk tears two of them.
const APART: usize = 4096;

/// So much may become durable, in bytes, before that is stated.
const STEP: u64 = 1 << 20;

/// What a folder holds at least.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Manifest {
    /// The oldest segment. Those before it are not needed any more.
    pub(super) first: u64,
    /// The newest segment of which anything is durable. The next one may be there as well.
    pub(super) last: u64,
    /// The newest segment is durable up to here, in bytes.
    pub(super) durable: u64,
    /// The newest file is at least as long, in bytes.
    pub(super) length: u64,
}

impl Manifest {
    /// One that says no more than which segments there are.
    pub(super) fn of(first: u64, last: u64) -> Self {
        Self { first, last, durable: 0, length: 0 }
    }
}

/// What stands in a folder's manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// There is none, or it was being made.
    Nothing,
    /// It says this; it is the change of that number.
    Valid(Manifest, u64),
    /// It is of another version of this format.
    Version(u32),
    /// It cannot be read.
    Invalid,
}

pub(super) fn path(folder: &Path) -> PathBuf {
    folder.join(NAME)
}

/// Whether a replica has such a file in its folder.
pub(super) fn is_named(name: &str) -> bool {
    name == NAME
}

fn encode(manifest: &Manifest, number: u64) -> Bytes {
    let mut slot = BytesMut::with_capacity(SLOT);
    slot.put_u64_le(MAGIC);
    slot.put_u32_le(VERSION);
    slot.put_u32_le(0);
    slot.put_u64_le(number);
    slot.put_u64_le(manifest.first);
    slot.put_u64_le(manifest.last);
    slot.put_u64_le(manifest.durable);
    slot.put_u64_le(manifest.length);
    let checksum = crc32c::crc32c(&slot);
    slot.put_u32_le(checksum);
    slot.put_u32_le(0);
    slot.freeze()
}

fn decode(bytes: &[u8]) -> Found {
    let Some(slot) = bytes.get(..SLOT) else { return Found::Invalid };
    if long(slot, 0) != MAGIC || word(slot, 56) != crc32c::crc32c(&slot[..56]) {
        return Found::Invalid;
    }
    if word(slot, 8) != VERSION {
        return Found::Version(word(slot, 8));
    }
    let (first, last) = (long(slot, 24), long(slot, 32));
    let manifest = Manifest { first, last, durable: long(slot, 40), length: long(slot, 48) };
    Found::Valid(manifest, long(slot, 16))
}

/// Reads the manifest of a folder.
///
/// # Errors
/// Of the disk.
pub(super) async fn read(disk: &dyn Disk, folder: &Path) -> io::Result<Found> {
    let file = match disk.open(&path(folder), OpenOptions::READ).await {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
        opened => opened?,
    };
    let bytes = file.read_at(0, APART + SLOT).await?;
    let slots = [decode(&bytes), decode(bytes.get(APART..).unwrap_or_default())];
    Ok(match slots {
        [Found::Version(version), _] | [_, Found::Version(version)] => Found::Version(version),
        [one @ Found::Valid(_, first), Found::Valid(_, second)] if first > second => one,
        [_, found @ Found::Valid(..)] | [found @ Found::Valid(..), _] => found,
        _ if bytes.iter().all(|byte| *byte == 0) => Found::Nothing,
        _ => Found::Invalid,
    })
}

/// A manifest that is kept up to date.
pub(super) struct Keeper {
    file: Box<dyn File>,
    /// The number of the change that was written last.
    number: u64,
    stated: Manifest,
}

impl Keeper {
    /// Takes up the manifest as it was `found`, or makes one that says `otherwise`.
    ///
    /// # Errors
    /// Of the disk.
    pub(super) async fn open(
        disk: &dyn Disk,
        folder: &Path,
        found: Found,
        otherwise: Manifest,
    ) -> io::Result<Self> {
        let file = disk.open(&path(folder), OpenOptions::UPDATE).await?;
        let (stated, number) = match found {
            Found::Valid(manifest, number) => (manifest, number),
            _ => {
                file.write_at(0, vec![0; 2 * APART].into()).await?;
                (otherwise, 0)
            }
        };
        let mut keeper = Self { file, number, stated };
        // Where a sync has failed, the system may show what the disk does not have. It must have
        // that before the other place is written to.
        keeper.put(number, stated).await?;
        disk.sync_directory(folder).await?;
        Ok(keeper)
    }

    /// Whether so much has changed that it should be stated while there is much to do.
    pub(super) fn is_due(&self, manifest: &Manifest) -> bool {
        let Manifest { first, last, durable, .. } = self.stated;
        (first, last) != (manifest.first, manifest.last) || durable + STEP <= manifest.durable
    }

    /// Has it say so, durably. Returns the segments that are not needed any more.
    ///
    /// # Errors
    /// Of the disk.
    pub(super) async fn state(&mut self, manifest: Manifest) -> io::Result<Range<u64>> {
        let before = self.stated.first;
        self.put(self.number + 1, manifest).await?;
        Ok(before..manifest.first)
    }

    async fn put(&mut self, number: u64, manifest: Manifest) -> io::Result<()> {
        let offset = number % 2 * APART as u64;
        self.file.write_and_sync(offset, encode(&manifest, number)).await?;
        (self.number, self.stated) = (number, manifest);
        Ok(())
    }
}
