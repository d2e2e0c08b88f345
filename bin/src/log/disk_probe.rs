//! What the disk can do by itself, for comparison with what a log on it does.

use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use super::benchmark::{milliseconds, quantile};

/// How often each file is synced.
const SYNCS: usize = 500;

/// How long each file is before it is written to: a sync has only to write what is new.
const LENGTH: usize = 8 << 20;

/// How long syncs took.
pub struct Syncs {
    /// Each of them, in ascending order.
    pub times: Vec<Duration>,
    /// How many there were a second.
    rate: f64,
}

impl Syncs {
    /// These syncs, which were all within so long a time.
    pub fn new(mut times: Vec<Duration>, within: Duration) -> Self {
        times.sort_unstable();
        let rate = times.len() as f64 / within.as_secs_f64();
        Self { times, rate }
    }
}

impl fmt::Display for Syncs {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = |part| milliseconds(quantile(&self.times, part));
        write!(
            formatter,
            "{:.0} syncs/s, median {:.2} ms, 99th percentile {:.2} ms, longest {:.2} ms",
            self.rate,
            at(0.5),
            at(0.99),
            at(1.0)
        )
    }
}

/// Writes `size` bytes at a time to each of so many files, and syncs them after each write: what
/// as many replicas on one disk must do at least.
///
/// # Errors
/// Of the disk.
pub fn measure(folder: &Path, files: usize, size: usize) -> io::Result<Syncs> {
    let paths: Vec<_> = (0..files).map(|number| folder.join(format!("probe-{number}"))).collect();
    let opened: io::Result<Vec<File>> = paths.iter().map(|path| prepare(path)).collect();
    let opened = opened?;
    let began = Instant::now();
    let measured: Vec<io::Result<Vec<Duration>>> = thread::scope(|scope| {
        let threads: Vec<_> =
            opened.iter().map(|file| scope.spawn(move || sync(file, size))).collect();
        let join = |thread: thread::ScopedJoinHandle<'_, _>| thread.join();
        let failed = |_| Err(io::Error::other("the probe failed"));
        threads.into_iter().map(|thread| join(thread).unwrap_or_else(failed)).collect()
    });
    let took = began.elapsed();
    for path in paths {
        std::fs::remove_file(path)?;
    }
    let measured: io::Result<Vec<Vec<Duration>>> = measured.into_iter().collect();
    Ok(Syncs::new(measured?.concat(), took))
}

fn prepare(path: &Path) -> io::Result<File> {
    let file = File::create(path)?;
    file.write_all_at(&vec![0; LENGTH], 0)?;
    file.sync_all()?;
    Ok(file)
}

fn sync(file: &File, size: usize) -> io::Result<Vec<Duration>> {
    let data = vec![1; size.clamp(1, LENGTH)];
    let (mut times, mut offset) = (Vec::with_capacity(SYNCS), 0);
    for _ in 0..SYNCS {
        if offset + data.len() > LENGTH {
            offset = 0;
        }
        let began = Instant::now();
        file.write_all_at(&data, offset as u64)?;
        file.sync_data()?;
        times.push(began.elapsed());
        offset += data.len();
    }
    Ok(times)
}
