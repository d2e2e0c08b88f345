//! The text forms of resources: the flag's `cpus:4;ports(web):[80-81]`, JSON, and what is printed.

#![allow(deprecated)] // `role` is the older format's field and the flag's way to reserve.

use std::fmt;

use orrery_api::v1;
use orrery_api::v1::value::Type;

use crate::resources::Resources;
use crate::resources::error::{Problem, ResourceError};
use crate::resources::iter::{Entry, ValueRef};
use crate::resources::qualities::{Reservation, ReservationType};
use crate::value::{self, Value};

/// Reads the text of a flag like [`Resources::parse`], but gives the single messages, unchecked
/// and with amounts of zero. An agent needs these to tell `gpus:0` from no word about GPUs.
pub fn parse_messages(text: &str, default_role: &str) -> Result<Vec<v1::Resource>, ResourceError> {
    let text = text.trim();
    let mut messages = match text.starts_with('[') {
        true => parse_json(text)?,
        false => {
            let pairs = text.split([';', '\n']).map(str::trim).filter(|pair| !pair.is_empty());
            pairs.map(parse_pair).collect::<Result<_, _>>()?
        }
    };
    for message in &mut messages {
        if message.role.is_none() && message.reservations.is_empty() {
            message.role = Some(default_role.to_owned());
        }
    }
    Ok(messages)
}

fn parse_json(text: &str) -> Result<Vec<v1::Resource>, ResourceError> {
    let json = |error: String| ResourceError::new(text, Problem::Json(error));
    let list: Vec<serde_json::Value> =
        serde_json::from_str(text).map_err(|error| json(error.to_string()))?;
    let object = |value: serde_json::Value| {
        orrery_api::json::decode::<v1::Resource>(value.to_string().as_bytes())
            .map_err(|error| json(error.to_string()))
    };
    list.into_iter().map(object).collect()
}

fn parse_pair(pair: &str) -> Result<v1::Resource, ResourceError> {
    let wrong = || ResourceError::new(pair, Problem::Pair);
    let (key, text) = pair.split_once(':').ok_or_else(wrong)?;
    let (name, role) = match key.trim().split_once('(') {
        None => (key.trim(), None),
        Some((name, rest)) => (name.trim(), Some(rest.strip_suffix(')').ok_or_else(wrong)?.trim())),
    };
    if name.is_empty() {
        return Err(wrong());
    }
    let value = value::parse(text).map_err(|error| ResourceError::new(name, error))?;
    let mut message = v1::Resource { name: name.to_owned(), ..Default::default() };
    message.role = role.map(str::to_owned);
    message.r#type = match value {
        Value::Scalar(scalar) => {
            message.scalar = Some(v1::value::Scalar { value: scalar.as_f64() });
            Type::Scalar
        }
        Value::Ranges(ranges) => {
            message.ranges = Some((&ranges).into());
            Type::Ranges
        }
        Value::Set(items) => {
            message.set = Some(v1::value::Set { item: items.into_iter().collect() });
            Type::Set
        }
        Value::Text(text) => return Err(ResourceError::new(name, Problem::Text(text))),
    } as i32;
    Ok(message)
}

impl fmt::Display for Resources {
    /// `cpus:2; mem:1024; ports:[31000-32000]`, with allocation roles, reservations and other
    /// qualities in brackets after the name.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, entry) in self.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(formatter, "{separator}{entry}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Entry<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())?;
        if let Some(role) = self.allocation_role() {
            write!(formatter, "(allocated: {role})")?;
        }
        if !self.reservations().is_empty() {
            let levels: Vec<String> = self.reservations().iter().map(level_text).collect();
            write!(formatter, "(reservations: [{}])", levels.join(","))?;
        }
        self.fmt_disk(formatter)?;
        if self.is_revocable() {
            formatter.write_str("{REV}")?;
        }
        if self.is_shared() {
            formatter.write_str("<SHARED>")?;
        }
        write!(formatter, ":{}", self.value())
    }
}

impl Entry<'_> {
    fn fmt_disk(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(disk) = self.disk() else {
            return Ok(());
        };
        let mut parts = Vec::new();
        if let Some(source) = &disk.source {
            parts.push(source.r#type().as_str_name().to_owned());
            parts.extend(source.id.clone());
            parts.extend(source.profile.clone());
        }
        if let Some(persistence) = &disk.persistence {
            parts.push(persistence.id.clone());
        }
        parts.extend(disk.volume.as_ref().map(|volume| volume.container_path.clone()));
        write!(formatter, "[{}]", parts.join(":"))
    }
}

fn level_text(level: &Reservation) -> String {
    let kind = match level.kind {
        ReservationType::Static => "STATIC",
        ReservationType::Dynamic => "DYNAMIC",
    };
    let mut parts = vec![kind.to_owned(), level.role.clone()];
    parts.extend(level.principal.clone());
    if let Some(labels) = &level.labels {
        let label = |(key, value): &(String, Option<String>)| match value {
            Some(value) => format!("{key}: {value}"),
            None => key.clone(),
        };
        let labels: Vec<String> = labels.iter().map(label).collect();
        parts.push(format!("{{{}}}", labels.join(", ")));
    }
    format!("({})", parts.join(","))
}

impl fmt::Display for ValueRef<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scalar(scalar) => scalar.fmt(formatter),
            Self::Ranges(ranges) => ranges.fmt(formatter),
            Self::Set(items) => {
                let items: Vec<&str> = items.iter().map(String::as_str).collect();
                write!(formatter, "{{{}}}", items.join(", "))
            }
        }
    }
}
