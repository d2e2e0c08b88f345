//! Lines of words: cutting, quoting, and reading values from them. Plans are written with them too.

use std::borrow::Cow;

/// Why a line is no fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseFaultError {
    /// A value has the wrong form.
    #[error("{field} '{value}': expected {expected}")]
    Wrong {
        /// What the value is for.
        field: &'static str,
        /// The value.
        value: String,
        /// What could stand there.
        expected: Cow<'static, str>,
    },
    /// The line ends too early.
    #[error("{field} is missing: expected {expected}")]
    Missing {
        /// What should stand next.
        field: &'static str,
        /// What could stand there.
        expected: Cow<'static, str>,
    },
}

impl ParseFaultError {
    /// `value` stands where `expected` should.
    pub fn new(field: &'static str, value: &str, expected: impl Into<Cow<'static, str>>) -> Self {
        Self::Wrong { field, value: value.to_owned(), expected: expected.into() }
    }

    /// The line ends where `expected` should stand.
    pub fn missing(field: &'static str, expected: impl Into<Cow<'static, str>>) -> Self {
        Self::Missing { field, expected: expected.into() }
    }
}

/// A value that is one or more words of a line.
pub trait Text: Sized {
    /// Adds its words.
    fn write(&self, words: &mut Vec<String>);

    /// Takes its words; `field` says what it is for.
    ///
    /// # Errors
    /// They are missing, or none of such a value.
    fn read(field: &'static str, words: &mut Words) -> Result<Self, ParseFaultError>;

    /// Any value, for tests.
    #[cfg(test)]
    fn any() -> proptest::strategy::BoxedStrategy<Self>;
}

/// The words of a line that were not taken yet.
#[derive(Debug)]
pub struct Words(std::iter::Peekable<std::vec::IntoIter<String>>);

impl Words {
    /// Cuts a line at its spaces; inside of double quotes they stay, and `\` makes the next
    /// character an ordinary one (`\n` and `\r` are line breaks).
    ///
    /// # Errors
    /// A quote is not closed.
    pub fn split(line: &str) -> Result<Self, ParseFaultError> {
        let unclosed = || ParseFaultError::new("line", line, "a closing quote");
        let mut words = Vec::new();
        let mut word: Option<String> = None;
        let mut quoted = false;
        let mut characters = line.chars();
        while let Some(character) = characters.next() {
            match character {
                '"' => {
                    quoted = !quoted;
                    word.get_or_insert_default();
                }
                '\\' if quoted => {
                    let escaped = match characters.next().ok_or_else(unclosed)? {
                        'n' => '\n',
                        'r' => '\r',
                        other => other,
                    };
                    word.get_or_insert_default().push(escaped);
                }
                _ if character.is_whitespace() && !quoted => words.extend(word.take()),
                _ => word.get_or_insert_default().push(character),
            }
        }
        words.extend(word);
        if quoted { Err(unclosed()) } else { Ok(Self(words.into_iter().peekable())) }
    }

    /// Takes the next word, if there is one.
    pub fn take(&mut self) -> Option<String> {
        self.0.next()
    }

    /// Takes the next word.
    ///
    /// # Errors
    /// There is none; `field` says what it would be for, and `expected` what it could be.
    pub fn next(
        &mut self,
        field: &'static str,
        expected: &'static str,
    ) -> Result<String, ParseFaultError> {
        self.take().ok_or_else(|| ParseFaultError::missing(field, expected))
    }

    /// Takes the next word if it is `expected`.
    pub fn next_if(&mut self, expected: &str) -> bool {
        self.0.next_if(|word| word == expected).is_some()
    }

    /// Takes the next word and makes a value of it.
    ///
    /// # Errors
    /// There is none, or `parse` makes nothing of it.
    pub fn parse<T>(
        &mut self,
        field: &'static str,
        expected: &'static str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, ParseFaultError> {
        let word = self.next(field, expected)?;
        parse(&word).ok_or_else(|| ParseFaultError::new(field, &word, expected))
    }

    /// Makes sure that no word is left.
    ///
    /// # Errors
    /// One is.
    pub fn end(mut self) -> Result<(), ParseFaultError> {
        match self.take() {
            Some(word) => Err(ParseFaultError::new("rest", &word, "the end of the line")),
            None => Ok(()),
        }
    }
}

/// Puts words into a line, quoted where they need it.
pub fn join(words: &[String]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| quote(word)).collect();
    quoted.join(" ")
}

fn quote(word: &str) -> String {
    let special = |character: char| character.is_whitespace() || matches!(character, '"' | '\\');
    if !word.is_empty() && !word.contains(special) {
        return word.to_owned();
    }
    let mut text = String::from('"');
    for character in word.chars() {
        match character {
            '"' | '\\' => text.extend(['\\', character]),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            _ => text.push(character),
        }
    }
    text.push('"');
    text
}
