//! The text that `--help` prints.

use crate::spec::{FlagSpec, Kind, Support};

/// How to call `program`, with every flag of its table.
pub fn usage(program: &str, about: &str, specs: &[FlagSpec]) -> String {
    let mut text = format!("{about}\n\nUsage: {program} [--flag=value]...\n\nFlags:\n");
    let mut sorted: Vec<&FlagSpec> = specs.iter().collect();
    sorted.sort_by_key(|spec| spec.name);
    for spec in sorted {
        text.push_str(&describe(spec));
    }
    text.push_str(
        "\nEvery flag may also come from the environment as MESOS_<FLAG>; the command line goes\n\
         before it. A value may be file://PATH of a file that holds it.\n",
    );
    text
}

fn describe(spec: &FlagSpec) -> String {
    let form = match spec.kind {
        Kind::Boolean => format!("--[no-]{}", spec.name),
        _ => format!("--{}=VALUE", spec.name),
    };
    let mut notes = Vec::new();
    if spec.required {
        notes.push("required".to_owned());
    }
    if let Some(default) = spec.default {
        notes.push(format!("default: {default}"));
    }
    if !spec.aliases.is_empty() {
        notes.push(format!("older name: {}", spec.aliases.join(", ")));
    }
    match spec.support {
        Support::Full => {}
        Support::NoEffect => notes.push("accepted, without effect yet".to_owned()),
        Support::DefaultOnly(_) => notes.push("only the default is supported yet".to_owned()),
    }
    let notes = if notes.is_empty() { String::new() } else { format!(" ({})", notes.join("; ")) };
    format!("  {form}\n      {}{notes}\n", spec.help)
}
