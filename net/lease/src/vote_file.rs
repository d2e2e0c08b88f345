//! The file that keeps a member's last vote.

use std::io;
use std::path::PathBuf;

use bytes::Bytes;
use orrery_api::lease as message;
use orrery_lease::Durable;
use orrery_runtime::{Runtime, disk};
use prost::Message;

/// The file's name in the work directory.
const FILE_NAME: &str = "election.pb";

/// Why the file cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum VoteFileError {
    #[error("{path}: {source}")]
    Disk { path: PathBuf, source: io::Error },
    #[error(
        "{path} is damaged ({text}): remove it while this master has been down for a minute, \
         so that no vote of it can count twice"
    )]
    Damaged { path: PathBuf, text: String },
}

#[derive(Clone)]
pub(crate) struct VoteFile {
    runtime: Runtime,
    path: PathBuf,
}

impl VoteFile {
    pub(crate) async fn open(
        runtime: &Runtime,
        folder: &std::path::Path,
    ) -> Result<(Self, Durable), VoteFileError> {
        let path = folder.join(FILE_NAME);
        let failed = |source| VoteFileError::Disk { path: path.clone(), source };
        disk::create_durable_directories(&*runtime.disk, folder).await.map_err(failed)?;
        let durable = match disk::read_replaced_file(&*runtime.disk, &path).await {
            Ok(content) => decode(&content)
                .map_err(|text| VoteFileError::Damaged { path: path.clone(), text })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Durable::default(),
            Err(error) => return Err(failed(error)),
        };
        Ok((Self { runtime: runtime.clone(), path }, durable))
    }

    pub(crate) async fn store(&self, durable: Durable) -> Result<(), VoteFileError> {
        let vote =
            durable.vote.and_then(|vote| u32::try_from(vote).ok()).map_or(0, |vote| vote + 1);
        let checksum = checksum(durable.term, vote);
        let stored = message::Durable { term: durable.term, vote, checksum };
        let content = Bytes::from(stored.encode_to_vec());
        let replaced = disk::replace_file(&*self.runtime.disk, &self.path, content).await;
        replaced.map_err(|source| VoteFileError::Disk { path: self.path.clone(), source })
    }
}

fn decode(content: &[u8]) -> Result<Durable, String> {
    // Nothing is ever stored before the first vote, whose term is not 0.
    let stored = message::Durable::decode(content).map_err(|error| error.to_string())?;
    if stored.term == 0 {
        return Err("it holds no term".to_owned());
    }
    if stored.checksum != checksum(stored.term, stored.vote) {
        return Err("its checksum is wrong".to_owned());
    }
    let vote = stored.vote.checked_sub(1).and_then(|vote| usize::try_from(vote).ok());
    Ok(Durable { term: stored.term, vote })
}

fn checksum(term: u64, vote: u32) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&term.to_le_bytes()), &vote.to_le_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_bit_of_a_vote_changes_unnoticed() {
        let stored = message::Durable { term: 258, vote: 3, checksum: checksum(258, 3) };
        let written = stored.encode_to_vec();
        assert_eq!(decode(&written), Ok(Durable { term: 258, vote: Some(2) }));
        for bit in 0..written.len() * 8 {
            let mut damaged = written.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(decode(&damaged).is_err(), "bit {bit}");
        }
        for length in 0..written.len() {
            assert!(decode(&written[..length]).is_err(), "{length} bytes");
        }
    }
}
