//! Files → directives with their arguments: comments, continuation lines, quotes.
//!
//! A backslash at the end of a line joins it with the next, whose leading blanks are dropped. An argument is a run of
//! non-blanks, or text between quotes in which `\` before the quote stands for the quote and nothing else is an escape.

use crate::diagnostics::{Report, clip};
use crate::span::Span;
use crate::text::{Slice, Text, closing_quote, is_blank};

/// One directive: its text without the line ends inside.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) text: Text,
}

/// An argument of a directive.
#[derive(Clone, Debug)]
pub(crate) struct Argument {
    pub(crate) text: Text,
    /// Its place with its quotes.
    pub(crate) span: Span,
}

/// Cuts a file into directives, one at a time: a file of a million lines is never a list of a million.
pub(crate) struct Lines<'a> {
    text: &'a str,
    file: u32,
    at: usize,
    /// Bytes of one directive; a longer one is reported and left out.
    limit: usize,
}

impl<'a> Lines<'a> {
    pub(crate) fn new(text: &'a str, file: u32, limit: usize) -> Self {
        let at = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
        Self { text, file, at, limit }
    }

    /// The next directive.
    pub(crate) fn next(&mut self, report: &mut Report) -> Option<Line> {
        while self.at < self.text.len() {
            let line = physical(self.text, self.at);
            let start = line.at + leading(line.text);
            let content = line.text.trim_ascii();
            self.at = line.next;
            if content.is_empty() {
                continue;
            }
            if let Some(comment) = content.strip_prefix('#') {
                if line.continued {
                    let place = Place { file: self.file, start, next: line.next };
                    self.at = after_comment(self.text, comment, place, report);
                }
                continue;
            }
            let (joined, size) = self.joined(line);
            if size <= self.limit {
                return Some(Line { text: joined });
            }
            let span = Span { file: self.file, start: start as u32, end: (start + content.len()) as u32 };
            report.error(span, format!("a directive of {size} bytes; {} are allowed", self.limit));
        }
        None
    }

    /// A line with those that continue it, and how many bytes they have.
    fn joined(&mut self, first: Physical<'a>) -> (Text, usize) {
        let mut joined = Text::new(self.file);
        let mut part = first;
        let mut size = 0usize;
        loop {
            let skip = leading(part.text);
            size += part.text.len();
            if size <= self.limit {
                joined.push(part.text.get(skip..).unwrap_or_default(), part.at + skip);
            }
            self.at = part.next;
            if !part.continued || self.at >= self.text.len() {
                return (joined, size);
            }
            part = physical(self.text, self.at);
        }
    }
}

/// One line of the file.
#[derive(Clone, Copy)]
struct Physical<'a> {
    /// Without its end and without the backslash that continues it.
    text: &'a str,
    at: usize,
    next: usize,
    continued: bool,
}

fn physical(text: &str, at: usize) -> Physical<'_> {
    let rest = text.get(at..).unwrap_or_default();
    let (line, next) = match rest.find('\n') {
        Some(end) => (rest.get(..end).unwrap_or_default(), at + end + 1),
        None => (rest, text.len()),
    };
    let line = line.strip_suffix('\r').unwrap_or(line);
    match line.strip_suffix('\\') {
        Some(line) => Physical { text: line, at, next, continued: true },
        None => Physical { text: line, at, next, continued: false },
    }
}

fn leading(text: &str) -> usize {
    text.len() - text.trim_ascii_start().len()
}

struct Place {
    file: u32,
    start: usize,
    next: usize,
}

/// Where reading goes on after a comment whose line ends with a backslash. Apache continues such a comment, other
/// engines do not: a rule of which only the first line is commented out is a comment as a whole, and prose in front of
/// a directive is refused, since one reading would lose the directive.
fn after_comment(text: &str, comment: &str, place: Place, report: &mut Report) -> usize {
    let first = comment.trim_ascii_start();
    let is_rule = first.get(..3).is_some_and(|start| start.eq_ignore_ascii_case("sec"));
    let mut at = place.next;
    while at < text.len() {
        let line = physical(text, at);
        let content = line.text.trim_ascii();
        if content.starts_with('#') || (content.is_empty() && !line.continued) {
            return at;
        }
        if !is_rule {
            let span = Span { file: place.file, start: place.start as u32, end: place.start as u32 + 1 };
            let message = "this comment ends with a backslash, so that some engines read the next line as its continuation";
            report.error_with_help(span, message, "remove the backslash, or begin the next line with #");
            return at;
        }
        at = line.next;
        if !line.continued {
            return at;
        }
    }
    at
}

/// The first word of a directive and its arguments. `None` if the quotes are wrong (it is reported).
pub(crate) fn arguments<'t>(line: Slice<'t>, report: &mut Report) -> Option<(Slice<'t>, Vec<Argument>)> {
    let (name, rest) = line.first_word();
    let mut rest = rest.trim();
    let mut arguments = Vec::new();
    while !rest.is_empty() {
        let (argument, after) = argument(rest, report)?;
        arguments.push(argument);
        rest = after.trim();
    }
    Some((name, arguments))
}

fn argument<'t>(rest: Slice<'t>, report: &mut Report) -> Option<(Argument, Slice<'t>)> {
    let quote = match rest.text().as_bytes().first() {
        Some(b'"') => '"',
        Some(b'\'') => '\'',
        _ => {
            let (word, after) = rest.first_word();
            let text = word.unescaped('"');
            return Some((Argument { text, span: word.span() }, after));
        }
    };
    let inner = rest.from(1);
    let Some(end) = closing_quote(inner.text(), quote as u8) else {
        let help = "a line goes on only if the backslash is its very last character";
        report.error_with_help(rest.part(0, 1).span(), format!("this {quote} is never closed"), help);
        return None;
    };
    let after = inner.from(end + 1);
    if !after.is_empty() && !after.text().starts_with(is_blank) {
        let rest = clip(after.text().split_whitespace().next().unwrap_or_default());
        report.error(
            after.part(0, 1).span(),
            format!("blank expected after the closing {quote}, found {rest:?}"),
        );
        return None;
    }
    let span = rest.part(0, end + 2).span();
    Some((Argument { text: inner.part(0, end).unescaped(quote), span }, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Vec<(String, Vec<String>)>, bool) {
        let mut report = Report::default();
        let mut lines = Lines::new(text, 0, 1_000);
        let mut read = Vec::new();
        while let Some(line) = lines.next(&mut report) {
            let Some((name, arguments)) = arguments(line.text.all(), &mut report) else { continue };
            let arguments = arguments.iter().map(|argument| argument.text.all().text().to_owned());
            read.push((name.text().to_owned(), arguments.collect()));
        }
        (read, report.is_empty())
    }

    fn ok(text: &str) -> Vec<(String, Vec<String>)> {
        let (read, clean) = read(text);
        assert!(clean, "{text}");
        read
    }

    fn one(name: &str, arguments: &[&str]) -> Vec<(String, Vec<String>)> {
        vec![(name.to_owned(), arguments.iter().map(|text| (*text).to_owned()).collect())]
    }

    #[test]
    fn quotes_escapes_continuations_and_line_ends_read_as_apache_and_modsecurity_read_them() {
        for (text, expected) in [
            ("A b c", one("A", &["b", "c"])),
            ("  A\t\"b c\"  'd e'\r\n", one("A", &["b c", "d e"])),
            ("\u{feff}A b\r\n", one("A", &["b"])),
            (r#"A "b \" c \\ \d""#, one("A", &[r#"b " c \\ \d"#])),
            (r#"A 'b \' "c"'"#, one("A", &[r#"b ' "c""#])),
            ("A b \\\n   c", one("A", &["b", "c"])),
            ("A \"b,\\\r\n   c\"\r\n", one("A", &["b,c"])),
            ("# comment\n\nA b\n  # other\n", one("A", &["b"])),
            ("#SecRule x \\\n  y \\\n  z\nA b", one("A", &["b"])),
            ("# a \\\n# b \\\n# c\nA b", one("A", &["b"])),
            ("A", one("A", &[])),
            ("A \"\"", one("A", &[""])),
            ("A b \\", one("A", &["b"])),
        ] {
            assert_eq!(ok(text), expected, "{text:?}");
        }
        assert_eq!(ok(""), []);
        assert_eq!(ok("\u{feff}"), []);
    }

    #[test]
    fn an_open_quote_text_after_a_quote_and_a_swallowing_comment_are_errors() {
        for text in ["A \"b", "A 'b", "A \"b\"c", "A \"b \\ \nc\"", "# prose \\\nA b"] {
            assert!(!read(text).1, "{text:?}");
        }
        assert_eq!(read("# prose \\\nA b").0, one("A", &["b"]), "the directive is not lost");
    }
}
