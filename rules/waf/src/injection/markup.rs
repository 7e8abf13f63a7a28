//! Bytes → pieces of HTML, as a lenient browser would find them.
//!
//! Promises: total, linear in the text, no allocation. Only what can be dangerous is a piece; text and the ends of tags
//! are passed over. NUL is ignored or counts as white space, as in old browsers.

use memchr::{memchr, memmem};

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    Doctype,
    /// The name of a tag, also of one that closes and has attributes.
    Tag(&'a [u8]),
    AttributeName(&'a [u8]),
    /// The value after such a name, or the text up to the quote that is taken to stand before it.
    AttributeValue(&'a [u8]),
    Comment(&'a [u8]),
}

/// Where the text begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Context {
    /// Between tags.
    Data,
    /// In a tag, before an attribute.
    Tag,
    /// In a value after this quote.
    Quoted(u8),
}

/// What is to be read next.
#[derive(Clone, Copy, Debug)]
enum State {
    Data,
    TagOpen,
    TagClose,
    BeforeName,
    SelfClosing,
    Name,
    AfterName,
    BeforeValue,
    Quoted(u8),
    AfterQuoted,
    End,
}

/// The reader of one text.
#[derive(Debug)]
pub(super) struct Markup<'a> {
    text: &'a [u8],
    at: usize,
    state: State,
    /// Whether the tag is one that closes.
    closing: bool,
}

fn is_white(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r' | 0)
}

impl<'a> Markup<'a> {
    pub(super) fn new(text: &'a [u8], context: Context) -> Self {
        let state = match context {
            Context::Data => State::Data,
            Context::Tag => State::BeforeName,
            Context::Quoted(quote) => State::Quoted(quote),
        };
        Self { text, at: 0, state, closing: false }
    }

    fn rest(&self) -> &'a [u8] {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn byte(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    /// Goes on with a state after so many bytes.
    fn go(&mut self, bytes: usize, state: State) {
        self.at += bytes;
        self.state = state;
    }

    /// The next piece; none at the end.
    pub(super) fn next(&mut self) -> Option<Piece<'a>> {
        loop {
            let found = match self.state {
                State::Data => {
                    self.go(memchr(b'<', self.rest())? + 1, State::TagOpen);
                    None
                }
                State::TagOpen => self.tag_open(self.byte()?),
                State::TagClose => {
                    self.closing = false;
                    self.go(1, State::Data);
                    None
                }
                State::SelfClosing => {
                    match self.byte()? {
                        b'>' => self.go(1, State::Data),
                        _ => self.state = State::BeforeName,
                    }
                    None
                }
                State::BeforeName => {
                    match self.after_white()? {
                        b'/' => self.go(1, State::SelfClosing),
                        b'>' => self.go(1, State::Data),
                        _ => self.state = State::Name,
                    }
                    None
                }
                State::Name => Some(self.name()),
                State::AfterName => {
                    match self.after_white()? {
                        b'/' => self.go(1, State::SelfClosing),
                        b'=' => self.go(1, State::BeforeValue),
                        b'>' => self.state = State::TagClose,
                        _ => self.state = State::Name,
                    }
                    None
                }
                State::BeforeValue => match self.after_white()? {
                    quote @ (b'"' | b'\'' | b'`') => {
                        self.state = State::Quoted(quote);
                        None
                    }
                    _ => Some(self.unquoted()),
                },
                State::Quoted(quote) => Some(self.quoted(quote)),
                State::AfterQuoted => {
                    match self.byte()? {
                        b'/' => self.go(1, State::SelfClosing),
                        b'>' => self.go(1, State::Data),
                        _ => self.state = State::BeforeName,
                    }
                    None
                }
                State::End => return None,
            };
            if found.is_some() {
                return found;
            }
        }
    }

    /// Skips white space: what follows. Byte 0xFF ends the text, as a signed -1 does for libinjection.
    fn after_white(&mut self) -> Option<u8> {
        self.at += self.rest().iter().take_while(|byte| is_white(**byte)).count();
        self.byte().filter(|byte| *byte != 0xff)
    }

    /// After `<`.
    fn tag_open(&mut self, byte: u8) -> Option<Piece<'a>> {
        match byte {
            b'!' => {
                self.at += 1;
                self.declaration()
            }
            b'/' => {
                self.at += 1;
                self.closing = true;
                match self.byte() {
                    None => self.state = State::End,
                    Some(b'>') => self.state = State::Data,
                    Some(byte) if byte.is_ascii_alphabetic() => return self.tag_name(),
                    Some(_) => {
                        self.closing = false;
                        return Some(self.comment(1, memchr(b'>', self.rest())));
                    }
                }
                None
            }
            b'?' => {
                self.at += 1;
                Some(self.comment(1, memchr(b'>', self.rest())))
            }
            // Old browsers read `<% … %>` as a comment.
            b'%' => {
                self.at += 1;
                Some(self.comment(2, memmem::find(self.rest(), b"%>")))
            }
            0 => self.tag_name(),
            _ if byte.is_ascii_alphabetic() => self.tag_name(),
            _ => {
                self.state = State::Data;
                None
            }
        }
    }

    fn tag_name(&mut self) -> Option<Piece<'a>> {
        let rest = self.rest();
        let is_end = |byte: &u8| *byte != 0 && is_white(*byte) || matches!(byte, b'/' | b'>');
        let length = rest.iter().position(is_end).unwrap_or(rest.len());
        let name = Piece::Tag(rest.get(..length).unwrap_or_default());
        match rest.get(length) {
            None => self.go(length, State::End),
            Some(b'/') => self.go(length + 1, State::SelfClosing),
            Some(b'>') if self.closing => {
                self.closing = false;
                self.go(length + 1, State::Data);
                return None;
            }
            Some(b'>') => self.go(length, State::TagClose),
            Some(_) => self.go(length + 1, State::BeforeName),
        }
        Some(name)
    }

    /// The name of an attribute: its first byte may be any.
    fn name(&mut self) -> Piece<'a> {
        let rest = self.rest();
        let is_end = |byte: &u8| is_white(*byte) || matches!(byte, b'/' | b'=' | b'>');
        let length = rest.iter().skip(1).position(is_end).map_or(rest.len(), |after| after + 1);
        match rest.get(length) {
            None => self.go(length, State::End),
            Some(b'/') => self.go(length + 1, State::SelfClosing),
            Some(b'=') => self.go(length + 1, State::BeforeValue),
            Some(b'>') => self.go(length, State::TagClose),
            Some(_) => self.go(length + 1, State::AfterName),
        }
        Piece::AttributeName(rest.get(..length).unwrap_or_default())
    }

    fn unquoted(&mut self) -> Piece<'a> {
        let rest = self.rest();
        let is_end = |byte: &u8| is_white(*byte) || *byte == b'>';
        let length = rest.iter().position(is_end).unwrap_or(rest.len());
        match rest.get(length) {
            None => self.go(length, State::End),
            Some(b'>') => self.go(length, State::TagClose),
            Some(_) => self.go(length + 1, State::BeforeName),
        }
        Piece::AttributeValue(rest.get(..length).unwrap_or_default())
    }

    fn quoted(&mut self, quote: u8) -> Piece<'a> {
        // Where the text begins in a value, its quote stands before it.
        self.at += usize::from(self.at > 0);
        let rest = self.rest();
        let value = match memchr(quote, rest) {
            Some(length) => {
                self.go(length + 1, State::AfterQuoted);
                rest.get(..length).unwrap_or_default()
            }
            None => {
                self.state = State::End;
                rest
            }
        };
        Piece::AttributeValue(value)
    }

    /// A comment up to an end of so many bytes.
    fn comment(&mut self, end: usize, length: Option<usize>) -> Piece<'a> {
        let rest = self.rest();
        match length {
            Some(length) => self.go(length + end, State::Data),
            None => self.state = State::End,
        }
        Piece::Comment(length.and_then(|length| rest.get(..length)).unwrap_or(rest))
    }

    /// After `<!`.
    fn declaration(&mut self) -> Option<Piece<'a>> {
        let rest = self.rest();
        if rest.get(..7).is_some_and(|start| start.eq_ignore_ascii_case(b"DOCTYPE")) {
            return Some(Piece::Doctype);
        }
        if let Some(data) = rest.strip_prefix(b"[CDATA[") {
            match memmem::find(data, b"]]>") {
                Some(length) => self.go(7 + length + 3, State::Data),
                None => self.state = State::End,
            }
            return None;
        }
        if rest.starts_with(b"--") {
            self.at += 2;
            let end = comment_end(self.rest());
            return Some(self.comment(end.map_or(0, |(_, bytes)| bytes), end.map(|(length, _)| length)));
        }
        Some(self.comment(1, memchr(b'>', rest)))
    }
}

/// Where a comment ends, and the bytes of its end: `-->` or `-!>`, with NULs after the first dash.
fn comment_end(text: &[u8]) -> Option<(usize, usize)> {
    for at in memchr::memchr_iter(b'-', text) {
        if at + 3 > text.len() {
            return None;
        }
        let after = text.get(at + 1..)?;
        let nuls = after.iter().take_while(|byte| **byte == 0).count();
        match after.get(nuls..)? {
            [b'-' | b'!', b'>', ..] => return Some((at, nuls + 3)),
            [] | [b'-' | b'!'] => return None,
            _ => {}
        }
    }
    None
}
