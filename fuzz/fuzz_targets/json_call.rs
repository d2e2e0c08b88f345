//! A scheduler call that was read from JSON survives being written and read again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use orrery_api::v1::scheduler::Call;
use orrery_api::{json, protobuf};

fuzz_target!(|text: &[u8]| {
    let Ok(call) = json::decode::<Call>(text) else { return };
    let written = json::encode(&call);
    let again: Call = json::decode(&written).expect("our own JSON is readable");
    // Reading fills in defaults, so the texts are compared and not the calls.
    assert_eq!(json::encode(&again), written);
    // JSON may be nested deeper than protobuf; whatever fits must come back unchanged.
    if let Ok(binary) = protobuf::decode::<Call>(&protobuf::encode(&call)) {
        assert_eq!(json::encode(&binary), written);
    }
});
