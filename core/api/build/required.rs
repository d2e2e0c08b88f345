//! Writes, for every message, the table by which `src/protobuf.rs` finds missing required fields.
//! A table lists only the fields that are required or that lead to a required one, so that whole
//! subtrees which cannot be incomplete are never looked into.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use prost_types::field_descriptor_proto::{Label, Type};

use crate::names::Schema;

/// The most fields that a table may list; `src/protobuf.rs` counts them in an array of this length.
const MAX_FIELDS: usize = 64;

/// The text of the generated module.
pub fn generate(schema: &Schema) -> Result<String, Box<dyn std::error::Error>> {
    let incomplete = can_be_incomplete(schema);
    let mut text = String::new();
    for (name, message) in schema.messages() {
        if name.starts_with(".google.") && name != ".google.protobuf.Duration" {
            continue;
        }
        let table = if incomplete.contains(name) {
            write!(text, "{}", table(schema, &incomplete, name)?)?;
            format!("&{}", identifier(name))
        } else {
            "&NOTHING_REQUIRED".to_owned()
        };
        writeln!(
            text,
            "impl Checked for {} {{ const SHAPE: &'static Shape = {table}; }}",
            message.path
        )?;
    }
    Ok(text)
}

/// The messages that have a required field, or one inside a field, found as a fixed point.
fn can_be_incomplete(schema: &Schema) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    loop {
        let before = found.len();
        for (name, message) in schema.all_messages() {
            let reaches =
                message.descriptor.field.iter().any(|field| {
                    field.label() == Label::Required || found.contains(field.type_name())
                });
            if reaches {
                found.insert(name.to_owned());
            }
        }
        if found.len() == before {
            return found;
        }
    }
}

fn table(
    schema: &Schema,
    incomplete: &BTreeSet<String>,
    name: &str,
) -> Result<String, Box<dyn std::error::Error>> {
    let mut text = String::new();
    let mut entries = BTreeSet::new();
    let mut fields = String::new();
    for field in &schema.message(name)?.descriptor.field {
        let required = field.label() == Label::Required;
        let leads = field.r#type() == Type::Message && incomplete.contains(field.type_name());
        if !required && !leads {
            continue;
        }
        let kind = match field.r#type() {
            Type::Message if leads => {
                if schema.message(field.type_name())?.is_map_entry() {
                    entries.insert(field.type_name());
                }
                format!("Kind::Message(&{})", identifier(field.type_name()))
            }
            Type::Enum => {
                let path = schema.enum_path(field.type_name())?;
                format!("Kind::Enum({path}::is_valid)")
            }
            _ => "Kind::Other".to_owned(),
        };
        let number = field.number();
        let name = field.name();
        let repeated = field.label() == Label::Repeated;
        writeln!(
            fields,
            "    Field {{ number: {number}, name: {name:?}, required: {required}, \
             repeated: {repeated}, kind: {kind} }},"
        )?;
    }
    if fields.lines().count() > MAX_FIELDS {
        return Err(format!("{name} has more than {MAX_FIELDS} fields to check").into());
    }
    writeln!(text, "static {}: Shape = Shape {{ fields: &[\n{fields}] }};", identifier(name))?;
    for entry in entries {
        write!(text, "{}", table(schema, incomplete, entry)?)?;
    }
    Ok(text)
}

/// `.mesos.v1.Offer.Operation` as `MESOS_V1_OFFER_OPERATION`. Two names of the texts could only
/// clash if they differed in nothing but case; the compiler would then refuse the second table.
fn identifier(name: &str) -> String {
    name.trim_start_matches('.').replace('.', "_").to_uppercase()
}
