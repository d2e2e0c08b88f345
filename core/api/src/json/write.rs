//! The writer's small parts, called by the generated code.
//!
//! Each field is appended with a comma behind it; [`close`] turns the last comma into the brace.
//! No value can end in a comma, so the last byte alone tells whether the object is empty.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

use super::{JsonEnum, JsonMessage};

/// A value that can stand behind a key.
pub trait JsonWrite {
    fn write(&self, out: &mut Vec<u8>);
}

impl<M: JsonMessage> JsonWrite for M {
    fn write(&self, out: &mut Vec<u8>) {
        self.write_json(out);
    }
}

impl JsonWrite for str {
    fn write(&self, out: &mut Vec<u8>) {
        primitive(out, self);
    }
}

impl JsonWrite for String {
    fn write(&self, out: &mut Vec<u8>) {
        primitive(out, self.as_str());
    }
}

impl JsonWrite for Bytes {
    fn write(&self, out: &mut Vec<u8>) {
        out.push(b'"');
        let start = out.len();
        let length = base64::encoded_len(self.len(), true).unwrap_or_default();
        out.resize(start + length, 0);
        // The buffer has exactly the length that the engine asked for, so this cannot fail.
        let written = STANDARD.encode_slice(self, &mut out[start..]).unwrap_or_default();
        out.truncate(start + written);
        out.push(b'"');
    }
}

impl JsonWrite for bool {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(if *self { b"true" } else { b"false" });
    }
}

impl JsonWrite for f64 {
    fn write(&self, out: &mut Vec<u8>) {
        if self.is_finite() {
            primitive(out, self);
        } else if self.is_nan() {
            out.extend_from_slice(b"\"NaN\"");
        } else if *self > 0.0 {
            out.extend_from_slice(b"\"Infinity\"");
        } else {
            out.extend_from_slice(b"\"-Infinity\"");
        }
    }
}

macro_rules! write_integers {
    ($($integer:ty),*) => {
        $(impl JsonWrite for $integer {
            fn write(&self, out: &mut Vec<u8>) {
                primitive(out, self);
            }
        })*
    };
}

write_integers!(i32, u32, i64, u64);

/// Numbers and strings are written by serde_json straight into the buffer, which cannot fail.
fn primitive<T: serde::Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) {
    let _infallible = serde_json::to_writer(out, value);
}

/// Begins an object.
pub fn open(out: &mut Vec<u8>) {
    out.push(b'{');
}

/// Ends an object.
pub fn close(out: &mut Vec<u8>) {
    close_with(out, b'}');
}

fn close_with(out: &mut Vec<u8>, bracket: u8) {
    match out.last_mut() {
        Some(last) if *last == b',' => *last = bracket,
        _ => out.push(bracket),
    }
}

/// A field that is always there. `key` is quoted and has its colon.
pub fn field<T: JsonWrite + ?Sized>(out: &mut Vec<u8>, key: &str, value: &T) {
    out.extend_from_slice(key.as_bytes());
    value.write(out);
    out.push(b',');
}

/// A field that may be unset.
pub fn optional<T: JsonWrite>(out: &mut Vec<u8>, key: &str, value: &Option<T>) {
    if let Some(value) = value {
        field(out, key, value);
    }
}

/// A field whose zero means that it is unset.
pub fn non_zero<T: JsonWrite + Default + PartialEq>(out: &mut Vec<u8>, key: &str, value: &T) {
    if *value != T::default() {
        field(out, key, value);
    }
}

/// An enum that may be unset. A number without a name counts as unset.
pub fn enumeration<E: JsonEnum>(out: &mut Vec<u8>, key: &str, number: Option<i32>) {
    if let Some(value) = number.and_then(|number| E::try_from(number).ok()) {
        field(out, key, value.name());
    }
}

/// A list, left out when empty.
pub fn repeated<T: JsonWrite>(out: &mut Vec<u8>, key: &str, values: &[T]) {
    if !values.is_empty() {
        list(out, key, values);
    }
}

/// A list that is written even when it is empty.
pub fn list<T: JsonWrite>(out: &mut Vec<u8>, key: &str, values: &[T]) {
    out.extend_from_slice(key.as_bytes());
    out.push(b'[');
    for value in values {
        value.write(out);
        out.push(b',');
    }
    close_with(out, b']');
    out.push(b',');
}

/// A list of an enum's values, left out when empty.
pub fn enumerations<E: JsonEnum>(out: &mut Vec<u8>, key: &str, numbers: &[i32]) {
    if numbers.is_empty() {
        return;
    }
    out.extend_from_slice(key.as_bytes());
    out.push(b'[');
    for value in numbers.iter().filter_map(|number| E::try_from(*number).ok()) {
        value.name().write(out);
        out.push(b',');
    }
    close_with(out, b']');
    out.push(b',');
}

/// A map as an object, left out when empty.
pub fn map<T: JsonWrite>(out: &mut Vec<u8>, key: &str, values: &BTreeMap<String, T>) {
    if values.is_empty() {
        return;
    }
    out.extend_from_slice(key.as_bytes());
    open(out);
    for (name, value) in values {
        name.write(out);
        out.push(b':');
        value.write(out);
        out.push(b',');
    }
    close(out);
    out.push(b',');
}
