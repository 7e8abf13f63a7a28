//! The strings of SQL's dialects: quotes with their two ways to escape, PostgreSQL's dollars, Oracle's `q'…'`, and
//! letters before a quote. A search for an end that is not there takes the rest of the text.

use memchr::{memchr, memmem};

use super::token::{Kind, Token};
use super::tokenizer::Tokenizer;

impl<'a> Tokenizer<'a> {
    /// A string whose text begins after so many bytes, up to a quote that is neither escaped nor doubled.
    pub(super) fn quoted(&mut self, kind: Kind, before: usize, quote: u8, open: Option<u8>) -> Token<'a> {
        self.take(before);
        let text = self.rest();
        let mut from = 0;
        let end = loop {
            let Some(found) = text.get(from..).and_then(|rest| memchr(quote, rest)) else { break None };
            let at = from + found;
            let escapes = text.iter().take(at).rev().take_while(|byte| **byte == b'\\').count();
            if escapes % 2 == 1 {
                from = at + 1;
            } else if text.get(at + 1) == Some(&quote) {
                from = at + 2;
            } else {
                break Some(at);
            }
        };
        let token = Token::new(kind, self.take(end.unwrap_or(text.len())));
        self.take(1);
        Token { open, close: end.map(|_| quote), ..token }
    }

    /// Up to a mark, which is taken too.
    fn up_to(&mut self, mark: &[u8], quote: u8) -> Token<'a> {
        let end = memmem::find(self.rest(), mark);
        let token = Token::new(Kind::String, self.take(end.unwrap_or(usize::MAX)));
        self.take(mark.len());
        Token { open: Some(quote), close: end.map(|_| quote), ..token }
    }

    /// After a `$`: a sum of money, or PostgreSQL's `$$…$$` and `$tag$…$tag$`.
    pub(super) fn money(&mut self) -> Token<'a> {
        let rest = self.rest();
        let after = rest.get(1..).unwrap_or_default();
        // NUL passes for any kind of byte, as in C's `strchr`.
        let span = |kind: fn(&u8) -> bool| after.iter().take_while(|byte| **byte == 0 || kind(byte)).count();
        let figures = span(|byte| matches!(byte, b'0'..=b'9' | b'.' | b','));
        match (figures, after) {
            (1, [b'.', ..]) => return self.word(),
            (1.., _) => return Token::new(Kind::Number, self.take(figures + 1)),
            (0, [b'$', ..]) => {
                self.take(2);
                return self.up_to(b"$$", b'$');
            }
            _ => {}
        }
        let letters = span(u8::is_ascii_alphabetic);
        match rest.get(..letters + 2) {
            Some(tag) if letters > 0 && tag.ends_with(b"$") => {
                self.take(tag.len());
                self.up_to(tag, b'$')
            }
            _ => Token::new(Kind::Bareword, self.take(1)),
        }
    }

    /// A word, or a string with letters before its quote.
    pub(super) fn prefixed(&mut self, letter: u8) -> Token<'a> {
        match (letter, self.rest()) {
            (b'b' | b'B', [_, b'\'', digits @ .., _]) => {
                self.digits(digits, |byte| matches!(byte, b'0' | b'1'))
            }
            (b'x' | b'X', [_, b'\'', digits @ .., _]) => self.digits(digits, |byte| byte.is_ascii_hexdigit()),
            (b'e' | b'E' | b'n' | b'N', [_, b'\'', _, ..]) => {
                self.quoted(Kind::String, 2, b'\'', Some(b'\''))
            }
            (b'q' | b'Q', [_, b'\'', delimiter, ..]) => self.delimited(3, *delimiter),
            (b'n' | b'N', [_, b'q' | b'Q', b'\'', delimiter, ..]) => self.delimited(4, *delimiter),
            (b'u' | b'U', [_, b'&', b'\'', ..]) => {
                let token = self.quoted(Kind::String, 3, b'\'', Some(b'u'));
                Token { close: token.close.map(|_| b'u'), ..token }
            }
            _ => self.word(),
        }
    }

    /// `b'01'` or `x'0f'`; a word if it is none.
    fn digits(&mut self, digits: &[u8], is_digit: fn(u8) -> bool) -> Token<'a> {
        let length = digits.iter().take_while(|byte| **byte == 0 || is_digit(**byte)).count();
        if self.rest().get(length + 2) != Some(&b'\'') {
            return self.word();
        }
        Token::new(Kind::Number, self.take(length + 3))
    }

    /// Oracle's string with a delimiter of its own.
    fn delimited(&mut self, before: usize, delimiter: u8) -> Token<'a> {
        let end = match delimiter {
            // White space, controls and bytes beyond ASCII do not delimit.
            0..=b' ' | 0x80.. => return self.word(),
            b'(' => b')',
            b'[' => b']',
            b'{' => b'}',
            b'<' => b'>',
            other => other,
        };
        self.take(before);
        self.up_to(&[end, b'\''], b'q')
    }
}
