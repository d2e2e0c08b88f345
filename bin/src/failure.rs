//! How programs end.

use std::process::ExitCode;

use orrery_flags::FlagError;

use crate::invocation::Invocation;

/// Why a program ends with exit code 1. Its text is the one line that the user sees.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The flags cannot be used.
    #[error(transparent)]
    Flags(#[from] FlagError),
    /// Something the program needs cannot be had, or it broke down.
    #[error("{0}")]
    Other(String),
}

impl Failure {
    /// A failure that `error` explains, with the errors that caused it.
    pub fn because(error: impl std::error::Error) -> Self {
        let mut text = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            let cause_text = cause.to_string();
            // Many errors repeat their cause in their own text.
            if !text.contains(&cause_text) {
                text = format!("{text}: {cause_text}");
            }
            source = cause.source();
        }
        Self::Other(text.replace('\n', " "))
    }
}

/// The exit code of a program that ended so; a failure is told in one line.
pub fn report(invocation: &Invocation, end: Result<ExitCode, Failure>) -> ExitCode {
    match end {
        Ok(code) => code,
        Err(failure) => {
            eprintln!("{}: {failure}", invocation.name);
            ExitCode::FAILURE
        }
    }
}
