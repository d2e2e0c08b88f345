//! `DAMAGE`: what was found damaged, for as long as it is not healed. The damaged files themselves
//! are written anew at once, so that a later start could say only that there was something.

use std::io;
use std::path::{Path, PathBuf};

use orrery_runtime::Disk;
use orrery_runtime::disk::{read_file, replace_file};

use crate::Damage;

const NAME: &str = "DAMAGE";

/// No more is kept than this, in bytes: thousands of records can be damaged at once.
const KEPT: usize = 1 << 14;

fn path(folder: &Path) -> PathBuf {
    folder.join(NAME)
}

/// What was found damaged at earlier starts, a line each.
///
/// # Errors
/// Of the disk.
pub(super) async fn read(disk: &dyn Disk, folder: &Path) -> io::Result<Vec<String>> {
    match read_file(disk, &path(folder)).await {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        read => Ok(String::from_utf8_lossy(&read?).lines().map(str::to_owned).collect()),
    }
}

/// Adds what is found damaged now, durably.
///
/// # Errors
/// Of the disk.
pub(super) async fn add(disk: &dyn Disk, folder: &Path, damage: &[Damage]) -> io::Result<()> {
    let mut text = String::new();
    let earlier = read(disk, folder).await?;
    for line in earlier.into_iter().chain(damage.iter().map(Damage::to_string)) {
        if text.len() + line.len() < KEPT {
            text.extend([&line, "\n"]);
        }
    }
    replace_file(disk, &path(folder), text.into()).await
}

/// All is healed.
///
/// # Errors
/// Of the disk.
pub(super) async fn remove(disk: &dyn Disk, folder: &Path) -> io::Result<()> {
    match disk.remove_file(&path(folder)).await {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
