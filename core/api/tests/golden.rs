//! Messages recorded from a real Mesos 1.12 (shortened) must decode and encode to the same JSON.

#![allow(clippy::disallowed_methods, reason = "the recorded messages are files")]

use std::fmt::Debug;
use std::fs;
use std::path::Path;

use orrery_api::json::{self, JsonMessage};
use orrery_api::protobuf::{self, Checked};
use orrery_api::v1;
use serde_json::Value;

/// What is done with one recorded message: the JSON that it became.
type RoundTrip = fn(&[u8]) -> Value;

/// A file's name begins with the type of its message.
const TYPES: [(&str, RoundTrip); 9] = [
    ("agent.Response.", round_trip::<v1::agent::Response>),
    ("executor.Call.", round_trip::<v1::executor::Call>),
    ("executor.Event.", round_trip::<v1::executor::Event>),
    ("master.Call.", round_trip::<v1::master::Call>),
    ("master.Event.", round_trip::<v1::master::Event>),
    ("master.Response.", round_trip::<v1::master::Response>),
    ("scheduler.Call.", round_trip::<v1::scheduler::Call>),
    ("scheduler.Event.", round_trip::<v1::scheduler::Event>),
    ("scheduler.OfferConstraints.", round_trip::<v1::scheduler::OfferConstraints>),
];

fn round_trip<M: JsonMessage + Checked + PartialEq + Debug>(text: &[u8]) -> Value {
    let message: M = json::decode(text).expect("a recorded message decodes");
    let written = json::encode(&message);
    let again: M = json::decode(&written).expect("our own JSON decodes");
    assert_eq!(json::encode(&again), written);
    let binary: M = protobuf::decode(&protobuf::encode(&message)).expect("our protobuf decodes");
    assert_eq!(binary, message);
    json::to_value(&message)
}

#[test]
fn recorded_messages_keep_their_json() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut seen = 0;
    let mut wrong = Vec::new();
    for entry in fs::read_dir(folder).expect("the folder of recorded messages") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        let (_, round_trip) = TYPES
            .iter()
            .find(|(prefix, _)| name.starts_with(prefix))
            .unwrap_or_else(|| panic!("{name} is of no known type"));
        let text = fs::read(&path).expect("a readable file");
        let mut expected: Value = serde_json::from_slice(&text).expect("valid JSON");
        forget_obsolete_field(&mut expected);
        if name.contains(".Call.") {
            // A client may leave out what has a default and write 5 for 5.0 or an empty list; we
            // never do.
            covers(&name, "", &round_trip(&text), &expected, &mut wrong);
        } else {
            compare(&name, "", &round_trip(&text), &expected, &mut wrong);
        }
        seen += 1;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(seen >= 40, "only {seen} recorded messages were found");
}

/// Mesos writes a field `checkpoint` of agents, which the messages of version 1 do not have.
fn forget_obsolete_field(value: &mut Value) {
    match value {
        Value::Object(object) => {
            if let Some(Value::Object(agent)) = object.get_mut("agent_info") {
                agent.remove("checkpoint");
            }
            object.values_mut().for_each(forget_obsolete_field);
        }
        Value::Array(list) => list.iter_mut().for_each(forget_obsolete_field),
        _ => {}
    }
}

/// Notes where two values differ.
fn compare(name: &str, path: &str, ours: &Value, theirs: &Value, wrong: &mut Vec<String>) {
    match (ours, theirs) {
        (Value::Object(ours), Value::Object(theirs)) => {
            for key in ours.keys().filter(|key| !theirs.contains_key(*key)) {
                wrong.push(format!("{name}: {path}.{key} is written, Mesos does not"));
            }
            for (key, value) in theirs {
                match ours.get(key) {
                    Some(ours) => compare(name, &format!("{path}.{key}"), ours, value, wrong),
                    None => wrong.push(format!("{name}: {path}.{key} is missing")),
                }
            }
        }
        (Value::Array(ours), Value::Array(theirs)) if ours.len() == theirs.len() => {
            for (index, (ours, theirs)) in ours.iter().zip(theirs).enumerate() {
                compare(name, &format!("{path}[{index}]"), ours, theirs, wrong);
            }
        }
        // Equality of numbers tells 1 from 1.0, as it should.
        _ if ours == theirs => {}
        _ => wrong.push(format!("{name}: {path} is {ours}, Mesos writes {theirs}")),
    }
}

/// Notes what a client wrote and we lost.
fn covers(name: &str, path: &str, ours: &Value, theirs: &Value, wrong: &mut Vec<String>) {
    match (ours, theirs) {
        (Value::Object(ours), Value::Object(theirs)) => {
            for (key, value) in theirs {
                match ours.get(key) {
                    None if *value == serde_json::json!([]) => {}
                    Some(ours) => covers(name, &format!("{path}.{key}"), ours, value, wrong),
                    None => wrong.push(format!("{name}: {path}.{key} was lost")),
                }
            }
        }
        (Value::Array(ours), Value::Array(theirs)) if ours.len() == theirs.len() => {
            for (index, (ours, theirs)) in ours.iter().zip(theirs).enumerate() {
                covers(name, &format!("{path}[{index}]"), ours, theirs, wrong);
            }
        }
        (Value::Number(ours), Value::Number(theirs)) if ours.as_f64() == theirs.as_f64() => {}
        _ if ours == theirs => {}
        _ => wrong.push(format!("{name}: {path} was {theirs} and became {ours}")),
    }
}
