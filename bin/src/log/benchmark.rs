//! `orrery log benchmark`: how many appends a second the disk and the protocol allow, how long one
//! takes, measured in syncs of the same disk, and how fast a replica catches up. The replicas are
//! all in this process, or one is and others, which run elsewhere, take part.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use orrery_flags::{FlagValue, Flags, Kind, Value};
use orrery_log::{APPEND_MAX, Log, Membership, Options, Position, Timing, Writer};
use orrery_runtime::{Address, Generator, Listener, Runtime};
use tokio::sync::mpsc;

use super::disk_probe::{Syncs, measure};
use super::replica::{Meeting, Replica, listen};
use super::stopwatch::Stopwatch;
use crate::failure::Failure;
use crate::invocation::say;

/// How long one append may take.
const LIMIT: Duration = Duration::from_secs(60);

/// How often it is looked whether a replica has caught up.
const LOOK: Duration = Duration::from_millis(1);

/// What only a benchmark of replicas in this process can heed.
const ALONE: [&str; 2] = ["replicas", "catch_up"];

/// Starts replicas, appends through the first, and prints how long it took.
pub async fn run(flags: &Flags) -> Result<(), Failure> {
    let mut runtime = orrery_runtime_real::runtime();
    let stopwatch = Stopwatch::around(&mut runtime);
    let sizes = sizes(flags)?;
    let output = output(flags)?;
    let folder = super::folder(flags)?;
    std::fs::create_dir_all(&folder).map_err(Failure::because)?;
    if let Some(meeting) = Meeting::of(flags)? {
        if let Some(name) = ALONE.iter().find(|name| flags.is_given(name)) {
            let text = format!("--{name}: expected none where other replicas take part");
            return Err(Failure::Other(text));
        }
        let disk = DiskTimes { alone: probe(&folder, 1, &sizes)?, stopwatch };
        let mut replica = Replica::join(&runtime, flags, meeting).await?;
        let log = replica.log.clone();
        let work = async {
            refuse_others_entries(&log).await?;
            append(&runtime, &log, flags, &sizes, &disk, output).await
        };
        return tokio::select! {
            biased;
            refusal = replica.refused() => Err(refusal),
            done = work => done,
        };
    }
    let replicas = flags.value::<u64>("replicas") as usize;
    if flags.is_set("catch_up") && replicas < 3 {
        return Err(Failure::Other("--catch_up: expected at least --replicas=3".to_owned()));
    }
    let disk = DiskTimes { alone: probe(&folder, replicas, &sizes)?, stopwatch };
    let mut cluster = Cluster::start(&runtime, &folder, replicas).await?;
    let first = cluster.replicas.first().ok_or_else(|| Failure::Other("none runs".to_owned()))?;
    append(&runtime, &first.log, flags, &sizes, &disk, output).await?;
    match flags.is_set("catch_up") {
        true => cluster.catch_up(&runtime, &sizes).await,
        false => Ok(()),
    }
}

/// What the times of appends are compared with.
struct DiskTimes {
    /// Syncs of as much as one append, while nothing else happens.
    alone: Syncs,
    /// Syncs of the replicas in this process.
    stopwatch: Arc<Stopwatch>,
}

/// Measures the disk alone.
fn probe(folder: &Path, files: usize, sizes: &[usize]) -> Result<Syncs, Failure> {
    let typical = sizes.get(sizes.len() / 2).copied().unwrap_or(0);
    let syncs = measure(folder, files, typical).map_err(Failure::because)?;
    say(&format!("disk: {files} files written to at a time, {typical} bytes each: {syncs}"));
    Ok(syncs)
}

/// A log that holds entries may be the masters' registry, which no others may stand in. That is
/// found out before the log is written to: whoever writes it deposes the one that did.
async fn refuse_others_entries(log: &Log) -> Result<(), Failure> {
    log.ready().await.map_err(Failure::because)?;
    let ending = log.status().await.map_err(Failure::because)?.ending;
    if ending == Position::ZERO {
        return Ok(());
    }
    Err(Failure::Other(format!(
        "the log holds entries up to position {ending}: expected an empty one, as what is appended \
         would stand among them"
    )))
}

/// Appends all and prints how long it took.
async fn append(
    runtime: &Runtime,
    log: &Log,
    flags: &Flags,
    sizes: &[usize],
    disk: &DiskTimes,
    output: Option<BufWriter<File>>,
) -> Result<(), Failure> {
    let writer = log.writer().await.map_err(Failure::because)?;
    let data = data(runtime, flags, sizes.iter().copied().max().unwrap_or(0));
    disk.stopwatch.reset();
    let began = Instant::now();
    let load = Load { writer: &writer, sizes, data: &data, began };
    let appended = match flags.get::<u64>("rate") {
        Some(rate) => load.append_at(rate).await?,
        None => load.append_all(flags.value::<u64>("writers") as usize).await?,
    };
    let took = began.elapsed();
    let (syncs, written) = disk.stopwatch.read(took);
    if let Some(output) = output {
        list(&appended, output).map_err(Failure::because)?;
    }
    report_rate(&appended, took);
    if appended.is_empty() {
        return Ok(());
    }
    say(&format!("the log's syncs, {written} bytes each: {syncs}"));
    report_times(appended, &disk.alone, &syncs);
    Ok(())
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
    folder: PathBuf,
    members: BTreeSet<Address>,
    replicas: Vec<Replica>,
}

impl Cluster {
    async fn start(runtime: &Runtime, folder: &Path, count: usize) -> Result<Self, Failure> {
        let mut listeners = Vec::new();
        for _ in 0..count {
            listeners.push(listen(runtime, &Address::new("127.0.0.1", 0)).await?);
        }
        let addresses = listeners.iter().map(|listener| listener.local_address().into());
        let (folder, members) = (folder.to_owned(), addresses.collect());
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
        Replica::start(runtime, options, listener).await
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
        let listener = listen(runtime, &address).await?;
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
    /// Appends all, up to `writers` at a time. Returns how it went, in the order of their ends.
    async fn append_all(&self, writers: usize) -> Result<Vec<Appended>, Failure> {
        let next = AtomicUsize::new(0);
        let appended = RefCell::new(Vec::with_capacity(self.sizes.len()));
        let work = async || {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let Some(size) = self.sizes.get(number) else { return Ok(()) };
                let one = self.append(*size, Instant::now()).await?;
                appended.borrow_mut().push(one);
            }
        };
        let all = futures_util::future::join_all((0..writers).map(|_| work())).await;
        all.into_iter().collect::<Result<Vec<()>, Failure>>()?;
        Ok(appended.into_inner())
    }

    /// Begins `rate` appends a second, whether earlier ones have ended or not. Returns how they
    /// went, in the order of their ends; each took as long as it ended after it was due.
    async fn append_at(&self, rate: u64) -> Result<Vec<Appended>, Failure> {
        let mut due =
            pace(self.began, Duration::from_secs(1).div_f64(rate as f64), self.sizes.len());
        let mut sizes = self.sizes.iter();
        let mut open = FuturesUnordered::new();
        let mut appended = Vec::with_capacity(self.sizes.len());
        while appended.len() < self.sizes.len() {
            tokio::select! {
                Some(due) = due.recv() => {
                    if let Some(size) = sizes.next() {
                        open.push(self.append(*size, due));
                    }
                }
                Some(one) = open.next() => appended.push(one?),
            }
        }
        Ok(appended)
    }

    async fn append(&self, size: usize, since: Instant) -> Result<Appended, Failure> {
        let appended = self.writer.append(self.data.slice(..size), LIMIT).await;
        appended.map_err(Failure::because)?;
        let now = Instant::now();
        Ok(Appended { size, took: now - since, ended: now - self.began })
    }
}

/// How an append went.
struct Appended {
    /// In bytes.
    size: usize,
    took: Duration,
    /// After the first one began.
    ended: Duration,
}

/// Writes a line for each append, as Mesos' tool does; the time is in seconds since 1970.
fn list(appended: &[Appended], mut output: BufWriter<File>) -> std::io::Result<()> {
    let last = appended.last().map_or(Duration::ZERO, |last| last.ended);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    for Appended { size, took, ended } in appended {
        let at = now.saturating_sub(last.saturating_sub(*ended)).as_secs_f64();
        let took = milliseconds(*took);
        writeln!(output, "{at:.6} Appended {size} bytes in {took:.3} ms")?;
    }
    output.flush()
}

/// Prints how many appends there were.
fn report_rate(appended: &[Appended], took: Duration) {
    let (count, seconds) = (appended.len() as f64, took.as_secs_f64());
    let megabytes = appended.iter().map(|one| one.size).sum::<usize>() as f64 / 1e6;
    let (count_rate, rate) = (count / seconds, megabytes / seconds);
    say(&format!(
        "{count} appends, {megabytes:.1} MB in {seconds:.2} s: {count_rate:.0} appends/s, \
         {rate:.1} MB/s"
    ));
}

/// Prints how long the appends took, also in syncs.
fn report_times(appended: Vec<Appended>, alone: &Syncs, own: &Syncs) {
    let mut sorted: Vec<_> = appended.into_iter().map(|one| one.took).collect();
    sorted.sort_unstable();
    for (name, part) in [("median", 0.5), ("99th percentile", 0.99), ("longest", 1.0)] {
        let time = quantile(&sorted, part);
        let in_syncs = |syncs: &Syncs| time.div_duration_f64(quantile(&syncs.times, part));
        say(&format!(
            "{name}: {:.2} ms, {:.1} times the disk's, {:.1} times the log's syncs",
            milliseconds(time),
            in_syncs(alone),
            in_syncs(own),
        ));
    }
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
