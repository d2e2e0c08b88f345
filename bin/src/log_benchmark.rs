//! `orrery log benchmark`: how many appends a second the disk and the protocol allow, how long one
//! takes, measured in syncs of the same disk, and how fast a replica catches up.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use orrery_flags::{FlagValue, Flags, Kind, Value};
use orrery_log::{APPEND_MAX, Membership, Options, Timing, Writer};
use orrery_runtime::{Address, Generator, Listener, Runtime};
use tokio::sync::mpsc;

use crate::disk_probe::{Syncs, measure};
use crate::failure::Failure;
use crate::invocation::say;
use crate::log::{self, Replica};

/// How long one append may take.
const LIMIT: Duration = Duration::from_secs(60);

/// How often it is looked whether a replica has caught up.
const LOOK: Duration = Duration::from_millis(1);

/// Starts replicas in this process, appends through the first, and prints how long it took.
pub async fn run(flags: &Flags) -> Result<(), Failure> {
    let runtime = orrery_runtime_real::runtime();
    let sizes = sizes(flags)?;
    if flags.is_set("catch_up") && flags.value::<u64>("replicas") < 3 {
        return Err(Failure::Other("--catch_up: expected at least --replicas=3".to_owned()));
    }
    let output = output(flags)?;
    let folder = log::folder(flags)?;
    std::fs::create_dir_all(&folder).map_err(Failure::because)?;
    let files = flags.value::<u64>("replicas") as usize;
    let typical = sizes.get(sizes.len() / 2).copied().unwrap_or(0);
    let syncs = measure(&folder, files, typical).map_err(Failure::because)?;
    say(&format!("disk: {files} files written to at a time, {typical} bytes each: {syncs}"));
    let mut cluster = Cluster::start(&runtime, flags).await?;
    let first = cluster.replicas.first().ok_or_else(|| Failure::Other("none runs".to_owned()))?;
    let writer = first.log.writer().await.map_err(Failure::because)?;
    let data = data(&runtime, flags, sizes.iter().copied().max().unwrap_or(0));
    let began = Instant::now();
    let load = Load { writer: &writer, sizes: &sizes, data: &data, began };
    let times = match flags.get::<u64>("rate") {
        Some(rate) => load.append_at(rate).await?,
        None => load.append_all(flags.value::<u64>("writers") as usize).await?,
    };
    report(&sizes, times, began.elapsed(), &syncs, output)?;
    match flags.is_set("catch_up") {
        true => cluster.catch_up(&runtime, &sizes).await,
        false => Ok(()),
    }
}

/// The file of `--output`, which is made before anything is measured.
fn output(flags: &Flags) -> Result<Option<BufWriter<File>>, Failure> {
    let Some(path) = flags.get::<String>("output") else { return Ok(None) };
    let failed = |error| Failure::Other(format!("--output={path}: {error}"));
    File::create(&path).map(|file| Some(BufWriter::new(file))).map_err(failed)
}

/// The size of an append, unless it is too large for one.
fn size(place: &str, bytes: u64) -> Result<usize, Failure> {
    let size = usize::try_from(bytes).ok().filter(|size| *size <= APPEND_MAX);
    size.ok_or_else(|| {
        Failure::Other(format!("{place}: {bytes} bytes, expected at most {APPEND_MAX}"))
    })
}

/// The size of each append.
fn sizes(flags: &Flags) -> Result<Vec<usize>, Failure> {
    let Some(path) = flags.get::<String>("input") else {
        let size = size("--size", flags.value::<u64>("size"))?;
        return Ok(vec![size; flags.value::<u64>("appends") as usize]);
    };
    let text = std::fs::read_to_string(&path)
        .map_err(|error| Failure::Other(format!("--input={path}: {error}")))?;
    let read = |line: &str| {
        let value = Value::read(Kind::Bytes, line.trim());
        let bytes = value.as_ref().and_then(u64::from_value);
        let wrong = || Failure::Other(format!("{path}: '{line}' is no size such as 100B"));
        size(&path, bytes.ok_or_else(wrong)?)
    };
    text.lines().filter(|line| !line.trim().is_empty()).map(read).collect()
}

/// Replicas in this process, which talk over sockets.
struct Cluster {
    folder: std::path::PathBuf,
    members: BTreeSet<Address>,
    replicas: Vec<Replica>,
}

impl Cluster {
    async fn start(runtime: &Runtime, flags: &Flags) -> Result<Self, Failure> {
        let mut listeners = Vec::new();
        for _ in 0..flags.value::<u64>("replicas") {
            listeners.push(log::listen(runtime, &Address::new("127.0.0.1", 0)).await?);
        }
        let addresses = listeners.iter().map(|listener| listener.local_address().into());
        let (folder, members) = (log::folder(flags)?, addresses.collect());
        let mut cluster = Self { folder, members, replicas: Vec::new() };
        for listener in listeners {
            let replica = cluster.replica(runtime, cluster.replicas.len(), listener).await?;
            cluster.replicas.push(replica);
        }
        Ok(cluster)
    }

    async fn replica(
        &self,
        runtime: &Runtime,
        number: usize,
        listener: Box<dyn Listener>,
    ) -> Result<Replica, Failure> {
        let options = Options {
            folder: self.folder.join(format!("replica-{number}")),
            address: listener.local_address().into(),
            quorum: self.members.len() / 2 + 1,
            membership: Membership::Fixed(self.members.clone()),
            auto_initialize: true,
            timing: Timing::default(),
        };
        log::start(runtime, options, listener).await
    }

    /// Takes the disk of the last replica away and prints how long it takes until it knows again
    /// all that was appended.
    async fn catch_up(&mut self, runtime: &Runtime, sizes: &[usize]) -> Result<(), Failure> {
        let Some(last) = self.replicas.pop() else { return Ok(()) };
        let address = last.address.clone();
        last.stop().await;
        let number = self.replicas.len();
        let folder = self.folder.join(format!("replica-{number}"));
        std::fs::remove_dir_all(folder).map_err(Failure::because)?;
        let listener = log::listen(runtime, &address).await?;
        let began = Instant::now();
        let replica = self.replica(runtime, number, listener).await?;
        replica.log.ready().await.map_err(Failure::because)?;
        loop {
            let status = replica.log.status().await.map_err(Failure::because)?;
            if status.missing == 0 && status.ending.0 >= sizes.len() as u64 {
                break;
            }
            runtime.sleep(LOOK).await;
        }
        let took = began.elapsed().as_secs_f64();
        let megabytes = sizes.iter().sum::<usize>() as f64 / 1e6;
        say(&format!(
            "a replica that lost its disk caught up {} entries, {megabytes:.1} MB, in {took:.2} s: \
             {:.0} entries/s, {:.1} MB/s",
            sizes.len(),
            sizes.len() as f64 / took,
            megabytes / took,
        ));
        Ok(())
    }
}

/// Tells when each of so many appends is due, at that time. A thread does it, because the timers of
/// the tasks' runtime are late by up to a millisecond, which is longer than an append takes.
fn pace(began: Instant, each: Duration, count: usize) -> mpsc::UnboundedReceiver<Instant> {
    let (sender, receiver) = mpsc::unbounded_channel();
    thread::spawn(move || {
        for number in 0..count {
            let due = began + each.mul_f64(number as f64);
            thread::sleep(due.saturating_duration_since(Instant::now()));
            if sender.send(due).is_err() {
                return;
            }
        }
    });
    receiver
}

fn data(runtime: &Runtime, flags: &Flags, length: usize) -> Bytes {
    let mut data = vec![0; length];
    match flags.get::<String>("type").as_deref() {
        Some("zero") => {}
        Some("one") => data.fill(0xff),
        _ => {
            let mut random: Generator = runtime.random.generator();
            data.iter_mut().for_each(|byte| *byte = random.next_u64() as u8);
        }
    }
    data.into()
}

/// What is to be appended.
struct Load<'a> {
    writer: &'a Writer,
    sizes: &'a [usize],
    data: &'a Bytes,
    began: Instant,
}

impl Load<'_> {
    /// Appends all, up to `writers` at a time. Returns how long each took.
    async fn append_all(&self, writers: usize) -> Result<Vec<Duration>, Failure> {
        let next = AtomicUsize::new(0);
        let times = Mutex::new(vec![Duration::ZERO; self.sizes.len()]);
        let work = async || {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let Some(size) = self.sizes.get(number) else { return Ok(()) };
                let time = self.append(*size, Instant::now()).await?;
                times.lock().unwrap_or_else(std::sync::PoisonError::into_inner)[number] = time;
            }
        };
        let all = futures_util::future::join_all((0..writers).map(|_| work())).await;
        all.into_iter().collect::<Result<Vec<()>, Failure>>()?;
        Ok(times.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    /// Begins `rate` appends a second, whether earlier ones have ended or not. Returns how long
    /// each took from the time at which it was due.
    async fn append_at(&self, rate: u64) -> Result<Vec<Duration>, Failure> {
        let mut due =
            pace(self.began, Duration::from_secs(1).div_f64(rate as f64), self.sizes.len());
        let mut sizes = self.sizes.iter();
        let mut open = FuturesUnordered::new();
        let mut times = Vec::with_capacity(self.sizes.len());
        while times.len() < self.sizes.len() {
            tokio::select! {
                Some(due) = due.recv() => {
                    if let Some(size) = sizes.next() {
                        open.push(self.append(*size, due));
                    }
                }
                Some(time) = open.next() => times.push(time?),
            }
        }
        Ok(times)
    }

    async fn append(&self, size: usize, since: Instant) -> Result<Duration, Failure> {
        let appended = self.writer.append(self.data.slice(..size), LIMIT).await;
        appended.map(|_| since.elapsed()).map_err(Failure::because)
    }
}

/// Prints how long the appends took, which need not be in order.
fn report(
    sizes: &[usize],
    times: Vec<Duration>,
    took: Duration,
    syncs: &Syncs,
    output: Option<BufWriter<File>>,
) -> Result<(), Failure> {
    if let Some(mut output) = output {
        for (size, time) in sizes.iter().zip(&times) {
            writeln!(output, "{size} {:.3}", milliseconds(*time)).map_err(Failure::because)?;
        }
        output.flush().map_err(Failure::because)?;
    }
    let mut sorted = times;
    sorted.sort_unstable();
    let bytes: usize = sizes.iter().sum();
    say(&format!(
        "{} appends, {:.1} MB in {:.2} s: {:.0} appends/s, {:.1} MB/s",
        sizes.len(),
        bytes as f64 / 1e6,
        took.as_secs_f64(),
        sizes.len() as f64 / took.as_secs_f64(),
        bytes as f64 / 1e6 / took.as_secs_f64(),
    ));
    for (name, part) in [("median", 0.5), ("99th percentile", 0.99), ("longest", 1.0)] {
        let (time, sync) = (quantile(&sorted, part), quantile(&syncs.times, part));
        say(&format!(
            "{name}: {:.2} ms, {:.1} times the disk's",
            milliseconds(time),
            time.as_secs_f64() / sync.as_secs_f64(),
        ));
    }
    Ok(())
}

/// What so large a part of the times, which ascend, is not above.
pub fn quantile(sorted: &[Duration], part: f64) -> Duration {
    let index = (sorted.len() as f64 * part) as usize;
    sorted.get(index.min(sorted.len().saturating_sub(1))).copied().unwrap_or_default()
}

/// A duration as it is printed.
pub fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
