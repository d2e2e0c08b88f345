//! Writes `JsonMessage` for every `mesos.v1` message and `JsonEnum` for every `mesos.v1` enum.
//! What the generated lines call stands in `src/json/`; Mesos' rules are explained there.

use std::fmt::Write as _;

use prost_types::FieldDescriptorProto;
use prost_types::field_descriptor_proto::Type;

use crate::names::{self, Message, Occurrence, Schema};

/// Answers whose lists are written even when they are empty, with the names of those lists.
const WRITTEN_WHEN_EMPTY: [(&str, &[&str]); 7] = [
    (".mesos.v1.master.Response.GetAgents", &["agents", "recovered_agents"]),
    (".mesos.v1.master.Response.GetFrameworks", &["frameworks", "completed_frameworks"]),
    (".mesos.v1.master.Response.GetExecutors", &["executors"]),
    (".mesos.v1.master.Response.GetTasks", &["tasks", "unreachable_tasks", "completed_tasks"]),
    (".mesos.v1.agent.Response.GetFrameworks", &["frameworks", "completed_frameworks"]),
    (".mesos.v1.agent.Response.GetExecutors", &["executors", "completed_executors"]),
    (
        ".mesos.v1.agent.Response.GetTasks",
        &["pending_tasks", "queued_tasks", "launched_tasks", "terminated_tasks", "completed_tasks"],
    ),
];

/// The text of the generated module.
pub fn generate(schema: &Schema) -> Result<String, Box<dyn std::error::Error>> {
    let mut text = String::new();
    for (_, path) in schema.enums().filter(|(name, _)| name.starts_with(".mesos.v1.")) {
        write!(text, "{}", enumeration(path))?;
    }
    for (name, message) in schema.messages() {
        let duration = name == ".google.protobuf.Duration";
        if duration || name.starts_with(".mesos.v1.") {
            let lists = WRITTEN_WHEN_EMPTY.iter().find(|(message, _)| *message == name);
            let lists = lists.map_or(&[][..], |(_, lists)| lists);
            write_message(&mut text, schema, message, duration, lists)?;
        }
    }
    Ok(text)
}

fn enumeration(path: &str) -> String {
    format!(
        "impl JsonEnum for {path} {{
    fn name(self) -> &'static str {{ self.as_str_name() }}
    fn from_name(name: &str) -> Option<i32> {{ Self::from_str_name(name).map(|it| it as i32) }}
}}\n"
    )
}

fn write_message(
    text: &mut String,
    schema: &Schema,
    message: &Message,
    proto3: bool,
    written_when_empty: &[&str],
) -> Result<(), Box<dyn std::error::Error>> {
    let mut writes = String::new();
    let mut reads = String::new();
    for field in &message.descriptor.field {
        let occurrence = names::occurrence(field, proto3);
        if written_when_empty.contains(&field.name()) {
            let (key, name) = (quoted_key(field), names::rust_field(field));
            writeln!(writes, "        write::list(out, {key}, &self.{name});")?;
        } else {
            writeln!(writes, "        {}", writing(schema, message, field, occurrence)?)?;
        }
        writeln!(reads, "        {}", reading(schema, message, field, occurrence)?)?;
    }
    write!(
        text,
        "impl JsonMessage for {path} {{
    #[allow(unused_variables)]
    fn write_json(&self, out: &mut Vec<u8>) {{
        write::open(out);
{writes}        write::close(out);
    }}
    #[allow(unused_mut, unused_variables)]
    fn read_json(object: &Object, reader: &mut Reader) -> Result<Self, JsonError> {{
        let mut message = Self::default();
{reads}        Ok(message)
    }}
}}\n",
        path = message.path
    )?;
    Ok(())
}

/// The key as it is written: quoted, with its colon, as a Rust literal.
fn quoted_key(field: &FieldDescriptorProto) -> String {
    format!("\"\\\"{}\\\":\"", field.name())
}

/// The line that writes one field.
fn writing(
    schema: &Schema,
    message: &Message,
    field: &FieldDescriptorProto,
    occurrence: Occurrence,
) -> Result<String, String> {
    let key = quoted_key(field);
    let name = names::rust_field(field);
    if schema.map_value(field)?.is_some() {
        return Ok(format!("write::map(out, {key}, &self.{name});"));
    }
    let enumeration = match field.r#type() {
        Type::Enum => Some(schema.enum_path(field.type_name())?),
        _ => None,
    };
    if let Some((oneof, path)) = message.oneof(field) {
        let pattern = format!("Some({path}::{}(value))", names::rust_variant(field));
        let write = match enumeration {
            Some(path) => format!("write::enumeration::<{path}>(out, {key}, Some(*value))"),
            None => format!("write::field(out, {key}, value)"),
        };
        return Ok(format!("if let {pattern} = &self.{oneof} {{ {write} }}"));
    }
    let default = field.default_value.is_some() && !is_deprecated(field);
    Ok(match (occurrence, enumeration) {
        (Occurrence::Repeated, Some(path)) => {
            format!("write::enumerations::<{path}>(out, {key}, &self.{name});")
        }
        (Occurrence::Repeated, None) => format!("write::repeated(out, {key}, &self.{name});"),
        (Occurrence::Required, Some(_)) => {
            format!("write::field(out, {key}, self.{name}().as_str_name());")
        }
        (Occurrence::Required, None) => format!("write::field(out, {key}, &self.{name});"),
        (Occurrence::Implicit, _) => format!("write::non_zero(out, {key}, &self.{name});"),
        (Occurrence::Optional, Some(_)) if default => {
            format!("write::field(out, {key}, self.{name}().as_str_name());")
        }
        (Occurrence::Optional, Some(path)) => {
            format!("write::enumeration::<{path}>(out, {key}, self.{name});")
        }
        (Occurrence::Optional, None) if default && field.r#type() == Type::String => {
            format!("write::field(out, {key}, self.{name}());")
        }
        (Occurrence::Optional, None) if default => {
            format!("write::field(out, {key}, &self.{name}());")
        }
        (Occurrence::Optional, None) => format!("write::optional(out, {key}, &self.{name});"),
    })
}

/// The line that reads one field.
fn reading(
    schema: &Schema,
    message: &Message,
    field: &FieldDescriptorProto,
    occurrence: Occurrence,
) -> Result<String, String> {
    let key = format!("{:?}", field.name());
    let name = names::rust_field(field);
    if schema.map_value(field)?.is_some() {
        return Ok(format!("reader.map(object, {key}, &mut message.{name})?;"));
    }
    let enumeration = match field.r#type() {
        Type::Enum => Some(schema.enum_path(field.type_name())?),
        _ => None,
    };
    if let Some((oneof, path)) = message.oneof(field) {
        let read = match enumeration {
            Some(path) => format!("reader.enumeration::<{path}>(object, {key}, &mut value)?;"),
            None => format!("reader.optional(object, {key}, &mut value)?;"),
        };
        let variant = names::rust_variant(field);
        return Ok(format!(
            "{{ let mut value = None; {read} \
             if let Some(value) = value {{ message.{oneof} = Some({path}::{variant}(value)); }} }}"
        ));
    }
    Ok(match (occurrence, enumeration) {
        (Occurrence::Repeated, Some(path)) => {
            format!("reader.enumerations::<{path}>(object, {key}, &mut message.{name})?;")
        }
        (Occurrence::Repeated, None) => {
            format!("reader.repeated(object, {key}, &mut message.{name})?;")
        }
        (Occurrence::Required, Some(path)) => {
            format!("reader.required_enumeration::<{path}>(object, {key}, &mut message.{name})?;")
        }
        (Occurrence::Required, None) => {
            format!("reader.required(object, {key}, &mut message.{name})?;")
        }
        (Occurrence::Implicit, _) => {
            format!("reader.implicit(object, {key}, &mut message.{name})?;")
        }
        (Occurrence::Optional, Some(path)) => {
            format!("reader.enumeration::<{path}>(object, {key}, &mut message.{name})?;")
        }
        (Occurrence::Optional, None) => {
            format!("reader.optional(object, {key}, &mut message.{name})?;")
        }
    })
}

fn is_deprecated(field: &FieldDescriptorProto) -> bool {
    field.options.as_ref().is_some_and(|options| options.deprecated())
}
