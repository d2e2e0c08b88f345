//! The messages and enums of the compiled files, with the Rust names that prost gives them.

use std::collections::BTreeMap;
use std::error::Error;

use heck::{ToSnakeCase as _, ToUpperCamelCase as _};
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorSet};

/// A message or enum under its full name, for example `.mesos.v1.Offer.Operation`.
pub struct Schema {
    messages: BTreeMap<String, Message>,
    enums: BTreeMap<String, String>,
}

/// A message with the path of its Rust type.
pub struct Message {
    /// What the `.proto` text says.
    pub descriptor: DescriptorProto,
    /// The path of the Rust type, for example `crate::v1::offer::Operation`.
    pub path: String,
    /// The path of the Rust module that holds the types declared inside this message.
    pub module: String,
}

/// How often a field may occur.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Occurrence {
    /// Exactly once.
    Required,
    /// At most once, and its absence can be told.
    Optional,
    /// At most once, and absence means the type's zero (proto3).
    Implicit,
    /// Any number of times.
    Repeated,
}

impl Schema {
    /// Collects what the files declare.
    pub fn new(files: &FileDescriptorSet) -> Result<Self, Box<dyn Error>> {
        let mut schema = Self { messages: BTreeMap::new(), enums: BTreeMap::new() };
        for file in &files.file {
            let package = file.package();
            let module = rust_module(package)
                .ok_or_else(|| format!("package {package} has no Rust module"))?;
            let scope = format!(".{package}");
            for message in &file.message_type {
                schema.add_message(message, &scope, &module);
            }
            for enumeration in &file.enum_type {
                schema.add_enum(enumeration, &scope, &module);
            }
        }
        Ok(schema)
    }

    fn add_message(&mut self, descriptor: &DescriptorProto, scope: &str, module: &str) {
        let name = format!("{scope}.{}", descriptor.name());
        let inner = format!("{module}::{}", identifier(&descriptor.name().to_snake_case()));
        for message in &descriptor.nested_type {
            self.add_message(message, &name, &inner);
        }
        for enumeration in &descriptor.enum_type {
            self.add_enum(enumeration, &name, &inner);
        }
        let path = format!("{module}::{}", descriptor.name().to_upper_camel_case());
        let message = Message { descriptor: descriptor.clone(), path, module: inner };
        self.messages.insert(name, message);
    }

    fn add_enum(&mut self, descriptor: &EnumDescriptorProto, scope: &str, module: &str) {
        let path = format!("{module}::{}", descriptor.name().to_upper_camel_case());
        self.enums.insert(format!("{scope}.{}", descriptor.name()), path);
    }

    /// All messages that have a Rust type of their own (map entries have none), by full name.
    pub fn messages(&self) -> impl Iterator<Item = (&str, &Message)> {
        self.all_messages().filter(|(_, message)| !message.is_map_entry())
    }

    /// All messages and map entries, by full name.
    pub fn all_messages(&self) -> impl Iterator<Item = (&str, &Message)> {
        self.messages.iter().map(|(name, message)| (name.as_str(), message))
    }

    /// All enums: their full names and the paths of their Rust types.
    pub fn enums(&self) -> impl Iterator<Item = (&str, &str)> {
        self.enums.iter().map(|(name, path)| (name.as_str(), path.as_str()))
    }

    /// The message of that full name.
    pub fn message(&self, name: &str) -> Result<&Message, String> {
        self.messages.get(name).ok_or_else(|| format!("message {name} is not declared"))
    }

    /// The path of the Rust type of the enum of that full name.
    pub fn enum_path(&self, name: &str) -> Result<&str, String> {
        let path = self.enums.get(name).ok_or_else(|| format!("enum {name} is not declared"))?;
        Ok(path)
    }

    /// The value's field if `field` is a map, which the descriptors show as a repeated entry.
    pub fn map_value(
        &self,
        field: &FieldDescriptorProto,
    ) -> Result<Option<&FieldDescriptorProto>, String> {
        if field.r#type() != Type::Message {
            return Ok(None);
        }
        let entry = self.message(field.type_name())?;
        if !entry.is_map_entry() {
            return Ok(None);
        }
        Ok(entry.descriptor.field.iter().find(|field| field.name() == "value"))
    }
}

impl Message {
    /// Whether this is not a message of its own but the form that a map takes on the wire.
    pub fn is_map_entry(&self) -> bool {
        self.descriptor.options.as_ref().is_some_and(|options| options.map_entry())
    }

    /// The oneof that `field` belongs to: its Rust field and its Rust type.
    pub fn oneof(&self, field: &FieldDescriptorProto) -> Option<(String, String)> {
        let index = usize::try_from(field.oneof_index?).ok()?;
        let oneof = self.descriptor.oneof_decl.get(index)?;
        let path = format!("{}::{}", self.module, oneof.name().to_upper_camel_case());
        Some((identifier(&oneof.name().to_snake_case()), path))
    }
}

/// How often `field` may occur in a message of the file's syntax.
pub fn occurrence(field: &FieldDescriptorProto, proto3: bool) -> Occurrence {
    match field.label() {
        Label::Required => Occurrence::Required,
        Label::Repeated => Occurrence::Repeated,
        Label::Optional if proto3 && field.r#type() != Type::Message => Occurrence::Implicit,
        Label::Optional => Occurrence::Optional,
    }
}

/// The Rust field that prost makes for a field.
pub fn rust_field(field: &FieldDescriptorProto) -> String {
    identifier(&field.name().to_snake_case())
}

/// The Rust variant that prost makes for a field inside a oneof.
pub fn rust_variant(field: &FieldDescriptorProto) -> String {
    field.name().to_upper_camel_case()
}

fn rust_module(package: &str) -> Option<String> {
    const ROOTS: [(&str, &str); 6] = [
        ("mesos.v1", "crate::v1"),
        ("orrery.lease.v1", "crate::lease"),
        ("orrery.link.v1", "crate::link"),
        ("orrery.log.v1", "crate::log"),
        ("orrery.registry.v1", "crate::registry"),
        ("google.protobuf", "::prost_types"),
    ];
    let (root, module) = ROOTS
        .iter()
        .find(|(root, _)| package == *root || package.starts_with(&format!("{root}.")))?;
    Some(format!("{module}{}", package[root.len()..].replace('.', "::")))
}

/// Escapes the Rust keywords that occur as names in the `.proto` texts.
fn identifier(name: &str) -> String {
    match name {
        "type" | "ref" | "match" | "move" | "use" | "in" | "loop" | "final" | "virtual" => {
            format!("r#{name}")
        }
        _ => name.to_owned(),
    }
}
