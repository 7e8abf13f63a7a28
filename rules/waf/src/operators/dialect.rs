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
                Some(length) if before != Before::Nothing => {
                    if before == Before::Quantifier {
                        return Err("a quantifier after a quantifier is not supported".into());
                    }
                    let (bounds, rest) = self.rest.split_at_checked(length).unwrap_or_default();
                    self.output.push('{');
                    self.output.push_str(bounds);
                    self.rest = rest;
                    self.quantified()?;
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
                '[' if self.rest.starts_with(':') && self.rest.contains(":]") => {
                    let end = self.rest.find(":]").map_or(0, |at| at + 2);
                    let (name, rest) = self.rest.split_at_checked(end).unwrap_or_default();
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

/// The length of a quantifier's inside with its closing brace: `3}`, `3,}` or `3,5}`.
fn quantifier(rest: &str) -> Option<usize> {
    let end = rest.find('}')?;
    let (least, most) = match rest.get(..end)?.split_once(',') {
        Some((least, most)) => (least, most),
        None => (rest.get(..end)?, ""),
    };
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    (!least.is_empty() && digits(least) && digits(most)).then_some(end + 1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::operators::compile_regex;

    /// A pattern, values that match and values that do not.
    type Case = (&'static str, &'static [&'static [u8]], &'static [&'static [u8]]);

    #[test]
    fn a_pattern_means_what_pcre_makes_of_it_on_bytes() {
        let cases: &[Case] = &[
            (r"^\x{c2}\x{A0}$", &[b"\xc2\xa0"], &[b"\xc3\x82\xc2\xa0"]),
            (r"^[\x{c2}-\x{c4}]$", &[b"\xc2", b"\xc4"], &[b"\xc5", b"\xc3\x82"]),
            (r"^\x4$", &[b"\x04"], &[b"4"]),
            (r"^\x$", &[b"\0"], &[b"x"]),
            (r"^\0\012$", &[b"\0\n"], &[b"\x0012"]),
            (r"^\cA\e$", &[b"\x01\x1b"], &[b"A"]),
            (r"^[\b]$", &[b"\x08"], &[b"b"]),
            (r"^a\b b$", &[b"a b"], &[b"ab"]),
            (r"^\h\v$", &[b"\t\n", b" \r", b"\xa0\x85"], &[b"\n\t"]),
            (r"^[\s\v]$", &[b" ", b"\x0b", b"\x85"], &[b"v"]),
            (r"^\<a\>$", &[b"<a>"], &[b"a"]),
            (r"^\Qa.b\E.$", &[b"a.bc"], &[b"axbc"]),
            (r"^\Q[(*$", &[b"[(*$"], &[b"["]),
            (r"^[[a]$", &[b"[", b"a"], &[b"[a"]),
            (r"^[]a]$", &[b"]", b"a"], &[b"b"]),
            (r"^[^]a]$", &[b"b"], &[b"]", b"a"]),
            (r"^[a&&b]$", &[b"a", b"&", b"b"], &[b"c"]),
            (r"^[~~]$", &[b"~"], &[b"-"]),
            (r"^[-a]$", &[b"-", b"a"], &[b"b"]),
            (r"^[a-]$", &[b"-", b"a"], &[b"b"]),
            (r"^[+--]$", &[b"+", b",", b"-"], &[b"."]),
            (r"^[[:alpha:]_]$", &[b"a", b"_"], &[b"1"]),
            (r"^[\]\[]$", &[b"[", b"]"], &[b"a"]),
            (r"^a{2}$", &[b"aa"], &[b"a{2}"]),
            (r"^a{2,}b{1,2}$", &[b"aaabb"], &[b"ab"]),
            (r"^a{x}$", &[b"a{x}"], &[b"a"]),
            (r"^{a,b}$", &[b"{a,b}"], &[b"a"]),
            (r"^a{,2}$", &[b"a{,2}"], &[b"aa"]),
            (r"^%{x}$", &[b"%{x}"], &[b"%"]),
            (r"^.$", &[b"\n", b"\xff", b"\0"], &[b"", b"\xc3\xa9"]),
            ("^\u{e9}$", &[b"\xc3\xa9"], &[b"\xe9"]),
            ("^[\u{e9}]$", &[b"\xc3", b"\xa9"], &[b"\xe9"]),
            (r"a$", &[b"ba"], &[b"a\n", b"a\nb"]),
            (r"(?i)^\xe9k$", &[b"\xe9K"], &[b"\xc9k", b"\xe9\xe2\x84\xaa"]),
            (r"^(?#comment [)a$", &[b"a"], &[b"#"]),
            (r"^(?:a|b)+?c$", &[b"abc"], &[b"c"]),
            (r"^(?<name>a)(?P<other>b)$", &[b"ab"], &[b"name"]),
            (r"(?m)^b$", &[b"a\nb"], &[b"ab"]),
            (r#"^[\"'\-\/]$"#, &[b"\"", b"'", b"-", b"/"], &[b"\\"]),
        ];
        for (pattern, matching, others) in cases {
            let regex = compile_regex(pattern).unwrap_or_else(|error| panic!("{pattern}: {error}"));
            for value in *matching {
                assert!(regex.is_match(*value), "{pattern} matches {value:?}");
            }
            for value in *others {
                assert!(!regex.is_match(*value), "{pattern} does not match {value:?}");
            }
        }
    }

    #[test]
    fn what_would_mean_something_else_is_refused() {
        for (pattern, reason) in [
            ("a++", "possessive"),
            ("a{2}+", "possessive"),
            ("a{2}{3}", "quantifier after a quantifier"),
            ("(?>a)", ""),
            ("(?=a)", "look-around"),
            ("(?<!a)b", "look-around"),
            (r"(a)\1", "backreference"),
            ("(?R)", "'R'"),
            ("(?u)a", "'u'"),
            ("(?x) a", "'x'"),
            ("(*UTF8)a", "verbs"),
            (r"\x{100}", "not a byte"),
            (r"\x{+1}", "not a byte"),
            (r"\x{1", "without its end"),
            (r"\u0041", "not supported"),
            (r"a\", "backslash"),
            (r"a\Z", ""),
            (r"\p{L}", ""),
            ("[a", "without its end"),
            ("(a", ""),
            ("a)", ""),
            ("*a", ""),
            ("(?#a", "without its end"),
        ] {
            let error = compile_regex(pattern).expect_err(pattern);
            assert!(error.contains(reason), "{pattern}: {error}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_translated_or_refused(pattern in r"[\\\[\](){}?*+|^$.xQEcbhv0a1&~é:#,<>-]{0,16}") {
            let _ = compile_regex(&pattern);
        }

        #[test]
        fn an_escaped_text_matches_itself(text in "[ -~\\n]{1,12}") {
            let escaped: String = text.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_string() } else { format!("\\{c}") }).collect();
            let regex = compile_regex(&format!("^{escaped}$")).unwrap();
            prop_assert!(regex.is_match(text.as_bytes()));
        }
    }
}
