//! Values: from text by kind, back to text for `/flags`, and into Rust types.

use core::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use orrery_model::{bytes_size, duration};
use orrery_runtime::Address;

use crate::spec::Kind;

/// How often something may happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// So many times …
    pub count: u64,
    /// … in this time.
    pub per: Duration,
}

/// A flag's value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Of [`Kind::Text`], [`Kind::Path`] and [`Kind::Json`].
    Text(String),
    /// Of [`Kind::Boolean`].
    Boolean(bool),
    /// Of [`Kind::Integer`], [`Kind::Count`] and [`Kind::Port`].
    Integer(i64),
    /// Of [`Kind::Double`].
    Double(f64),
    /// Of [`Kind::Duration`].
    Duration(Duration),
    /// Of [`Kind::Bytes`].
    Bytes(u64),
    /// Of [`Kind::Percent`], 0–100.
    Percent(f64),
    /// Of [`Kind::Ip`].
    Ip(IpAddr),
    /// Of [`Kind::Master`].
    Address(Address),
    /// Of [`Kind::Rate`].
    Rate(Rate),
}

impl Value {
    /// Reads `text` as a value of `kind`; `None` when it has another form.
    pub fn read(kind: Kind, text: &str) -> Option<Self> {
        match kind {
            Kind::Text | Kind::Path => Some(Self::Text(text.to_owned())),
            Kind::Masters => Some(Self::Text(text.trim().to_owned())),
            Kind::Boolean => read_boolean(text).map(Self::Boolean),
            Kind::Integer => text.parse().ok().map(Self::Integer),
            Kind::Count => text.parse().ok().filter(|&count| count >= 0).map(Self::Integer),
            Kind::Port => text.parse::<u16>().ok().map(|port| Self::Integer(port.into())),
            Kind::Double => read_double(text).map(Self::Double),
            Kind::Duration => duration::parse(text).ok().map(Self::Duration),
            Kind::Bytes => bytes_size::parse(text).ok().map(Self::Bytes),
            Kind::Percent => read_percent(text).map(Self::Percent),
            Kind::Ip => text.parse().ok().map(Self::Ip),
            Kind::Master => text.trim().parse().ok().map(Self::Address),
            Kind::Json => read_json(text),
            Kind::Rate => read_rate(text).map(Self::Rate),
        }
    }

    /// The form that `/flags` shows.
    pub fn show(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Boolean(boolean) => boolean.to_string(),
            Self::Integer(number) => number.to_string(),
            Self::Double(number) => number.to_string(),
            Self::Duration(value) => duration::format(*value),
            Self::Bytes(bytes) => bytes_size::format(*bytes),
            Self::Percent(number) => format!("{number}%"),
            Self::Ip(address) => address.to_string(),
            Self::Address(address) => address.to_string(),
            Self::Rate(rate) => format!("{}/{}", rate.count, duration::format(rate.per)),
        }
    }

    /// Whether it is less than another value of the same kind; false where there is no order.
    pub(crate) fn is_less_than(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Integer(left), Self::Integer(right)) => left < right,
            (Self::Double(left), Self::Double(right)) => left < right,
            (Self::Duration(left), Self::Duration(right)) => left < right,
            (Self::Bytes(left), Self::Bytes(right)) => left < right,
            _ => false,
        }
    }
}

fn read_boolean(text: &str) -> Option<bool> {
    match text {
        "true" | "1" => Some(true),
        "false" | "0" => Some(false),
        _ => None,
    }
}

fn read_double(text: &str) -> Option<f64> {
    text.parse().ok().filter(|number: &f64| number.is_finite())
}

fn read_percent(text: &str) -> Option<f64> {
    let number = read_double(text.strip_suffix('%')?)?;
    (0.0..=100.0).contains(&number).then_some(number)
}

fn read_json(text: &str) -> Option<Value> {
    let parsed = serde_json::from_str::<serde_json::Value>(text);
    parsed.is_ok().then(|| Value::Text(text.to_owned()))
}

fn read_rate(text: &str) -> Option<Rate> {
    let (count, per) = text.split_once('/')?;
    let per = duration::parse(per).ok().filter(|per| !per.is_zero())?;
    Some(Rate { count: count.parse().ok().filter(|&count| count > 0)?, per })
}

/// A Rust type in which a program asks for a flag's value.
pub trait FlagValue: Sized {
    /// The value as this type; `None` when the flag is of another kind or does not fit.
    fn from_value(value: &Value) -> Option<Self>;
}

impl FlagValue for String {
    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Text(text) => Some(text.clone()),
            _ => None,
        }
    }
}

impl FlagValue for PathBuf {
    /// A path's `file://` is dropped: those who open the file want a path.
    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Text(text) => Some(text.strip_prefix("file://").unwrap_or(text).into()),
            _ => None,
        }
    }
}

impl FlagValue for Duration {
    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Duration(duration) => Some(*duration),
            _ => None,
        }
    }
}

impl FlagValue for u64 {
    /// A size in bytes, or a count.
    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Bytes(bytes) => Some(*bytes),
            Value::Integer(number) => Self::try_from(*number).ok(),
            _ => None,
        }
    }
}

impl FlagValue for f64 {
    /// A decimal number, or the number before the percent sign.
    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Double(number) | Value::Percent(number) => Some(*number),
            _ => None,
        }
    }
}

macro_rules! plain_values {
    ($($variant:ident => $type:ty),* $(,)?) => {$(
        impl FlagValue for $type {
            fn from_value(value: &Value) -> Option<Self> {
                match value {
                    Value::$variant(inner) => Some(inner.clone()),
                    _ => None,
                }
            }
        }
    )*};
}

plain_values! {
    Boolean => bool,
    Integer => i64,
    Ip => IpAddr,
    Address => Address,
    Rate => Rate,
}

macro_rules! small_integers {
    ($($type:ty),* $(,)?) => {$(
        impl FlagValue for $type {
            fn from_value(value: &Value) -> Option<Self> {
                match value {
                    Value::Integer(number) => Self::try_from(*number).ok(),
                    _ => None,
                }
            }
        }
    )*};
}

small_integers!(u16, u32, usize);
