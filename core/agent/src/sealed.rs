//! Messages in files: each behind its length, as Mesos writes them, and with a checksum as its
//! last field.
//!
//! ```text
//! length, 4 bytes │ the message's own fields │ field 536870911: their CRC-32C, 9 bytes
//! ```
//!
//! Lengths and checksums have their least significant byte first. No message of Mesos has a field
//! of that number, the highest there can be, and so its tools pass over it. A message without a
//! checksum is taken as it is: Mesos and the first versions of this agent write none.

use bytes::Bytes;
use orrery_api::protobuf;
use prost::Message;

/// Announces the checksum: the field's number and that four bytes follow.
const TAG: [u8; 5] = [0xfd, 0xff, 0xff, 0xff, 0x0f];

/// The bytes of a message in a file.
pub(crate) fn message(message: &impl Message) -> Bytes {
    let fields = protobuf::encode(message);
    let checksum = crc32c::crc32c(&fields).to_le_bytes();
    let length = fields.len() + TAG.len() + checksum.len();
    let length = u32::try_from(length).unwrap_or(u32::MAX);
    [length.to_le_bytes().as_slice(), &fields, &TAG, &checksum].concat().into()
}

/// A message and its surroundings.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Found<'a> {
    /// The message's own fields.
    pub(crate) fields: &'a [u8],
    /// Whether a checksum vouches for them.
    pub(crate) is_sealed: bool,
    /// What follows.
    pub(crate) rest: &'a [u8],
}

/// The first of some bytes' messages.
///
/// # Errors
/// In words: what is wrong with it.
pub(crate) fn first(bytes: &[u8]) -> Result<Found<'_>, String> {
    let (length, rest) =
        bytes.split_first_chunk::<4>().ok_or_else(|| format!("it has {} bytes", bytes.len()))?;
    let length = u32::from_le_bytes(*length);
    let (body, rest) = rest
        .split_at_checked(length as usize)
        .ok_or_else(|| format!("{} bytes follow a length of {length}", rest.len()))?;
    match checked(body) {
        Some((fields, true)) => Ok(Found { fields, is_sealed: true, rest }),
        Some((_, false)) => Err("its checksum is wrong".to_owned()),
        None => Ok(Found { fields: body, is_sealed: false, rest }),
    }
}

/// What the checksum of a message is about, and whether it is right; `None` without a checksum.
fn checked(body: &[u8]) -> Option<(&[u8], bool)> {
    let (fields, checksum) = body.split_last_chunk::<4>()?;
    let fields = fields.strip_suffix(&TAG)?;
    Some((fields, crc32c::crc32c(fields) == u32::from_le_bytes(*checksum)))
}

/// The part of some bytes that begins with the next message behind the first byte whose checksum
/// vouches for it.
pub(crate) fn after_damage(bytes: &[u8]) -> Option<&[u8]> {
    let is_sealed = |bytes: &&[u8]| {
        let body = bytes
            .split_first_chunk::<4>()
            .and_then(|(length, rest)| rest.get(..u32::from_le_bytes(*length) as usize));
        body.and_then(checked).is_some_and(|(_, right)| right)
    };
    (1..bytes.len()).filter_map(|at| bytes.get(at..)).find(is_sealed)
}

#[cfg(test)]
mod tests {
    use orrery_api::v1;

    use super::*;

    fn id(value: &str) -> v1::TaskId {
        v1::TaskId { value: value.into() }
    }

    #[test]
    fn a_reader_that_knows_nothing_of_checksums_finds_the_message() {
        let bytes = message(&id("t"));
        let (length, body) = bytes.split_first_chunk::<4>().unwrap();
        assert_eq!(u32::from_le_bytes(*length) as usize, body.len());
        assert_eq!(v1::TaskId::decode(body).unwrap(), id("t"));
        assert_eq!(body.len(), id("t").encoded_len() + 9);
    }

    #[test]
    fn a_message_without_a_checksum_is_taken_as_it_is() {
        let fields = id("t").encode_to_vec();
        let bytes = [(fields.len() as u32).to_le_bytes().as_slice(), &fields, b"rest"].concat();
        let expected = Found { fields: &fields, is_sealed: false, rest: b"rest" };
        assert_eq!(first(&bytes).unwrap(), expected);
    }

    #[test]
    fn no_flipped_bit_passes_for_another_message() {
        let bytes = message(&id("a task's name"));
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.to_vec();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let Ok(Found { fields, rest: [], .. }) = first(&flipped) else { continue };
            // What is left is a field that nobody knows, in the place of the checksum.
            let read = v1::TaskId::decode(fields);
            assert!(read.is_err() || read.as_ref() == Ok(&id("a task's name")), "{bit}: {read:?}");
        }
        let mut flipped = bytes.to_vec();
        flipped[8] ^= 1;
        assert_eq!(first(&flipped).unwrap_err(), "its checksum is wrong");
    }

    #[test]
    fn what_stands_behind_damage_is_found_by_its_checksum() {
        let (one, two) = (message(&id("one")), message(&id("two")));
        let both = [one.clone(), two.clone()].concat();
        assert_eq!(after_damage(&both), Some(two.as_ref()));
        let garbage = [b"garbage", two.as_ref()].concat();
        assert_eq!(after_damage(&garbage), Some(two.as_ref()));
        assert_eq!(after_damage(&one), None);
        assert_eq!(after_damage(&[]), None);
    }
}
