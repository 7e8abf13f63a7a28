//! XML bodies, as far as rules ask for them: the text of the document (`XML:/*`) and every attribute's value
//! (`XML://@*`). These are the only two paths that the Core Rule Set uses.
//!
//! One pass, a stack of its own, UTF-8 only. A document type declaration is refused: it is what external entities and
//! entity bombs need, and no ordinary client sends one. Tags must nest, entities must be known. What was read before an
//! error is kept, so that rules see it. Namespaces are not resolved.

use super::Pair;
use super::charset::{self, Charset};

#[cfg(test)]
mod tests;
mod text;

/// Elements in one another. More is an attack on somebody's recursion.
pub const DEPTH_LIMIT: usize = 64;

/// The path that selects [`Document::text`].
pub const TEXT_PATH: &str = "/*";
/// The path that selects the values of [`Document::attributes`].
pub const ATTRIBUTES_PATH: &str = "//@*";

/// What was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Document {
    /// The text of all elements and CDATA sections, entities resolved, in order.
    pub text: Vec<u8>,
    /// Names and values of all attributes, entities resolved, in order.
    pub attributes: Vec<Pair>,
    /// Whether there were more attributes than the limit; reading stopped there.
    pub over_limit: bool,
    /// Why the body is not a document, if it is none.
    pub error: Option<XmlError>,
}

/// Where and why a body is not XML.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("XML: {reason} at byte {offset}")]
pub struct XmlError {
    /// Bytes before the fault.
    pub offset: usize,
    /// What is wrong; never bytes of the body.
    pub reason: &'static str,
}

/// Reads a document of at most `attributes` attributes. UTF-16 shows by its mark; an encoding that keeps ASCII is decoded
/// as the XML declaration names it.
pub fn parse(input: &[u8], attributes: usize) -> Document {
    match input {
        [0xfe, 0xff, ..] | [0xff, 0xfe, ..] => match charset::named(b"utf-16").body(input, true) {
            Ok(Some(text)) => parse_decoded(&text, attributes),
            Ok(None) | Err(_) => read(input, attributes, false),
        },
        _ => match encoding(input).map(charset::named) {
            Some(charset @ Charset::Ascii(_)) => read(&charset.text(input), attributes, false),
            _ => read(input, attributes, false),
        },
    }
}

/// Reads a document that was in UTF-16 or UTF-32 and is UTF-8 now, whatever its declaration says.
pub fn parse_decoded(input: &[u8], attributes: usize) -> Document {
    read(input, attributes, true)
}

/// Why the encoding that a document declares gives it another syntax than UTF-8 does, if so.
pub fn two_syntaxes(input: &[u8]) -> Option<&'static str> {
    encoding(input).map(charset::named)?.syntax(input).err()
}

/// The encoding that the XML declaration names.
fn encoding(input: &[u8]) -> Option<&[u8]> {
    let declaration = input.strip_prefix(b"\xef\xbb\xbf").unwrap_or(input).strip_prefix(b"<?xml")?;
    let declaration = declaration.get(..memchr::memmem::find(declaration, b"?>")?)?;
    let value = declaration.get(memchr::memmem::find(declaration, b"encoding")? + b"encoding".len()..)?;
    let value = value.trim_ascii_start().strip_prefix(b"=")?.trim_ascii_start();
    let (quote, value) = value.split_first()?;
    value.get(..memchr::memchr(*quote, value)?)
}

fn read(input: &[u8], attributes: usize, wide: bool) -> Document {
    let mut reader = Reader {
        input,
        at: 0,
        open: Vec::new(),
        rooted: false,
        wide,
        attributes,
        document: Document::default(),
    };
    let read = match std::str::from_utf8(input) {
        Ok(_) => reader.run(),
        Err(error) => {
            reader.at = error.valid_up_to();
            Err(Stop::Fault("the document is not UTF-8"))
        }
    };
    match read {
        Ok(()) => {}
        Err(Stop::Limit) => reader.document.over_limit = true,
        Err(Stop::Fault(reason)) => {
            reader.document.error = Some(XmlError { offset: reader.at.min(input.len()), reason });
        }
    }
    reader.document
}

/// Why reading ends early.
enum Stop {
    Limit,
    Fault(&'static str),
}

impl From<&'static str> for Stop {
    fn from(reason: &'static str) -> Self {
        Self::Fault(reason)
    }
}

struct Reader<'a> {
    input: &'a [u8],
    at: usize,
    /// The names of the open elements.
    open: Vec<&'a [u8]>,
    /// Whether the root was seen.
    rooted: bool,
    /// Whether the text was UTF-16 or UTF-32.
    wide: bool,
    attributes: usize,
    document: Document,
}

impl<'a> Reader<'a> {
    fn run(&mut self) -> Result<(), Stop> {
        self.take(b"\xef\xbb\xbf");
        if self.rest().starts_with(b"<?xml") {
            self.declaration()?;
        }
        while !self.rest().is_empty() {
            if self.take(b"<!--") {
                self.until(b"-->", "a comment has no end")?;
            } else if self.take(b"<![CDATA[") {
                let data = self.until(b"]]>", "a CDATA section has no end")?;
                if self.open.is_empty() {
                    return Err("text stands outside the root".into());
                }
                self.document.text.extend_from_slice(data);
            } else if self.take(b"<?") {
                self.until(b"?>", "a processing instruction has no end")?;
            } else if self.rest().starts_with(b"<!") {
                return Err("a declaration is not accepted".into());
            } else if self.take(b"</") {
                self.end_tag()?;
            } else if self.take(b"<") {
                self.start_tag()?;
            } else {
                self.text()?;
            }
        }
        if self.open.is_empty() && self.rooted { Ok(()) } else { Err("the document ends too early".into()) }
    }

    fn rest(&self) -> &'a [u8] {
        self.input.get(self.at..).unwrap_or_default()
    }

    fn take(&mut self, prefix: &[u8]) -> bool {
        let taken = self.rest().starts_with(prefix);
        self.at += if taken { prefix.len() } else { 0 };
        taken
    }

    /// What stands before a mark; goes on behind it.
    fn until(&mut self, mark: &[u8], otherwise: &'static str) -> Result<&'a [u8], Stop> {
        let length = memchr::memmem::find(self.rest(), mark).ok_or(otherwise)?;
        let taken = self.rest().get(..length).unwrap_or_default();
        self.at += length + mark.len();
        Ok(taken)
    }

    fn white_space(&mut self) -> usize {
        let length = self.rest().iter().take_while(|byte| is_white(**byte)).count();
        self.at += length;
        length
    }

    /// `<?xml …?>`: only its encoding matters. By now the text is UTF-8; an encoding that was not decoded means that
    /// another reader would find another document.
    fn declaration(&mut self) -> Result<(), Stop> {
        let start = self.at;
        let document = self.rest();
        let declaration = self.until(b"?>", "the XML declaration has no end")?;
        if memchr::memmem::find(declaration, b"encoding").is_none() {
            return Ok(());
        }
        let known = match encoding(document).map(charset::named) {
            Some(Charset::Utf8 | Charset::Ascii(_)) => true,
            Some(Charset::Wide(_)) => self.wide,
            _ => false,
        };
        if known {
            return Ok(());
        }
        self.at = start;
        Err("the encoding is not one that is decoded".into())
    }

    fn name(&mut self) -> Result<&'a [u8], Stop> {
        let ends = |byte: u8| is_white(byte) || b"/>=<\"'&".contains(&byte);
        let length = self.rest().iter().take_while(|byte| !ends(**byte)).count();
        let name = self.rest().get(..length).unwrap_or_default();
        if name.first().is_none_or(|first| first.is_ascii_digit() || b"-.!?".contains(first)) {
            return Err("a name is missing or malformed".into());
        }
        self.at += length;
        Ok(name)
    }

    fn start_tag(&mut self) -> Result<(), Stop> {
        if self.open.is_empty() && self.rooted {
            return Err("there is a second root".into());
        }
        if self.open.len() >= DEPTH_LIMIT {
            return Err("elements are nested deeper than the limit".into());
        }
        self.rooted = true;
        let name = self.name()?;
        loop {
            let spaced = self.white_space() > 0;
            if self.take(b"/>") {
                return Ok(());
            }
            if self.take(b">") {
                self.open.push(name);
                return Ok(());
            }
            if !spaced {
                return Err("a tag is malformed".into());
            }
            self.attribute()?;
        }
    }

    fn attribute(&mut self) -> Result<(), Stop> {
        let name = self.name()?;
        self.white_space();
        if !self.take(b"=") {
            return Err("an attribute has no value".into());
        }
        self.white_space();
        let quote = match self.rest().first() {
            Some(&quote @ (b'"' | b'\'')) => quote,
            _ => return Err("an attribute's value is not in quotes".into()),
        };
        if self.document.attributes.len() >= self.attributes {
            return Err(Stop::Limit);
        }
        self.at += 1;
        let start = self.at;
        let raw = self.until(&[quote], "an attribute's value has no end")?;
        let mut value = Vec::with_capacity(raw.len());
        let read =
            if raw.contains(&b'<') { Err("a < in an attribute") } else { text::resolve(raw, &mut value) };
        self.document.attributes.push((name.to_vec(), value));
        read.map_err(|reason| {
            self.at = start;
            reason.into()
        })
    }

    fn end_tag(&mut self) -> Result<(), Stop> {
        let name = self.name()?;
        self.white_space();
        if !self.take(b">") {
            return Err("a tag is malformed".into());
        }
        if self.open.pop() == Some(name) { Ok(()) } else { Err("a tag ends what it did not begin".into()) }
    }

    /// Text up to the next tag.
    fn text(&mut self) -> Result<(), Stop> {
        let rest = self.rest();
        let length = memchr::memchr(b'<', rest).unwrap_or(rest.len());
        let raw = rest.get(..length).unwrap_or_default();
        if self.open.is_empty() && !raw.iter().all(|byte| is_white(*byte)) {
            return Err("text stands outside the root".into());
        }
        if !self.open.is_empty() {
            text::resolve(raw, &mut self.document.text)?;
        }
        self.at += length;
        Ok(())
    }
}

/// XML 1.0 §2.3.
fn is_white(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}
