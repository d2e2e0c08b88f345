//! Reading the answers to pipelined calls.

use orrery_coverage::sometimes;

/// Longest answer to a call that is read, headers and body together, in bytes. A master answers
/// calls with nothing or with a line of text.
pub(crate) const LONGEST: usize = 1 << 20;

const HEADERS: usize = 64;

/// One answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) text: String,
}

/// Why bytes are no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AnswerError {
    /// It is no HTTP.
    #[error("the answer is not HTTP/1.1: {0}")]
    Malformed(httparse::Error),
    /// Its end cannot be told from the next answer's beginning.
    #[error("the answer does not state its length")]
    NoLength,
    /// A header holds a wrong value.
    #[error("the answer's header content-length is '{0}': expected a whole number")]
    Length(String),
    /// A part of a chunked body has no length.
    #[error("the answer has a malformed chunk")]
    Chunk,
    /// It is longer than any answer to a call should be.
    #[error("the answer is longer than {LONGEST} bytes")]
    TooLong,
}

/// Takes the first answer from `bytes`, if it is there as a whole, with the number of bytes that
/// it takes up.
pub(crate) fn parse(bytes: &[u8]) -> Result<Option<(Answer, usize)>, AnswerError> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    let head = match response.parse(bytes).map_err(AnswerError::Malformed)? {
        httparse::Status::Complete(head) => head,
        httparse::Status::Partial => return incomplete(bytes),
    };
    let status = response.code.unwrap_or_default();
    let body = bytes.get(head..).unwrap_or_default();
    let Some((text, length)) = parse_body(status, response.headers, body)? else {
        return incomplete(bytes);
    };
    let text = String::from_utf8_lossy(&text).into_owned();
    Ok(Some((Answer { status, text }, head + length)))
}

fn incomplete<T>(bytes: &[u8]) -> Result<Option<T>, AnswerError> {
    if bytes.len() > LONGEST {
        return Err(AnswerError::TooLong);
    }
    sometimes!(!bytes.is_empty(), "the answer to a call comes in pieces");
    Ok(None)
}

type Body = (Vec<u8>, usize);

fn parse_body(
    status: u16,
    headers: &[httparse::Header<'_>],
    body: &[u8],
) -> Result<Option<Body>, AnswerError> {
    if matches!(status, 100..=199 | 204 | 304) {
        return Ok(Some((Vec::new(), 0)));
    }
    if let Some(codings) = header(headers, "transfer-encoding") {
        let last = codings.rsplit(|byte| *byte == b',').next().unwrap_or_default();
        if last.trim_ascii().eq_ignore_ascii_case(b"chunked") {
            return parse_chunks(body);
        }
        return Err(AnswerError::NoLength);
    }
    let length = header(headers, "content-length").ok_or(AnswerError::NoLength)?;
    let number = std::str::from_utf8(length).ok().and_then(|text| text.trim().parse().ok());
    let wrong = || AnswerError::Length(String::from_utf8_lossy(length).into_owned());
    let length: usize = number.ok_or_else(wrong)?;
    if length > LONGEST {
        return Err(AnswerError::TooLong);
    }
    Ok(body.get(..length).map(|body| (body.to_vec(), length)))
}

fn header<'a>(headers: &[httparse::Header<'a>], name: &str) -> Option<&'a [u8]> {
    headers.iter().find(|header| header.name.eq_ignore_ascii_case(name)).map(|header| header.value)
}

fn parse_chunks(bytes: &[u8]) -> Result<Option<Body>, AnswerError> {
    let mut text = Vec::new();
    let mut position = 0;
    loop {
        let rest = bytes.get(position..).unwrap_or_default();
        let (line, length) = match httparse::parse_chunk_size(rest) {
            Ok(httparse::Status::Complete(found)) => found,
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(_) => return Err(AnswerError::Chunk),
        };
        position += line;
        if length == 0 {
            return Ok(after_trailers(bytes, position).map(|end| (text, end)));
        }
        let length = usize::try_from(length).map_err(|_| AnswerError::TooLong)?;
        if length > LONGEST {
            return Err(AnswerError::TooLong);
        }
        let Some(chunk) = bytes.get(position..position + length) else {
            return Ok(None);
        };
        text.extend_from_slice(chunk);
        position += length;
        match bytes.get(position..position + 2) {
            Some(b"\r\n") => position += 2,
            Some(_) => return Err(AnswerError::Chunk),
            None => return Ok(None),
        }
    }
}

/// Where the body ends: after the empty line that follows the trailers, of which there are mostly
/// none.
fn after_trailers(bytes: &[u8], mut position: usize) -> Option<usize> {
    loop {
        let rest = bytes.get(position..)?;
        let line = rest.windows(2).position(|pair| pair == b"\r\n")?;
        position += line + 2;
        if line == 0 {
            return Some(position);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(bytes: &str) -> (u16, String, usize) {
        let (answer, length) = parse(bytes.as_bytes()).unwrap().unwrap();
        (answer.status, answer.text, length)
    }

    const ACCEPTED: &str = "HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n";
    const CHUNKED: &str = "HTTP/1.1 400 Bad Request\r\nTransfer-Encoding: chunked\r\n\r\n\
        3\r\nno \r\n4;x=y\r\nwell\r\n0\r\nTrailer: 1\r\n\r\n";

    #[test]
    fn answers_stand_one_after_the_other() {
        let two = format!("{ACCEPTED}{CHUNKED}");
        assert_eq!(whole(&two), (202, String::new(), ACCEPTED.len()));
        assert_eq!(whole(&two[ACCEPTED.len()..]), (400, "no well".to_owned(), CHUNKED.len()));
    }

    #[test]
    fn a_text_is_read_to_its_length() {
        let answer = "HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nnoHTTP/1.1";
        assert_eq!(whole(answer), (403, "no".to_owned(), answer.len() - 8));
    }

    #[test]
    fn every_beginning_of_an_answer_is_incomplete() {
        for answer in [ACCEPTED, CHUNKED] {
            for length in 0..answer.len() {
                assert_eq!(parse(&answer.as_bytes()[..length]), Ok(None), "{length}");
            }
        }
    }

    #[test]
    fn interim_answers_have_no_body() {
        assert_eq!(whole("HTTP/1.1 100 Continue\r\n\r\n").0, 100);
    }

    #[test]
    fn what_is_no_answer_is_an_error() {
        let cases = [
            ("SSH-2.0-OpenSSH\r\n\r\n", None),
            ("HTTP/1.1 200 OK\r\n\r\nabc", Some(AnswerError::NoLength)),
            ("HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n", Some(AnswerError::TooLong)),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
                Some(AnswerError::Length("-1".to_owned())),
            ),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
                Some(AnswerError::Chunk),
            ),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
                Some(AnswerError::TooLong),
            ),
        ];
        for (bytes, expected) in cases {
            let error = parse(bytes.as_bytes()).unwrap_err();
            assert!(expected.is_none_or(|expected| expected == error), "{error}");
        }
        let endless = format!("HTTP/1.1 200 OK\r\nA: {}", "x".repeat(LONGEST));
        assert_eq!(parse(endless.as_bytes()), Err(AnswerError::TooLong));
    }
}
