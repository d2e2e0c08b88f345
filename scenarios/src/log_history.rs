//! What clients of the replicated log asked and were told, and whether a single log, written by one
//! writer at a time, could have answered so.
//!
//! Every value is appended once, so this kind of history can be checked without a search:
//! positions order the writes, and each read shows a prefix of them.

use std::collections::BTreeMap;

use bytes::Bytes;
use orrery_log::{Position, WriteError};

/// How a write ended for its client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It stands at this position.
    Confirmed(Position),
    /// It stands nowhere and never will.
    Lost,
    /// It may stand somewhere or not.
    Unknown,
}

impl From<Result<Position, WriteError>> for Outcome {
    fn from(result: Result<Position, WriteError>) -> Self {
        match result {
            Ok(position) => Self::Confirmed(position),
            Err(WriteError::Lost | WriteError::TooLarge { .. }) => Self::Lost,
            Err(WriteError::Unknown(_)) => Self::Unknown,
        }
    }
}

/// Something that a client did or was told.
#[derive(Clone, Debug)]
pub enum Event {
    /// A client wants to write.
    ElectionBegins {
        /// Which one.
        client: usize,
    },
    /// A client, now the writer, has read the whole log.
    Read {
        /// Which one.
        client: usize,
        /// When its election began.
        started: usize,
        /// Where the log began.
        begin: Position,
        /// Where it ended.
        to: Position,
        /// What it held.
        entries: Vec<(Position, Bytes)>,
    },
    /// A client appends a value.
    WriteBegins {
        /// Which one.
        client: usize,
        /// The value.
        value: Bytes,
    },
    /// A client was told how its write ended.
    WriteEnds {
        /// When it began.
        started: usize,
        /// How it ended.
        outcome: Outcome,
    },
    /// A client wants everything before a position removed.
    Truncation {
        /// The position.
        to: Position,
    },
}

/// What happened, in order.
#[derive(Clone, Debug, Default)]
pub struct History {
    events: Vec<Event>,
}

struct Write<'a> {
    value: &'a Bytes,
    began: usize,
    ended: Option<(usize, &'a Outcome)>,
}

impl History {
    /// Adds what happened now, and returns its number.
    pub fn record(&mut self, event: Event) -> usize {
        self.events.push(event);
        self.events.len() - 1
    }

    /// How many writes were confirmed.
    pub fn confirmed(&self) -> usize {
        let confirmed = |event: &&Event| {
            matches!(event, Event::WriteEnds { outcome: Outcome::Confirmed(_), .. })
        };
        self.events.iter().filter(confirmed).count()
    }

    /// How often a client has read the whole log.
    pub fn reads(&self) -> usize {
        self.events.iter().filter(|event| matches!(event, Event::Read { .. })).count()
    }

    /// Checks that one log could have answered so.
    ///
    /// # Errors
    /// What no log could have answered.
    pub fn check(&self) -> Result<(), String> {
        let writes = self.writes();
        let log = self.agreed(&writes)?;
        Self::check_order(&writes)?;
        self.check_reads(&writes, &log)
    }

    fn writes(&self) -> BTreeMap<usize, Write<'_>> {
        let mut writes = BTreeMap::new();
        for (number, event) in self.events.iter().enumerate() {
            match event {
                Event::WriteBegins { value, .. } => {
                    writes.insert(number, Write { value, began: number, ended: None });
                }
                Event::WriteEnds { started, outcome } => {
                    if let Some(write) = writes.get_mut(started) {
                        write.ended = Some((number, outcome));
                    }
                }
                _ => {}
            }
        }
        writes
    }

    /// What stands at each position, from all that clients were told.
    fn agreed<'a>(
        &'a self,
        writes: &BTreeMap<usize, Write<'a>>,
    ) -> Result<BTreeMap<Position, &'a Bytes>, String> {
        let mut log: BTreeMap<Position, &Bytes> = BTreeMap::new();
        let mut places: BTreeMap<&Bytes, Position> = BTreeMap::new();
        let mut told: Vec<(Position, &Bytes)> = Vec::new();
        for write in writes.values() {
            if let Some((_, Outcome::Confirmed(position))) = write.ended {
                told.push((*position, write.value));
            }
        }
        for event in &self.events {
            if let Event::Read { entries, .. } = event {
                told.extend(entries.iter().map(|(position, value)| (*position, value)));
            }
        }
        for (position, value) in told {
            let there = *log.entry(position).or_insert(value);
            if there != value {
                return Err(format!("position {position} holds {there:?} and {value:?}"));
            }
            let place = *places.entry(value).or_insert(position);
            if place != position {
                return Err(format!("{value:?} stands at {place} and at {position}"));
            }
        }
        let known: BTreeMap<&Bytes, &Write<'_>> =
            writes.values().map(|write| (write.value, write)).collect();
        for (position, value) in &log {
            match known.get(*value).map(|write| write.ended) {
                None => return Err(format!("position {position} holds {value:?}, never written")),
                Some(Some((_, Outcome::Lost))) => {
                    return Err(format!("position {position} holds {value:?}, said to be lost"));
                }
                Some(_) => {}
            }
        }
        Ok(log)
    }

    /// A write that was confirmed before another began stands before it.
    fn check_order(writes: &BTreeMap<usize, Write<'_>>) -> Result<(), String> {
        let mut confirmed: Vec<(usize, usize, Position, &Bytes)> = Vec::new();
        for write in writes.values() {
            if let Some((ended, Outcome::Confirmed(position))) = write.ended {
                confirmed.push((write.began, ended, *position, write.value));
            }
        }
        let mut by_end = confirmed.clone();
        by_end.sort_by_key(|(_, ended, ..)| *ended);
        let (mut done, mut highest) = (by_end.into_iter().peekable(), None);
        for (began, _, position, value) in confirmed {
            while let Some((_, _, position, value)) = done.next_if(|(_, ended, ..)| *ended < began)
            {
                highest = highest.max(Some((position, value)));
            }
            if let Some((before, earlier)) = highest
                && before > position
            {
                return Err(format!(
                    "{value:?} at {position} began after {earlier:?} at {before} was confirmed"
                ));
            }
        }
        Ok(())
    }

    /// Each read shows all that was confirmed before its election began, all that any other read of
    /// the same positions shows, and lies within the log.
    fn check_reads(
        &self,
        writes: &BTreeMap<usize, Write<'_>>,
        log: &BTreeMap<Position, &Bytes>,
    ) -> Result<(), String> {
        let mut truncated = Position::ZERO;
        for event in &self.events {
            let (begin, to, entries, started) = match event {
                Event::Truncation { to } => {
                    truncated = truncated.max(*to);
                    continue;
                }
                Event::Read { begin, to, entries, started, .. } => (begin, to, entries, started),
                _ => continue,
            };
            if *begin > truncated.max(Position(1)) {
                return Err(format!(
                    "the log begins at {begin}, though cut at most to {truncated}"
                ));
            }
            let read: BTreeMap<Position, &Bytes> =
                entries.iter().map(|(position, value)| (*position, value)).collect();
            for write in writes.values() {
                let Some((ended, Outcome::Confirmed(position))) = write.ended else { continue };
                if ended < *started && position > to {
                    return Err(format!(
                        "a read up to {to} misses {:?}, confirmed at {position} before",
                        write.value
                    ));
                }
            }
            for (position, value) in log.range(*begin..).take_while(|(position, _)| *position <= to)
            {
                if read.get(position) != Some(value) {
                    return Err(format!("a read up to {to} misses {value:?} at {position}"));
                }
            }
        }
        Ok(())
    }
}
