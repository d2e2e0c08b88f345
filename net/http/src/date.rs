//! The `Date` header, from the port's wall clock instead of the operating system's.

use std::time::{Duration, UNIX_EPOCH};

use http::HeaderMap;
use http::header::{DATE, HeaderValue};
use orrery_runtime::WallTime;

/// Sets `Date` unless the service has set it.
pub(crate) fn insert(headers: &mut HeaderMap, now: WallTime) {
    if headers.contains_key(DATE) {
        return;
    }
    if let Ok(value) = HeaderValue::try_from(format(now)) {
        headers.insert(DATE, value);
    }
}

/// The form that RFC 9110 prescribes, such as `Sun, 06 Nov 1994 08:49:37 GMT`. A clock set before
/// 1970 or after 9999 has no such form; it is shown as 1970.
fn format(now: WallTime) -> String {
    const LAST_SECOND_OF_9999: u64 = 253_402_300_799;
    let seconds = u64::try_from(now.as_nanoseconds().div_euclid(1_000_000_000)).unwrap_or(0);
    let seconds = if seconds > LAST_SECOND_OF_9999 { 0 } else { seconds };
    httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_as_rfc_9110_shows_it() {
        let text = format(WallTime::from_nanoseconds(784_111_777_000_000_000));
        assert_eq!(text, "Sun, 06 Nov 1994 08:49:37 GMT");
    }

    #[test]
    fn survives_absurd_clocks() {
        assert_eq!(format(WallTime::from_nanoseconds(i64::MIN)), "Thu, 01 Jan 1970 00:00:00 GMT");
        assert!(format(WallTime::from_nanoseconds(i64::MAX)).ends_with("2262 23:47:16 GMT"));
    }

    #[test]
    fn keeps_what_the_service_set() {
        let mut headers = HeaderMap::new();
        headers.insert(DATE, HeaderValue::from_static("yesterday"));
        insert(&mut headers, WallTime::default());
        assert_eq!(headers.get(DATE), Some(&HeaderValue::from_static("yesterday")));
    }
}
