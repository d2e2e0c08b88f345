//! What stands in the fields of faults, as words.

use std::time::Duration;

#[cfg(test)]
use proptest::prelude::*;

use super::text::{ParseFaultError, Text, Words};
use crate::config::Latency;
use crate::crash_point::{CrashKind, Moment};
use crate::disk::{DiskOperation, Tearing};
use crate::network::{Connecting, Ending};
use crate::probability::Probability;

/// Whether a fault between two hosts goes from the first to the second alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ways {
    /// There and back.
    Both,
    /// From the first to the second.
    One,
}

/// How many of the streams between two hosts are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// All.
    All,
    /// A random one.
    One,
}

/// How far a wall clock is ahead of the true time, in nanoseconds; behind it when negative.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ahead(pub i64);

/// Values that are one of a few words.
macro_rules! words {
    ($($type:ty, $expected:literal: $($word:literal => $value:expr),+;)*) => {$(
        impl Text for $type {
            fn write(&self, words: &mut Vec<String>) {
                $(if *self == $value {
                    words.push($word.to_owned());
                })+
            }

            fn read(field: &'static str, words: &mut Words) -> Result<Self, ParseFaultError> {
                words.parse(field, $expected, |word| match word {
                    $($word => Some($value),)+
                    _ => None,
                })
            }

            #[cfg(test)]
            fn any() -> BoxedStrategy<Self> {
                prop_oneof![$(Just($value)),+].boxed()
            }
        }
    )*};
}

words! {
    bool, "on or off": "on" => true, "off" => false;
    Ways, "both-ways or one-way": "both-ways" => Self::Both, "one-way" => Self::One;
    Extent, "all or one": "all" => Self::All, "one" => Self::One;
    Connecting, "normal, hang, refuse or close": "normal" => Self::Normal, "hang" => Self::Hang,
        "refuse" => Self::Refuse, "close" => Self::Close;
    Ending, "reset, end or silence": "reset" => Self::Reset, "end" => Self::End,
        "silence" => Self::Silence;
    DiskOperation, "read, write or sync": "read" => Self::Read, "write" => Self::Write,
        "sync" => Self::Sync;
    Moment, "before or after": "before" => Self::Before, "after" => Self::After;
    CrashKind, "process or host": "process" => Self::ProcessKill, "host" => Self::HostCrash;
}

/// Values that are one word of a form of their own.
macro_rules! word {
    ($($type:ty, $expected:literal: $write:expr, $read:expr, $any:expr;)*) => {$(
        impl Text for $type {
            fn write(&self, words: &mut Vec<String>) {
                words.push($write(self));
            }

            fn read(field: &'static str, words: &mut Words) -> Result<Self, ParseFaultError> {
                words.parse(field, $expected, $read)
            }

            #[cfg(test)]
            fn any() -> BoxedStrategy<Self> {
                $any.boxed()
            }
        }
    )*};
}

word! {
    String, "a word": String::clone, |word| Some(word.to_owned()),
        "[a-z*/. \"\\\\\n\r\u{2028},-]{0,12}";
    u8, "a number from 0 to 255": u8::to_string, |word| word.parse().ok(), any::<u8>();
    u32, "a whole number": u32::to_string, |word| word.parse().ok(), any::<u32>();
    usize, "a whole number": usize::to_string, |word| word.parse().ok(), any::<usize>();
    u64, "a whole number": u64::to_string, |word| word.parse().ok(), any::<u64>();
    i64, "a whole number": i64::to_string, |word| word.parse().ok(), any::<i64>();
    Vec<String>, "names separated by commas": |names: &Vec<String>| names.join(","), names,
        prop::collection::vec("[a-z0-9-]{1,8}", 0..4);
    Duration, "a number with ns, us, ms, s, m or h": |duration: &Duration| {
            write_time(duration.as_nanos())
        }, |word| read_time(word).map(Duration::from_nanos),
        any_time().prop_map(Duration::from_nanos);
    Latency, "two times, as in 1ms..2s": |latency: &Latency| {
            let [minimum, maximum] = [latency.minimum, latency.maximum];
            format!("{}..{}", write_time(minimum.as_nanos()), write_time(maximum.as_nanos()))
        }, read_latency, (Duration::any(), Duration::any())
            .prop_map(|(minimum, maximum)| Latency { minimum, maximum });
    Ahead, "a time, with a minus when it is behind": |ahead: &Ahead| {
            let sign = if ahead.0 < 0 { "-" } else { "" };
            format!("{sign}{}", write_time(u128::from(ahead.0.unsigned_abs())))
        }, read_ahead, any::<i64>().prop_map(Ahead);
    Probability, "per cent with up to four decimals": Probability::to_string, Probability::parse,
        (0..=1_000_000_u32).prop_map(Probability::from_parts_per_million);
    Tearing, "mixed, blocks-SIZE or scattered-SIZE": write_tearing, read_tearing,
        prop_oneof![Just(Tearing::Mixed), any::<u32>().prop_map(Tearing::Blocks),
            any::<u32>().prop_map(Tearing::Scattered)];
}

const UNITS: [(&str, u64); 6] = [
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

/// In the largest unit that leaves a whole number; zero in seconds.
fn write_time(nanoseconds: u128) -> String {
    if nanoseconds == 0 {
        return "0s".to_owned();
    }
    let unit = UNITS.iter().find(|(_, length)| nanoseconds.is_multiple_of(u128::from(*length)));
    let (unit, length) = unit.copied().unwrap_or(("ns", 1));
    format!("{}{unit}", nanoseconds / u128::from(length))
}

fn read_time(word: &str) -> Option<u64> {
    let digits = word.trim_end_matches(|character: char| character.is_ascii_lowercase());
    let unit = UNITS.iter().find(|(unit, _)| *unit == &word[digits.len()..])?;
    let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| digits.parse::<u64>().ok()?.checked_mul(unit.1))?
}

fn read_latency(word: &str) -> Option<Latency> {
    let (minimum, maximum) = word.split_once("..")?;
    let time = |word| read_time(word).map(Duration::from_nanos);
    Some(Latency { minimum: time(minimum)?, maximum: time(maximum)? })
}

fn read_ahead(word: &str) -> Option<Ahead> {
    let (negative, time) = word.strip_prefix('-').map_or((false, word), |time| (true, time));
    let time = i128::from(read_time(time)?);
    i64::try_from(if negative { -time } else { time }).ok().map(Ahead)
}

fn names(word: &str) -> Option<Vec<String>> {
    let names: Vec<String> = word.split(',').map(str::to_owned).collect();
    match names.iter().any(String::is_empty) {
        true => word.is_empty().then(Vec::new),
        false => Some(names),
    }
}

fn write_tearing(tearing: &Tearing) -> String {
    match tearing {
        Tearing::Mixed => "mixed".to_owned(),
        Tearing::Blocks(size) => format!("blocks-{size}"),
        Tearing::Scattered(size) => format!("scattered-{size}"),
    }
}

fn read_tearing(word: &str) -> Option<Tearing> {
    match word.split_once('-') {
        None => (word == "mixed").then_some(Tearing::Mixed),
        Some(("blocks", size)) => size.parse().ok().map(Tearing::Blocks),
        Some(("scattered", size)) => size.parse().ok().map(Tearing::Scattered),
        Some(_) => None,
    }
}

#[cfg(test)]
fn any_time() -> impl Strategy<Value = u64> {
    let unit = prop::sample::select(UNITS.map(|(_, length)| length).to_vec());
    prop_oneof![any::<u64>(), (0..100_u64, unit).prop_map(|(count, length)| count * length)]
}

const NONE: &str = "none";

impl<T: Text + std::fmt::Debug + 'static> Text for Option<T> {
    fn write(&self, words: &mut Vec<String>) {
        match self {
            Some(value) => value.write(words),
            None => words.push(NONE.to_owned()),
        }
    }

    fn read(field: &'static str, words: &mut Words) -> Result<Self, ParseFaultError> {
        if words.next_if(NONE) { Ok(None) } else { T::read(field, words).map(Some) }
    }

    #[cfg(test)]
    fn any() -> BoxedStrategy<Self> {
        prop::option::of(T::any()).boxed()
    }
}
