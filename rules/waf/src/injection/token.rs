//! What SQL is read into: tokens, the kinds they are of, and what the folding asks of them.

/// What a token is. The letter is its place in a fingerprint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    Keyword = b'k',
    Union = b'U',
    Group = b'B',
    Expression = b'E',
    SqlType = b't',
    Function = b'f',
    Bareword = b'n',
    Number = b'1',
    Variable = b'v',
    String = b's',
    Operator = b'o',
    Logic = b'&',
    Comment = b'c',
    Collate = b'A',
    OpenParenthesis = b'(',
    CloseParenthesis = b')',
    OpenBrace = b'{',
    CloseBrace = b'}',
    Dot = b'.',
    Comma = b',',
    Colon = b':',
    Semicolon = b';',
    Tsql = b'T',
    Unknown = b'?',
    /// Not readable for certain, and that is an attack by itself.
    Evil = b'X',
    Backslash = b'\\',
}

/// Bytes of a token that count; libinjection keeps as many.
pub(super) const TOKEN_BYTES: usize = 31;

/// A token.
#[derive(Clone, Copy, Debug)]
pub(super) struct Token<'a> {
    pub(super) kind: Kind,
    /// At most [`TOKEN_BYTES`] of it, without its quotes.
    pub(super) text: &'a [u8],
    /// The quote it began with; none: it began before the text, or has none.
    pub(super) open: Option<u8>,
    /// The quote it ended with; none: it did not end, or has none.
    pub(super) close: Option<u8>,
}

impl<'a> Token<'a> {
    /// A token without quotes.
    pub(super) fn new(kind: Kind, text: &'a [u8]) -> Self {
        Self { kind, text: text.get(..TOKEN_BYTES).unwrap_or(text), open: None, close: None }
    }

    /// Whether its text is this one, in any case.
    pub(super) fn is(&self, text: &str) -> bool {
        self.text.eq_ignore_ascii_case(text.as_bytes())
    }

    /// Whether it is of one of these kinds.
    pub(super) fn any(&self, kinds: &[Kind]) -> bool {
        kinds.contains(&self.kind)
    }

    /// An operator that may stand before its operand.
    pub(super) fn is_unary(&self) -> bool {
        self.kind == Kind::Operator
            && (matches!(self.text, [b'+' | b'-' | b'!' | b'~'] | b"!!") || self.is("NOT"))
    }

    /// An operator between two numbers.
    pub(super) fn is_arithmetic(&self) -> bool {
        self.kind == Kind::Operator && matches!(self.text, [b'*' | b'/' | b'-' | b'+' | b'%'])
    }
}
