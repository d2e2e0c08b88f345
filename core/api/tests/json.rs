//! Mesos' JSON rules, one by one.

use bytes::Bytes;
use orrery_api::json::{self, JsonError, JsonMessage};
use orrery_api::v1;
use orrery_api::v1::scheduler::{Call, Event};
use proptest::prelude::{ProptestConfig, any, proptest};

fn text<M: JsonMessage>(message: &M) -> String {
    String::from_utf8(json::encode(message)).expect("JSON is UTF-8")
}

fn read<M: JsonMessage>(text: &str) -> M {
    json::decode(text.as_bytes()).expect("a readable message")
}

fn refusal<M: JsonMessage>(text: &str) -> String {
    match json::decode::<M>(text.as_bytes()) {
        Ok(_) => panic!("{text} was accepted"),
        Err(error) => error.to_string(),
    }
}

fn status(json: &str) -> v1::TaskStatus {
    let required = r#""task_id":{"value":"t"},"state":"TASK_RUNNING""#;
    read(&format!("{{{required}{json}}}"))
}

#[test]
fn defaults_are_written_unless_deprecated() {
    assert_eq!(text(&v1::Filters::default()), r#"{"refuse_seconds":5.0}"#);
    assert_eq!(text(&v1::CommandInfo::default()), r#"{"shell":true}"#);
    assert_eq!(
        text(&v1::FrameworkInfo::default()),
        r#"{"user":"","name":"","failover_timeout":0.0,"checkpoint":false}"#
    );
    let variable = v1::environment::Variable { name: "A".into(), ..Default::default() };
    assert_eq!(text(&variable), r#"{"name":"A","type":"VALUE"}"#);
    let plugin = v1::CsiPluginInfo { r#type: "t".into(), ..Default::default() };
    assert_eq!(text(&plugin), r#"{"type":"t","name":"default"}"#);
}

#[test]
fn unset_and_empty_fields_are_left_out() {
    assert_eq!(text(&Call::default()), "{}");
    assert_eq!(text(&v1::Labels::default()), "{}");
    assert_eq!(text(&v1::OfferFilters::default()), "{}");
}

#[test]
fn numbers_have_mesos_shapes() {
    let range = v1::value::Range { begin: 0, end: u64::MAX };
    assert_eq!(text(&range), r#"{"begin":0,"end":18446744073709551615}"#);
    let time = v1::TimeInfo { nanoseconds: i64::MIN };
    assert_eq!(text(&time), r#"{"nanoseconds":-9223372036854775808}"#);
    for (value, expected) in [
        (1.0, "1.0"),
        (0.1, "0.1"),
        (-0.0, "-0.0"),
        (1e300, "1e+300"),
        (f64::INFINITY, "\"Infinity\""),
        (f64::NEG_INFINITY, "\"-Infinity\""),
        (f64::NAN, "\"NaN\""),
    ] {
        let written = text(&v1::value::Scalar { value });
        assert_eq!(written, format!("{{\"value\":{expected}}}"));
        let back: v1::value::Scalar = read(&written);
        assert!(back.value == value || value.is_nan() && back.value.is_nan());
    }
}

#[test]
fn strings_are_escaped() {
    let label = v1::Label { key: "\"\\\n\u{0}\u{7f}é😀</script>".into(), value: None };
    let written = text(&label);
    assert!(written.contains(r#"\"\\\n\u0000"#), "{written}");
    assert_eq!(read::<v1::Label>(&written), label);
}

#[test]
fn bytes_are_base64_with_padding() {
    for (bytes, expected) in [("", ""), ("a", "YQ=="), ("ab", "YWI="), ("abc", "YWJj")] {
        let uuid = v1::Uuid { value: Bytes::from_static(bytes.as_bytes()) };
        assert_eq!(text(&uuid), format!(r#"{{"value":"{expected}"}}"#));
        assert_eq!(read::<v1::Uuid>(&text(&uuid)), uuid);
    }
    assert_eq!(
        refusal::<v1::Uuid>(r#"{"value":"!"}"#),
        r#"field 'value': expected a string in base64, found "!""#
    );
}

#[test]
fn maps_are_objects() {
    let json = r#"{"quantities":{"cpus":{"value":1.0},"mem":{"value":2.5}}}"#;
    assert_eq!(text(&read::<v1::offer_filters::ResourceQuantities>(json)), json);
}

#[test]
fn a_oneof_is_its_member() {
    let json = r#"{"selector":{"pseudoattribute_type":"HOSTNAME"},"predicate":{"exists":{}}}"#;
    assert_eq!(text(&read::<v1::scheduler::AttributeConstraint>(json)), json);
}

#[test]
fn a_protobuf_duration_is_an_object() {
    for duration in [r#"{"seconds":3,"nanos":5}"#, r#"{"seconds":-3}"#, "{}"] {
        let json = format!(
            r#"{{"agent_id":{{"value":"a"}},"max_grace_period":{duration},"mark_gone":false}}"#
        );
        assert_eq!(text(&read::<v1::master::call::DrainAgent>(&json)), json);
    }
}

#[test]
fn unknown_keys_and_nulls_count_for_nothing() {
    assert_eq!(status(r#","nosuch":[{"a":1}],"message":null,"labels":null"#), status(""));
    let info: v1::FrameworkInfo = read(r#"{"user":"u","name":"n","roles":["a",null,"b"]}"#);
    assert_eq!(info.roles, ["a", "b"]);
}

#[test]
fn numbers_and_booleans_may_be_strings() {
    let read = status(
        r#","timestamp":"12.5","healthy":"true","container_status":
        {"executor_pid":"77"}"#,
    );
    assert_eq!(read.timestamp, Some(12.5));
    assert_eq!(read.healthy, Some(true));
    assert_eq!(read.container_status.and_then(|status| status.executor_pid), Some(77));
}

#[test]
fn integers_may_have_an_empty_fraction_only() {
    assert_eq!(read::<v1::TimeInfo>(r#"{"nanoseconds":3e2}"#).nanoseconds, 300);
    for bad in ["1.5", "9223372036854775808", "1e300", "\"x\"", "true", "[1]", "{}"] {
        let json = format!(r#"{{"nanoseconds":{bad}}}"#);
        assert!(refusal::<v1::TimeInfo>(&json).starts_with("field 'nanoseconds': expected an"));
    }
    assert!(refusal::<v1::HealthCheck>(r#"{"consecutive_failures":-1}"#).contains("below 0"));
}

#[test]
fn one_element_may_stand_for_a_list() {
    let request: v1::scheduler::call::Accept =
        read(r#"{"offer_ids":{"value":"o"},"operations":{"type":"LAUNCH"}}"#);
    assert_eq!(request.offer_ids.len(), 1);
    assert_eq!(request.operations.len(), 1);
}

#[test]
fn enums_go_by_name() {
    assert_eq!(read::<Call>(r#"{"type":"NOSUCH"}"#).r#type, None);
    assert!(refusal::<Call>(r#"{"type":1}"#).contains("field 'type': expected the name"));
    let unknown = r#"{"task_id":{"value":"t"},"state":"TASK_NOSUCH"}"#;
    assert!(refusal::<v1::TaskStatus>(unknown).contains("field 'state': expected the name"));
    let capabilities: v1::CapabilityInfo = read(r#"{"capabilities":["CHOWN","NOSUCH","KILL"]}"#);
    assert_eq!(text(&capabilities), r#"{"capabilities":["CHOWN","KILL"]}"#);
    let odd = Call { r#type: Some(99), ..Call::default() };
    assert_eq!(text(&odd), "{}");
}

#[test]
fn missing_required_fields_are_all_named() {
    assert_eq!(
        refusal::<Call>(r#"{"type":"SUBSCRIBE","subscribe":{"framework_info":{"user":"root"}}}"#),
        "Missing required fields: subscribe.framework_info.name"
    );
    assert_eq!(
        refusal::<Call>(
            r#"{"accept":{"offer_ids":[{"value":"o"},{}],
                "operations":[{"launch":{"task_infos":[{"name":"n","limits":{"mem":{}}}]}}]}}"#
        ),
        "Missing required fields: accept.offer_ids[1].value, \
         accept.operations[0].launch.task_infos[0].task_id, \
         accept.operations[0].launch.task_infos[0].agent_id, \
         accept.operations[0].launch.task_infos[0].limits[\"mem\"].value"
    );
}

#[test]
fn of_a_repeated_key_the_last_counts() {
    let id: v1::TaskId = read(r#"{"value":"a","value":"b"}"#);
    assert_eq!(id.value, "b");
}

#[test]
fn broken_utf8_is_replaced() {
    let id: v1::TaskId = json::decode(b"{\"value\":\"a\xffb\"}").expect("accepted");
    assert_eq!(id.value, "a\u{fffd}b");
}

#[test]
fn what_is_not_an_object_is_refused() {
    for bad in ["", "   ", "{", "{\"type", "{} x", "nul", "\u{feff}{}"] {
        assert!(matches!(json::decode::<Call>(bad.as_bytes()), Err(JsonError::Syntax(_))));
    }
    for bad in ["[]", "1", "\"x\"", "null"] {
        assert!(refusal::<Call>(bad).contains("expected a JSON object"));
    }
}

#[test]
fn deep_nesting_is_refused_not_followed() {
    let levels = 200_000;
    let parents =
        format!("{}{{}}{}", r#"{"value":"c","parent":"#.repeat(levels), "}".repeat(levels));
    assert!(matches!(
        json::decode::<v1::ContainerId>(parents.as_bytes()),
        Err(JsonError::Syntax(_))
    ));
    let lists = "[".repeat(levels);
    assert!(matches!(json::decode::<Call>(lists.as_bytes()), Err(JsonError::Syntax(_))));
}

#[test]
fn long_values_are_shortened_in_errors() {
    let json = format!(r#"{{"nanoseconds":"{}"}}"#, "é".repeat(10_000));
    assert!(refusal::<v1::TimeInfo>(&json).len() < 300);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_make_the_reader_panic(bytes: Vec<u8>) {
        let _ = json::decode::<Call>(&bytes);
    }

    #[test]
    fn every_string_and_number_comes_back(
        key in any::<String>(),
        data in any::<Vec<u8>>(),
        timestamp in proptest::num::f64::NORMAL | proptest::num::f64::ZERO,
        begin in any::<u64>(),
    ) {
        let status = v1::TaskStatus {
            task_id: v1::TaskId { value: key.clone() },
            data: Some(Bytes::from(data)),
            timestamp: Some(timestamp),
            labels: Some(v1::Labels { labels: vec![v1::Label { key, value: None }] }),
            ..Default::default()
        };
        let update = v1::scheduler::event::Update { status };
        let event = Event { update: Some(update), ..Event::default() };
        assert_eq!(read::<Event>(&text(&event)), event);
        let range = v1::value::Range { begin, end: begin };
        assert_eq!(read::<v1::value::Range>(&text(&range)), range);
    }
}
