//! Whether a value holds SQL: the fingerprint of its tokens is one of an attack, in a context where it could stand.

use super::fold::{Fold, TOKENS};
use super::token::Kind;
use super::tokenizer::{Dialect, Tokenizer};
use super::words;

/// The kinds of at most five tokens, a letter each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint {
    letters: [u8; TOKENS],
    length: usize,
}

impl Fingerprint {
    /// Its letters.
    pub fn as_bytes(&self) -> &[u8] {
        self.letters.get(..self.length).unwrap_or_default()
    }
}

/// The fingerprint under which a value is SQL.
///
/// The value is read as it is, and if it holds a quote, as if the quote stood before it. Where dialects differ in what
/// a comment is, both are tried.
pub fn sqli(value: &[u8]) -> Option<Fingerprint> {
    if is_word(value) { None } else { judge(value) }
}

/// The same without looking first whether it can be.
pub(super) fn judge(value: &[u8]) -> Option<Fingerprint> {
    if value.is_empty() {
        return None;
    }
    let single = memchr::memchr(b'\'', value).map(|_| Some(b'\''));
    for quote in [Some(None), single].into_iter().flatten() {
        let (found, is_ambiguous) = read(value, Dialect::Ansi, quote);
        if found.is_some() {
            return found;
        }
        if is_ambiguous && let (Some(found), _) = read(value, Dialect::MySql, quote) {
            return Some(found);
        }
    }
    // ANSI's double quotes are names, not strings.
    memchr::memchr(b'"', value)?;
    read(value, Dialect::MySql, Some(b'"')).0
}

/// Whether a value has nothing but letters, digits, `_` and bytes beyond ASCII: at most a few numbers and one word,
/// which are no attack whatever they are.
fn is_word(value: &[u8]) -> bool {
    !value.iter().any(|byte| may_part(*byte))
}

/// Whether a byte can be in SQL beside a word: a value with none of these is not SQL.
pub(crate) const fn may_part(byte: u8) -> bool {
    !(byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80 && byte != 0xa0)
}

/// The fingerprint in one context, if it is an attack's; and whether the other dialect would read it differently.
fn read(value: &[u8], dialect: Dialect, quote: Option<u8>) -> (Option<Fingerprint>, bool) {
    let fold = Fold::of(Tokenizer::new(value, dialect, quote));
    let mut fingerprint = Fingerprint { letters: [0; TOKENS], length: fold.count.min(TOKENS) };
    for (letter, token) in fingerprint.letters.iter_mut().zip(fold.tokens).take(fold.count) {
        *letter = token.kind as u8;
    }
    if fingerprint.as_bytes().contains(&(Kind::Evil as u8)) {
        fingerprint = Fingerprint { letters: [Kind::Evil as u8, 0, 0, 0, 0], length: 1 };
    }
    let is_attack = words::is_attack(fingerprint.as_bytes()) && !is_harmless(value, &fold, fingerprint);
    (is_attack.then_some(fingerprint), fold.is_ambiguous())
}

/// Whether a value with an attack's fingerprint is likely to be something else: the short ones often are.
fn is_harmless(value: &[u8], fold: &Fold<'_>, fingerprint: Fingerprint) -> bool {
    let letters = fingerprint.as_bytes();
    // SQL Server keeps statements with this word out of its log.
    if let [_, .., b'c'] = letters
        && memchr::memmem::find(value, b"sp_password").is_some()
    {
        return false;
    }
    match letters.len() {
        2 => is_harmless_pair(value, fold, letters),
        3 => is_harmless_triple(fold, letters),
        _ => false,
    }
}

fn is_harmless_pair(value: &[u8], fold: &Fold<'_>, letters: &[u8]) -> bool {
    let [first, second, ..] = &fold.tokens;
    if letters.ends_with(b"U") {
        return fold.read() == 2;
    }
    if second.text.first() == Some(&b'#') {
        return true;
    }
    let opens_block = second.text.first() == Some(&b'/');
    match (first.kind, second.kind) {
        (Kind::Bareword, Kind::Comment) => !opens_block,
        (Kind::Number, Kind::Comment) if opens_block || fold.read() > 2 => false,
        (Kind::Number, Kind::Comment) => {
            // Such as `1234-ABC--`: only a number right before the comment or before white space counts. Where the
            // number does not begin the value, another byte is looked at, as in libinjection.
            match value.get(first.text.len()..) {
                Some([b'/', b'*', ..] | [b'-', b'-', ..]) => false,
                Some([byte, ..]) => matches!(byte, b'!'..=0x7f),
                Some([]) | None => false,
            }
        }
        // Many write `--` in a text; only one that ends it counts.
        _ => second.text.len() > 2 && second.text.starts_with(b"-"),
    }
}

fn is_harmless_triple(fold: &Fold<'_>, letters: &[u8]) -> bool {
    let [first, second, third, ..] = &fold.tokens;
    match letters {
        // Only `…' + '…`, where both quotes close something outside the value.
        b"sos" | b"s&s" => !(first.open.is_none() && third.close.is_none() && first.close == third.open),
        // `sexy and 17`, unless something was folded.
        b"s&n" | b"n&1" | b"1&1" | b"1&v" | b"1&s" => fold.read() == 3,
        // Of keywords only INTO OUTFILE and INTO DUMPFILE.
        _ if second.kind == Kind::Keyword => {
            second.text.len() < 5
                || !second.text.get(..4).is_some_and(|start| start.eq_ignore_ascii_case(b"INTO"))
        }
        _ => false,
    }
}
