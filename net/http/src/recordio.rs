//! RecordIO: each record is its length in decimal ASCII, a newline, and exactly that many bytes.
//! Records follow each other without anything between them, in whatever pieces they arrive.

use bytes::{Buf, Bytes, BytesMut};

use crate::planted::PlantedBug;

use orrery_coverage::{reachable, sometimes};

/// Most digits of a length: as many as the largest 64-bit number has.
const DIGITS_MAX: usize = 20;

/// A record with its length before it.
pub fn encode(record: &[u8]) -> Bytes {
    let mut digits = [0; DIGITS_MAX];
    let digits = decimal(record.len() as u64, &mut digits);
    let mut bytes = BytesMut::with_capacity(digits.len() + 1 + record.len());
    bytes.extend_from_slice(digits);
    bytes.extend_from_slice(b"\n");
    bytes.extend_from_slice(record);
    bytes.freeze()
}

/// Writes `number` at the end of `space` and returns the part that was written.
fn decimal(mut number: u64, space: &mut [u8; DIGITS_MAX]) -> &[u8] {
    let mut start = DIGITS_MAX;
    loop {
        start -= 1;
        space[start] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            return &space[start..];
        }
    }
}

/// Why bytes are not a stream of records. Nothing after the error can be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// The line before a record holds something else than digits.
    #[error("the record's length is '{}': expected decimal digits", .seen.escape_ascii())]
    NotANumber {
        /// The line as far as it was read.
        seen: Bytes,
    },
    /// The line before a record has more digits than any length.
    #[error("the record's length '{}' goes on after {DIGITS_MAX} digits", .seen.escape_ascii())]
    TooLong {
        /// The line as far as it was read.
        seen: Bytes,
    },
    /// The record is larger than the reader allows.
    #[error("the record's length is {}: expected at most {max_record}", .seen.escape_ascii())]
    TooLarge {
        /// The line that states the length.
        seen: Bytes,
        /// What is allowed, in bytes.
        max_record: usize,
    },
}

/// Takes a stream apart into its records.
#[derive(Debug)]
pub struct Decoder {
    max_record: usize,
    buffer: BytesMut,
    state: State,
    /// In how many pieces the present record has come so far, its length included.
    pieces: u32,
}

#[derive(Debug)]
enum State {
    /// In the length line, of which this many bytes are known to be digits.
    Length { digits: usize },
    /// Before or in a record of this many bytes.
    Record { length: usize },
    /// What came is no stream of records.
    Failed(RecordError),
}

impl Decoder {
    /// A decoder that takes records of up to `max_record` bytes.
    pub fn new(max_record: usize) -> Self {
        let state = State::Length { digits: 0 };
        Self { max_record, buffer: BytesMut::new(), state, pieces: 0 }
    }

    /// Adds bytes as they came. After an error they are ignored.
    pub fn push(&mut self, bytes: &[u8]) {
        if !matches!(self.state, State::Failed(_)) {
            self.pieces = self.pieces.saturating_add(1);
            self.buffer.extend_from_slice(bytes);
        }
    }

    /// The next whole record; `None` when more bytes are needed.
    ///
    /// # Errors
    /// What came is no stream of records. Every later call returns the same error.
    #[allow(clippy::should_implement_trait, reason = "it can be asked again after None")]
    pub fn next(&mut self) -> Result<Option<Bytes>, RecordError> {
        loop {
            match &self.state {
                State::Failed(error) => return Err(error.clone()),
                State::Record { length } => {
                    let length = *length;
                    let waits = PlantedBug::RecordWaitsForTheNext.is_planted();
                    if self.buffer.len() < length + usize::from(waits) {
                        return Ok(None);
                    }
                    sometimes!(self.pieces >= 3, "a record comes in three pieces or more");
                    sometimes!(
                        self.buffer.len() > length,
                        "a piece holds the end of one record and more"
                    );
                    self.pieces = u32::from(self.buffer.len() > length);
                    self.state = State::Length { digits: 0 };
                    return Ok(Some(self.buffer.split_to(length).freeze()));
                }
                State::Length { digits } => match self.read_length(*digits) {
                    Ok(Some(state)) => self.state = state,
                    Ok(None) => return Ok(None),
                    Err(error) => self.state = State::Failed(error),
                },
            }
        }
    }

    /// True when the stream may end here: no record has begun.
    pub fn is_at_boundary(&self) -> bool {
        self.buffer.is_empty() && matches!(self.state, State::Length { .. })
    }

    /// Goes on in the length line, of which `known` bytes are digits. Returns the state after it,
    /// or `None` when the line is not whole yet.
    fn read_length(&mut self, known: usize) -> Result<Option<State>, RecordError> {
        let fresh = self.buffer.get(known..).unwrap_or_default();
        let digits = known + fresh.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if digits > DIGITS_MAX {
            reachable!("a record's length has more digits than any number");
            return Err(RecordError::TooLong { seen: self.seen(DIGITS_MAX) });
        }
        match self.buffer.get(digits) {
            None => {
                sometimes!(digits > 0, "a piece ends inside the length of a record");
                self.state = State::Length { digits };
                Ok(None)
            }
            Some(b'\n') if digits > 0 => {
                let length = self.parse_length(digits)?;
                self.buffer.advance(digits + 1);
                // A record is gathered in one piece of memory from its beginning, but a peer's mere
                // claim makes us reserve no more than this.
                const RESERVED_MAX: usize = 64 << 10;
                let missing = length.saturating_sub(self.buffer.len());
                self.buffer.reserve(missing.min(RESERVED_MAX));
                Ok(Some(State::Record { length }))
            }
            Some(_) => {
                reachable!("a record's length is no number");
                Err(RecordError::NotANumber { seen: self.seen(digits + 1) })
            }
        }
    }

    /// The number that the first `digits` bytes state.
    fn parse_length(&self, digits: usize) -> Result<usize, RecordError> {
        let seen = self.seen(digits);
        let number = seen.iter().try_fold(0_usize, |number, byte| {
            number.checked_mul(10)?.checked_add(usize::from(byte.wrapping_sub(b'0')))
        });
        match number {
            Some(length) if length <= self.max_record => Ok(length),
            _ => {
                reachable!("a record is larger than its reader allows");
                Err(RecordError::TooLarge { seen, max_record: self.max_record })
            }
        }
    }

    fn seen(&self, length: usize) -> Bytes {
        Bytes::copy_from_slice(&self.buffer[..length.min(self.buffer.len())])
    }
}

#[cfg(test)]
mod tests;
