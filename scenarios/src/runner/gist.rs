//! Lines of a trace, short enough to read many of them: what a message is about instead of all that
//! it holds.

use orrery_runtime_sim::line::Line;

/// Messages that are no longer than this are shown as they are.
const SHORT: usize = 100;

/// So many words stand for a message's content.
const WORDS: usize = 12;

/// What ids of a cluster begin with: the UUID of a master, and a hyphen.
const PREFIX: usize = 37;

/// The line as it is, or, of a long message, its name, the beginning of its channel, and the ids,
/// states and explanations in it.
pub(super) fn short(line: &str) -> String {
    let Some(parsed) = Line::parse(line) else { return line.to_owned() };
    let mut parts = parsed.text.splitn(3, ' ');
    let (Some(name), Some(channel), Some(content)) = (parts.next(), parts.next(), parts.next())
    else {
        return line.to_owned();
    };
    let is_message = matches!(parsed.kind, "send" | "receive");
    if !is_message || content.len() <= SHORT {
        return line.to_owned();
    }
    // Streams are named by UUIDs, whose beginning tells them apart.
    let channel = if is_uuid(channel) { &channel[..8] } else { channel };
    let mut words = words(content);
    if words.len() > WORDS {
        words.truncate(WORDS);
        words.push("…".to_owned());
    }
    let text = format!("{name} {channel} {}", words.join(" "));
    Line { text: text.trim_end(), ..parsed }.to_string()
}

/// The ids, states and explanations of a message, each once, in the form of JSON or of `{:?}`.
fn words(content: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut add = |word: String| {
        if !word.is_empty() && !found.contains(&word) {
            found.push(word);
        }
    };
    let (mut rest, mut key) = (content, "");
    while let Some(start) = rest.find('"') {
        let before = &rest[..start];
        states(before).for_each(&mut add);
        let inside = &rest[start + 1..];
        let end = end_of_quote(inside);
        let quoted = &inside[..end];
        rest = inside.get(end + 1..).unwrap_or_default();
        if rest.starts_with(':') {
            key = quoted;
            continue;
        }
        let is_explanation =
            before.ends_with("message: Some(") || (key == "message" && before.ends_with(':'));
        if is_explanation {
            add(format!("\"{quoted}\""));
        } else if quoted.starts_with("TASK_") || is_id(quoted) {
            add(without_prefix(quoted).to_owned());
        }
    }
    states(rest).for_each(&mut add);
    found
}

/// The states in the form of `{:?}`, as in `state: TaskRunning`.
fn states(text: &str) -> impl Iterator<Item = String> + '_ {
    text.match_indices("state: ").map(|(start, found)| {
        let rest = &text[start + found.len()..];
        rest.chars().take_while(char::is_ascii_alphanumeric).collect()
    })
}

/// Where a quoted text ends that has begun, or the whole text.
fn end_of_quote(text: &str) -> usize {
    let mut is_escaped = false;
    let end = text.find(|letter| {
        let ends = letter == '"' && !is_escaped;
        is_escaped = letter == '\\' && !is_escaped;
        ends
    });
    end.unwrap_or(text.len())
}

/// Names with a number behind a hyphen, as tasks, agents and what a master numbers have. Roles say
/// little, and UUIDs nothing.
fn is_id(word: &str) -> bool {
    let is_part = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
    let after = word.rsplit_once('-').map_or("", |(_, after)| after);
    after.contains(|letter: char| letter.is_ascii_digit())
        && word.chars().all(is_part)
        && !word.starts_with("role-")
        && !is_uuid(word)
}

fn is_uuid(word: &str) -> bool {
    let is_digit = |(index, byte): (usize, u8)| match index {
        8 | 13 | 18 | 23 => byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    };
    word.len() == PREFIX - 1 && word.bytes().enumerate().all(is_digit)
}

fn without_prefix(id: &str) -> &str {
    match id.get(..PREFIX - 1) {
        Some(prefix) if is_uuid(prefix) => id[PREFIX - 1..].trim_start_matches('-'),
        _ => id,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UUID: &str = "325aa598-4412-4d3c-951c-1e9b6e04042b";

    fn shown(text: &str) -> String {
        let line = format!("     1.000000 master-0        1000 send      {text}");
        short(&line).trim_start_matches(&line[..line.len() - text.len()]).to_owned()
    }

    #[test]
    fn a_message_is_told_by_what_it_is_about() {
        let json = format!(
            "UPDATE {UUID} {{\"type\":\"UPDATE\",\"update\":{{\"status\":{{\"task_id\":{{\
             \"value\":\"task-0-3\"}},\"state\":\"TASK_DROPPED\",\"message\":\"Offer \\\"O1\\\" is \
             no longer valid\",\"agent_id\":{{\"value\":\"{UUID}-S0\"}},\"uuid\":\"9szE==\"}}}}}}"
        );
        assert_eq!(
            shown(&json),
            "UPDATE 325aa598 task-0-3 TASK_DROPPED \"Offer \\\"O1\\\" is no longer valid\" S0"
        );
        let debug = format!(
            "StatusUpdate 10.0.0.2:1 StatusUpdate {{ agent_id: Some(AgentId {{ value: \
             \"{UUID}-S7\" }}), status: TaskStatus {{ task_id: TaskId {{ value: \"task-1-0\" }}, \
             state: TaskRunning, uuid: b\"\\\"\\xf6\", message: Some(\"well\") }}, latest_state: \
             TaskFailed }}"
        );
        assert_eq!(
            shown(&debug),
            "StatusUpdate 10.0.0.2:1 S7 task-1-0 TaskRunning \"well\" TaskFailed"
        );
    }

    #[test]
    fn what_is_short_or_no_message_stays() {
        let log =
            "     1.000000 agent-0         1000 log       INFO ".to_owned() + &"a".repeat(300);
        for line in [log.as_str(), "     1.0690 framework-0/0  launches", "", "1.000000 a 1 send X"]
        {
            assert_eq!(short(line), line);
        }
        assert_eq!(shown("Ping 10.0.0.2:1 Ping(Ping)"), "Ping 10.0.0.2:1 Ping(Ping)");
        let many: String = (0..99).map(|number| format!("\"task-{number}\",")).collect();
        assert!(shown(&format!("ACCEPT x [{many}]")).ends_with(" task-11 …"));
        assert!(shown(&format!("X y \"{}", "é-1\\".repeat(90))).starts_with("X y"));
    }
}
