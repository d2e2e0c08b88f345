//! Mesos' JSON form of the `v1` messages.
//!
//! It differs from the JSON that proto3 defines, and clients depend on the differences:
//!
//! - Keys are the names of the `.proto` texts (`framework_info`), never camel case.
//! - 64-bit integers are numbers. A double always has a fraction or an exponent (`1.0`).
//! - An optional field with a default of its own is written even when it is unset, unless it is
//!   deprecated. Other unset fields, empty lists and empty maps are left out.
//! - `google.protobuf.Duration` is an object of `seconds` and `nanos`.
//!
//! The reader takes what Mesos takes: unknown keys, `null` for an unset field, numbers and booleans
//! as strings, a single value where a list is meant, an unknown name of an enum in an optional
//! field (which is then unset), bytes that are no UTF-8 inside a string (which are replaced), and
//! of a key that occurs twice the last. It refuses the number of an enum's value, a missing
//! required field, and nesting deeper than 127 levels, so that no input exhausts the stack.
//!
//! Two things differ from Mesos. Infinities and NaN are written as the strings `"Infinity"`,
//! `"-Infinity"` and `"NaN"` (Mesos writes them bare, which is not JSON); they are read in the same
//! form. A fractional number where an integer is meant is refused rather than cut.

mod error;
mod read;
mod write;

use serde_json::{Map, Value};

pub use error::JsonError;
pub use read::Reader;

/// A JSON object as the reader sees it.
pub type Object = Map<String, Value>;

/// A message that has a JSON form. Implemented, by generated code, for every `mesos.v1` message.
pub trait JsonMessage: Sized {
    /// Appends the message as one JSON object without white space.
    fn write_json(&self, out: &mut Vec<u8>);

    /// Makes a message of a JSON object. Missing required fields are noted in `reader`, so that
    /// all of them can be named at once.
    ///
    /// # Errors
    /// The first field whose value has a wrong type.
    fn read_json(object: &Object, reader: &mut Reader) -> Result<Self, JsonError>;
}

/// An enum of the `v1` messages.
trait JsonEnum: TryFrom<i32> {
    /// The name of the value in the `.proto` text.
    fn name(self) -> &'static str;
    /// The number of the value with that name.
    fn from_name(name: &str) -> Option<i32>;
}

/// Writes `message` as one line of JSON.
pub fn encode<M: JsonMessage>(message: &M) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    message.write_json(&mut out);
    out
}

/// Reads a message from the text of one JSON object.
///
/// # Errors
/// [`JsonError`], which names the field.
pub fn decode<M: JsonMessage>(text: &[u8]) -> Result<M, JsonError> {
    let text = String::from_utf8_lossy(text);
    let value: Value = serde_json::from_str(&text).map_err(JsonError::Syntax)?;
    from_value(&value)
}

/// Reads a message from a JSON value that was parsed before.
///
/// # Errors
/// [`JsonError`], which names the field.
pub fn from_value<M: JsonMessage>(value: &Value) -> Result<M, JsonError> {
    let mut reader = Reader::default();
    let message = match value {
        Value::Object(object) => M::read_json(object, &mut reader)?,
        other => return Err(reader.mismatch("a JSON object", other)),
    };
    reader.finish(message)
}

/// The JSON form of `message` as a value, for answers that are put together from parts. A message
/// nested deeper than 127 levels, which no decoder here lets in, gives `null`.
pub fn to_value<M: JsonMessage>(message: &M) -> Value {
    serde_json::from_slice(&encode(message)).unwrap_or(Value::Null)
}

impl<M: JsonMessage> JsonMessage for Box<M> {
    fn write_json(&self, out: &mut Vec<u8>) {
        M::write_json(self, out);
    }

    fn read_json(object: &Object, reader: &mut Reader) -> Result<Self, JsonError> {
        M::read_json(object, reader).map(Box::new)
    }
}

#[rustfmt::skip]
#[allow(clippy::all, clippy::pedantic)]
mod generated {
    use super::{JsonEnum, JsonError, JsonMessage, Object, Reader, write};

    include!(concat!(env!("OUT_DIR"), "/json.rs"));
}
