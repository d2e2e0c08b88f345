//! Questions and answers in the form in which they travel.

use orrery_api::lease as message;
use orrery_api::lease::request::Kind as Stored;
use orrery_lease::{Kind, Request, Response};

/// The highest term. A higher one would leave none for later elections.
const TERM_MAX: u64 = 1 << 62;

/// The version of the protocol that this code speaks. A newer one is refused.
pub(crate) const PROTOCOL_VERSION: u32 = 1;

pub(crate) fn encode_request(from: usize, members: &str, request: Request) -> message::Request {
    let nothing = message::Nothing {};
    let kind = match request.kind {
        Kind::WouldVote => Stored::WouldVote(nothing),
        Kind::Vote => Stored::Vote(nothing),
        Kind::Heartbeat => Stored::Heartbeat(nothing),
        Kind::Resign => Stored::Resign(nothing),
    };
    message::Request {
        protocol_version: PROTOCOL_VERSION,
        from: u32::try_from(from).unwrap_or(u32::MAX),
        members: members.to_owned(),
        term: request.term,
        kind: Some(kind),
    }
}

/// Why a question is not answered, or an answer not heeded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    #[error("protocol_version is {0}: expected at most {PROTOCOL_VERSION}")]
    Version(u32),
    #[error("members is '{theirs}': expected '{ours}', the same --peers as here")]
    Members { theirs: String, ours: String },
    #[error("from is {0}: expected the number of another member")]
    From(u32),
    #[error("term is {0}: expected at most {TERM_MAX}, to which no number of elections comes")]
    Term(u64),
    #[error("kind is missing, or one that only newer versions know")]
    Kind,
}

/// Who asks, and what.
pub(crate) fn decode_request(
    stored: message::Request,
    members: &str,
    me: usize,
    count: usize,
) -> Result<(usize, Request), Refused> {
    if stored.protocol_version > PROTOCOL_VERSION {
        return Err(Refused::Version(stored.protocol_version));
    }
    if stored.members != members {
        return Err(Refused::Members { theirs: stored.members, ours: members.to_owned() });
    }
    let from = usize::try_from(stored.from).ok().filter(|from| *from < count && *from != me);
    let from = from.ok_or(Refused::From(stored.from))?;
    if stored.term > TERM_MAX {
        return Err(Refused::Term(stored.term));
    }
    let kind = match stored.kind.ok_or(Refused::Kind)? {
        Stored::WouldVote(_) => Kind::WouldVote,
        Stored::Vote(_) => Kind::Vote,
        Stored::Heartbeat(_) => Kind::Heartbeat,
        Stored::Resign(_) => Kind::Resign,
    };
    Ok((from, Request { term: stored.term, kind }))
}

pub(crate) fn encode_response(response: Response) -> message::Response {
    let Response { term, granted } = response;
    message::Response { protocol_version: PROTOCOL_VERSION, term, granted }
}

pub(crate) fn decode_response(stored: &message::Response) -> Result<Response, Refused> {
    match stored.term {
        term @ 0..=TERM_MAX => Ok(Response { term, granted: stored.granted }),
        term => Err(Refused::Term(term)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_are_read_as_they_were_written() {
        for kind in [Kind::WouldVote, Kind::Vote, Kind::Heartbeat, Kind::Resign] {
            let request = Request { term: 7, kind };
            let stored = encode_request(2, "a:1,b:2,c:3", request);
            assert_eq!(decode_request(stored, "a:1,b:2,c:3", 0, 3), Ok((2, request)));
        }
    }

    #[test]
    fn questions_that_make_no_sense_are_refused() {
        let request = Request { term: 7, kind: Kind::Vote };
        let stored = || encode_request(2, "a,b,c", request);
        let refused = |stored| decode_request(stored, "a,b,c", 0, 3).unwrap_err();
        assert_eq!(refused(encode_request(0, "a,b,c", request)), Refused::From(0));
        assert_eq!(refused(encode_request(3, "a,b,c", request)), Refused::From(3));
        let newer = message::Request { protocol_version: 2, ..stored() };
        assert_eq!(refused(newer), Refused::Version(2));
        let other = message::Request { members: "a,b".to_owned(), ..stored() };
        let text = "members is 'a,b': expected 'a,b,c', the same --peers as here";
        assert_eq!(refused(other).to_string(), text);
        let term = TERM_MAX + 1;
        assert_eq!(refused(message::Request { term, ..stored() }), Refused::Term(term));
        assert_eq!(refused(message::Request { kind: None, ..stored() }), Refused::Kind);
    }
}
