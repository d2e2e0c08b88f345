use orrery_api::v1;

use super::*;

fn headers(name: HeaderName, values: &[&'static str]) -> HeaderMap {
    let values = values.iter().map(|value| (name.clone(), HeaderValue::from_static(value)));
    let mut headers = HeaderMap::new();
    for (name, value) in values {
        headers.append(name, value);
    }
    headers
}

const MESSAGES: [MediaType; 2] = [MediaType::Json, MediaType::Protobuf];

#[test]
fn content_type_is_compared_exactly() {
    let read = |value| content_type(&headers(CONTENT_TYPE, &[value]));
    assert_eq!(read("application/json"), Ok(MediaType::Json));
    assert_eq!(read("application/x-protobuf"), Ok(MediaType::Protobuf));
    assert_eq!(read("application/recordio"), Ok(MediaType::RecordIo));
    for wrong in ["application/json; charset=utf-8", "APPLICATION/JSON", "text/plain", ""] {
        let error = read(wrong).expect_err(wrong);
        assert_eq!(error.response().status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
        assert_eq!(
            error.to_string(),
            "Expecting 'Content-Type' of application/json or application/x-protobuf"
        );
    }
    let error = content_type(&HeaderMap::new()).expect_err("missing");
    assert_eq!(error.response().status(), StatusCode::BAD_REQUEST);
    let recordio = headers(CONTENT_TYPE, &["application/recordio"]);
    assert!(content_type_of(&recordio, &MESSAGES).is_err());
}

#[test]
fn json_wins_whenever_it_is_accepted() {
    assert_eq!(accept(&HeaderMap::new(), &MESSAGES), Ok(MediaType::Json));
    for (values, expected) in [
        (["*/*"].as_slice(), Some(MediaType::Json)),
        (&["application/*"], Some(MediaType::Json)),
        (&["application/json"], Some(MediaType::Json)),
        (&["application/x-protobuf, application/json;q=0.1"], Some(MediaType::Json)),
        (&["application/x-protobuf", "application/json"], Some(MediaType::Json)),
        (&["text/html , application/x-protobuf"], Some(MediaType::Protobuf)),
        (&["application/json;q=0, */*"], Some(MediaType::Protobuf)),
        (&["application/json; q=0.000, application/x-protobuf;q=1"], Some(MediaType::Protobuf)),
        (&["application/json;q=0"], None),
        (&["*/*;q=0"], None),
        (&["text/html"], None),
        (&["text/*"], None),
        (&["json"], None),
        (&[""], None),
    ] {
        let accepted = accept(&headers(ACCEPT, values), &MESSAGES);
        assert_eq!(accepted.ok(), expected, "{values:?}");
    }
}

#[test]
fn refusal_names_what_is_offered() {
    let error = accept(&headers(ACCEPT, &["text/html"]), &MESSAGES).expect_err("not acceptable");
    assert_eq!(error.response().status(), StatusCode::NOT_ACCEPTABLE);
    assert_eq!(
        error.to_string(),
        "Expecting 'Accept' to allow 'application/x-protobuf' or 'application/json'"
    );
}

#[test]
fn messages_survive_both_forms() {
    let message = v1::TaskId { value: "task".to_owned() };
    for media_type in MESSAGES {
        let bytes = encode(media_type, &message);
        assert_eq!(decode::<v1::TaskId>(media_type, &bytes), Ok(message.clone()));
        let error = decode::<v1::TaskId>(media_type, b"{\"value").expect_err("broken");
        assert!(error.starts_with("Failed to parse body into "), "{error}");
    }
    assert_eq!(encode(MediaType::Json, &message), b"{\"value\":\"task\"}");
}
