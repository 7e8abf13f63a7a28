//! Bytes → tokens of SQL, in the manner of several dialects at once.
//!
//! Promises: total, linear in the text, no allocation. A search that fails ends the text, so that no byte is searched
//! twice for the same thing. Two readings differ only in comments (`#`, and `--` without a space after it).

use super::token::{Kind, Token};
use super::words;

/// How comments are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    /// `--` always begins a comment, `#` never.
    Ansi,
    /// `--` begins a comment where white space or the end follows; `#` always does.
    MySql,
}

/// The reader of one text.
#[derive(Debug)]
pub(super) struct Tokenizer<'a> {
    pub(super) text: &'a [u8],
    pub(super) at: usize,
    dialect: Dialect,
    /// The quote that is taken to stand before the text.
    quote: Option<u8>,
    /// Tokens so far.
    pub(super) count: usize,
    /// Whether the other dialect would read it differently.
    pub(super) ambiguous: bool,
}

/// Bytes that end a word. NUL is white space to Oracle, 0xA0 is in Latin-1.
const WORD_END: [bool; 256] = members(b" []{}<>:\\?=@!#~+-*/&|^%(),';\t\n\x0b\x0c\r\"\xa0\0");
/// Bytes that end the name of a variable.
const VARIABLE_END: [bool; 256] = members(b" <>:\\?=@!#~+-*/&|^%(),';\t\n\x0b\x0c\r`\"\0");

const fn members(mut bytes: &[u8]) -> [bool; 256] {
    let mut set = [false; 256];
    while let [byte, rest @ ..] = bytes {
        #[allow(clippy::indexing_slicing)] // A byte is always in bounds.
        {
            set[*byte as usize] = true;
        }
        bytes = rest;
    }
    set
}

/// Whether a byte belongs to a table.
fn belongs(set: &[bool; 256], byte: u8) -> bool {
    set.get(usize::from(byte)).copied().unwrap_or_default()
}

fn is_white(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r' | 0xa0 | 0)
}

/// How many leading bytes are of a kind; NUL passes for any kind, as it does in C's `strchr`.
fn span(text: &[u8], kind: impl Fn(u8) -> bool) -> usize {
    text.iter().position(|&byte| byte != 0 && !kind(byte)).unwrap_or(text.len())
}

impl<'a> Tokenizer<'a> {
    pub(super) fn new(text: &'a [u8], dialect: Dialect, quote: Option<u8>) -> Self {
        Self { text, at: 0, dialect, quote, count: 0, ambiguous: false }
    }

    /// The next token; none at the end.
    pub(super) fn next(&mut self) -> Option<Token<'a>> {
        if let Some(quote) = self.quote.take() {
            self.count += 1;
            return Some(self.quoted(Kind::String, 0, quote, None));
        }
        while self.at < self.text.len() {
            if let Some(token) = self.read() {
                self.count += 1;
                return Some(token);
            }
        }
        None
    }

    /// The bytes from here on.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// Takes so many bytes.
    pub(super) fn take(&mut self, length: usize) -> &'a [u8] {
        let rest = self.rest();
        let taken = rest.get(..length).unwrap_or(rest);
        self.at += taken.len();
        taken
    }

    fn token(&mut self, kind: Kind, length: usize) -> Token<'a> {
        Token::new(kind, self.take(length))
    }

    /// Reads one token; none for what is skipped.
    fn read(&mut self) -> Option<Token<'a>> {
        let byte = *self.rest().first()?;
        Some(match byte {
            0..=b' ' | 0x7f | 0xa0 => {
                self.at += 1;
                return None;
            }
            b'\'' | b'"' => self.quoted(Kind::String, 1, byte, Some(byte)),
            b'#' => self.hash(),
            b'$' => self.money(),
            b'%' | b'^' | b'+' | b'~' => self.token(Kind::Operator, 1),
            b'!' | b'&' | b'*' | b':' | b'<'..=b'>' | b'|' => self.operator(byte),
            b'(' => self.token(Kind::OpenParenthesis, 1),
            b')' => self.token(Kind::CloseParenthesis, 1),
            b',' => self.token(Kind::Comma, 1),
            b';' => self.token(Kind::Semicolon, 1),
            b'{' => self.token(Kind::OpenBrace, 1),
            b'}' => self.token(Kind::CloseBrace, 1),
            b'-' => self.dash(),
            b'/' => self.slash(),
            b'.' | b'0'..=b'9' => return self.number(),
            b'?' | b']' => self.token(Kind::Unknown, 1),
            b'@' => self.variable(),
            b'[' => self.bracketed(),
            b'\\' => match self.rest() {
                // MySQL's name for NULL.
                [_, b'N', ..] => self.token(Kind::Number, 2),
                _ => self.token(Kind::Backslash, 1),
            },
            b'`' => self.ticked(),
            _ => self.prefixed(byte),
        })
    }

    fn operator(&mut self, byte: u8) -> Token<'a> {
        let rest = self.rest();
        if rest.starts_with(b"<=>") {
            return self.token(Kind::Operator, 3);
        }
        if let Some((kind, _)) = rest.get(..2).and_then(words::word) {
            return self.token(kind, 2);
        }
        let is_colon = byte == b':' && rest.len() > 1;
        self.token(if is_colon { Kind::Colon } else { Kind::Operator }, 1)
    }

    fn hash(&mut self) -> Token<'a> {
        self.ambiguous = true;
        match self.dialect {
            Dialect::Ansi => self.token(Kind::Operator, 1),
            Dialect::MySql => self.line_comment(),
        }
    }

    fn dash(&mut self) -> Token<'a> {
        match self.rest() {
            [_, b'-'] => self.line_comment(),
            [_, b'-', next, ..] if is_white(*next) => self.line_comment(),
            [_, b'-', ..] => {
                self.ambiguous = true;
                match self.dialect {
                    Dialect::Ansi => self.line_comment(),
                    Dialect::MySql => self.token(Kind::Operator, 1),
                }
            }
            _ => self.token(Kind::Operator, 1),
        }
    }

    /// To the end of the line.
    fn line_comment(&mut self) -> Token<'a> {
        let rest = self.rest();
        let length = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
        let token = self.token(Kind::Comment, length);
        self.take(1);
        token
    }

    fn slash(&mut self) -> Token<'a> {
        let [_, b'*', inner @ ..] = self.rest() else { return self.token(Kind::Operator, 1) };
        // What is inside may run: MySQL's `/*!`, and PostgreSQL's comments in comments.
        let mut evil = inner.first() == Some(&b'!');
        let length = match memchr::memmem::find(inner, b"*/") {
            Some(end) => {
                // The asterisk of the end counts: `/*/*/` holds a second opening.
                evil |= inner.get(..=end).is_some_and(|inner| memchr::memmem::find(inner, b"/*").is_some());
                end + 4
            }
            None => inner.len() + 2,
        };
        self.token(if evil { Kind::Evil } else { Kind::Comment }, length)
    }

    /// A number; none for one such as `1.e`, which MySQL reads as nothing.
    fn number(&mut self) -> Option<Token<'a>> {
        let rest = self.rest();
        if let [b'0', letter @ (b'x' | b'X' | b'b' | b'B'), digits @ ..] = rest {
            let hexadecimal = matches!(letter, b'x' | b'X');
            let is_digit = |byte: u8| {
                if hexadecimal { byte.is_ascii_hexdigit() } else { matches!(byte, b'0' | b'1') }
            };
            let digits = span(digits, is_digit);
            return Some(self.token(if digits == 0 { Kind::Bareword } else { Kind::Number }, digits + 2));
        }
        let byte = |at: usize| rest.get(at).copied();
        let digits = |from: usize| rest.iter().skip(from).take_while(|byte| byte.is_ascii_digit()).count();
        let mut length = digits(0);
        if byte(length) == Some(b'.') {
            length += 1 + digits(length + 1);
            if length == 1 {
                return Some(self.token(Kind::Dot, 1));
            }
        }
        let mut is_nothing = false;
        if let Some(b'e' | b'E') = byte(length) {
            length += 1;
            if let Some(b'+' | b'-') = byte(length) {
                length += 1;
            }
            let exponent = digits(length);
            is_nothing = exponent == 0;
            length += exponent;
        }
        // Oracle's suffix; and `1fUNION` is a number and a word.
        if let Some(b'd' | b'D' | b'f' | b'F') = byte(length)
            && byte(length + 1).is_none_or(|next| is_white(next) || matches!(next, b';' | b'u' | b'U'))
        {
            length += 1;
        }
        let token = self.token(Kind::Number, length);
        (!is_nothing).then_some(token)
    }

    fn variable(&mut self) -> Token<'a> {
        self.at += if self.rest().starts_with(b"@@") { 2 } else { 1 };
        match self.rest() {
            [b'`', ..] => self.quoted(Kind::Variable, 1, b'`', Some(b'`')),
            [quote @ (b'\'' | b'"'), ..] => self.quoted(Kind::Variable, 1, *quote, Some(*quote)),
            rest => {
                let length = rest.iter().position(|byte| belongs(&VARIABLE_END, *byte));
                self.token(Kind::Variable, length.unwrap_or(rest.len()))
            }
        }
    }

    /// SQL Server's `[name]`.
    fn bracketed(&mut self) -> Token<'a> {
        let rest = self.rest();
        let length = memchr::memchr(b']', rest).map_or(rest.len(), |end| end + 1);
        self.token(Kind::Bareword, length)
    }

    /// MySQL's quoted names, which may be functions.
    fn ticked(&mut self) -> Token<'a> {
        let mut token = self.quoted(Kind::Bareword, 1, b'`', Some(b'`'));
        if let Some((Kind::Function, _)) = words::word(token.text) {
            token.kind = Kind::Function;
        }
        token
    }

    /// A word; only what stands before a dot or tick if that is a keyword by itself.
    pub(super) fn word(&mut self) -> Token<'a> {
        let rest = self.rest();
        let length = rest.iter().position(|byte| belongs(&WORD_END, *byte)).unwrap_or(rest.len());
        let word = Token::new(Kind::Bareword, rest.get(..length).unwrap_or_default());
        for (at, byte) in word.text.iter().enumerate() {
            if matches!(byte, b'.' | b'`')
                && let Some((kind, _)) = rest.get(..at).and_then(words::word)
                && kind != Kind::Bareword
            {
                return self.token(kind, at);
            }
        }
        // A word that is too long to be known is looked up as none.
        let kind = rest.get(..length).and_then(words::word).map_or(Kind::Bareword, |(kind, _)| kind);
        self.token(kind, length)
    }
}
