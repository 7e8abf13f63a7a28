//! A command line → its words, as a POSIX shell with `$'…'` cuts it.
//!
//! What a shell would carry out or fill in (`$HOME`, backquotes, pipes, redirections) is refused: nothing is run here,
//! and a request that differs from the one that was meant would be judged.

use super::SampleError;

/// Cuts a command line.
pub(super) fn words(line: &str) -> Result<Vec<Vec<u8>>, SampleError> {
    let mut words = Vec::new();
    let mut word: Option<Vec<u8>> = None;
    let mut letters = line.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => match letters.next() {
                // A line that goes on.
                Some('\n') => {}
                Some('\r') if letters.peek() == Some(&'\n') => {
                    letters.next();
                }
                Some(other) => push(&mut word, other),
                None => return Err(SampleError::new("the command ends with a backslash")),
            },
            '\'' => single(&mut letters, word.get_or_insert_default())?,
            '"' => double(&mut letters, word.get_or_insert_default())?,
            '$' if letters.peek() == Some(&'\'') => {
                letters.next();
                ansi(&mut letters, word.get_or_insert_default())?;
            }
            '$' | '`' | '|' | ';' | '&' | '<' | '>' | '(' | ')' => {
                let problem =
                    format!("{letter:?} means something to a shell, and no shell runs here; quote it");
                return Err(SampleError::new(problem));
            }
            letter if letter.is_whitespace() => words.extend(word.take()),
            letter => push(&mut word, letter),
        }
    }
    words.extend(word);
    Ok(words)
}

type Letters<'a> = std::iter::Peekable<std::str::Chars<'a>>;

fn push(word: &mut Option<Vec<u8>>, letter: char) {
    append(word.get_or_insert_default(), letter);
}

fn append(word: &mut Vec<u8>, letter: char) {
    word.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
}

fn open(quote: &str) -> SampleError {
    SampleError::new(format!("a quote {quote} is not closed"))
}

fn single(letters: &mut Letters<'_>, word: &mut Vec<u8>) -> Result<(), SampleError> {
    loop {
        match letters.next() {
            Some('\'') => return Ok(()),
            Some(letter) => append(word, letter),
            None => return Err(open("'")),
        }
    }
}

fn double(letters: &mut Letters<'_>, word: &mut Vec<u8>) -> Result<(), SampleError> {
    loop {
        match letters.next() {
            Some('"') => return Ok(()),
            Some('\\') => match letters.next() {
                Some('\n') => {}
                Some(letter @ ('"' | '\\' | '$' | '`')) => append(word, letter),
                Some(letter) => {
                    word.push(b'\\');
                    append(word, letter);
                }
                None => return Err(open("\"")),
            },
            Some('`') => return Err(SampleError::new("a backquote in double quotes would run a command")),
            Some('$')
                if letters.peek().is_some_and(|next| next.is_alphanumeric() || "_({".contains(*next)) =>
            {
                return Err(SampleError::new(
                    "a $ in double quotes would be filled in by a shell; use single quotes",
                ));
            }
            Some(letter) => append(word, letter),
            None => return Err(open("\"")),
        }
    }
}

/// `$'…'`: escapes as in C.
fn ansi(letters: &mut Letters<'_>, word: &mut Vec<u8>) -> Result<(), SampleError> {
    loop {
        match letters.next() {
            Some('\'') => return Ok(()),
            Some('\\') => match letters.next() {
                Some('n') => word.push(b'\n'),
                Some('r') => word.push(b'\r'),
                Some('t') => word.push(b'\t'),
                Some('a') => word.push(7),
                Some('b') => word.push(8),
                Some('e' | 'E') => word.push(27),
                Some('f') => word.push(12),
                Some('v') => word.push(11),
                Some('x') => word.push(digits(letters, "", 2, 16)? as u8),
                Some('u') => append(word, character(digits(letters, "", 4, 16)?)?),
                Some('U') => append(word, character(digits(letters, "", 8, 16)?)?),
                Some(first @ '0'..='7') => word.push(digits(letters, &first.to_string(), 3, 8)? as u8),
                Some(letter) => append(word, letter),
                None => return Err(open("$'")),
            },
            Some(letter) => append(word, letter),
            None => return Err(open("$'")),
        }
    }
}

/// A number of up to `most` digits.
fn digits(letters: &mut Letters<'_>, first: &str, most: usize, radix: u32) -> Result<u32, SampleError> {
    let mut text = first.to_owned();
    while text.len() < most && letters.peek().is_some_and(|letter| letter.is_digit(radix)) {
        text.extend(letters.next());
    }
    u32::from_str_radix(&text, radix).map_err(|_| SampleError::new("an escape in $'…' has no digits"))
}

fn character(number: u32) -> Result<char, SampleError> {
    char::from_u32(number).ok_or_else(|| SampleError::new("an escape in $'…' is no character"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(line: &str) -> Vec<String> {
        words(line).unwrap().into_iter().map(|word| String::from_utf8(word).unwrap()).collect()
    }

    #[test]
    fn words_are_cut_and_unquoted_as_a_shell_does() {
        assert_eq!(cut("curl  'a b'\"c\\\"d\"e\\ f \\\n -H ''"), ["curl", "a bc\"de f", "-H", ""]);
        assert_eq!(cut(r#"$'it\'s\n\x41\u00e9\101' "\n" "100$""#), ["it's\nAéA", "\\n", "100$"]);
        assert_eq!(words(r"$'\xff'").unwrap(), [vec![0xff]]);
    }

    #[test]
    fn what_a_shell_would_do_is_refused() {
        for line in ["a | b", "a; b", "$HOME", "`id`", "\"$(id)\"", "\"`id`\"", "\"$HOME\"", "a > b", "a &"] {
            assert!(words(line).is_err(), "{line}");
        }
        for line in ["'a", "\"a", "$'a", "a\\", "\"a\\"] {
            assert!(words(line).is_err(), "{line}");
        }
    }
}
