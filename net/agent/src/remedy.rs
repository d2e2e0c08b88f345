//! What an operator is told to do about a disk that does not let the agent work.
//!
//! Nothing is damaged then. To leave something out, or to begin as a new agent, would end tasks and
//! would fail alike, so neither is spoken of.

use std::io;

/// What is missing, and that nothing else is to be done.
pub(crate) fn of_disk(source: &io::Error) -> String {
    use io::ErrorKind::{PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    let need = match source.kind() {
        StorageFull | QuotaExceeded => "make room on that disk",
        PermissionDenied | ReadOnlyFilesystem => "let the agent write there",
        _ => "see to that disk",
    };
    format!(
        "Nothing is lost by that, and tasks of frameworks that checkpoint go on meanwhile: {need}, \
         then start the agent again as it is"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named_and_nothing_is_to_be_removed() {
        for (code, need) in [
            (28, "make room on that disk"),
            (122, "make room on that disk"),
            (13, "let the agent write there"),
            (30, "let the agent write there"),
            (5, "see to that disk"),
        ] {
            let text = of_disk(&io::Error::from_raw_os_error(code));
            assert!(text.contains(need), "{code}: {text}");
            assert!(!text.contains("rm ") && !text.contains("strict"), "{text}");
        }
    }
}
