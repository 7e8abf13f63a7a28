//! PCRE's dialect → the dialect of our regular expressions.
//!
//! Rule writers mean PCRE on bytes. Where the same text means something else to us, it is rewritten; where it means
//! nothing in linear time (possessive quantifiers, recursion, look-around, back references), it is refused, never
//! reinterpreted. Rewritten are: `\x{HH}`, `\xH`, octal `\0`, `\cX`, `\e`, `\h`, `\v`, `\<`, `\>`, `\Q…\E`, `\b` in a
//! class, comments, a `[`, `&&`, `--` or `~~` in a class, a `{` that is no quantifier, and characters beyond ASCII
//! (each of their bytes counts by itself).

use std::fmt::Write as _;

/// Rewrites a pattern.
pub(super) fn translate(pattern: &str) -> Result<String, String> {
    let mut translator = Translator {
        rest: pattern,
        output: String::with_capacity(pattern.len() + 16),
        before: Before::Nothing,
    };
    while !translator.rest.is_empty() {
        translator.step()?;
    }
    Ok(translator.output)
}

/// What stands before the reader, outside classes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Before {
    Nothing,
    Atom,
    Quantifier,
}

struct Translator<'a> {
    rest: &'a str,
    output: String,
    before: Before,
}

impl<'a> Translator<'a> {
    fn next(&mut self) -> Option<char> {
        let character = self.rest.chars().next()?;
        self.rest = self.rest.get(character.len_utf8()..).unwrap_or_default();
        Some(character)
    }

    /// Takes a prefix if it is there.
    fn take(&mut self, prefix: &str) -> bool {
        match self.rest.strip_prefix(prefix) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// Takes at most `most` leading ASCII bytes of a kind.
    fn take_while(&mut self, most: usize, kind: impl Fn(&u8) -> bool) -> &'a str {
        let length = self.rest.bytes().take(most).take_while(|byte| kind(byte)).count();
        let (taken, rest) = self.rest.split_at_checked(length).unwrap_or_default();
        self.rest = rest;
        taken
    }

    fn byte(&mut self, byte: u8) {
        // Writing to a String cannot fail.
        let _ = write!(self.output, "\\x{byte:02X}");
    }

    fn bytes_of(&mut self, character: char) {
        if character.is_ascii() {
            self.output.push(character);
        } else {
            character.encode_utf8(&mut [0; 4]).bytes().for_each(|byte| self.byte(byte));
        }
    }

    /// Reads one element outside classes.
    fn step(&mut self) -> Result<(), String> {
        let before = std::mem::replace(&mut self.before, Before::Atom);
        match self.next() {
            Some('\\') => self.escape(false)?,
            Some('[') => self.class()?,
            Some('(') => self.group()?,
            Some('{') => match quantifier(self.rest) {
                Ok(length) if before != Before::Nothing => {
                    if before == Before::Quantifier {
                        return Err("a quantifier after a quantifier is not supported".into());
                    }
                    let (bounds, rest) = self.rest.split_at_checked(length).unwrap_or_default();
                    self.output.push('{');
                    self.output.push_str(bounds);
                    self.rest = rest;
                    self.quantified()?;
                }
                Err(_) if is_newer_quantifier(self.rest) => {
                    return Err("`{,n}` and spaces in a quantifier are text for PCRE before 10.43 and a \
                                quantifier since; write `{0,n}`, or `\\{` for the text"
                        .into());
                }
                _ => self.output.push_str("\\{"),
            },
            Some(character @ ('*' | '+' | '?')) => {
                self.output.push(character);
                self.quantified()?;
            }
            Some('|') => {
                self.output.push('|');
                self.before = Before::Nothing;
            }
            Some(character) => self.bytes_of(character),
            None => {}
        }
        Ok(())
    }

    /// After a quantifier: a `?` makes it lazy, a `+` would make it possessive.
    fn quantified(&mut self) -> Result<(), String> {
        if self.take("?") {
            self.output.push('?');
        } else if self.rest.starts_with('+') {
            return Err(
                "possessive quantifiers (such as a++) are not supported: matching never backtracks".into()
            );
        }
        self.before = Before::Quantifier;
        Ok(())
    }

    /// After `(`.
    fn group(&mut self) -> Result<(), String> {
        self.before = Before::Nothing;
        if self.take("?#") {
            let Some((_, rest)) = self.rest.split_once(')') else {
                return Err("a comment (?#…) without its end".into());
            };
            self.rest = rest;
            return Ok(());
        }
        self.output.push('(');
        if self.rest.starts_with('*') {
            return Err("verbs (such as (*UTF8)) are not supported".into());
        }
        if !self.take("?") {
            return Ok(());
        }
        self.output.push('?');
        let flags = self.take_while(usize::MAX, |byte| byte.is_ascii_alphabetic() || *byte == b'-');
        // `P<name>` opens a named group; the rest are flags.
        if flags != "P"
            && let Some(unknown) = flags.chars().find(|flag| !"imsU-".contains(*flag))
        {
            return Err(format!("the flag {unknown:?} in (?{flags}…) is not supported"));
        }
        self.output.push_str(flags);
        Ok(())
    }

    /// After `[`.
    fn class(&mut self) -> Result<(), String> {
        self.output.push('[');
        if self.take("^") {
            self.output.push('^');
        }
        let mut previous = None;
        let mut first = true;
        loop {
            let Some(character) = self.next() else { return Err("a class [ without its end".into()) };
            match character {
                ']' if !first => {
                    self.output.push(']');
                    return Ok(());
                }
                '\\' => self.escape(true)?,
                '[' if let Ok(end) = posix(self.rest) => {
                    let (name, rest) = self.rest.split_at_checked(end).unwrap_or_default();
                    let word = name.strip_prefix(':').and_then(|word| word.strip_suffix(":]"));
                    if !word.is_some_and(|word| POSIX.contains(&word.trim_start_matches('^'))) {
                        return Err(format!("the class [{name} is not known"));
                    }
                    self.output.push('[');
                    self.output.push_str(name);
                    self.rest = rest;
                }
                '[' | ']' => {
                    self.output.push('\\');
                    self.output.push(character);
                }
                '&' | '~' | '-' if first || previous == Some(character) => {
                    self.output.push('\\');
                    self.output.push(character);
                }
                _ => self.bytes_of(character),
            }
            first = false;
            previous = Some(character);
        }
    }

    /// After `\`.
    fn escape(&mut self, in_class: bool) -> Result<(), String> {
        let Some(letter) = self.next() else { return Err("a backslash at the end".into()) };
        match letter {
            'x' => {
                let value = self.hexadecimal()?;
                self.byte(value);
            }
            '0' => {
                let digits = self.take_while(2, |byte| matches!(byte, b'0'..=b'7'));
                self.byte(u8::from_str_radix(digits, 8).unwrap_or(0));
            }
            'c' => match self.next().filter(char::is_ascii) {
                Some(control) => self.byte(control.to_ascii_uppercase() as u8 ^ 0x40),
                None => return Err("\\c needs an ASCII character".into()),
            },
            'e' => self.byte(0x1b),
            'b' if in_class => self.byte(0x08),
            'h' if in_class => self.output.push_str(r"\t\x20\xA0"),
            'h' => self.output.push_str(r"[\t\x20\xA0]"),
            'v' if in_class => self.output.push_str(r"\n\x0B\x0C\r\x85"),
            'v' => self.output.push_str(r"[\n\x0B\x0C\r\x85]"),
            'Q' => {
                let (literal, rest) = self.rest.split_once("\\E").unwrap_or((self.rest, ""));
                self.rest = rest;
                literal.bytes().for_each(|byte| self.byte(byte));
            }
            'E' => {}
            'u' | 'U' => return Err(format!("\\\\{letter} is not supported; bytes are written \\\\xHH")),
            _ if !letter.is_ascii() => self.bytes_of(letter),
            // A letter or digit keeps its meaning, or is refused by the compiler if it has none there.
            _ if letter.is_ascii_alphanumeric() => {
                self.output.push('\\');
                self.output.push(letter);
                if matches!(letter, 'b' | 'B') && self.take("{") {
                    self.output.push_str("\\{");
                }
            }
            _ => self.byte(letter as u8),
        }
        Ok(())
    }

    /// After `\x`: one or two digits, or any number in braces; none at all is NUL.
    fn hexadecimal(&mut self) -> Result<u8, String> {
        let digits = if self.take("{") {
            let Some((digits, rest)) = self.rest.split_once('}') else {
                return Err("\\x{ without its end".into());
            };
            self.rest = rest;
            digits
        } else {
            let digits = self.take_while(2, u8::is_ascii_hexdigit);
            if digits.is_empty() { "0" } else { digits }
        };
        let value = u32::from_str_radix(digits, 16).ok().filter(|_| !digits.starts_with('+'));
        value
            .and_then(|value| u8::try_from(value).ok())
            .ok_or_else(|| format!("\\x{{{digits}}} is not a byte, and values are matched byte by byte"))
    }
}

/// The names of POSIX's classes, as in `[[:alpha:]]`.
const POSIX: [&str; 14] = [
    "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space",
    "upper", "word", "xdigit",
];

/// The length of what stands behind a bracket or a brace, or how many bytes had to be looked at to know that nothing does.
/// Each byte is looked at for a few brackets or braces at most, so that reading stays linear.
type Looked = Result<usize, usize>;

/// Behind a `[` in a class: the bytes of what is written as one of POSIX's classes, `:alpha:]`, or as an element of a
/// collation, `.a.]` or `=a=]`. As PCRE looks for it: no bracket stands before its end.
fn posix(rest: &str) -> Looked {
    let Some(mark) = rest.bytes().next().filter(|byte| b":.=".contains(byte)) else { return Err(1) };
    let mut pairs = rest.as_bytes().windows(2).enumerate().skip(1);
    while let Some((at, pair)) = pairs.next() {
        match pair {
            [b'\\', b']' | b'\\'] => drop(pairs.next()),
            [b']', _] => return Err(at + 2),
            [b'[', next] if *next == mark => return Err(at + 2),
            [byte, b']'] if *byte == mark => return Ok(at + 2),
            _ => {}
        }
    }
    Err(rest.len())
}

/// A quantifier's inside with its closing brace: `3}`, `3,}` or `3,5}`.
fn quantifier(rest: &str) -> Looked {
    let digits = |from: usize| {
        let rest = rest.bytes().skip(from);
        from + rest.take_while(u8::is_ascii_digit).count()
    };
    let least = digits(0);
    let most = if rest.as_bytes().get(least) == Some(&b',') { digits(least + 1) } else { least };
    if least > 0 && rest.as_bytes().get(most) == Some(&b'}') { Ok(most + 1) } else { Err(most + 1) }
}

/// Whether what stands behind a brace is a quantifier only for PCRE2 10.43 and newer: `,5}` or ` 3, 5 }`.
fn is_newer_quantifier(rest: &str) -> bool {
    let end = rest.bytes().position(|byte| !matches!(byte, b' ' | b'\t' | b',' | b'0'..=b'9'));
    let Some((inside, behind)) = end.and_then(|end| rest.split_at_checked(end)) else { return false };
    let (least, most) = inside.split_once(',').unwrap_or((inside, ""));
    let [least, most] = [least, most].map(|bound| bound.trim_matches([' ', '\t']));
    let is_number = |bound: &str| bound.bytes().all(|byte| byte.is_ascii_digit());
    behind.starts_with('}') && is_number(least) && is_number(most) && !(least.is_empty() && most.is_empty())
}

#[cfg(test)]
mod tests;
