//! Asks for a master's health again and again.
//!
//! On a thread of its own with blocking calls: among the tasks that are thousands of agents, the
//! question itself would wait, and its time would be that of this process.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use orrery_runtime::Address;
use orrery_runtime_real::go_first;

use crate::failure::Failure;
use crate::latency::Latencies;

/// Pause between two questions.
const PAUSE: Duration = Duration::from_millis(5);
/// How long an answer may take before the measurement fails.
const LONGEST: Duration = Duration::from_secs(10);
const QUESTION: &[u8] = b"GET /health HTTP/1.1\r\nHost: master\r\n\r\n";
const GOOD: &[u8] = b"HTTP/1.1 200 ";
const END_OF_ANSWER: &[u8] = b"\r\n\r\n";

/// A probe under way.
pub struct Probe {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<io::Result<Vec<Duration>>>,
}

impl Probe {
    /// Begins to ask.
    ///
    /// # Errors
    /// The master cannot be reached.
    pub fn start(master: &Address) -> Result<Self, Failure> {
        let stream = TcpStream::connect((master.host.as_str(), master.port))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(LONGEST))?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::Builder::new().name("health".to_owned());
        let thread = thread.spawn(move || ask(stream, &stopped))?;
        Ok(Self { stop, thread })
    }

    /// Ends asking, and tells how long the answers took.
    ///
    /// # Errors
    /// The master has answered anything but 200, or nothing.
    pub fn finish(self) -> Result<Latencies, Failure> {
        self.stop.store(true, Ordering::Relaxed);
        let failed = |what: String| Failure::Cluster(format!("/health: {what}"));
        let times = self.thread.join().map_err(|_| failed("the probe panicked".to_owned()))?;
        let times = times.map_err(|error| failed(error.to_string()))?;
        let mut latencies = Latencies::default();
        times.into_iter().for_each(|time| latencies.add(time));
        Ok(latencies)
    }
}

fn ask(mut stream: TcpStream, stopped: &AtomicBool) -> io::Result<Vec<Duration>> {
    // The emulated agents keep the processors busy, and what is asked about is not how soon the
    // answer is looked at. Without the right to it, that has to be counted in.
    go_first();
    let mut times = Vec::new();
    while !stopped.load(Ordering::Relaxed) {
        let start = Instant::now();
        stream.write_all(QUESTION)?;
        let answer = read(&mut stream)?;
        times.push(start.elapsed());
        if !answer.starts_with(GOOD) {
            return Err(io::Error::other(String::from_utf8_lossy(&answer).into_owned()));
        }
        thread::sleep(PAUSE);
    }
    Ok(times)
}

/// Reads one answer, which has no body.
fn read(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut answer = Vec::new();
    let mut buffer = [0; 1024];
    while !answer.ends_with(END_OF_ANSWER) {
        match stream.read(&mut buffer)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            length => answer.extend_from_slice(buffer.get(..length).unwrap_or_default()),
        }
    }
    Ok(answer)
}
