//! Where log events go: to the standard error, above a level.

use std::str::FromStr;

use orrery_flags::Flags;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::failure::Failure;

/// Levels by target, such as `info,orrery_master=debug`. Goes before all flags.
const VARIABLE: &str = "ORRERY_LOG";

/// Logs as the flags say, and begins with their warnings.
///
/// # Errors
/// `ORRERY_LOG` is set and is no list of levels.
pub fn start(flags: &Flags) -> Result<(), Failure> {
    let level = match flags.get::<String>("logging_level").as_deref() {
        _ if flags.is_set("quiet") => LevelFilter::OFF,
        Some("WARNING") => LevelFilter::WARN,
        Some("ERROR") => LevelFilter::ERROR,
        _ => LevelFilter::INFO,
    };
    start_at(level)?;
    for warning in flags.warnings() {
        tracing::warn!("{warning}");
    }
    Ok(())
}

/// Logs everything above `level`.
///
/// # Errors
/// `ORRERY_LOG` is set and is no list of levels.
pub fn start_at(level: LevelFilter) -> Result<(), Failure> {
    let targets = match std::env::var(VARIABLE) {
        Ok(text) if !text.is_empty() => Targets::from_str(&text).map_err(|error| {
            Failure::Other(format!("{VARIABLE} has the value '{text}': {error}"))
        })?,
        _ => Targets::new().with_default(level),
    };
    let output = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(false);
    // A second call in one process changes nothing.
    let _ = tracing_subscriber::registry().with(output).with(targets).try_init();
    Ok(())
}
