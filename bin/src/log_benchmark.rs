//! `orrery log benchmark`: how many appends a second the disk and the protocol allow.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use orrery_flags::{FlagValue, Flags, Kind, Value};
use orrery_log::{Log, Membership, Options, Timing, Writer};
use orrery_runtime::{Address, Generator, Runtime};

use crate::failure::Failure;
use crate::invocation::say;
use crate::log;

/// How long one append may take.
const LIMIT: Duration = Duration::from_secs(60);

/// Syncs that the disk is asked for to learn what it can do.
const SYNCS: u32 = 200;

/// Starts replicas in this process, appends through the first, and prints how long it took.
pub async fn run(flags: &Flags) -> Result<(), Failure> {
    let runtime = orrery_runtime_real::runtime();
    let sizes = sizes(flags)?;
    let folder = log::folder(flags)?;
    std::fs::create_dir_all(&folder).map_err(Failure::because)?;
    let sync = measure_sync(&folder).map_err(Failure::because)?;
    say(&format!("a sync of 4 KB takes {:.2} ms", milliseconds(sync)));
    let logs = start_replicas(&runtime, flags).await?;
    let first = logs.first().ok_or_else(|| Failure::Other("no replica runs".to_owned()))?;
    let writer = first.writer().await.map_err(Failure::because)?;
    let data = data(&runtime, flags, sizes.iter().copied().max().unwrap_or(0));
    let began = Instant::now();
    let times = append_all(&writer, &sizes, &data, flags.value::<u64>("writers") as usize).await?;
    report(&sizes, times, began.elapsed(), sync, flags)
}

/// The size of each append.
fn sizes(flags: &Flags) -> Result<Vec<usize>, Failure> {
    let Some(path) = flags.get::<String>("input") else {
        let size = flags.value::<u64>("size") as usize;
        return Ok(vec![size; flags.value::<u64>("appends") as usize]);
    };
    let text = std::fs::read_to_string(&path)
        .map_err(|error| Failure::Other(format!("--input={path}: {error}")))?;
    let size = |line: &str| {
        let value = Value::read(Kind::Bytes, line.trim());
        let bytes = value.as_ref().and_then(u64::from_value);
        let wrong = || Failure::Other(format!("{path}: '{line}' is no size such as 100B"));
        bytes.map(|bytes| bytes as usize).ok_or_else(wrong)
    };
    text.lines().filter(|line| !line.trim().is_empty()).map(size).collect()
}

/// How long a sync of a small write takes on the file system that the log is on.
fn measure_sync(folder: &std::path::Path) -> std::io::Result<Duration> {
    let path = folder.join("sync-probe");
    let mut file = File::create(&path)?;
    let began = Instant::now();
    for _ in 0..SYNCS {
        file.write_all(&[1; 4096])?;
        file.sync_data()?;
    }
    let each = began.elapsed() / SYNCS;
    std::fs::remove_file(path)?;
    Ok(each)
}

async fn start_replicas(runtime: &Runtime, flags: &Flags) -> Result<Vec<Log>, Failure> {
    let replicas = flags.value::<u64>("replicas") as usize;
    let mut listeners = Vec::new();
    for _ in 0..replicas {
        listeners.push(log::listen(runtime, &Address::new("127.0.0.1", 0)).await?);
    }
    let addresses = listeners.iter().map(|listener| listener.local_address().into());
    let members: BTreeSet<Address> = addresses.collect();
    let mut logs = Vec::new();
    for (number, listener) in listeners.into_iter().enumerate() {
        let options = Options {
            folder: log::folder(flags)?.join(format!("replica-{number}")),
            address: listener.local_address().into(),
            quorum: replicas / 2 + 1,
            membership: Membership::Fixed(members.clone()),
            auto_initialize: true,
            timing: Timing::default(),
        };
        logs.push(log::start(runtime, options, listener).await?);
    }
    Ok(logs)
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

/// Appends all, up to `writers` at a time. Returns how long each took.
async fn append_all(
    writer: &Writer,
    sizes: &[usize],
    data: &Bytes,
    writers: usize,
) -> Result<Vec<Duration>, Failure> {
    let next = AtomicUsize::new(0);
    let times = Mutex::new(vec![Duration::ZERO; sizes.len()]);
    let work = async || {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some(size) = sizes.get(number) else { return Ok(()) };
            let began = Instant::now();
            writer.append(data.slice(..*size), LIMIT).await.map_err(Failure::because)?;
            let mut times = times.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            times[number] = began.elapsed();
        }
    };
    let all = futures_util::future::join_all((0..writers).map(|_| work())).await;
    all.into_iter().collect::<Result<Vec<()>, Failure>>()?;
    Ok(times.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner))
}

fn report(
    sizes: &[usize],
    times: Vec<Duration>,
    took: Duration,
    sync: Duration,
    flags: &Flags,
) -> Result<(), Failure> {
    if let Some(path) = flags.get::<String>("output") {
        let mut output = BufWriter::new(File::create(path).map_err(Failure::because)?);
        for (size, time) in sizes.iter().zip(&times) {
            writeln!(output, "{size} {:.3}", milliseconds(*time)).map_err(Failure::because)?;
        }
        output.flush().map_err(Failure::because)?;
    }
    let mut sorted = times;
    sorted.sort_unstable();
    let quantile = |part: f64| {
        let index = (sorted.len() as f64 * part) as usize;
        sorted.get(index.min(sorted.len().saturating_sub(1))).copied().unwrap_or_default()
    };
    let bytes: usize = sizes.iter().sum();
    say(&format!(
        "{} appends, {:.1} MB in {:.2} s: {:.0} appends/s, {:.1} MB/s",
        sizes.len(),
        bytes as f64 / 1e6,
        took.as_secs_f64(),
        sizes.len() as f64 / took.as_secs_f64(),
        bytes as f64 / 1e6 / took.as_secs_f64(),
    ));
    say(&format!(
        "median {:.2} ms, 99th percentile {:.2} ms, longest {:.2} ms ({:.1} syncs at the 99th)",
        milliseconds(quantile(0.5)),
        milliseconds(quantile(0.99)),
        milliseconds(quantile(1.0)),
        quantile(0.99).as_secs_f64() / sync.as_secs_f64(),
    ));
    Ok(())
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
