//! Reading the scripts of the simulated shell.

/// What follows a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operator {
    /// `;` or a line's end.
    Then,
    /// `&&`
    And,
    /// `||`
    Or,
    /// `&`
    Background,
}

/// One statement: its text and what stands after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Statement {
    pub(crate) text: String,
    pub(crate) operator: Operator,
}

/// Cuts a script into statements at the operators that stand outside of quotes.
pub(crate) fn statements(script: &str) -> Vec<Statement> {
    let mut statements = Vec::new();
    let mut text = String::new();
    let mut quote = None;
    let mut characters = script.chars().peekable();
    while let Some(character) = characters.next() {
        let operator = match (quote, character) {
            (Some(open), _) if character == open => {
                quote = None;
                None
            }
            (Some(_), _) => None,
            (None, '\'' | '"') => {
                quote = Some(character);
                None
            }
            (None, '\\') => {
                text.push(character);
                text.extend(characters.next());
                continue;
            }
            (None, ';' | '\n') => Some(Operator::Then),
            (None, '|') if characters.next_if_eq(&'|').is_some() => Some(Operator::Or),
            (None, '&') if characters.next_if_eq(&'&').is_some() => Some(Operator::And),
            // The `&` of `>&2` belongs to a redirection.
            (None, '&') if !text.ends_with('>') => Some(Operator::Background),
            (None, _) => None,
        };
        match operator {
            None => text.push(character),
            Some(operator) => {
                push(&mut statements, &mut text, operator);
            }
        }
    }
    push(&mut statements, &mut text, Operator::Then);
    statements
}

fn push(statements: &mut Vec<Statement>, text: &mut String, operator: Operator) {
    let statement = std::mem::take(text).trim().to_owned();
    if !statement.is_empty() && !statement.starts_with('#') {
        statements.push(Statement { text: statement, operator });
    }
}

/// Cuts a statement into words, taking quotes away and replacing variables by what `value` gives.
pub(crate) fn words(text: &str, value: impl Fn(&str) -> String) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match (quote, character) {
            (Some(open), _) if character == open => quote = None,
            (None, '\'' | '"') => {
                quote = Some(character);
                word.get_or_insert_default();
            }
            (None | Some('"'), '\\') => {
                word.get_or_insert_default().extend(characters.next());
            }
            (None | Some('"'), '$') => {
                let name = variable(&mut characters);
                word.get_or_insert_default().push_str(&value(&name));
            }
            (None, _) if character.is_whitespace() => words.extend(word.take()),
            // A redirection is a word of its own: `echo a >b`, `echo a>b`.
            (None, '>') => {
                let descriptor = word.take_if(|word| word == "2").unwrap_or_default();
                words.extend(word.take());
                let double = characters.next_if_eq(&'>').is_some();
                words.push(format!("{descriptor}{}", if double { ">>" } else { ">" }));
            }
            _ => word.get_or_insert_default().push(character),
        }
    }
    words.extend(word);
    words
}

/// Reads a variable's name after its dollar sign.
fn variable(characters: &mut std::iter::Peekable<std::str::Chars<'_>>) -> String {
    if characters.next_if_eq(&'{').is_some() {
        return characters.by_ref().take_while(|character| *character != '}').collect();
    }
    if let Some(special) = characters.next_if(|character| matches!(character, '$' | '?' | '!')) {
        return special.to_string();
    }
    let mut name = String::new();
    while let Some(letter) = characters.next_if(|letter| letter.is_alphanumeric() || *letter == '_')
    {
        name.push(letter);
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operators_cut_only_outside_of_quotes() {
        let parts = statements("trap '' TERM; echo 'a;b' >&2 && sleep 1 & exit 3\n# end");
        let texts = parts.iter().map(|part| (part.text.as_str(), part.operator));
        let expected = [
            ("trap '' TERM", Operator::Then),
            ("echo 'a;b' >&2", Operator::And),
            ("sleep 1", Operator::Background),
            ("exit 3", Operator::Then),
        ];
        assert_eq!(texts.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn words_lose_quotes_and_variables() {
        let value = |name: &str| format!("<{name}>");
        assert_eq!(words("kill -9 $$", value), ["kill", "-9", "<$>"]);
        assert_eq!(words(r#"echo "a ${B}c" '' '$D'"#, value), ["echo", "a <B>c", "", "$D"]);
        assert_eq!(words("echo x>>f 2>&1", value), ["echo", "x", ">>", "f", "2>", "&1"]);
    }
}
