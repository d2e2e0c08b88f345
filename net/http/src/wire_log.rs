//! Logging whole messages, both where they are sent and where they arrive.
//!
//! These events have the target `orrery::wire` and the level TRACE, which nobody hears who does not
//! ask for it (`ORRERY_LOG=orrery::wire=trace`); until then they cost one comparison. The simulator
//! makes arrows of them: what is sent and received under the same name, on the same channel and
//! with the same content is one message.

use std::fmt;

use orrery_api::json::{self, JsonMessage};

/// The target of these events.
pub const TARGET: &str = "orrery::wire";

/// A call or event of one of Mesos' HTTP APIs was put on its way. `channel` tells streams of
/// messages apart: both ends know it.
pub fn sent<M: JsonMessage>(channel: &str, message: &M) {
    tracing::trace!(
        target: TARGET,
        wire_name = %Name(message),
        wire_channel = channel,
        wire_content = %Content(message),
        "send"
    );
}

/// A call or event of one of Mesos' HTTP APIs has arrived.
pub fn received<M: JsonMessage>(channel: &str, message: &M) {
    tracing::trace!(
        target: TARGET,
        wire_name = %Name(message),
        wire_channel = channel,
        wire_content = %Content(message),
        "receive"
    );
}

/// A message that has no JSON form was put on its way.
pub fn sent_debug(channel: &dyn fmt::Display, message: &dyn fmt::Debug) {
    tracing::trace!(
        target: TARGET,
        wire_name = %DebugName(message),
        wire_channel = %channel,
        wire_content = ?message,
        "send"
    );
}

/// A message that has no JSON form has arrived.
pub fn received_debug(channel: &dyn fmt::Display, message: &dyn fmt::Debug) {
    tracing::trace!(
        target: TARGET,
        wire_name = %DebugName(message),
        wire_channel = %channel,
        wire_content = ?message,
        "receive"
    );
}

/// What the message's `type` says.
struct Name<'a, M>(&'a M);

impl<M: JsonMessage> fmt::Display for Name<'_, M> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = json::to_value(self.0);
        formatter.write_str(value["type"].as_str().unwrap_or("MESSAGE"))
    }
}

struct Content<'a, M>(&'a M);

impl<M: JsonMessage> fmt::Display for Content<'_, M> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&String::from_utf8_lossy(&json::encode(self.0)))
    }
}

/// The first word of the debugging form.
struct DebugName<'a>(&'a dyn fmt::Debug);

impl fmt::Display for DebugName<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{:?}", self.0);
        let word = text.split(|letter: char| !letter.is_alphanumeric()).next();
        formatter.write_str(word.unwrap_or("message"))
    }
}
