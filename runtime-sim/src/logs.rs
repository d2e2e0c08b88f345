//! What daemons log, as lines of the trace.

use std::fmt::{self, Write as _};
use std::sync::Arc;

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata, Subscriber};

use crate::world::Inner;

/// The target of messages that daemons exchange; see `orrery_http::wire_log`.
const WIRE: &str = "orrery::wire";

/// Everything else that is ours starts so.
const OURS: &str = "orrery_";

/// Passes events of the running simulation on to its trace. Only there while lines are kept.
pub(crate) struct Logs {
    world: Arc<Inner>,
}

impl Logs {
    pub(crate) fn new(world: Arc<Inner>) -> Self {
        Self { world }
    }
}

fn is_wanted(metadata: &Metadata<'_>) -> bool {
    let target = metadata.target();
    metadata.is_event()
        && (target == WIRE || (target.starts_with(OURS) && *metadata.level() <= Level::DEBUG))
}

impl Subscriber for Logs {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if is_wanted(metadata) { Interest::always() } else { Interest::never() }
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        is_wanted(metadata)
    }

    fn event(&self, event: &Event<'_>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let metadata = event.metadata();
        if metadata.target() == WIRE {
            self.world.remark(&fields.message, fields.rest.trim_start().to_owned());
        } else {
            let (level, target) = (metadata.level(), metadata.target());
            let text = format!("{level} {target}: {}{}", fields.message, fields.rest);
            self.world.remark("log", text);
        }
    }

    // Spans are never wanted.

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// An event's message, and its other fields as text, each behind a space.
#[derive(Default)]
struct Fields {
    message: String,
    rest: String,
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a string cannot fail.
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            // The parts of a message on the wire stand in fixed places without their names.
            "wire_name" | "wire_channel" => write!(self.rest, " {value:?}"),
            "wire_content" => write!(self.rest, " {}", without_absent(&format!("{value:?}"))),
            name => write!(self.rest, " {name}={value:?}"),
        };
    }
}

/// The debugging form of a message without the fields that are not there.
fn without_absent(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(found) = [": None", ": []"].iter().filter_map(|end| find(rest, end)).min() {
        let (name, end) = found;
        kept.push_str(&rest[..name]);
        rest = rest[end..].strip_prefix(", ").unwrap_or(&rest[end..]);
    }
    kept + rest
}

/// Where the first field with that value begins and ends.
fn find(text: &str, value: &str) -> Option<(usize, usize)> {
    let colon = text.find(value)?;
    let is_name = |letter: char| letter.is_alphanumeric() || letter == '_' || letter == '#';
    let name = text[..colon].trim_end_matches(is_name).len();
    Some((name, colon + value.len()))
}

#[cfg(test)]
mod tests {
    #[test]
    fn absent_fields_are_left_out() {
        let text = "A { b: None, c: Some(B { d: [], e: \"x\" }), r#f: None }";
        assert_eq!(super::without_absent(text), "A { c: Some(B { e: \"x\" }),  }");
        assert_eq!(super::without_absent("{\"a\":[]}"), "{\"a\":[]}");
    }
}
