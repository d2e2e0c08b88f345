//! What agents say of themselves, kept small: a master has tens of thousands of agents, and its
//! registry has each of them as well.

use std::fmt;
use std::sync::Arc;

use orrery_api::v1;
use prost::Message;

/// An `AgentInfo`, encoded: the message itself takes several times as much. Copies share it. Equal
/// messages have equal encodings.
#[derive(Clone, PartialEq, Eq)]
pub struct Description(Arc<[u8]>);

impl Description {
    /// The message.
    pub fn message(&self) -> v1::AgentInfo {
        // It was encoded here.
        v1::AgentInfo::decode(self.0.as_ref()).unwrap_or_default()
    }
}

impl From<&v1::AgentInfo> for Description {
    fn from(info: &v1::AgentInfo) -> Self {
        Self(info.encode_to_vec().into())
    }
}

impl fmt::Debug for Description {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.message().fmt(formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_description_tells_what_its_message_told() {
        let info = v1::AgentInfo {
            hostname: "host".to_owned(),
            port: Some(5051),
            id: Some(v1::AgentId { value: "agent".to_owned() }),
            attributes: vec![v1::Attribute { name: "rack".to_owned(), ..Default::default() }],
            ..Default::default()
        };
        let description = Description::from(&info);
        assert_eq!(description.message(), info);
        assert_eq!(description, Description::from(&info));
        assert_ne!(description, Description::from(&v1::AgentInfo { port: None, ..info }));
    }
}
