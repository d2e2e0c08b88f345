//! Values of several words: tails, misbehaviour, crash points.

#[cfg(test)]
use proptest::prelude::*;

use super::text::{ParseFaultError, Text, Words};
#[cfg(test)]
use crate::config::Latency;
use crate::config::Tail;
#[cfg(test)]
use crate::crash_point::{CrashKind, Moment};
use crate::crash_point::{CrashPoint, Operation};
#[cfg(test)]
use crate::probability::Probability;
use crate::process::Behaviour;

impl Text for Tail {
    fn write(&self, words: &mut Vec<String>) {
        self.probability.write(words);
        self.latency.write(words);
    }

    fn read(field: &'static str, words: &mut Words) -> Result<Self, ParseFaultError> {
        let probability = Text::read(field, words)?;
        Ok(Self { probability, latency: Text::read(field, words)? })
    }

    #[cfg(test)]
    fn any() -> BoxedStrategy<Self> {
        let both = (Probability::any(), Latency::any());
        both.prop_map(|(probability, latency)| Self { probability, latency }).boxed()
    }
}

impl Text for Behaviour {
    fn write(&self, words: &mut Vec<String>) {
        let mut word = |word: &str| words.push(word.to_owned());
        match self {
            Self::Exit { within, code } => {
                word("exit");
                within.write(words);
                code.write(words);
            }
            Self::Die { within } => {
                word("die");
                within.write(words);
            }
            Self::Hang => word("hang"),
            Self::IgnoreTerminate => word("ignore-terminate"),
        }
    }

    fn read(field: &'static str, words: &mut Words) -> Result<Self, ParseFaultError> {
        let expected = "exit, die, hang, ignore-terminate or none";
        let word = words.next(field, expected)?;
        Ok(match word.as_str() {
            "exit" => {
                Self::Exit { within: Text::read(field, words)?, code: Text::read(field, words)? }
            }
            "die" => Self::Die { within: Text::read(field, words)? },
            "hang" => Self::Hang,
            "ignore-terminate" => Self::IgnoreTerminate,
            _ => return Err(ParseFaultError::new(field, &word, expected)),
        })
    }

    #[cfg(test)]
    fn any() -> BoxedStrategy<Self> {
        let exit = (Latency::any(), u8::any());
        prop_oneof![
            exit.prop_map(|(within, code)| Self::Exit { within, code }),
            Latency::any().prop_map(|within| Self::Die { within }),
            Just(Self::Hang),
            Just(Self::IgnoreTerminate),
        ]
        .boxed()
    }
}

impl Text for Operation {
    fn write(&self, words: &mut Vec<String>) {
        let (word, pattern) = match self {
            Self::Open(pattern) => ("open", pattern),
            Self::Write(pattern) => ("write", pattern),
            Self::Sync(pattern) => ("sync", pattern),
            Self::Rename(pattern) => ("rename", pattern),
            Self::Remove(pattern) => ("remove", pattern),
            Self::Launch(pattern) => ("launch", pattern),
            Self::Send(bytes) => ("send", &bytes.to_string()),
        };
        words.extend([word.to_owned(), pattern.clone()]);
    }

    fn read(field: &'static str, words: &mut Words) -> Result<Self, ParseFaultError> {
        let expected = "open, write, sync, rename, remove, launch or send";
        let word = words.next(field, expected)?;
        let make = match word.as_str() {
            "open" => Self::Open,
            "write" => Self::Write,
            "sync" => Self::Sync,
            "rename" => Self::Rename,
            "remove" => Self::Remove,
            "launch" => Self::Launch,
            "send" => return Text::read("bytes", words).map(Self::Send),
            _ => return Err(ParseFaultError::new(field, &word, expected)),
        };
        Text::read("pattern", words).map(make)
    }

    #[cfg(test)]
    fn any() -> BoxedStrategy<Self> {
        let makers =
            [Self::Open, Self::Write, Self::Sync, Self::Rename, Self::Remove, Self::Launch];
        let on_path = (prop::sample::select(makers.to_vec()), String::any());
        prop_oneof![
            6 => on_path.prop_map(|(make, pattern)| make(pattern)),
            1 => u64::any().prop_map(Self::Send),
        ]
        .boxed()
    }
}

impl Text for CrashPoint {
    fn write(&self, words: &mut Vec<String>) {
        self.process.write(words);
        self.operation.write(words);
        self.nth.write(words);
        self.moment.write(words);
        self.kind.write(words);
    }

    fn read(_field: &'static str, words: &mut Words) -> Result<Self, ParseFaultError> {
        Ok(Self {
            process: Text::read("process", words)?,
            operation: Text::read("operation", words)?,
            nth: Text::read("nth", words)?,
            moment: Text::read("moment", words)?,
            kind: Text::read("kind", words)?,
        })
    }

    #[cfg(test)]
    fn any() -> BoxedStrategy<Self> {
        let parts = (String::any(), Operation::any(), u64::any(), Moment::any(), CrashKind::any());
        let make = |(process, operation, nth, moment, kind)| Self {
            process,
            operation,
            nth,
            moment,
            kind,
        };
        parts.prop_map(make).boxed()
    }
}
