//! The form of a trace: one line for each event, five columns.
//!
//! | column | what stands there |
//! |---|---|
//! | time | virtual seconds since the start, with six decimals |
//! | host | a host's name; `network`, `world`, or whatever name the scenario gave |
//! | process | the number of a process of that host, `-` when it is of none |
//! | kind | one word, see below |
//! | text | the rest of the line: what there is to say, line breaks written as `\n` |
//!
//! Columns are filled up with spaces; none but the last has spaces inside.
//!
//! | kind | text | meaning |
//! |---|---|---|
//! | `boot`, `crash` | boot id, – | the host has power, or loses it |
//! | `clock` | what changed | the wall clock was stepped, or drifts |
//! | `start`, `exit` | command, status | a process begins or ends |
//! | `launch` | the error | a process could not be launched |
//! | `signal` | which | a process is signalled |
//! | `pause`, `resume` | – | a process is stopped, or goes on |
//! | `listen` | address | a process takes connections |
//! | `connect`, `accept` | `#N own -> peer`, `#N own <- peer` | the ends of connection N |
//! | `fail` | `#N reason` | connecting came to nothing |
//! | `data`, `end` | `#N sent=SECONDS bytes=LENGTH` | what arrived, the peer's end among it |
//! | `close`, `reset` | `#N`, `#N reason` | an end was closed, or became unusable |
//! | `cut`, `heal` | `A -> B` | nothing travels that way, or again everything |
//! | `slow`, `normal` | `A -> B latency=…` | a link's delays or bandwidth change, or go back |
//! | `reset-all` | `A -> B` | all streams between two hosts break |
//! | `tail`, `bandwidth`, `flips`, `requests`, `trap` | `A -> B …` | a link got another fault |
//! | `hold`, `release` | `A -> B` | data is held back that way, or travels again |
//! | `silence`, `flip` | `#N`, `#N bit` | a stream falls silent, or has a bit flipped |
//! | `name`, `address` | what it means | a name or an address belongs to another host |
//! | `fault` | – | as the host's name: a fault was injected; its kind and its line |
//! | `trap`, `crash-at` | the point | a crash point was set, or reached |
//! | `oom`, `launches`, `behaviour` | what changed | faults of processes |
//! | `mend` | – | all faults of a host, or of the network, were taken back |
//! | `write`, `sync` | file, place | what the disk was asked to do |
//! | `disk` | the fault and its value | a fault of the disk |
//! | `zookeeper` | what it is | a server of an ensemble looks for a leader, follows or leads |
//! | `send`, `receive` | `NAME CHANNEL CONTENT` | a message of the daemons, decoded |
//! | `log` | `LEVEL target: text fields` | what a daemon logs |
//! | `end` | – | of `world`: the scenario is over |
//! | `violation` | the rule, and how it was broken | of `scenario`: the last line of a failed run |
//!
//! Scenarios add kinds of their own. `send`, `receive` and `log` come from `tracing`; they are no
//! part of the chain of hashes.

use std::fmt;
use std::time::Duration;

/// One event of a trace, as its line states it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// Virtual time since the start; of the line's six decimals when it was parsed.
    pub time: Duration,
    /// Where it happened.
    pub host: &'a str,
    /// The process's number; 0 when it is of no process.
    pub process: u32,
    /// What kind of event.
    pub kind: &'a str,
    /// All about it.
    pub text: &'a str,
}

impl fmt::Display for Line<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, micros) = (self.time.as_secs(), self.time.subsec_micros());
        write!(formatter, "{seconds:>6}.{micros:06} {:<14} ", Word(self.host))?;
        match self.process {
            0 => write!(formatter, "{:>5}", '-')?,
            process => write!(formatter, "{process:>5}")?,
        }
        write!(formatter, " {:<9}", Word(self.kind))?;
        if !self.text.is_empty() {
            formatter.write_str(" ")?;
        }
        for (index, part) in self.text.lines().enumerate() {
            if index > 0 {
                formatter.write_str("\\n")?;
            }
            formatter.write_str(part)?;
        }
        Ok(())
    }
}

/// A column that must not have spaces inside, nor be empty.
struct Word<'a>(&'a str);

impl fmt::Display for Word<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            formatter.pad("-")
        } else if self.0.contains(char::is_whitespace) {
            formatter.pad(&self.0.replace(char::is_whitespace, "-"))
        } else {
            formatter.pad(self.0)
        }
    }
}

impl<'a> Line<'a> {
    /// Reads a line back; `None` when it is none of a trace.
    pub fn parse(line: &'a str) -> Option<Self> {
        let (time, rest) = word(line)?;
        let (host, rest) = word(rest)?;
        let (process, rest) = word(rest)?;
        let (kind, rest) = word(rest)?;
        let (seconds, micros) = time.split_once('.')?;
        if micros.len() != 6 || !micros.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let micros: u64 = micros.parse().ok()?;
        let time = Duration::from_secs(seconds.parse().ok()?)
            .checked_add(Duration::from_micros(micros))?;
        let process = if process == "-" { 0 } else { process.parse().ok()? };
        Some(Self { time, host, process, kind, text: rest.trim() })
    }
}

fn word(text: &str) -> Option<(&str, &str)> {
    let text = text.trim_start();
    let end = text.find(' ').unwrap_or(text.len());
    let (word, rest) = text.split_at(end);
    (!word.is_empty()).then_some((word, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_back_as_it_was_written() {
        let line = Line {
            time: Duration::from_micros(61_000_042),
            host: "agent-1",
            process: 7,
            kind: "start",
            text: "/bin/sh -c  x",
        };
        let text = line.to_string();
        assert_eq!(text, "    61.000042 agent-1            7 start     /bin/sh -c  x");
        assert_eq!(Line::parse(&text), Some(line));
    }

    #[test]
    fn columns_stay_columns_whatever_stands_in_them() {
        let time = Duration::from_secs(1);
        let line = Line { time, host: "a b", process: 0, kind: "", text: "one\ntwo" }.to_string();
        let read = Line::parse(&line).expect("a line");
        assert_eq!((read.host, read.process, read.kind), ("a-b", 0, "-"));
        assert_eq!(read.text, "one\\ntwo");
        for wrong in ["", "1.0 a - b", "x.000000 a - b", "1.000000 a b c d", "1.000000 a -"] {
            assert_eq!(Line::parse(wrong), None, "{wrong}");
        }
    }
}
