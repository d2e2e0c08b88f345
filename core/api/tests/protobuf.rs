//! The binary encoding's checks.

use std::fmt::Debug;

use orrery_api::protobuf::{self, Checked, DecodeError};
use orrery_api::v1;
use orrery_api::v1::scheduler::Call;
use proptest::prelude::{ProptestConfig, proptest};

/// A length-delimited field.
fn field(number: u8, content: &[u8]) -> Vec<u8> {
    let length = u8::try_from(content.len()).expect("a short field");
    assert!(length < 0x80 && number < 16);
    [&[number << 3 | 2, length], content].concat()
}

fn missing<M: Checked + Debug>(bytes: &[u8]) -> Vec<String> {
    match protobuf::decode::<M>(bytes) {
        Err(DecodeError::MissingRequired(paths)) => paths,
        other => panic!("expected missing fields, got {other:?}"),
    }
}

#[test]
fn missing_required_fields_are_all_named() {
    let framework_info = field(1, b"root");
    let call = field(3, &field(1, &framework_info));
    assert_eq!(missing::<Call>(&call), ["subscribe.framework_info.name"]);

    let offers = [field(1, &field(1, b"o")), field(1, b"")].concat();
    assert_eq!(missing::<Call>(&field(4, &offers)), ["accept.offer_ids[1].value"]);
}

#[test]
fn missing_fields_in_maps_are_named() {
    let entry = [field(1, b"mem"), field(2, b"")].concat();
    let quantities = field(1, &entry);
    assert_eq!(
        missing::<v1::offer_filters::ResourceQuantities>(&quantities),
        ["quantities[0].value.value"]
    );
}

#[test]
fn an_unknown_value_of_a_required_enum_counts_as_missing() {
    let status = [field(1, &field(1, b"t")), vec![2 << 3, 99]].concat();
    assert_eq!(missing::<v1::TaskStatus>(&status), ["state"]);
    let status = [field(1, &field(1, b"t")), vec![2 << 3, 1]].concat();
    assert!(protobuf::decode::<v1::TaskStatus>(&status).is_ok());
}

#[test]
fn nothing_is_missing_from_an_empty_message_without_required_fields() {
    assert_eq!(protobuf::decode::<Call>(b"").expect("an empty call"), Call::default());
    assert_eq!(missing::<v1::TaskId>(b""), ["value"]);
}

#[test]
fn unknown_fields_are_skipped() {
    let id = [field(9, b"what is this"), field(1, b"t")].concat();
    assert_eq!(protobuf::decode::<v1::TaskId>(&id).expect("an id").value, "t");
}

#[test]
fn deep_nesting_is_refused_not_followed() {
    let mut id = v1::ContainerId { value: "c".into(), parent: None };
    for _ in 0..90 {
        id = v1::ContainerId { value: "c".into(), parent: Some(Box::new(id)) };
    }
    assert!(protobuf::decode::<v1::ContainerId>(&protobuf::encode(&id)).is_ok());
    for _ in 0..200 {
        id = v1::ContainerId { value: "c".into(), parent: Some(Box::new(id)) };
    }
    assert!(matches!(
        protobuf::decode::<v1::ContainerId>(&protobuf::encode(&id)),
        Err(DecodeError::Malformed(_))
    ));
}

#[test]
fn lengths_that_lie_are_refused() {
    for bytes in [&b"\x0a\x05ab"[..], b"\x0a", b"\x0a\xff\xff\xff\xff\x0f", b"\xff", b"\x0b\x0a"] {
        assert!(matches!(protobuf::decode::<v1::TaskId>(bytes), Err(DecodeError::Malformed(_))));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_make_the_decoder_panic(bytes: Vec<u8>) {
        let _ = protobuf::decode::<Call>(&bytes);
        let _ = protobuf::decode::<v1::scheduler::Event>(&bytes);
    }
}
