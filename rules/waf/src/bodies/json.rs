//! JSON bodies, flattened: `{"a":[{"b":1}]}` is the argument `json.a.0.b` with the value `1`.
//!
//! One pass over the bytes with a stack of its own, so that depth costs bytes and never the thread's stack. Every
//! scalar is an argument: strings unescaped to UTF-8, numbers and booleans as they are written, `null` as the empty
//! value. Duplicate keys are all kept, because nobody knows which one the service reads. What was read before an error
//! is kept too, so that rules see it. RFC 8259 exactly: no comments, no trailing commas, no byte order mark, one value.
//! A value that is written as it reads is a part of the body, not a copy.

use std::borrow::Cow;
use std::io::Write as _;

use bytes::Bytes;

use super::Pair;
use crate::collection::Collection;
use crate::scratch::Arena;
use crate::transformations::bytes::recycle;

mod string;

/// Arrays and objects in one another. ModSecurity's default is 512; no ordinary client comes near 64.
pub const DEPTH_LIMIT: usize = 64;

/// Bytes of all names together: 262 for each of a thousand. A long key over many values would otherwise come to a thousand
/// times the body.
pub const NAME_BYTES: usize = 256 * 1024;

/// The first part of every argument's name.
pub(crate) const ROOT: &[u8] = b"json";

/// What was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Document {
    /// Names and values in order.
    pub pairs: Vec<Pair>,
    /// Whether there were more values than the limit; reading stopped there.
    pub over_limit: bool,
    /// Why the body is not a document, if it is none.
    pub error: Option<JsonError>,
}

/// Where and why a body is not JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("JSON: {reason} at byte {offset}")]
pub struct JsonError {
    /// Bytes before the fault.
    pub offset: usize,
    /// What is wrong; never bytes of the body.
    pub reason: &'static str,
}

/// Reads a document of at most `arguments` values and `depth` levels.
pub fn parse(input: &[u8], arguments: usize, depth: usize) -> Document {
    let (mut pairs, mut arena) = (Collection::default(), Arena::default());
    let input = Bytes::copy_from_slice(input);
    let read = read(&input, (arguments, depth), &mut Room::default(), &mut pairs, &mut arena);
    let pairs = pairs.iter().map(|(name, value)| (name.to_vec(), value.to_vec())).collect();
    Document { pairs, over_limit: read.over_limit, error: read.error }
}

/// How reading a document ended.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Read {
    /// See [`Document::over_limit`].
    pub(crate) over_limit: bool,
    /// See [`Document::error`].
    pub(crate) error: Option<JsonError>,
}

/// What reading needs on the way, to be kept for the next document.
#[derive(Debug, Default)]
pub(crate) struct Room {
    /// The name of the value that is being read.
    name: Vec<u8>,
    open: Vec<Open>,
}

impl Room {
    /// Its bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.name.capacity() + self.open.capacity() * size_of::<Open>()
    }
}

/// Reads a document of at most so many values and levels; names and values come to `pairs`.
pub(crate) fn read(
    input: &Bytes,
    (arguments, depth): (usize, usize),
    room: &mut Room,
    pairs: &mut Collection,
    arena: &mut Arena,
) -> Read {
    let Room { name, open } = room;
    name.clear();
    name.extend_from_slice(ROOT);
    open.clear();
    let mut reader = Reader { input, at: 0, name, open, name_bytes: 0, pairs, arena };
    match reader.run(arguments, depth) {
        Ok(()) => Read::default(),
        Err(Stop::Limit) => Read { over_limit: true, error: None },
        Err(Stop::Fault(reason)) => {
            let offset = reader.at.min(input.len());
            Read { over_limit: false, error: Some(JsonError { offset, reason }) }
        }
    }
}

/// Why reading ends early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    Limit,
    Fault(&'static str),
}

impl From<&'static str> for Stop {
    fn from(reason: &'static str) -> Self {
        Self::Fault(reason)
    }
}

/// An array or object that is being read.
#[derive(Debug)]
struct Open {
    /// Bytes of the name that belong to it; what follows is its current member.
    name: usize,
    /// The next index, if it is an array.
    index: Option<usize>,
}

/// What the grammar wants next.
enum Expect {
    /// A value.
    Value,
    /// A member, or the end if none was read yet.
    FirstMember,
    /// A comma or the end.
    Next,
}

struct Reader<'a> {
    input: &'a Bytes,
    at: usize,
    /// See [`Room`].
    name: &'a mut Vec<u8>,
    open: &'a mut Vec<Open>,
    /// Bytes of the names in the document.
    name_bytes: usize,
    pairs: &'a mut Collection,
    arena: &'a mut Arena,
}

impl Reader<'_> {
    fn run(&mut self, arguments: usize, depth: usize) -> Result<(), Stop> {
        let mut expect = Expect::Value;
        loop {
            self.white_space();
            expect = match expect {
                Expect::Value => self.value(arguments, depth)?,
                Expect::FirstMember => match (self.peek(), self.open.last()) {
                    (Some(b']'), Some(Open { index: Some(_), .. }))
                    | (Some(b'}'), Some(Open { index: None, .. })) => self.close(),
                    _ => self.member()?,
                },
                Expect::Next => match (self.peek(), self.open.last()) {
                    (None, None) => return Ok(()),
                    (Some(_), None) => return Err("something follows the document".into()),
                    (Some(b','), Some(_)) => {
                        self.at += 1;
                        self.white_space();
                        self.member()?
                    }
                    (Some(b']'), Some(Open { index: Some(_), .. }))
                    | (Some(b'}'), Some(Open { index: None, .. })) => self.close(),
                    (None, Some(_)) => return Err("the document ends too early".into()),
                    (Some(_), Some(_)) => {
                        return Err("a comma or the end of the array or object is missing".into());
                    }
                },
            };
        }
    }

    fn peek(&self) -> Option<u8> {
        self.input.get(self.at).copied()
    }

    fn white_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    /// Reads a scalar, or the start of an array or object.
    fn value(&mut self, arguments: usize, depth: usize) -> Result<Expect, Stop> {
        let first = self.peek().ok_or("the document ends too early")?;
        if matches!(first, b'[' | b'{') {
            if self.open.len() >= depth {
                return Err("arrays and objects are nested deeper than the limit".into());
            }
            self.at += 1;
            self.open.push(Open { name: self.name.len(), index: (first == b'[').then_some(0) });
            return Ok(Expect::FirstMember);
        }
        // What is over the limit is not even decoded.
        if self.pairs.len() >= arguments {
            return Err(Stop::Limit);
        }
        let value = match first {
            b'"' => self.string()?,
            b't' => self.word(b"true")?,
            b'f' => self.word(b"false")?,
            b'n' => {
                self.word(b"null")?;
                Bytes::new()
            }
            b'-' | b'0'..=b'9' => self.number()?,
            _ => return Err("a value is missing".into()),
        };
        self.name_bytes += self.name.len();
        if self.name_bytes > NAME_BYTES {
            return Err("the names are longer than the limit".into());
        }
        let name = self.arena.copy(self.name);
        self.pairs.push(name, value);
        Ok(Expect::Next)
    }

    /// Names the next member of the innermost array or object; for an object this reads its key.
    fn member(&mut self) -> Result<Expect, Stop> {
        let Some(open) = self.open.last_mut() else { return Ok(Expect::Value) };
        self.name.truncate(open.name);
        self.name.push(b'.');
        if let Some(index) = &mut open.index {
            // Writing to memory does not fail.
            let _ = write!(self.name, "{index}");
            *index += 1;
            return Ok(Expect::Value);
        }
        if self.peek() != Some(b'"') {
            return Err("a key is missing".into());
        }
        let key = quoted(self.input, &mut self.at)?;
        self.name.extend_from_slice(&key);
        if let Cow::Owned(key) = key {
            recycle(key);
        }
        self.white_space();
        if self.peek() != Some(b':') {
            return Err("a colon is missing".into());
        }
        self.at += 1;
        Ok(Expect::Value)
    }

    fn close(&mut self) -> Expect {
        self.at += 1;
        if let Some(open) = self.open.pop() {
            self.name.truncate(open.name);
        }
        Expect::Next
    }

    /// A string as a value.
    fn string(&mut self) -> Result<Bytes, Stop> {
        Ok(match quoted(self.input, &mut self.at)? {
            Cow::Borrowed(text) => self.input.slice_ref(text),
            Cow::Owned(text) => self.arena.take(text),
        })
    }

    fn word(&mut self, word: &'static [u8]) -> Result<Bytes, Stop> {
        if !self.input.get(self.at..).is_some_and(|rest| rest.starts_with(word)) {
            return Err("a value is missing".into());
        }
        self.at += word.len();
        Ok(Bytes::from_static(word))
    }

    /// A number as it is written: `-? (0 | [1-9][0-9]*) (. [0-9]+)? ([eE] [+-]? [0-9]+)?`
    fn number(&mut self) -> Result<Bytes, Stop> {
        let start = self.at;
        self.at += usize::from(self.peek() == Some(b'-'));
        let leading_zero = self.peek() == Some(b'0');
        if self.digits()? > 1 && leading_zero {
            return Err("a number begins with zero".into());
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            self.at += usize::from(matches!(self.peek(), Some(b'+' | b'-')));
            self.digits()?;
        }
        Ok(self.input.slice(start..self.at))
    }

    /// At least one digit.
    fn digits(&mut self) -> Result<usize, Stop> {
        let rest = self.input.get(self.at..).unwrap_or_default();
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.at += digits;
        if digits == 0 { Err("a digit is missing".into()) } else { Ok(digits) }
    }
}

/// A string's bytes; borrowed if nothing in it is escaped.
fn quoted<'a>(input: &'a [u8], at: &mut usize) -> Result<Cow<'a, [u8]>, Stop> {
    let (value, end) = string::read(input, *at + 1).map_err(|(reason, fault)| {
        *at = fault;
        reason
    })?;
    *at = end;
    Ok(value)
}

#[cfg(test)]
mod tests;
