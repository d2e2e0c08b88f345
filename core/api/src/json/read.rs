//! The reader's small parts, called by the generated code.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Number, Value};

use super::{JsonEnum, JsonError, JsonMessage, Object};

/// How much of a wrong value an error repeats.
const MAX_FOUND: usize = 60;

/// Where the reader stands, and which required fields it missed so far.
#[derive(Debug, Default)]
pub struct Reader {
    path: Vec<Step>,
    missing: Vec<String>,
}

#[derive(Debug)]
enum Step {
    Field(&'static str),
    Index(usize),
    Key(String),
}

/// A value that can stand behind a key.
pub trait JsonRead: Sized {
    fn read(value: &Value, reader: &mut Reader) -> Result<Self, JsonError>;
}

impl Reader {
    /// A field that must be there.
    pub(super) fn required<T: JsonRead>(
        &mut self,
        object: &Object,
        name: &'static str,
        slot: &mut T,
    ) -> Result<(), JsonError> {
        match present(object, name) {
            Some(value) => *slot = self.at(Step::Field(name), |reader| T::read(value, reader))?,
            None => self.miss(name),
        }
        Ok(())
    }

    /// A field that may be missing.
    pub(super) fn optional<T: JsonRead>(
        &mut self,
        object: &Object,
        name: &'static str,
        slot: &mut Option<T>,
    ) -> Result<(), JsonError> {
        if let Some(value) = present(object, name) {
            *slot = Some(self.at(Step::Field(name), |reader| T::read(value, reader))?);
        }
        Ok(())
    }

    /// A field whose absence means zero.
    pub(super) fn implicit<T: JsonRead>(
        &mut self,
        object: &Object,
        name: &'static str,
        slot: &mut T,
    ) -> Result<(), JsonError> {
        if let Some(value) = present(object, name) {
            *slot = self.at(Step::Field(name), |reader| T::read(value, reader))?;
        }
        Ok(())
    }

    /// A list; anything that is not one counts as its only element.
    pub(super) fn repeated<T: JsonRead>(
        &mut self,
        object: &Object,
        name: &'static str,
        slot: &mut Vec<T>,
    ) -> Result<(), JsonError> {
        self.each(object, name, |value, reader| {
            slot.push(T::read(value, reader)?);
            Ok(())
        })
    }

    /// A map.
    pub(super) fn map<T: JsonRead>(
        &mut self,
        object: &Object,
        name: &'static str,
        slot: &mut BTreeMap<String, T>,
    ) -> Result<(), JsonError> {
        let Some(value) = present(object, name) else {
            return Ok(());
        };
        self.at(Step::Field(name), |reader| {
            let Value::Object(entries) = value else {
                return Err(reader.mismatch("a JSON object", value));
            };
            for (key, value) in entries.iter().filter(|(_, value)| !value.is_null()) {
                let read = reader.at(Step::Key(key.clone()), |reader| T::read(value, reader))?;
                slot.insert(key.clone(), read);
            }
            Ok(())
        })
    }

    /// An enum's value that may be missing. An unknown name leaves it unset.
    pub(super) fn enumeration<E: JsonEnum>(
        &mut self,
        object: &Object,
        name: &'static str,
        slot: &mut Option<i32>,
    ) -> Result<(), JsonError> {
        if let Some(value) = present(object, name) {
            *slot = self.at(Step::Field(name), |reader| reader.number_of::<E>(value))?;
        }
        Ok(())
    }

    /// An enum's value that must be there and must be known.
    pub(super) fn required_enumeration<E: JsonEnum>(
        &mut self,
        object: &Object,
        name: &'static str,
        slot: &mut i32,
    ) -> Result<(), JsonError> {
        let Some(value) = present(object, name) else {
            self.miss(name);
            return Ok(());
        };
        *slot = self.at(Step::Field(name), |reader| {
            let number = reader.number_of::<E>(value)?;
            number.ok_or_else(|| reader.mismatch("the name of a value of the enum", value))
        })?;
        Ok(())
    }

    /// A list of an enum's values. Unknown names are left out.
    pub(super) fn enumerations<E: JsonEnum>(
        &mut self,
        object: &Object,
        name: &'static str,
        slot: &mut Vec<i32>,
    ) -> Result<(), JsonError> {
        self.each(object, name, |value, reader| {
            slot.extend(reader.number_of::<E>(value)?);
            Ok(())
        })
    }

    /// The error for a value of a wrong type where the reader stands.
    pub(super) fn mismatch(&self, expected: &'static str, found: &Value) -> JsonError {
        JsonError::Mismatch { path: self.path(None), expected, found: shorten(found) }
    }

    /// `message`, unless required fields are missing.
    pub(super) fn finish<M>(self, message: M) -> Result<M, JsonError> {
        if self.missing.is_empty() {
            Ok(message)
        } else {
            Err(JsonError::MissingRequired(self.missing))
        }
    }

    fn number_of<E: JsonEnum>(&self, value: &Value) -> Result<Option<i32>, JsonError> {
        match value {
            Value::String(name) => Ok(E::from_name(name)),
            other => Err(self.mismatch("the name of a value of the enum", other)),
        }
    }

    fn each(
        &mut self,
        object: &Object,
        name: &'static str,
        mut read: impl FnMut(&Value, &mut Self) -> Result<(), JsonError>,
    ) -> Result<(), JsonError> {
        let Some(value) = present(object, name) else {
            return Ok(());
        };
        self.at(Step::Field(name), |reader| {
            let values = match value {
                Value::Array(values) => values.as_slice(),
                single => std::slice::from_ref(single),
            };
            for (index, value) in values.iter().enumerate().filter(|(_, value)| !value.is_null()) {
                reader.at(Step::Index(index), |reader| read(value, reader))?;
            }
            Ok(())
        })
    }

    fn at<T>(
        &mut self,
        step: Step,
        read: impl FnOnce(&mut Self) -> Result<T, JsonError>,
    ) -> Result<T, JsonError> {
        self.path.push(step);
        let result = read(self);
        self.path.pop();
        result
    }

    fn miss(&mut self, name: &'static str) {
        let path = self.path(Some(name));
        self.missing.push(path);
    }

    /// The path to where the reader stands, or to a field there.
    fn path(&self, field: Option<&'static str>) -> String {
        let last = field.map(Step::Field);
        let mut path = String::new();
        for step in self.path.iter().chain(&last) {
            let dot = if path.is_empty() { "" } else { "." };
            // Writing to a string cannot fail.
            let _infallible = match step {
                Step::Field(name) => write!(path, "{dot}{name}"),
                Step::Index(index) => write!(path, "[{index}]"),
                Step::Key(key) => write!(path, "[{key:?}]"),
            };
        }
        path
    }
}

impl<M: JsonMessage> JsonRead for M {
    fn read(value: &Value, reader: &mut Reader) -> Result<Self, JsonError> {
        match value {
            Value::Object(object) => M::read_json(object, reader),
            other => Err(reader.mismatch("a JSON object", other)),
        }
    }
}

impl JsonRead for String {
    fn read(value: &Value, reader: &mut Reader) -> Result<Self, JsonError> {
        match value {
            Value::String(text) => Ok(text.clone()),
            other => Err(reader.mismatch("a string", other)),
        }
    }
}

impl JsonRead for Bytes {
    fn read(value: &Value, reader: &mut Reader) -> Result<Self, JsonError> {
        let bytes = value.as_str().and_then(|text| STANDARD.decode(text).ok());
        bytes.map(Self::from).ok_or_else(|| reader.mismatch("a string in base64", value))
    }
}

impl JsonRead for bool {
    fn read(value: &Value, reader: &mut Reader) -> Result<Self, JsonError> {
        match value {
            Value::Bool(value) => Ok(*value),
            Value::String(text) if text == "true" => Ok(true),
            Value::String(text) if text == "false" => Ok(false),
            other => Err(reader.mismatch("true or false", other)),
        }
    }
}

impl JsonRead for f64 {
    fn read(value: &Value, reader: &mut Reader) -> Result<Self, JsonError> {
        match value.as_str() {
            Some("Infinity") => return Ok(Self::INFINITY),
            Some("-Infinity") => return Ok(Self::NEG_INFINITY),
            Some("NaN") => return Ok(Self::NAN),
            _ => {}
        }
        let number = number(value).and_then(|number| number.as_f64());
        number.ok_or_else(|| reader.mismatch("a number", value))
    }
}

macro_rules! read_integers {
    ($($integer:ty: $expected:literal),*) => {
        $(impl JsonRead for $integer {
            fn read(value: &Value, reader: &mut Reader) -> Result<Self, JsonError> {
                let integer = number(value).and_then(|number| integer(&number));
                let integer = integer.and_then(|integer| Self::try_from(integer).ok());
                integer.ok_or_else(|| reader.mismatch($expected, value))
            }
        })*
    };
}

read_integers!(
    i32: "an integer of 32 bits",
    u32: "an integer of 32 bits, not below 0",
    i64: "an integer of 64 bits",
    u64: "an integer of 64 bits, not below 0"
);

/// The value behind a key, `null` counting as none.
fn present<'a>(object: &'a Object, name: &str) -> Option<&'a Value> {
    object.get(name).filter(|value| !value.is_null())
}

/// A number, also one that stands in a string.
fn number(value: &Value) -> Option<Number> {
    match value {
        Value::Number(number) => Some(number.clone()),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// The whole number that `number` is, also when written like `3.0` or `3e2`.
fn integer(number: &Number) -> Option<i128> {
    /// Below this every whole double stands for exactly one integer.
    const EXACT: f64 = 9_007_199_254_740_992.0;

    if let Some(integer) = number.as_i128() {
        return Some(integer);
    }
    let float = number.as_f64()?;
    #[allow(clippy::cast_possible_truncation)] // The bound just checked keeps it exact.
    (float.fract() == 0.0 && float.abs() <= EXACT).then_some(float as i128)
}

/// The beginning of a value's text.
fn shorten(value: &Value) -> String {
    let text = match value {
        Value::Object(_) => return "an object".to_owned(),
        Value::Array(_) => return "a list".to_owned(),
        other => other.to_string(),
    };
    match text.char_indices().nth(MAX_FOUND) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
