//! How long the syncs of replicas in this process take while something is measured.

use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use orrery_runtime::disk::{Around, AroundSync};
use orrery_runtime::{BoxFuture, Runtime};

use super::disk_probe::Syncs;

/// Measures each sync that makes records of the log durable, as the log waits for it: with what is
/// written before, and the wait for a thread and a processor.
#[derive(Default)]
pub struct Stopwatch(Mutex<Counted>);

#[derive(Default)]
struct Counted {
    times: Vec<Duration>,
    /// What was written before the syncs, in bytes.
    written: usize,
}

impl Stopwatch {
    /// Puts a stopwatch around the syncs of this runtime.
    pub fn around(runtime: &mut Runtime) -> Arc<Self> {
        let stopwatch = Arc::new(Self::default());
        runtime.disk = Arc::new(Around::new(Arc::clone(&runtime.disk), Arc::clone(&stopwatch)));
        stopwatch
    }

    /// Forgets what was measured.
    pub fn reset(&self) {
        *self.counted() = Counted::default();
    }

    /// What was measured since [`Stopwatch::reset`], so long ago, and how many bytes were written
    /// for a sync on the average.
    pub fn read(&self, within: Duration) -> (Syncs, usize) {
        let Counted { times, written } = std::mem::take(&mut *self.counted());
        let average = written / times.len().max(1);
        (Syncs::new(times, within), average)
    }

    fn counted(&self) -> MutexGuard<'_, Counted> {
        // Nothing that holds it can leave it half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a sync waits for records. Room for them is made beforehand, with zeros.
fn is_of_records(path: &Path, written: Option<&Bytes>) -> bool {
    let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
    name.starts_with("segment-") && written.and_then(|data| data.first()) != Some(&0)
}

impl AroundSync for Stopwatch {
    fn around<'a>(
        &'a self,
        path: &'a Path,
        written: Option<&Bytes>,
        sync: BoxFuture<'a, io::Result<()>>,
    ) -> BoxFuture<'a, io::Result<()>> {
        if !is_of_records(path, written) {
            return sync;
        }
        let length = written.map_or(0, Bytes::len);
        Box::pin(async move {
            let began = Instant::now();
            sync.await?;
            let mut counted = self.counted();
            counted.times.push(began.elapsed());
            counted.written += length;
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_that_is_made_and_the_manifest_are_no_records() {
        let segment = Path::new("/log/segment-0000000000000001.log");
        let (records, zeros) = (Bytes::from_static(b"record\0\0"), Bytes::from_static(&[0; 8]));
        assert!(is_of_records(segment, Some(&records)) && is_of_records(segment, None));
        assert!(!is_of_records(segment, Some(&zeros)));
        assert!(!is_of_records(Path::new("/log/manifest"), Some(&records)));
    }
}
