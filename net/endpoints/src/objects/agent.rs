//! Agents.

use orrery_api::v1;
use orrery_api::v1::value::Type;
use serde_json::Value;

use super::{Object, domain, insert_some, number};

/// What stays the same of an agent: `id`, `hostname`, `port`, `attributes`, and `domain` if it
/// has one.
pub fn agent_identity(info: &v1::AgentInfo) -> Object {
    let id = info.id.as_ref().map_or("", |id| id.value.as_str());
    let mut object = Object::new();
    object.insert("id".into(), id.into());
    object.insert("hostname".into(), info.hostname.as_str().into());
    object.insert("port".into(), info.port().into());
    object.insert("attributes".into(), attributes(&info.attributes));
    insert_some(&mut object, "domain", info.domain.as_ref().map(domain));
    object
}

/// Attributes by name: a scalar as a number, others as texts. Of attributes with one name the
/// last is shown.
pub fn attributes(attributes: &[v1::Attribute]) -> Value {
    let entries = attributes.iter().map(|it| (it.name.clone(), attribute(it)));
    Value::Object(entries.collect())
}

fn attribute(attribute: &v1::Attribute) -> Value {
    match attribute.r#type() {
        Type::Scalar => number(attribute.scalar.as_ref().map_or(0.0, |scalar| scalar.value)),
        Type::Ranges => {
            let ranges = attribute.ranges.iter().flat_map(|ranges| &ranges.range);
            let ranges = ranges.map(|range| format!("{}-{}", range.begin, range.end));
            format!("[{}]", ranges.collect::<Vec<_>>().join(", ")).into()
        }
        Type::Set => {
            let items: Vec<&str> =
                attribute.set.iter().flat_map(|set| &set.item).map(String::as_str).collect();
            format!("{{{}}}", items.join(", ")).into()
        }
        Type::Text => attribute.text.as_ref().map_or("", |text| text.value.as_str()).into(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn attributes_are_numbers_and_texts() {
        let list = orrery_model::attributes::parse("rack:r1;level:[1-3,5-6];load:2;tags:{x,y}");
        assert_eq!(
            attributes(&list.expect("attributes")),
            json!({"rack": "r1", "level": "[1-3, 5-6]", "load": 2.0, "tags": "{x, y}"})
        );
        assert_eq!(attributes(&[]), json!({}));
    }

    #[test]
    fn an_agent_has_the_recorded_keys() {
        let info = v1::AgentInfo {
            hostname: "h".into(),
            id: Some(v1::AgentId { value: "S0".into() }),
            ..Default::default()
        };
        let expected = json!({"id": "S0", "hostname": "h", "port": 5051, "attributes": {}});
        assert_eq!(Value::Object(agent_identity(&info)), expected);
    }
}
