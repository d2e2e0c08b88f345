//! The names, numbers and types of all public fields are Mesos' and ours for ever: clients have
//! them compiled in. `tests/numbers.txt` lists them, one a line, so that none can drift unnoticed.
//! A line is added there by hand with each new field; a line that is there never changes.

use std::collections::BTreeSet;

use orrery_api::DESCRIPTORS;
use prost::Message as _;
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorSet};

#[test]
fn no_name_number_or_type_drifts() {
    let files = FileDescriptorSet::decode(DESCRIPTORS).expect("the compiled descriptors");
    let mut lines = BTreeSet::new();
    for file in files.file.iter().filter(|file| file.package().starts_with("mesos.")) {
        let package = file.package();
        for message in &file.message_type {
            list_message(message, package, &mut lines);
        }
        for enumeration in &file.enum_type {
            list_enum(enumeration, package, &mut lines);
        }
    }
    let listed: BTreeSet<String> = include_str!("numbers.txt").lines().map(str::to_owned).collect();
    let gone: Vec<_> = listed.difference(&lines).collect();
    let new: Vec<_> = lines.difference(&listed).collect();
    assert!(gone.is_empty() && new.is_empty(), "listed but gone: {gone:#?}\nnot listed: {new:#?}");
}

fn list_message(message: &DescriptorProto, scope: &str, lines: &mut BTreeSet<String>) {
    let name = format!("{scope}.{}", message.name());
    for field in &message.field {
        lines.insert(format!(
            "{name}.{} {} {} {}{}",
            field.name(),
            field.number(),
            type_name(field),
            label(field),
            field.default_value.as_ref().map(|value| format!(" ={value}")).unwrap_or_default()
        ));
    }
    for inner in &message.nested_type {
        list_message(inner, &name, lines);
    }
    for inner in &message.enum_type {
        list_enum(inner, &name, lines);
    }
}

fn list_enum(enumeration: &EnumDescriptorProto, scope: &str, lines: &mut BTreeSet<String>) {
    for value in &enumeration.value {
        let name = format!("{scope}.{}.{}", enumeration.name(), value.name());
        lines.insert(format!("{name} {}", value.number()));
    }
}

fn type_name(field: &FieldDescriptorProto) -> String {
    match field.r#type() {
        Type::Message | Type::Enum => field.type_name().trim_start_matches('.').to_owned(),
        scalar => scalar.as_str_name().trim_start_matches("TYPE_").to_lowercase(),
    }
}

fn label(field: &FieldDescriptorProto) -> &'static str {
    match field.label() {
        Label::Optional => "optional",
        Label::Required => "required",
        Label::Repeated => "repeated",
    }
}
