//! The templates that bodies of tests may hold: `{{ "1" | repeat 64200 }}`.
//!
//! Of Go's text templates only literals and pipes of a few functions are known. A text with anything else in braces is
//! taken as it is: there are attacks that look like templates.

/// The longest text a template may make: what the suite needs, with room.
const LONGEST: usize = 4 * 1024 * 1024;

/// The text with its templates carried out; as it is if one of them is not understood.
pub fn expand(text: &str) -> String {
    expanded(text).unwrap_or_else(|| text.to_owned())
}

fn expanded(text: &str) -> Option<String> {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        let (action, after) = after.split_once("}}")?;
        out.push_str(before);
        out.push_str(&pipeline(action)?);
        rest = after;
    }
    out.push_str(rest);
    Some(out)
}

/// `"x" | repeat 3 | upper`
fn pipeline(action: &str) -> Option<String> {
    let mut value: Option<String> = None;
    for command in commands(action)? {
        value = Some(call(&command, value)?);
    }
    value
}

#[derive(Clone, Debug, PartialEq)]
enum Word {
    Text(String),
    Number(usize),
    Name(String),
}

/// The words of each command, which pipes divide.
fn commands(action: &str) -> Option<Vec<Vec<Word>>> {
    let mut commands = vec![Vec::new()];
    let mut rest = action.trim_start();
    while let Some(first) = rest.chars().next() {
        match first {
            '|' => {
                commands.push(Vec::new());
                rest = rest.get(1..)?;
            }
            '"' => {
                let (text, after) = quoted(rest.get(1..)?)?;
                commands.last_mut()?.push(Word::Text(text));
                rest = after;
            }
            '`' => {
                let (text, after) = rest.get(1..)?.split_once('`')?;
                commands.last_mut()?.push(Word::Text(text.to_owned()));
                rest = after;
            }
            _ => {
                let end =
                    rest.find(|letter: char| letter.is_whitespace() || letter == '|').unwrap_or(rest.len());
                let (word, after) = rest.split_at(end);
                let known = |word: &str| word.bytes().all(|byte| byte.is_ascii_alphanumeric());
                commands.last_mut()?.push(match word.parse() {
                    Ok(number) => Word::Number(number),
                    Err(_) if known(word) => Word::Name(word.to_owned()),
                    Err(_) => return None,
                });
                rest = after;
            }
        }
        rest = rest.trim_start();
    }
    Some(commands)
}

/// A string up to its closing quote, and what follows.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut out = String::new();
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return Some((out, text.get(at + 1..)?)),
            '\\' => out.push(match letters.next()?.1 {
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                same @ ('\\' | '"' | '\'') => same,
                _ => return None,
            }),
            letter => out.push(letter),
        }
    }
    None
}

/// Carries out one command; a pipe's value is its last argument.
fn call(command: &[Word], piped: Option<String>) -> Option<String> {
    let mut words = command.to_vec();
    words.extend(piped.map(Word::Text));
    match words.as_slice() {
        [Word::Text(text)] => Some(text.clone()),
        [Word::Number(number)] => Some(number.to_string()),
        [Word::Name(name), Word::Number(count), Word::Text(text)] if name == "repeat" => {
            (text.len().checked_mul(*count)? <= LONGEST).then(|| text.repeat(*count))
        }
        [Word::Name(name), Word::Text(text)] => match name.as_str() {
            "upper" => Some(text.to_uppercase()),
            "lower" => Some(text.to_lowercase()),
            "trim" => Some(text.trim().to_owned()),
            "b64enc" => Some(crate::request::to_base64(text.as_bytes())),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pipes_of_literals_are_carried_out() {
        assert_eq!(expand(r#"a={{ "1" | repeat 3 }}&b={{ repeat 2 "xy" | upper }}"#), "a=111&b=XYXY");
        assert_eq!(expand(r#"{{ "a\"|b" }}{{ `c` }}"#), "a\"|bc");
        assert_eq!(expand(r#"{{ "1" | repeat 64200 }}"#).len(), 64200);
    }

    #[test]
    fn what_is_no_template_of_ours_stays_as_it_is() {
        for text in ["{{constructor.constructor('alert(1)')()}}", "{{ 7*7 }}", "{{", "a {{ .x }} b", "{{}}"] {
            assert_eq!(expand(text), text);
        }
    }

    #[test]
    fn a_template_makes_no_text_over_the_limit() {
        let make = |count: usize| expand(&format!("{{{{ \"1\" | repeat {count} }}}}")).len();
        assert_eq!((make(LONGEST - 1), make(LONGEST)), (LONGEST - 1, LONGEST));
        assert!(make(LONGEST + 1) < 100, "it stays as it is");
    }
}
