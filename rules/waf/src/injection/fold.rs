//! Tokens → at most five, by folding what means the same: `1+1` is a number, `a, b` is a name, `UNION ALL` is one word.
//!
//! The fold reads the text only as far as it must: once five tokens stand, nothing more is read. Each token is read
//! once and each step of the fold takes a bounded number of tokens away, so that the work is linear in the text.

use super::token::{Kind, TOKEN_BYTES, Token};
use super::tokenizer::Tokenizer;
use super::words;

/// Tokens of a fingerprint.
pub(super) const TOKENS: usize = 5;

/// What a rule for two tokens decided.
enum Next {
    /// Something was folded: look again.
    Again,
    /// Nothing was folded: look at three tokens.
    Three,
    /// The text cannot be read for certain.
    Evil,
}

/// The fold of one text. A sixth token may be needed to fold the five.
#[derive(Debug)]
pub(super) struct Fold<'a> {
    source: Tokenizer<'a>,
    pub(super) tokens: [Token<'a>; TOKENS + 1],
    /// Tokens that stand.
    pub(super) count: usize,
    /// Tokens that are settled: the next rule looks from here on.
    left: usize,
    /// Whether there may be more to read.
    more: bool,
    /// The comment after the last token.
    comment: Option<Token<'a>>,
}

/// Words that are functions if a parenthesis follows.
const FUNCTIONS: [&str; 11] = [
    "USER_ID",
    "USER_NAME",
    "DATABASE",
    "PASSWORD",
    "USER",
    "CURRENT_USER",
    "CURRENT_DATE",
    "CURRENT_TIME",
    "CURRENT_TIMESTAMP",
    "LOCALTIME",
    "LOCALTIMESTAMP",
];

impl<'a> Fold<'a> {
    /// Folds a text.
    pub(super) fn of(source: Tokenizer<'a>) -> Self {
        let tokens = [Token::new(Kind::Unknown, b""); TOKENS + 1];
        let mut fold = Self { source, tokens, count: 0, left: 0, more: true, comment: None };
        fold.run();
        fold
    }

    /// Tokens that were read.
    pub(super) fn read(&self) -> usize {
        self.source.count
    }

    /// Whether the other dialect would read the text differently.
    pub(super) fn is_ambiguous(&self) -> bool {
        self.source.ambiguous
    }

    /// A token from the left; one of no meaning where there is none.
    fn at(&self, place: usize) -> Token<'a> {
        let place = self.left + place;
        self.tokens.get(place).copied().unwrap_or(Token::new(Kind::Unknown, b""))
    }

    fn set(&mut self, place: usize, token: Token<'a>) {
        let place = self.left + place;
        if let Some(slot) = self.tokens.get_mut(place) {
            *slot = token;
        }
    }

    fn set_kind(&mut self, place: usize, kind: Kind) {
        self.set(place, Token { kind, ..self.at(place) });
    }

    /// Drops the last tokens and starts again from the first.
    fn drop(&mut self, tokens: usize) {
        self.count = self.count.saturating_sub(tokens);
        self.left = 0;
    }

    fn run(&mut self) {
        if !self.begin() {
            return;
        }
        loop {
            if self.count >= TOKENS && self.is_sum() {
                // A sum or a list of pairs goes on: its first token stands for it.
                match self.tokens.get(TOKENS).filter(|_| self.count > TOKENS) {
                    Some(last) => {
                        self.tokens = [self.tokens[0], *last, *last, *last, *last, *last];
                        self.count = 2;
                    }
                    None => self.count = 1,
                }
                self.left = 0;
            }
            if !self.more || self.left >= TOKENS {
                break;
            }
            self.fill(2);
            if self.count < self.left + 2 {
                self.left = self.count;
                continue;
            }
            match self.two() {
                Next::Again => continue,
                Next::Evil => {
                    self.left = 0;
                    self.set(0, Token::new(Kind::Evil, b""));
                    self.count = 1;
                    return;
                }
                Next::Three => {}
            }
            self.fill(3);
            if self.count < self.left + 3 {
                self.left = self.count;
            } else if !self.three() {
                self.left += 1;
            }
        }
        self.end();
    }

    /// Skips what may stand before a query; false if that was all.
    fn begin(&mut self) -> bool {
        while let Some(token) = self.source.next() {
            if !token.any(&[Kind::Comment, Kind::OpenParenthesis, Kind::SqlType]) && !token.is_unary() {
                self.set(0, token);
                self.count = 1;
                return true;
            }
        }
        false
    }

    /// Adds a comment at the end if there is room; so does a tick that opens nothing.
    fn end(&mut self) {
        if self.count < TOKENS
            && let Some(comment) = self.comment
        {
            self.left = self.count;
            self.set(0, comment);
            self.count += 1;
        }
        self.count = self.count.min(TOKENS);
        if self.count > 2
            && let Some(last) = self.tokens.get_mut(self.count - 1)
            && last.kind == Kind::Bareword
            && last.open == Some(b'`')
            && last.close.is_none()
            && last.text.is_empty()
        {
            last.kind = Kind::Comment;
        }
    }

    /// Reads on until so many tokens stand from the left on.
    fn fill(&mut self, wanted: usize) {
        while self.more && self.count <= TOKENS && self.count < self.left + wanted {
            match self.source.next() {
                Some(token) if token.kind == Kind::Comment => self.comment = Some(token),
                Some(token) => {
                    self.comment = None;
                    if let Some(slot) = self.tokens.get_mut(self.count) {
                        *slot = token;
                    }
                    self.count += 1;
                }
                None => self.more = false,
            }
        }
    }

    /// Five tokens that are still a number or a name.
    fn is_sum(&self) -> bool {
        use Kind::*;
        let [a, b, c, d, e, _] = self.tokens.map(|token| token.kind);
        matches!(
            (a, b, c, d, e),
            (Number, Operator | Comma, OpenParenthesis, Number, CloseParenthesis)
                | (Bareword, Operator, OpenParenthesis, Bareword | Number, CloseParenthesis)
                | (Number, CloseParenthesis, Comma, OpenParenthesis, Number)
                | (Bareword, CloseParenthesis, Operator, OpenParenthesis, Bareword)
        )
    }

    /// The rules for two tokens.
    fn two(&mut self) -> Next {
        use Kind::*;
        let (a, b) = (self.at(0), self.at(1));
        match (a.kind, b.kind) {
            // A second string or semicolon adds nothing.
            (String, String) | (Semicolon, Semicolon) => {
                self.count -= 1;
                return Next::Again;
            }
            (Operator | Logic, SqlType) => {
                self.drop(1);
                return Next::Again;
            }
            (Operator | Logic, _) if b.is_unary() => {
                self.drop(1);
                return Next::Again;
            }
            (OpenParenthesis, _) if b.is_unary() => {
                self.count -= 1;
                self.left = self.left.saturating_sub(1);
                return Next::Again;
            }
            _ => {}
        }
        if let Some((kind, text)) = merge(&a, &b) {
            self.set(0, Token { kind, text, ..a });
            self.count -= 1;
            self.left = self.left.saturating_sub(1);
            return Next::Again;
        }
        self.two_by_meaning(a, b)
    }

    /// The rules for two tokens that look at words, and those that are tried last.
    fn two_by_meaning(&mut self, a: Token<'a>, b: Token<'a>) -> Next {
        use Kind::*;
        match (a.kind, b.kind) {
            // After a semicolon, Transact-SQL's statement.
            (Semicolon, Function)
                if b.text.get(..2).is_some_and(|start| start.eq_ignore_ascii_case(b"IF")) =>
            {
                self.set_kind(1, Tsql);
            }
            (Bareword | Variable, OpenParenthesis) if FUNCTIONS.iter().any(|name| a.is(name)) => {
                self.set_kind(0, Function);
            }
            (Keyword, _) if a.is("IN") || a.is("NOT IN") => {
                self.set_kind(0, if b.kind == OpenParenthesis { Operator } else { Bareword });
            }
            (Operator, _) if a.is("LIKE") || a.is("NOT LIKE") => {
                if b.kind == OpenParenthesis {
                    self.set_kind(0, Function);
                }
                return Next::Three;
            }
            (SqlType, Bareword | Number | SqlType | OpenParenthesis | Function | Variable | String) => {
                self.set(0, b);
                self.drop(1);
            }
            (Collate, Bareword) => {
                // There are too many collations to list them.
                if b.text.contains(&b'_') {
                    self.set_kind(1, SqlType);
                    self.left = 0;
                }
                return Next::Three;
            }
            (Backslash, _) if b.is_arithmetic() => {
                // Transact-SQL reads `\%1` as `0 % 1`.
                self.set_kind(0, Number);
                self.left = 0;
            }
            (Backslash, _) => {
                self.set(0, b);
                self.drop(1);
            }
            (OpenParenthesis, OpenParenthesis) | (CloseParenthesis, CloseParenthesis) => self.drop(1),
            (OpenBrace, Bareword) if b.text.is_empty() => {
                // MySQL's "{``.``.id}".
                return Next::Evil;
            }
            // ODBC's `{name expression}`.
            (OpenBrace, Bareword) => self.drop(2),
            (_, CloseBrace) => self.drop(1),
            _ => return Next::Three,
        }
        Next::Again
    }

    /// The rules for three tokens; whether something was folded.
    fn three(&mut self) -> bool {
        use Kind::*;
        let (a, b, c) = (self.at(0), self.at(1), self.at(2));
        match (a.kind, b.kind, c.kind) {
            // A calculation is its first operand; a list is its first item; `schema.table` is a name.
            (Number, Operator, Number)
            | (Logic, _, Logic)
            | (Variable, Operator, Variable | Number | Bareword)
            | (Bareword | Number, Operator, Number | Bareword)
            | (Bareword | Number | String | Variable, Comma, Number | Bareword | String | Variable)
            | (Bareword, Dot, Bareword) => self.drop(2),
            (Operator, middle, Operator) if middle != OpenParenthesis => self.drop(2),
            // PostgreSQL's cast.
            (Bareword | Number | Variable | String, Operator, SqlType) if b.text == b"::" => self.drop(2),
            (Comma, _, Number | Bareword | Variable | String) if b.is_unary() => {
                // `1,-1` is `1`: one token more goes, so that the list is looked at again.
                self.set(1, c);
                self.drop(3);
            }
            (Expression | Group | Comma, _, OpenParenthesis | Function) if b.is_unary() => {
                self.second_goes(c)
            }
            (Keyword | Expression | Group, _, Number | Bareword | Variable | String | Function)
                if b.is_unary() =>
            {
                self.second_goes(c);
            }
            (Expression, Dot, Bareword) => self.second_goes(c),
            (Function, OpenParenthesis, last) => {
                // USER() takes no argument: with one it is a name.
                if last != CloseParenthesis && a.is("USER") {
                    self.set_kind(0, Bareword);
                }
                return false;
            }
            _ => return false,
        }
        true
    }

    /// The third of three tokens takes the place of the second.
    fn second_goes(&mut self, third: Token<'a>) {
        self.set(1, third);
        self.drop(1);
    }
}

/// Two words that are one phrase.
fn merge(a: &Token<'_>, b: &Token<'_>) -> Option<(Kind, &'static [u8])> {
    use Kind::*;
    let words = [Keyword, Bareword, Operator, Union, Function, Expression, Tsql, SqlType];
    if !a.any(&words) || !(b.any(&words) || b.kind == Logic) {
        return None;
    }
    // No phrase is longer than a token.
    if a.text.len() + 1 + b.text.len() > TOKEN_BYTES {
        return None;
    }
    words::phrase(a.text, b.text)
}
