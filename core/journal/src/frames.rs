//! Batches in a file: each in a frame that says where it stands and whether it is whole.
//!
//! A frame is written and synced before the next one is begun. So only the last one can be torn by
//! a crash, and one that is damaged although a whole one follows has rotted.

use bytes::Bytes;

/// Begins every frame, so that one can be found after damage.
const MAGIC: [u8; 4] = *b"OJ1\n";
/// Magic, the frame's own offset, the payload's length, the checksum.
pub(crate) const HEADER: usize = 4 + 8 + 4 + 4;

/// A frame that is not whole although whole ones follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Damage {
    /// Where it begins.
    pub(crate) offset: u64,
}

/// What was found in a file.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Frames {
    /// The payloads of whole frames, in order.
    pub(crate) payloads: Vec<Bytes>,
    pub(crate) damages: Vec<Damage>,
    /// Where the last whole frame ends.
    pub(crate) end: u64,
}

/// The bytes of a frame that will stand at `offset`.
///
/// # Errors
/// The payload is too long for a frame: 4 GiB or more.
pub(crate) fn encode(offset: u64, payload: &[u8]) -> std::io::Result<Bytes> {
    let length = u32::try_from(payload.len()).map_err(std::io::Error::other)?;
    let mut frame = Vec::with_capacity(HEADER + payload.len());
    frame.extend(MAGIC);
    frame.extend(offset.to_le_bytes());
    frame.extend(length.to_le_bytes());
    frame.extend(checksum(offset, payload).to_le_bytes());
    frame.extend(payload);
    Ok(frame.into())
}

fn checksum(offset: u64, payload: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&offset.to_le_bytes()), payload)
}

/// The payload of the frame at `offset`, if a whole one stands there.
fn frame_at(content: &Bytes, offset: usize) -> Option<Bytes> {
    let header = content.get(offset..offset.checked_add(HEADER)?)?;
    let (magic, rest) = header.split_first_chunk::<4>()?;
    let (own_offset, rest) = rest.split_first_chunk::<8>()?;
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let (sum, _) = rest.split_first_chunk::<4>()?;
    if *magic != MAGIC || u64::from_le_bytes(*own_offset) != offset as u64 {
        return None;
    }
    let start = offset + HEADER;
    let end = start.checked_add(u32::from_le_bytes(*length) as usize)?;
    let payload = content.get(start..end)?;
    let whole = checksum(offset as u64, payload) == u32::from_le_bytes(*sum);
    whole.then(|| content.slice(start..end))
}

/// Reads all frames of a file.
pub(crate) fn decode(content: &Bytes) -> Frames {
    let mut frames = Frames::default();
    let mut offset = 0;
    while offset < content.len() {
        if let Some(payload) = frame_at(content, offset) {
            offset += HEADER + payload.len();
            frames.payloads.push(payload);
            frames.end = offset as u64;
            continue;
        }
        let damaged = offset;
        let follows = |at: &usize| frame_at(content, *at).is_some();
        match (damaged + 1..content.len()).find(follows) {
            Some(next) => {
                frames.damages.push(Damage { offset: damaged as u64 });
                offset = next;
            }
            // The torn tail of a batch whose commit never returned.
            None => break,
        }
    }
    frames
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(payloads: &[&[u8]]) -> Vec<u8> {
        let mut file = Vec::new();
        for payload in payloads {
            file.extend(encode(file.len() as u64, payload).unwrap());
        }
        file
    }

    #[test]
    fn every_prefix_holds_the_frames_that_are_whole_in_it() {
        let payloads: [&[u8]; 3] = [b"first", b"", b"OJ1\n and more"];
        let whole = file(&payloads);
        for length in 0..=whole.len() {
            let frames = decode(&Bytes::copy_from_slice(&whole[..length]));
            assert_eq!(frames.damages, []);
            let expected: Vec<_> = payloads[..frames.payloads.len()].to_vec();
            assert_eq!(frames.payloads, expected);
            assert_eq!(frames.end as usize, file(&expected).len());
            let next = payloads.get(frames.payloads.len()).map_or(0, |it| HEADER + it.len());
            assert!(length - (frames.end as usize) < next.max(1), "a whole frame was missed");
        }
    }

    #[test]
    fn what_follows_the_end_is_no_frame() {
        let mut file = file(&[b"first"]);
        let end = file.len() as u64;
        // The rest of an older file: whole, but it stands elsewhere.
        file.extend(encode(7, b"old").unwrap());
        file.extend([0; 100]);
        let frames = decode(&file.into());
        assert_eq!((frames.payloads.len(), frames.end, frames.damages), (1, end, vec![]));
    }

    #[test]
    fn any_flipped_bit_is_found_and_the_others_are_read() {
        let payloads: [&[u8]; 3] = [b"first", b"second", b"third"];
        let whole = file(&payloads);
        let second = file(&payloads[..1]).len();
        for position in 0..whole.len() * 8 {
            let mut bytes = whole.clone();
            bytes[position / 8] ^= 1 << (position % 8);
            let frames = decode(&bytes.into());
            let hit = [second, file(&payloads[..2]).len(), whole.len()];
            let hit = hit.iter().position(|end| position / 8 < *end).unwrap();
            let left: Vec<_> = (0..3).filter(|it| *it != hit).map(|it| payloads[it]).collect();
            assert_eq!(frames.payloads, left, "bit {position}");
            // That of the last frame cannot be told from a torn one.
            assert_eq!(frames.damages.len(), usize::from(hit < 2), "bit {position}");
        }
    }
}
