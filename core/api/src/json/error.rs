//! What can be wrong with a JSON text.

/// Why a JSON text is not the expected message.
#[derive(Debug, thiserror::Error)]
pub enum JsonError {
    /// The text is not JSON, or it is nested too deeply.
    #[error("syntax error: {0}")]
    Syntax(#[source] serde_json::Error),
    /// Required fields that are missing, as paths like `subscribe.framework_info.name`. The words
    /// are those of Mesos, which people search for.
    #[error("Missing required fields: {}", .0.join(", "))]
    MissingRequired(Vec<String>),
    /// A value of a wrong type.
    #[error("field '{path}': expected {expected}, found {found}")]
    Mismatch {
        /// Path of the field; empty for the whole text.
        path: String,
        /// What would have been right.
        expected: &'static str,
        /// What stood there, shortened.
        found: String,
    },
}
