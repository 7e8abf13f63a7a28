//! Places in source text: byte ranges of files, and the line and column of a byte.

use std::sync::Arc;

/// A byte range of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Span {
    /// Index of the file in `Ast::files`.
    pub file: u32,
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

/// A place for people: both numbers begin with 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Location {
    /// Line.
    pub line: u32,
    /// Column, in characters.
    pub column: u32,
}

/// A file that was read, in the order of reading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Its name.
    pub name: Arc<str>,
    /// Its text.
    pub text: Arc<str>,
    /// The first byte of each line.
    lines: Vec<u32>,
}

impl File {
    /// A file; `text` is at most 4 GiB (the limits are far below).
    pub(crate) fn new(name: &str, text: &str) -> Self {
        let starts = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at as u32 + 1);
        Self { name: name.into(), text: text.into(), lines: std::iter::once(0).chain(starts).collect() }
    }

    /// Line and column of a byte. A byte past the end is the end.
    pub fn location(&self, byte: u32) -> Location {
        let line = self.lines.partition_point(|start| *start <= byte).max(1);
        let start = self.lines.get(line - 1).copied().unwrap_or_default() as usize;
        let before = self.text.as_bytes().get(start..byte as usize).or(self.text.as_bytes().get(start..));
        let column = before.unwrap_or_default().iter().filter(|byte| !is_continuation(**byte)).count();
        Location { line: line as u32, column: column as u32 + 1 }
    }

    /// The text of a line (1 is the first), without its end.
    pub(crate) fn line(&self, line: u32) -> &str {
        let start = self.lines.get(line as usize - 1).map_or(self.text.len(), |start| *start as usize);
        let rest = self.text.get(start..).unwrap_or_default();
        let line = rest.split('\n').next().unwrap_or_default();
        line.strip_suffix('\r').unwrap_or(line)
    }
}

/// Whether a byte continues a UTF-8 character.
fn is_continuation(byte: u8) -> bool {
    byte & 0xC0 == 0x80
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_counts_characters_and_a_line_ends_before_its_line_end() {
        let file = File::new("a", "one\r\nzwölf x\n\nlast");
        let at = |needle: &str| file.location(file.text.find(needle).unwrap() as u32);
        assert_eq!(at("one"), Location { line: 1, column: 1 });
        assert_eq!(at("x"), Location { line: 2, column: 7 });
        assert_eq!(at("last"), Location { line: 4, column: 1 });
        assert_eq!(file.location(u32::MAX), Location { line: 4, column: 5 });
        assert_eq!(
            [file.line(1), file.line(2), file.line(3), file.line(4), file.line(9)],
            ["one", "zwölf x", "", "last", ""]
        );
    }
}
