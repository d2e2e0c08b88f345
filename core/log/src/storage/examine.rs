//! Reading the folder of a replica and holding it against its manifest, one segment after the
//! other, so that no more than one is in memory at a time.
//!
//! What a loss of power can leave is no damage: a torn end of the newest segment, a segment after
//! it that was never begun, of whatever length, and segments whose removal did not last. All else
//! that differs from what was durable is.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use bytes::Bytes;
use orrery_runtime::disk::read_file;
use orrery_runtime::{Disk, OpenOptions};

use super::format::{self, Found, HEADER, SegmentHeader, check_segment_header, get_record};
use super::manifest::{self, Manifest};
use super::scan::{Contents, Expected, Placed, scan};
use super::{Index, Location, segment_path};
use crate::record::{Metadata, Record};
use crate::{Damage, Defect, Position, StartError};

/// What the records of a folder say of where things stand.
pub(super) struct Catalogue {
    pub(super) metadata: Metadata,
    pub(super) index: Index,
    /// The highest position in each segment that was read.
    pub(super) highest: BTreeMap<u64, Position>,
}

impl Default for Catalogue {
    fn default() -> Self {
        let metadata = Metadata { begin: Position(1), ..Metadata::default() };
        Self { metadata, index: Index::default(), highest: BTreeMap::new() }
    }
}

impl Catalogue {
    fn take(&mut self, sequence: u64, placed: &Placed) {
        match &placed.record {
            Record::Metadata(found) => {
                self.metadata = found.clone();
                self.index.cut(found.begin);
            }
            Record::Entry(entry) => {
                let highest = self.highest.entry(sequence).or_default();
                *highest = entry.position.max(*highest);
                let Placed { offset, length, .. } = *placed;
                self.index.insert(entry.position, Location { sequence, offset, length });
            }
            Record::Learned { .. } => {}
        }
    }
}

/// The newest segment as it was found.
#[derive(Clone, Copy, Debug)]
pub(super) struct Newest {
    pub(super) sequence: u64,
    /// How far it is known to be durable, in bytes.
    pub(super) durable: u64,
    /// Where the next record is to be written.
    pub(super) end: u64,
    /// Something other than zeros stands after the end.
    pub(super) ragged: bool,
}

/// What stands in a folder.
pub(super) struct Examined {
    pub(super) found: manifest::Found,
    /// The number of each file that is called as a segment, whatever is in it.
    pub(super) files: Vec<u64>,
    /// What was expected of each segment that was read.
    pub(super) read: BTreeMap<u64, Expected>,
    /// The first segment that is needed, whether it was found or not.
    pub(super) first: u64,
    /// The last one that was begun; before `first` where none was.
    pub(super) last: u64,
    pub(super) newest: Option<Newest>,
    pub(super) damage: Vec<Damage>,
    pub(super) catalogue: Catalogue,
}

/// Reads the folder of a replica. Each record that it holds is given to `restore`, in order.
///
/// # Errors
/// [`StartError::Disk`] and [`StartError::Version`]. Damage is no error.
pub(super) async fn examine(
    disk: &dyn Disk,
    folder: &Path,
    restore: &mut (dyn FnMut(Record) + Send),
) -> Result<Examined, StartError> {
    let failed = |source| StartError::Disk { folder: folder.to_owned(), source };
    let found = manifest::read(disk, folder).await.map_err(failed)?;
    let files = sequences(disk, folder).await.map_err(failed)?;
    let headers = headers(disk, folder, &files).await?;
    let manifest = match found {
        manifest::Found::Valid(manifest, _) => Some(manifest),
        manifest::Found::Version(version) => {
            let (file, expected) = (manifest::path(folder), manifest::VERSION);
            return Err(StartError::Version { file, version, expected });
        }
        manifest::Found::Nothing | manifest::Found::Invalid => None,
    };
    let mut examination = Examination { disk, folder, headers, examined: Examined::new(found) };
    if manifest.is_none() && !files.is_empty() {
        examination.damage(manifest::path(folder), Defect::Manifest);
    }
    let first = files.first().copied().unwrap_or(1);
    let manifest = manifest.unwrap_or(Manifest { first, ..Manifest::default() });
    let last = examination.last(&manifest, &files).await.map_err(failed)?;
    (examination.examined.first, examination.examined.last) = (manifest.first, last);
    examination.examined.files = files;
    for sequence in manifest.first..=last {
        examination.segment(sequence, last, &manifest, restore).await.map_err(failed)?;
    }
    Ok(examination.examined)
}

impl Examined {
    fn new(found: manifest::Found) -> Self {
        Self {
            found,
            files: Vec::new(),
            read: BTreeMap::new(),
            first: 0,
            last: 0,
            newest: None,
            damage: Vec::new(),
            catalogue: Catalogue::default(),
        }
    }

    /// Whether no replica was ever made here.
    pub(super) fn is_empty(&self) -> bool {
        self.last < self.first && self.damage.is_empty()
    }
}

/// What is known while a folder is read.
struct Examination<'a> {
    disk: &'a dyn Disk,
    folder: &'a Path,
    headers: BTreeMap<u64, SegmentHeader>,
    examined: Examined,
}

impl Examination<'_> {
    fn damage(&mut self, file: std::path::PathBuf, defect: Defect) {
        self.examined.damage.push(Damage { file, offset: 0, position: None, defect });
    }

    /// The newest segment that was begun.
    async fn last(&self, manifest: &Manifest, files: &[u64]) -> io::Result<u64> {
        for sequence in files.iter().rev().copied() {
            if sequence <= manifest.last {
                break;
            }
            let valid = matches!(self.headers.get(&sequence), Some(SegmentHeader::Valid { .. }));
            if valid {
                let bytes = read_file(self.disk, &segment_path(self.folder, sequence)).await?;
                if is_begun(&bytes, sequence) {
                    return Ok(sequence);
                }
            }
        }
        Ok(manifest.last)
    }

    /// Reads a segment, which is needed.
    async fn segment(
        &mut self,
        sequence: u64,
        last: u64,
        manifest: &Manifest,
        restore: &mut (dyn FnMut(Record) + Send),
    ) -> io::Result<()> {
        let path = segment_path(self.folder, sequence);
        let Some(header) = self.headers.get(&sequence).copied() else {
            self.damage(path, Defect::Missing);
            return Ok(());
        };
        if header == SegmentHeader::Invalid {
            self.damage(path.clone(), Defect::Header);
        }
        let stated = if sequence == manifest.last { *manifest } else { Manifest::default() };
        let expected = match self.headers.get(&(sequence + 1)) {
            _ if sequence == last => Expected::AtLeast(stated.durable),
            Some(SegmentHeader::Valid { before: Some(end) }) => Expected::Exactly(*end),
            _ => Expected::All,
        };
        let bytes = read_file(self.disk, &path).await?;
        let contents = scan(&bytes, sequence, expected);
        for flaw in &contents.flaws {
            let (file, offset) = (path.clone(), flaw.offset);
            let (position, defect) = (flaw.position, flaw.defect);
            self.examined.damage.push(Damage { file, offset, position, defect });
        }
        let length = bytes.len() as u64;
        if sequence == last && length < stated.length && contents.flaws.is_empty() {
            let (file, defect) = (path, Defect::Cut);
            self.examined.damage.push(Damage { file, offset: length, position: None, defect });
        }
        self.examined.read.insert(sequence, expected);
        self.examined.catalogue.highest.entry(sequence).or_default();
        let Contents { durable, end, records, .. } = contents;
        if sequence == last {
            let rest = usize::try_from(end).ok().and_then(|end| bytes.get(end..));
            let ragged = rest.is_some_and(|rest| !format::is_zero(rest));
            self.examined.newest = Some(Newest { sequence, durable, end, ragged });
        }
        for placed in records {
            self.examined.catalogue.take(sequence, &placed);
            restore(placed.record);
        }
        Ok(())
    }
}

/// Whether the first that a segment must hold stands in it. Nothing else was durable before that.
fn is_begun(bytes: &Bytes, sequence: u64) -> bool {
    let first = get_record(bytes, sequence, 0, HEADER);
    matches!(first, Found::Record { record: Record::Metadata(_), .. })
}

async fn headers(
    disk: &dyn Disk,
    folder: &Path,
    files: &[u64],
) -> Result<BTreeMap<u64, SegmentHeader>, StartError> {
    let failed = |source| StartError::Disk { folder: folder.to_owned(), source };
    let mut headers = BTreeMap::new();
    for sequence in files {
        let path = segment_path(folder, *sequence);
        let file = match disk.open(&path, OpenOptions::READ).await {
            // A replica that runs has removed it since.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            opened => opened.map_err(failed)?,
        };
        let bytes = file.read_at(0, HEADER).await.map_err(failed)?;
        let header = check_segment_header(&bytes, *sequence);
        if let SegmentHeader::Version(version) = header {
            return Err(StartError::Version { file: path, version, expected: format::VERSION });
        }
        headers.insert(*sequence, header);
    }
    Ok(headers)
}

/// The numbers of the segments in a folder, ascending.
async fn sequences(disk: &dyn Disk, folder: &Path) -> io::Result<Vec<u64>> {
    let names = disk.list(folder).await?;
    let mut sequences: Vec<u64> =
        names.iter().filter_map(|entry| super::sequence(&entry.name)).collect();
    sequences.sort_unstable();
    Ok(sequences)
}
