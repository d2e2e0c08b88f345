//! Load and memory of the machine, as Linux tells them under `/proc`.

use std::path::Path;

use crate::system::SystemStatistics;
use orrery_runtime::{OpenOptions, Runtime};

/// Enough for each of the files read here, most of all for one line a processor.
const LENGTH_MAX: usize = 1 << 20;

/// Reads them. What cannot be read, as in a simulation, stays zero.
pub async fn read(runtime: &Runtime) -> SystemStatistics {
    let load = text(runtime, "/proc/loadavg").await;
    let memory = text(runtime, "/proc/meminfo").await;
    let processors = text(runtime, "/proc/cpuinfo").await;
    parse(&load, &memory, &processors)
}

/// Files under `/proc` say that they are empty, so they are read without asking for their length.
async fn text(runtime: &Runtime, path: &str) -> String {
    let read = async {
        let file = runtime.disk.open(Path::new(path), OpenOptions::READ).await?;
        let mut whole = Vec::new();
        while whole.len() < LENGTH_MAX {
            let piece = file.read_at(whole.len() as u64, LENGTH_MAX - whole.len()).await?;
            if piece.is_empty() {
                break;
            }
            whole.extend_from_slice(&piece);
        }
        std::io::Result::Ok(whole)
    };
    read.await.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}

fn parse(load: &str, memory: &str, processors: &str) -> SystemStatistics {
    let mut averages = load.split_whitespace().map(|word| word.parse().unwrap_or(0.0));
    let mut average = || averages.next().unwrap_or(0.0);
    let kibibytes = |name: &str| {
        let line = memory.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        let number = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        number.unwrap_or(0).saturating_mul(1024)
    };
    let cpus = processors.lines().filter(|line| line.starts_with("processor")).count();
    SystemStatistics {
        load: [average(), average(), average()],
        cpus: u32::try_from(cpus).unwrap_or(u32::MAX),
        memory_total: kibibytes("MemTotal"),
        memory_free: kibibytes("MemFree"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_linux_says_is_understood() {
        let memory = "MemTotal:       24684096 kB\nMemFree:        20656756 kB\n";
        let processors = "processor\t: 0\nmodel name\t: x\n\nprocessor\t: 1\n";
        let statistics = parse("0.50 1.25 2.00 1/100 4711\n", memory, processors);
        assert_eq!(statistics.load, [0.5, 1.25, 2.0]);
        assert_eq!(statistics.cpus, 2);
        assert_eq!(statistics.memory_total, 24_684_096 * 1024);
        assert_eq!(statistics.memory_free, 20_656_756 * 1024);
    }

    #[test]
    fn what_is_not_there_is_zero() {
        assert_eq!(parse("", "MemTotal: x kB", ""), SystemStatistics::default());
    }
}
