//! `/redirect`: where the leader is; if asked so, once it is another one.
//!
//! Who follows a leader wants to hear of the next one at once, and an election takes no notice of
//! clients. So the question can be kept by a master that does not lead, in terms that HTTP has: a
//! condition (`If-None-Match: "HOST:PORT"`, RFC 9110, 13.1.2) names the leader that is known, and a
//! preference (`Prefer: wait=SECONDS`, RFC 7240, 4.3) says how long to wait for another. Mesos'
//! masters pass over both and answer at once.

use std::time::Duration;

use http::header::IF_NONE_MATCH;
use http::{HeaderMap, Method};
use orrery_http::Request;
use orrery_runtime::Address;

use crate::role::Role;
use crate::routes::ROUTER;

/// A question is kept no longer than this, whatever is preferred.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// A question for the leader that is to be answered when it is another one than is known.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Kept {
    known: Address,
    /// How long there may be no answer.
    pub(crate) wait: Duration,
}

impl Kept {
    /// `None` when `request` is something else, or wants its answer at once.
    pub(crate) fn of(request: &Request) -> Option<Self> {
        let kept = Self::of_headers(request.headers())?;
        let route = ROUTER.route(request.uri().path()).ok()?;
        let asks = route.endpoint == "redirect" && route.rest.is_empty();
        (asks && *request.method() == Method::GET).then_some(kept)
    }

    fn of_headers(headers: &HeaderMap) -> Option<Self> {
        let known = headers.get(IF_NONE_MATCH)?.to_str().ok()?;
        let known = known.strip_prefix('"')?.strip_suffix('"')?.parse().ok()?;
        let preferences = headers.get_all("prefer").iter().filter_map(|value| value.to_str().ok());
        let mut preferences = preferences.flat_map(|value| value.split(','));
        let wait = preferences.find_map(|preference| preference.trim().strip_prefix("wait="))?;
        let wait = Duration::from_secs(wait.parse().ok()?).min(WAIT_MAX);
        Some(Self { known, wait })
    }

    /// Whether a master in this role knows another leader.
    pub(crate) fn is_answered_by(&self, role: &Role) -> bool {
        match role {
            Role::Leading(_) => true,
            Role::Standby(Some(leader)) => *leader != self.known,
            Role::Recovering | Role::Standby(None) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use http::header::HeaderValue;

    use super::*;

    fn kept(known: &'static str, prefer: &'static str) -> Option<Kept> {
        let mut headers = HeaderMap::new();
        headers.insert(IF_NONE_MATCH, HeaderValue::from_static(known));
        headers.insert("prefer", HeaderValue::from_static(prefer));
        Kept::of_headers(&headers)
    }

    #[test]
    fn a_condition_and_a_preference_keep_the_question() {
        let known = Address::new("10.0.0.1", 5050);
        let expected =
            |seconds| Some(Kept { known: known.clone(), wait: Duration::from_secs(seconds) });
        assert_eq!(kept("\"10.0.0.1:5050\"", "wait=15"), expected(15));
        assert_eq!(kept("\"10.0.0.1:5050\"", "respond-async, wait=9"), expected(9));
        assert_eq!(kept("\"10.0.0.1:5050\"", "wait=86400"), expected(60));
    }

    #[test]
    fn what_is_not_understood_is_answered_at_once() {
        for (known, prefer) in [
            ("*", "wait=15"),
            ("\"10.0.0.1\"", "wait=15"),
            ("10.0.0.1:5050", "wait=15"),
            ("\"10.0.0.1:5050\"", "wait"),
            ("\"10.0.0.1:5050\"", "wait=soon"),
            ("\"10.0.0.1:5050\"", "handling=lenient"),
        ] {
            assert_eq!(kept(known, prefer), None, "{known} {prefer}");
        }
    }

    #[test]
    fn only_another_leader_is_an_answer() {
        let kept = kept("\"a:5050\"", "wait=15").unwrap();
        let standby = |host| Role::Standby(Some(Address::new(host, 5050)));
        assert!(kept.is_answered_by(&standby("b")));
        assert!(!kept.is_answered_by(&standby("a")));
        assert!(!kept.is_answered_by(&Role::Standby(None)));
        assert!(!kept.is_answered_by(&Role::Recovering));
    }
}
