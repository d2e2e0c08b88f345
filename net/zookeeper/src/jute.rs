//! Jute, ZooKeeper's encoding: numbers in network order, and what is long behind its length.

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// Why bytes are not the record that should be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JuteError {
    /// The record ends too early.
    #[error("{field} is cut off")]
    CutOff {
        /// What should stand there.
        field: &'static str,
    },
    /// A length is negative or larger than what is left.
    #[error("{field} has the length {length}: expected at most what is left of the record")]
    Length {
        /// What it is the length of.
        field: &'static str,
        /// The length.
        length: i32,
    },
    /// A text is not UTF-8.
    #[error("{field} is not UTF-8")]
    Text {
        /// What is not.
        field: &'static str,
    },
}

/// Takes a record apart.
#[derive(Debug)]
pub struct Reader(Bytes);

impl Reader {
    /// Of the bytes of one record.
    pub const fn new(bytes: Bytes) -> Self {
        Self(bytes)
    }

    fn take(&mut self, length: usize, field: &'static str) -> Result<Bytes, JuteError> {
        if self.0.len() < length {
            return Err(JuteError::CutOff { field });
        }
        Ok(self.0.split_to(length))
    }

    /// A number of 32 bits.
    ///
    /// # Errors
    /// The record is cut off. The same holds for all other values.
    pub fn int(&mut self, field: &'static str) -> Result<i32, JuteError> {
        self.take(4, field).map(|mut bytes| bytes.get_i32())
    }

    /// A number of 64 bits.
    pub fn long(&mut self, field: &'static str) -> Result<i64, JuteError> {
        self.take(8, field).map(|mut bytes| bytes.get_i64())
    }

    /// A truth value. Nothing stands for false: the oldest servers leave the last one out.
    pub fn boolean(&mut self, field: &'static str) -> Result<bool, JuteError> {
        if self.0.is_empty() {
            return Ok(false);
        }
        self.take(1, field).map(|mut bytes| bytes.get_u8() != 0)
    }

    /// Bytes; none when their length is -1.
    pub fn buffer(&mut self, field: &'static str) -> Result<Bytes, JuteError> {
        let length = self.int(field)?;
        if length == -1 {
            return Ok(Bytes::new());
        }
        match usize::try_from(length) {
            Ok(bytes) if bytes <= self.0.len() => self.take(bytes, field),
            _ => Err(JuteError::Length { field, length }),
        }
    }

    /// A text.
    pub fn text(&mut self, field: &'static str) -> Result<String, JuteError> {
        let bytes = self.buffer(field)?;
        String::from_utf8(bytes.to_vec()).map_err(|_| JuteError::Text { field })
    }

    /// Values behind their number.
    pub fn list<T>(
        &mut self,
        field: &'static str,
        mut read: impl FnMut(&mut Self) -> Result<T, JuteError>,
    ) -> Result<Vec<T>, JuteError> {
        let length = self.int(field)?;
        // Each element takes at least one byte, so a lie about their number costs no memory.
        let count = usize::try_from(length.max(0)).unwrap_or(0);
        if count > self.0.len() {
            return Err(JuteError::Length { field, length });
        }
        (0..count).map(|_| read(self)).collect()
    }
}

/// Puts a record together.
#[derive(Debug, Default)]
pub struct Writer(BytesMut);

impl Writer {
    /// A number of 32 bits.
    pub fn int(&mut self, value: i32) {
        self.0.put_i32(value);
    }

    /// A number of 64 bits.
    pub fn long(&mut self, value: i64) {
        self.0.put_i64(value);
    }

    /// A truth value.
    pub fn boolean(&mut self, value: bool) {
        self.0.put_u8(u8::from(value));
    }

    /// Bytes behind their length.
    pub fn buffer(&mut self, value: &[u8]) {
        self.int(i32::try_from(value.len()).unwrap_or(i32::MAX));
        self.0.put_slice(value);
    }

    /// A text.
    pub fn text(&mut self, value: &str) {
        self.buffer(value.as_bytes());
    }

    /// Values behind their number.
    pub fn list<T>(&mut self, values: &[T], mut write: impl FnMut(&mut Self, &T)) {
        self.int(i32::try_from(values.len()).unwrap_or(i32::MAX));
        for value in values {
            write(self, value);
        }
    }

    /// The record behind its length, as it travels.
    pub fn frame(self) -> Bytes {
        let mut frame = BytesMut::with_capacity(self.0.len() + 4);
        frame.put_i32(i32::try_from(self.0.len()).unwrap_or(i32::MAX));
        frame.unsplit(self.0);
        frame.freeze()
    }
}

/// The longest frame that is taken. Servers themselves take about 1 MiB (`jute.maxbuffer`), but a
/// list of children may be longer.
pub const LONGEST_FRAME: usize = 16 << 20;

/// A frame that is too long, or has a negative length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a frame of {0} bytes: expected 0 to {LONGEST_FRAME}")]
pub struct FrameError(i32);

/// Cuts a stream of bytes into frames.
#[derive(Debug, Default)]
pub struct Frames(BytesMut);

impl Frames {
    /// Where to put what was read next.
    pub const fn buffer(&mut self) -> &mut BytesMut {
        &mut self.0
    }

    /// The next whole frame without its length; `None` when more must be read first.
    ///
    /// # Errors
    /// A length that cannot be; nothing after it makes sense.
    pub fn next_frame(&mut self) -> Result<Option<Bytes>, FrameError> {
        let Some(length) = self.0.first_chunk::<4>() else { return Ok(None) };
        let length = i32::from_be_bytes(*length);
        let size = usize::try_from(length).map_err(|_| FrameError(length))?;
        if size > LONGEST_FRAME {
            return Err(FrameError(length));
        }
        if self.0.len() < size + 4 {
            return Ok(None);
        }
        self.0.advance(4);
        Ok(Some(self.0.split_to(size).freeze()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn values_survive() {
        let mut writer = Writer::default();
        writer.int(-7);
        writer.long(1 << 40);
        writer.text("zürich");
        writer.list(&["a", "b"], |writer, text| writer.text(text));
        writer.boolean(true);
        let mut frames = Frames::default();
        for byte in writer.frame() {
            assert_eq!(frames.next_frame(), Ok(None));
            frames.buffer().put_u8(byte);
        }
        let mut reader = Reader::new(frames.next_frame().expect("a length").expect("a frame"));
        assert_eq!(reader.int("int"), Ok(-7));
        assert_eq!(reader.long("long"), Ok(1 << 40));
        assert_eq!(reader.text("text").as_deref(), Ok("zürich"));
        let list = reader.list("list", |reader| reader.text("item"));
        assert_eq!(list, Ok(vec!["a".to_owned(), "b".to_owned()]));
        assert_eq!(reader.boolean("last"), Ok(true));
        assert_eq!(reader.boolean("left out"), Ok(false));
        assert_eq!(reader.int("more"), Err(JuteError::CutOff { field: "more" }));
    }

    #[test]
    fn lengths_that_cannot_be_are_refused() {
        let lie = |length: i32| Reader::new(length.to_be_bytes().to_vec().into());
        let error = Err(JuteError::Length { field: "data", length: 5 });
        assert_eq!(lie(5).buffer("data"), error);
        assert_eq!(lie(-1).buffer("data"), Ok(Bytes::new()));
        assert!(lie(i32::MAX).list("children", |reader| reader.text("child")).is_err());
        let mut frames = Frames::default();
        frames.buffer().put_i32(-3);
        assert_eq!(frames.next_frame(), Err(FrameError(-3)));
    }

    proptest! {
        #[test]
        fn no_bytes_break_a_reader(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let reader = || Reader::new(Bytes::from(bytes.clone()));
            let _ = reader().text("text");
            let _ = reader().list("list", |reader| reader.buffer("item"));
            let mut frames = Frames::default();
            frames.buffer().put_slice(&bytes);
            while let Ok(Some(_)) = frames.next_frame() {}
        }
    }
}
