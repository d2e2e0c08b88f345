//! Rules for commands, environments and secrets.

use orrery_api::v1::environment::{Variable, variable};
use orrery_api::v1::{CommandInfo, Environment, Secret, secret};

use crate::validate::{Invalid, expect};

/// Checks the environment and the names under which files are fetched. Whether there must be a
/// value depends on who runs the command, so that is not checked here.
pub(super) fn command(command: &CommandInfo) -> Result<(), Invalid> {
    for uri in &command.uris {
        let name = uri.output_file();
        let inside = !name.starts_with('/') && name.split('/').all(|part| part != "..");
        expect(
            inside,
            format_args!("'output_file' is '{name}'; expected a path inside the sandbox"),
        )?;
    }
    command.environment.as_ref().map_or(Ok(()), environment)
}

/// Checks that every variable has exactly the value that its type promises.
pub(super) fn environment(environment: &Environment) -> Result<(), Invalid> {
    environment.variables.iter().try_for_each(check_variable)
}

fn check_variable(variable: &Variable) -> Result<(), Invalid> {
    let name = &variable.name;
    let wrong = |what: &str| Err(Invalid::new(format!("Environment variable '{name}' {what}")));
    match variable.r#type() {
        variable::Type::Value if variable.secret.is_some() => {
            wrong("of type 'VALUE' must not have a secret set")
        }
        variable::Type::Value if variable.value.is_none() => {
            wrong("of type 'VALUE' must have a value set")
        }
        variable::Type::Secret if variable.value.is_some() => {
            wrong("of type 'SECRET' must not have a value set")
        }
        variable::Type::Secret => match &variable.secret {
            None => wrong("of type 'SECRET' must have a secret set"),
            Some(value) => {
                secret(value).map_err(|error| {
                    error.within(&format!("Environment variable '{name}' has an invalid secret"))
                })?;
                let data = value.value.as_ref().map_or(&[][..], |value| &value.data);
                if data.contains(&0) { wrong("has a secret with a null byte") } else { Ok(()) }
            }
        },
        variable::Type::Value => Ok(()),
        variable::Type::Unknown => wrong("of type 'UNKNOWN' is not allowed"),
    }
}

/// Checks that a secret is either a reference or a value, as its type says.
pub(super) fn secret(secret: &Secret) -> Result<(), Invalid> {
    let set = (secret.reference.is_some(), secret.value.is_some());
    match (secret.r#type(), set) {
        (secret::Type::Reference, (true, false)) | (secret::Type::Value, (false, true)) => Ok(()),
        (secret::Type::Reference, _) => Err(Invalid::new(
            "Secret of type REFERENCE must have the 'reference' field set and no 'value'",
        )),
        (secret::Type::Value, _) => Err(Invalid::new(
            "Secret of type VALUE must have the 'value' field set and no 'reference'",
        )),
        (secret::Type::Unknown, _) => Err(Invalid::new("Secret has unknown type")),
    }
}
