//! Text whose every byte knows where it stands in its file, although continuation lines were joined and quotes
//! unescaped on the way.

use crate::span::Span;

/// Joined or unescaped text with a map back to the file.
#[derive(Clone, Debug, Default)]
pub(crate) struct Text {
    file: u32,
    text: String,
    /// (first byte here, its byte in the file), ascending; between two entries both count alike.
    map: Vec<(usize, usize)>,
    /// The byte in the file after the last one.
    end: usize,
}

impl Text {
    /// Empty text of a file.
    pub(crate) fn new(file: u32) -> Self {
        Self { file, ..Self::default() }
    }

    /// Appends a piece that stands at `at` in the file.
    pub(crate) fn push(&mut self, piece: &str, at: usize) {
        if piece.is_empty() {
            return;
        }
        if self.map.is_empty() || at != self.end {
            self.map.push((self.text.len(), at));
        }
        self.text.push_str(piece);
        self.end = at + piece.len();
    }

    /// The byte in the file of a byte here.
    fn place(&self, at: usize) -> usize {
        let index = self.map.partition_point(|(here, _)| *here <= at);
        match index.checked_sub(1).and_then(|index| self.map.get(index)) {
            Some((here, there)) => there + (at - here),
            None => self.end,
        }
    }

    /// All of it.
    pub(crate) fn all(&self) -> Slice<'_> {
        Slice { owner: self, start: 0, end: self.text.len() }
    }
}

/// A part of a [`Text`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slice<'t> {
    owner: &'t Text,
    start: usize,
    end: usize,
}

impl<'t> Slice<'t> {
    /// The text.
    pub(crate) fn text(self) -> &'t str {
        self.owner.text.get(self.start..self.end).unwrap_or_default()
    }

    /// Its place in the file.
    pub(crate) fn span(self) -> Span {
        let start = self.owner.place(self.start);
        let end = if self.end > self.start { self.owner.place(self.end - 1) + 1 } else { start };
        Span { file: self.owner.file, start: start as u32, end: end.max(start) as u32 }
    }

    pub(crate) fn is_empty(self) -> bool {
        self.start == self.end
    }

    /// The part from `start` to `end`, counted from its own beginning and cut to its bounds.
    pub(crate) fn part(self, start: usize, end: usize) -> Self {
        let last = self.end - self.start;
        let end = end.min(last);
        Self { owner: self.owner, start: self.start + start.min(end), end: self.start + end }
    }

    /// The part from `start`.
    pub(crate) fn from(self, start: usize) -> Self {
        self.part(start, usize::MAX)
    }

    /// Without blanks at both ends. Only ASCII blanks count, as in Apache: a no-break space is text.
    pub(crate) fn trim(self) -> Self {
        let text = self.text();
        let start = text.len() - text.trim_ascii_start().len();
        self.part(start, start + text.trim_ascii().len())
    }

    /// Without blanks at its beginning.
    pub(crate) fn trim_start(self) -> Self {
        let text = self.text();
        self.from(text.len() - text.trim_ascii_start().len())
    }

    /// The part before the first blank, and the part from it on.
    pub(crate) fn first_word(self) -> (Self, Self) {
        let end = self.text().find(is_blank).unwrap_or(self.end - self.start);
        (self.part(0, end), self.from(end))
    }

    /// Before and after the first of these characters.
    pub(crate) fn split_once(self, separators: &[char]) -> Option<(Self, Self)> {
        let at = self.text().find(separators)?;
        Some((self.part(0, at), self.from(at + 1)))
    }

    /// Without a prefix, compared without regard to ASCII case.
    pub(crate) fn strip_prefix(self, prefix: &str) -> Option<Self> {
        let start = self.text().get(..prefix.len())?;
        start.eq_ignore_ascii_case(prefix).then(|| self.from(prefix.len()))
    }

    /// The non-empty parts between these characters, without blanks around them.
    pub(crate) fn split_all(self, separators: &[char]) -> Vec<Self> {
        let mut parts = Vec::new();
        let mut rest = Some(self);
        while let Some(text) = rest {
            let (part, after) = match text.split_once(separators) {
                Some((part, after)) => (part, Some(after)),
                None => (text, None),
            };
            if !part.trim().is_empty() {
                parts.push(part.trim());
            }
            rest = after;
        }
        parts
    }

    /// A copy in which `\q` stands for the quote `q`; every other backslash stays, as ModSecurity 3 does it.
    pub(crate) fn unescaped(self, quote: char) -> Text {
        let mut copy = Text::new(self.owner.file);
        let text = self.text();
        let mut from = 0;
        let mut backslashes = 0usize;
        for (at, letter) in text.char_indices() {
            if letter == quote && backslashes % 2 == 1 {
                self.copy_into(&mut copy, from, at - 1);
                from = at;
            }
            backslashes = if letter == '\\' { backslashes + 1 } else { 0 };
        }
        self.copy_into(&mut copy, from, text.len());
        if copy.map.is_empty() {
            copy.end = self.owner.place(self.start);
        }
        copy
    }

    /// Appends the part between two bytes, piece by piece, so that the map stays true.
    fn copy_into(self, copy: &mut Text, start: usize, end: usize) {
        let (mut at, end) = (self.start + start, self.start + end);
        while at < end {
            let index = self.owner.map.partition_point(|(here, _)| *here <= at);
            let next = self.owner.map.get(index).map_or(end, |(here, _)| (*here).min(end));
            copy.push(self.owner.text.get(at..next).unwrap_or_default(), self.owner.place(at));
            at = next;
        }
    }
}

/// Whether a character separates words.
pub(crate) fn is_blank(letter: char) -> bool {
    letter.is_ascii_whitespace()
}

/// The byte of the first quote that no odd run of backslashes precedes.
pub(crate) fn closing_quote(text: &str, quote: u8) -> Option<usize> {
    let mut backslashes = 0usize;
    for (at, byte) in text.bytes().enumerate() {
        if byte == quote && backslashes.is_multiple_of(2) {
            return Some(at);
        }
        backslashes = if byte == b'\\' { backslashes + 1 } else { 0 };
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_keeps_its_place_through_joining_and_unescaping() {
        let mut text = Text::new(0);
        text.push("ab\\\"c", 10);
        text.push("de\\'f", 30);
        let unescaped = text.all().unescaped('"');
        assert_eq!(unescaped.all().text(), "ab\"cde\\'f");
        let at = |needle: &str| {
            let start = unescaped.all().text().find(needle).unwrap();
            unescaped.all().part(start, start + needle.len()).span()
        };
        assert_eq!(at("ab"), Span { file: 0, start: 10, end: 12 });
        assert_eq!(at("\"c"), Span { file: 0, start: 13, end: 15 });
        assert_eq!(at("cd"), Span { file: 0, start: 14, end: 31 });
        assert_eq!(at("f"), Span { file: 0, start: 34, end: 35 });
    }

    #[test]
    fn only_an_odd_run_of_backslashes_escapes_a_quote() {
        for (text, expected) in
            [(r#"a""#, Some(1)), (r#"a\""#, None), (r#"a\\""#, Some(3)), (r#"a\\\"b""#, Some(6)), ("", None)]
        {
            assert_eq!(closing_quote(text, b'"'), expected, "{text}");
        }
        let mut text = Text::new(0);
        text.push(r#"\\\" \\ \d"#, 0);
        assert_eq!(text.all().unescaped('"').all().text(), r#"\\" \\ \d"#);
    }
}
