//! Rules for checks and health checks.

use orrery_api::v1::{CheckInfo, CommandInfo, HealthCheck, check_info, health_check};

use crate::validate::{Invalid, command, expect};

/// Checks a health check: a known type, exactly its own field, a usable command or address, and
/// times that are not negative.
pub(super) fn health_check(check: &HealthCheck) -> Result<(), Invalid> {
    match check.r#type() {
        health_check::Type::Command => {
            let command = check.command.as_ref();
            check_command(command.ok_or_else(|| missing("command", "COMMAND health check"))?)?;
        }
        health_check::Type::Http => {
            let http = check.http.as_ref().ok_or_else(|| missing("http", "HTTP health check"))?;
            let scheme = http.scheme();
            expect(
                matches!(scheme, "" | "http" | "https"),
                format_args!("Unsupported HTTP health check scheme: '{scheme}'"),
            )?;
            check_path(http.path.as_deref())?;
        }
        health_check::Type::Tcp => {
            check.tcp.as_ref().ok_or_else(|| missing("tcp", "TCP health check"))?;
        }
        health_check::Type::Unknown => {
            return Err(Invalid::new("'UNKNOWN' is not a valid health check type"));
        }
    }
    not_negative("delay_seconds", check.delay_seconds())?;
    not_negative("interval_seconds", check.interval_seconds())?;
    not_negative("timeout_seconds", check.timeout_seconds())?;
    not_negative("grace_period_seconds", check.grace_period_seconds())
}

/// Checks a check, by the same rules except that it has exactly one of its three fields.
pub(super) fn check(check: &CheckInfo) -> Result<(), Invalid> {
    let set = (check.command.is_some(), check.http.is_some(), check.tcp.is_some());
    match check.r#type() {
        check_info::Type::Command => {
            let command =
                check.command.as_ref().ok_or_else(|| missing("command", "COMMAND check"))?;
            check_command(&command.command)?;
            expect(set == (true, false, false), "Only 'command' must be set for COMMAND check")?;
        }
        check_info::Type::Http => {
            let http = check.http.as_ref().ok_or_else(|| missing("http", "HTTP check"))?;
            check_path(http.path.as_deref())?;
            expect(set == (false, true, false), "Only 'http' must be set for HTTP check")?;
        }
        check_info::Type::Tcp => {
            check.tcp.as_ref().ok_or_else(|| missing("tcp", "TCP check"))?;
            expect(set == (false, false, true), "Only 'tcp' must be set for TCP check")?;
        }
        check_info::Type::Unknown => {
            return Err(Invalid::new("'UNKNOWN' is not a valid check type"));
        }
    }
    not_negative("delay_seconds", check.delay_seconds())?;
    not_negative("interval_seconds", check.interval_seconds())?;
    not_negative("timeout_seconds", check.timeout_seconds())
}

fn missing(field: &str, kind: &str) -> Invalid {
    Invalid::new(format!("Expecting '{field}' to be set for {kind}"))
}

fn check_command(info: &CommandInfo) -> Result<(), Invalid> {
    let kind = if info.shell() { "Shell command" } else { "Executable path" };
    expect(info.value.is_some(), format_args!("{kind} is not specified"))?;
    command::command(info).map_err(|error| error.within("'CommandInfo' is invalid"))
}

fn check_path(path: Option<&str>) -> Result<(), Invalid> {
    let path = path.unwrap_or("/");
    expect(path.starts_with('/'), format_args!("The path '{path}' must start with '/'"))
}

/// False for NaN as well.
fn not_negative(field: &str, value: f64) -> Result<(), Invalid> {
    expect(value >= 0.0, format_args!("Expecting '{field}' to be non-negative"))
}
