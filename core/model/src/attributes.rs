//! Attributes: what an agent says about itself, in text such as `rack:r1;level:[1-3]`.

use orrery_api::v1;
use orrery_api::v1::value::Type;

use crate::value::{self, Value, ValueError};

/// What is wrong with a list of attributes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AttributeError {
    /// A part has no name or no value.
    #[error("attribute '{0}' is not a pair; expected name:value")]
    Pair(String),
    /// The value cannot be read.
    #[error("attribute '{name}': {source}")]
    Value {
        /// The attribute's name.
        name: String,
        /// What is wrong with its value.
        source: ValueError,
    },
}

/// Reads `name:value` pairs separated by `;` or line ends. A value may hold further colons. Numbers
/// become scalars, `[...]` ranges, `{...}` sets, everything else text.
pub fn parse(text: &str) -> Result<Vec<v1::Attribute>, AttributeError> {
    let pairs = text.split([';', '\n']).map(str::trim).filter(|pair| !pair.is_empty());
    pairs.map(parse_pair).collect()
}

fn parse_pair(pair: &str) -> Result<v1::Attribute, AttributeError> {
    let not_a_pair = || AttributeError::Pair(pair.to_owned());
    let (name, text) = pair.split_once(':').ok_or_else(not_a_pair)?;
    let name = name.trim();
    if name.is_empty() {
        return Err(not_a_pair());
    }
    let value = value::parse(text)
        .map_err(|source| AttributeError::Value { name: name.to_owned(), source })?;
    Ok(attribute(name, value))
}

fn attribute(name: &str, value: Value) -> v1::Attribute {
    let mut attribute = v1::Attribute { name: name.to_owned(), ..Default::default() };
    attribute.r#type = match value {
        Value::Scalar(scalar) => {
            attribute.scalar = Some(v1::value::Scalar { value: scalar.as_f64() });
            Type::Scalar
        }
        Value::Ranges(ranges) => {
            attribute.ranges = Some((&ranges).into());
            Type::Ranges
        }
        Value::Set(items) => {
            attribute.set = Some(v1::value::Set { item: items.into_iter().collect() });
            Type::Set
        }
        Value::Text(value) => {
            attribute.text = Some(v1::value::Text { value });
            Type::Text
        }
    } as i32;
    attribute
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_kind() {
        let attributes =
            parse("rack:r1; level:[1-3];load:0.5\nurl:http://a:1;tags:{x,y};").unwrap();
        let kinds: Vec<_> = attributes.iter().map(|a| (a.name.as_str(), a.r#type())).collect();
        assert_eq!(
            kinds,
            [
                ("rack", Type::Text),
                ("level", Type::Ranges),
                ("load", Type::Scalar),
                ("url", Type::Text),
                ("tags", Type::Set)
            ]
        );
        assert_eq!(attributes[3].text.as_ref().unwrap().value, "http://a:1");
    }

    #[test]
    fn names_what_is_wrong() {
        let text = |input| parse(input).unwrap_err().to_string();
        assert_eq!(text("rack"), "attribute 'rack' is not a pair; expected name:value");
        assert_eq!(text(":r1"), "attribute ':r1' is not a pair; expected name:value");
        assert!(text("level:[3-1]").starts_with("attribute 'level': '3-1' is not a range"));
        assert!(text("rack:").starts_with("attribute 'rack': value is empty"));
    }
}
