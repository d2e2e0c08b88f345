//! A scheduler call that was read from protobuf survives both encodings.

#![no_main]

use libfuzzer_sys::fuzz_target;
use orrery_api::v1::scheduler::Call;
use orrery_api::{json, protobuf};

fuzz_target!(|bytes: &[u8]| {
    let Ok(call) = protobuf::decode::<Call>(bytes) else { return };
    let written = protobuf::encode(&call);
    let again: Call = protobuf::decode(&written).expect("our own protobuf is readable");
    assert_eq!(protobuf::encode(&again), written);
    // What is complete in one encoding is complete in the other.
    let text = json::encode(&call);
    let from_json: Call = json::decode(&text).expect("our own JSON is readable");
    assert_eq!(json::encode(&from_json), text);
});
