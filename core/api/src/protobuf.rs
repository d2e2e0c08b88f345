//! The binary encoding, checked for required fields.
//!
//! prost fills a missing required field with its zero and says nothing. Mesos refuses such a
//! message, so [`decode`] looks through the encoded bytes a second time, guided by tables that the
//! build script makes, and names what is missing. A value that an enum does not know counts as
//! missing, as it does in Mesos.

use prost::Message;
use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};

/// The most fields that a message's table may list; the build script sees to it. An array of that
/// length on the stack spares an allocation for each message that is looked into.
const MAX_FIELDS: usize = 64;

/// How deeply messages may be nested; prost's own bound.
const MAX_DEPTH: usize = 100;

/// Why bytes are not the expected message.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// The bytes are no protobuf, or messages are nested more than 100 deep.
    #[error("malformed protobuf: {0}")]
    Malformed(#[from] prost::DecodeError),
    /// A field says that it is longer than the bytes that are left.
    #[error("malformed protobuf: the length of a field reaches beyond the end")]
    Truncated,
    /// Required fields that are missing, as paths like `subscribe.framework_info.name`. The words
    /// are those of Mesos, which people search for.
    #[error("Missing required fields: {}", .0.join(", "))]
    MissingRequired(Vec<String>),
}

/// A message whose required fields are known. Implemented, by generated code, for every message.
pub trait Checked: Message + Default {
    /// The fields that can be missing.
    const SHAPE: &'static Shape;
}

/// The fields of a message that are required or that lead to required ones.
#[derive(Debug)]
pub struct Shape {
    fields: &'static [Field],
}

#[derive(Debug)]
struct Field {
    number: u32,
    name: &'static str,
    required: bool,
    repeated: bool,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    /// A message to look into.
    Message(&'static Shape),
    /// An enum, and whether it knows a number.
    Enum(fn(i32) -> bool),
    /// Anything else: its presence is enough.
    Other,
}

static NOTHING_REQUIRED: Shape = Shape { fields: &[] };

/// Writes `message` in the binary encoding.
pub fn encode<M: Message>(message: &M) -> Vec<u8> {
    message.encode_to_vec()
}

/// Reads a message from the binary encoding. A message field that comes in several pieces must be
/// complete in each of them.
///
/// # Errors
/// [`DecodeError`]; missing fields are named with their paths.
pub fn decode<M: Checked>(bytes: &[u8]) -> Result<M, DecodeError> {
    let message = M::decode(bytes)?;
    let mut check = Check::default();
    check.message(bytes, M::SHAPE)?;
    if check.missing.is_empty() {
        Ok(message)
    } else {
        Err(DecodeError::MissingRequired(check.missing))
    }
}

#[derive(Default)]
struct Check {
    path: Vec<(&'static str, Option<u32>)>,
    missing: Vec<String>,
}

impl Check {
    fn message(&mut self, mut bytes: &[u8], shape: &'static Shape) -> Result<(), DecodeError> {
        if shape.fields.is_empty() || self.path.len() > MAX_DEPTH {
            return Ok(());
        }
        let mut seen = [0_u32; MAX_FIELDS];
        // Writers keep the order of the fields, so the next one is nearly always where the last one
        // was, or right behind.
        let mut next = 0;
        while !bytes.is_empty() {
            let (number, wire_type) = decode_key(&mut bytes)?;
            match position(shape.fields, number, next) {
                Some(index) => {
                    next = index;
                    self.field(&mut bytes, wire_type, &shape.fields[index], &mut seen[index])?;
                }
                None => skip(wire_type, number, &mut bytes)?,
            }
        }
        for (field, count) in shape.fields.iter().zip(&seen) {
            if field.required && *count == 0 {
                let path = self.path_to(field.name);
                self.missing.push(path);
            }
        }
        Ok(())
    }

    /// Looks at one occurrence of a field and counts it if it is a valid one.
    fn field(
        &mut self,
        bytes: &mut &[u8],
        wire_type: WireType,
        field: &'static Field,
        count: &mut u32,
    ) -> Result<(), DecodeError> {
        match (&field.kind, wire_type) {
            (Kind::Message(shape), WireType::LengthDelimited) => {
                let inner = take_delimited(bytes)?;
                self.path.push((field.name, field.repeated.then_some(*count)));
                *count += 1;
                let result = self.message(inner, shape);
                self.path.pop();
                result
            }
            (Kind::Enum(is_valid), WireType::Varint) => {
                // The binary form of an enum is that of an int32, whose upper half is cut off.
                #[allow(clippy::cast_possible_truncation)]
                let number = decode_varint(bytes)? as i32;
                *count += u32::from(is_valid(number));
                Ok(())
            }
            _ => {
                skip(wire_type, field.number, bytes)?;
                *count += 1;
                Ok(())
            }
        }
    }

    fn path_to(&self, name: &str) -> String {
        let mut path = String::new();
        for (step, index) in &self.path {
            path.push_str(step);
            if let Some(index) = index {
                path.push_str(&format!("[{index}]"));
            }
            path.push('.');
        }
        path.push_str(name);
        path
    }
}

/// Where `number` stands among `fields`, looking from `start` on first.
fn position(fields: &[Field], number: u32, start: usize) -> Option<usize> {
    let (before, after) = fields.split_at_checked(start)?;
    let at = |fields: &[Field]| fields.iter().position(|field| field.number == number);
    at(after).map(|index| start + index).or_else(|| at(before))
}

/// Takes a value of no interest off the front of `bytes`.
fn skip(wire_type: WireType, number: u32, bytes: &mut &[u8]) -> Result<(), DecodeError> {
    match wire_type {
        WireType::LengthDelimited => take_delimited(bytes).map(drop),
        _ => Ok(skip_field(wire_type, number, bytes, DecodeContext::default())?),
    }
}

/// Splits a length-delimited value off the front of `bytes`.
fn take_delimited<'a>(bytes: &mut &'a [u8]) -> Result<&'a [u8], DecodeError> {
    let length = decode_varint(bytes)?;
    let split = usize::try_from(length).ok().and_then(|length| bytes.split_at_checked(length));
    match split {
        Some((value, rest)) => {
            *bytes = rest;
            Ok(value)
        }
        None => Err(DecodeError::Truncated),
    }
}

#[rustfmt::skip]
#[allow(clippy::all, clippy::pedantic)]
mod generated {
    use super::{Checked, Field, Kind, NOTHING_REQUIRED, Shape};

    include!(concat!(env!("OUT_DIR"), "/required.rs"));
}
