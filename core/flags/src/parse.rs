//! From a command line and an environment to [`Flags`].

use std::collections::BTreeMap;
use std::io;

use crate::error::FlagError;
use crate::flags::{Flags, Loaded};
use crate::spec::{FlagSpec, Kind, Support};
use crate::value::Value;

const PREFIX: &str = "MESOS_";
const FILE: &str = "file://";

/// A flag as it was given.
struct Given {
    spec: FlagSpec,
    /// The spelling used, for messages: `--no-strict`, `MESOS_WORK_DIR`.
    spelling: String,
    /// The name used, in lower case and without `no-`.
    name: String,
    negated: bool,
    value: Option<String>,
}

type ReadFile<'a> = &'a dyn Fn(&str) -> io::Result<String>;

/// Reads `args` (without the program's own name) and the `MESOS_*` variables of `environment`
/// against the table `specs`. `program` is the name that messages call it by; `read_file` reads
/// what `file://PATH` names.
///
/// When `--help` or `--version` is on the command line, nothing else is looked at.
///
/// # Errors
/// The first thing that is wrong; see [`FlagError`].
pub fn parse(
    program: &str,
    specs: &[FlagSpec],
    args: &[String],
    environment: &[(String, String)],
    read_file: ReadFile<'_>,
) -> Result<Flags, FlagError> {
    let mut flags = Flags::default();
    let (args, rest) = split_at_double_dash(args);
    if let Some(asked) = asked_for_help(specs, args) {
        flags.values.insert(asked.name, loaded(asked.name, Value::Boolean(true), true));
        return Ok(flags);
    }
    flags.rest = rest.to_vec();
    let mut given = from_command_line(program, specs, args, &mut flags.warnings)?;
    add_environment(specs, environment, &mut given)?;
    for spec in specs {
        let found = match given.remove(spec.name) {
            Some(given) => Some(load(&given, read_file, &mut flags.warnings)?),
            None if spec.required => {
                return Err(FlagError::required(spec.name, spec.expected()));
            }
            None => default(spec),
        };
        flags.values.extend(found.map(|found| (spec.name, found)));
    }
    Ok(flags)
}

fn split_at_double_dash(args: &[String]) -> (&[String], &[String]) {
    match args.iter().position(|argument| argument == "--") {
        Some(position) => (&args[..position], args.get(position + 1..).unwrap_or_default()),
        None => (args, &[]),
    }
}

fn asked_for_help(specs: &[FlagSpec], args: &[String]) -> Option<FlagSpec> {
    let asks = |name: &str| {
        args.iter().any(|argument| {
            argument.strip_prefix("--").is_some_and(|rest| {
                let (given, value) = rest.split_once('=').unwrap_or((rest, "true"));
                given.eq_ignore_ascii_case(name) && matches!(value, "" | "1" | "true")
            })
        })
    };
    specs.iter().find(|spec| matches!(spec.name, "help" | "version") && asks(spec.name)).copied()
}

fn from_command_line(
    program: &str,
    specs: &[FlagSpec],
    args: &[String],
    warnings: &mut Vec<String>,
) -> Result<BTreeMap<&'static str, Given>, FlagError> {
    let mut found = BTreeMap::new();
    for argument in args {
        let Some(rest) = argument.strip_prefix("--") else {
            warnings.push(format!("argument '{argument}' is ignored: flags are --name=value"));
            continue;
        };
        let (name, value) = match rest.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (rest, None),
        };
        let spelling = format!("--{name}");
        let Some(given) = recognise(specs, name, spelling.clone(), value) else {
            return Err(FlagError::Unknown { flag: spelling, program: program.to_owned() });
        };
        if let Some(first) = found.insert(given.spec.name, given) {
            return Err(duplicate(&first, spelling));
        }
    }
    Ok(found)
}

fn recognise(
    specs: &[FlagSpec],
    name: &str,
    spelling: String,
    value: Option<String>,
) -> Option<Given> {
    let name = name.to_lowercase();
    let find = |name: &str| specs.iter().find(|spec| spec.is_called(name)).copied();
    if let Some(spec) = find(&name) {
        return Some(Given { spec, spelling, name, negated: false, value });
    }
    let positive = name.strip_prefix("no-")?.to_owned();
    let spec = find(&positive)?;
    Some(Given { spec, spelling, name: positive, negated: true, value })
}

/// Adds what the command line did not give. A flag under one name here and under another there is
/// a duplicate: it cannot be told which of the two was meant.
fn add_environment(
    specs: &[FlagSpec],
    environment: &[(String, String)],
    given: &mut BTreeMap<&'static str, Given>,
) -> Result<(), FlagError> {
    let mut found: BTreeMap<&'static str, Given> = BTreeMap::new();
    for (variable, value) in environment {
        let Some(name) = variable.strip_prefix(PREFIX) else {
            continue;
        };
        let Some(new) = recognise(specs, name, variable.clone(), Some(value.clone())) else {
            continue;
        };
        let same = |old: &Given| old.name == new.name && old.negated == new.negated;
        match (given.get(new.spec.name), found.get(new.spec.name)) {
            (Some(old), _) if old.name == new.name => {}
            (_, Some(old)) if same(old) && old.value == new.value => {}
            (Some(old), _) | (None, Some(old)) => return Err(duplicate(old, variable.clone())),
            (None, None) => {
                found.insert(new.spec.name, new);
            }
        }
    }
    given.append(&mut found);
    Ok(())
}

fn duplicate(first: &Given, second: String) -> FlagError {
    FlagError::Duplicate { name: first.spec.name.to_owned(), first: first.spelling.clone(), second }
}

fn default(spec: &FlagSpec) -> Option<Loaded> {
    let value = Value::read(spec.kind, spec.default?)?;
    Some(loaded(spec.name, value, false))
}

fn loaded(name: &str, value: Value, given: bool) -> Loaded {
    Loaded { shown: value.show(), value, name: name.to_owned(), given }
}

fn load(
    given: &Given,
    read_file: ReadFile<'_>,
    warnings: &mut Vec<String>,
) -> Result<Loaded, FlagError> {
    let spec = &given.spec;
    let text = value_text(given, read_file, warnings)?;
    let invalid = || FlagError::Invalid {
        flag: given.spelling.clone(),
        value: without_password(&text),
        expected: spec.expected(),
    };
    if !spec.choices.is_empty() && !spec.choices.contains(&text.as_str()) {
        return Err(invalid());
    }
    let value = Value::read(spec.kind, &text).ok_or_else(invalid)?;
    let bound = |text: Option<&str>| text.and_then(|text| Value::read(spec.kind, text));
    let too_small = bound(spec.minimum).is_some_and(|minimum| value.is_less_than(&minimum));
    let too_great = bound(spec.maximum).is_some_and(|maximum| maximum.is_less_than(&value));
    if too_small || too_great {
        return Err(invalid());
    }
    check_support(given, &value, warnings)?;
    if given.name != spec.name {
        let new = spec.name;
        warnings.push(format!("'{}' is an old name: use --{new}", given.spelling));
    }
    let mut loaded = loaded(&given.name, value, true);
    if matches!(spec.kind, Kind::Master | Kind::Masters) {
        loaded.shown = without_password(given.value.as_deref().unwrap_or_default());
    }
    Ok(loaded)
}

/// A URL without the password in it: everybody may look at `/flags`, and errors end up in logs.
fn without_password(text: &str) -> String {
    let parts = text.split_once("://").and_then(|(scheme, rest)| {
        let (who, place) = rest.rsplit_once('@')?;
        let (user, _) = who.split_once(':')?;
        Some(format!("{scheme}://{user}:…@{place}"))
    });
    parts.unwrap_or_else(|| text.to_owned())
}

/// The value's text with `file://` followed and booleans spelled out.
fn value_text(
    given: &Given,
    read_file: ReadFile<'_>,
    warnings: &mut Vec<String>,
) -> Result<String, FlagError> {
    let (kind, spelling) = (given.spec.kind, &given.spelling);
    if given.negated {
        return negated_text(given);
    }
    let value = match &given.value {
        Some(value) => value,
        None if kind == Kind::Boolean => return Ok("true".to_owned()),
        None => {
            let expected = given.spec.expected();
            return Err(FlagError::MissingValue { flag: spelling.clone(), expected });
        }
    };
    if kind == Kind::Boolean && value.is_empty() {
        return Ok("true".to_owned());
    }
    let path = match value.strip_prefix(FILE) {
        Some(path) if kind != Kind::Path => path,
        None if kind == Kind::Json && value.starts_with('/') => {
            warnings.push(format!("'{spelling}' names a file by its bare path: use {FILE}{value}"));
            value
        }
        _ => return Ok(value.clone()),
    };
    read_file(path).map_err(|error| FlagError::File {
        flag: spelling.clone(),
        value: value.clone(),
        error: error.to_string(),
    })
}

fn negated_text(given: &Given) -> Result<String, FlagError> {
    let (flag, name) = (given.spelling.clone(), given.spec.name.to_owned());
    if given.spec.kind != Kind::Boolean {
        return Err(FlagError::NotBoolean { flag, name });
    }
    match given.value.as_deref() {
        None | Some("") => Ok("false".to_owned()),
        Some(value) => Err(FlagError::NegatedWithValue { flag, name, value: value.to_owned() }),
    }
}

fn check_support(
    given: &Given,
    value: &Value,
    warnings: &mut Vec<String>,
) -> Result<(), FlagError> {
    let spec = &given.spec;
    let default = spec.default.and_then(|default| Value::read(spec.kind, default));
    if default.as_ref() == Some(value) {
        return Ok(());
    }
    match spec.support {
        Support::Full => Ok(()),
        Support::NoEffect => {
            warnings.push(format!("'{}' has no effect yet", given.spelling));
            Ok(())
        }
        Support::DefaultOnly(reason) => Err(unsupported(given, reason)),
    }
}

/// Shows the value as it was given, not what a file named by it holds: that may be a secret.
fn unsupported(given: &Given, reason: &str) -> FlagError {
    let default = if given.negated { "false" } else { "true" };
    FlagError::Unsupported {
        flag: given.spelling.clone(),
        value: given.value.clone().unwrap_or_else(|| default.to_owned()),
        reason: reason.to_owned(),
    }
}
