//! Hostile requests as recipes: where a piece of text goes, in how many fields, repeated up to how many bytes.
//!
//! A recipe is one line of text, so that the worst inputs that were found are kept without megabytes:
//!
//! ```text
//!   form*900 "%25'"             900 fields of a form, each filled with this text
//!   json*1 "<" + cookie*40 "!"  a JSON string, and 40 cookies
//! ```
//!
//! Built at so many bytes, it makes a request of about that size: what cannot be so long (cookies, queries, headers) is
//! cut to what the proxy lets in.

use std::fmt;

use anyhow::{Context, Result, bail};

use crate::requests::{HOST, Shape};

/// Where text goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// Values of a form, as they are.
    Form,
    /// Names of a form's fields.
    FormNames,
    /// Strings in a JSON object.
    Json,
    /// Names in a JSON object.
    JsonNames,
    /// Strings in nested JSON arrays.
    JsonDeep,
    /// JSON that is this text and nothing else.
    JsonRaw,
    /// Texts of XML elements.
    Xml,
    /// Values of XML attributes.
    XmlAttributes,
    /// Nested XML elements.
    XmlDeep,
    /// Values of a multipart form.
    Multipart,
    /// Names of a multipart form's parts.
    MultipartNames,
    /// Cookies.
    Cookie,
    /// The query.
    Query,
    /// The path.
    Path,
    /// The `Referer` header.
    Referer,
    /// A header that nobody knows.
    Header,
}

impl Place {
    /// All of them with their names.
    pub const ALL: [(Self, &'static str); 16] = [
        (Self::Form, "form"),
        (Self::FormNames, "form-names"),
        (Self::Json, "json"),
        (Self::JsonNames, "json-names"),
        (Self::JsonDeep, "json-deep"),
        (Self::JsonRaw, "json-raw"),
        (Self::Xml, "xml"),
        (Self::XmlAttributes, "xml-attributes"),
        (Self::XmlDeep, "xml-deep"),
        (Self::Multipart, "multipart"),
        (Self::MultipartNames, "multipart-names"),
        (Self::Cookie, "cookie"),
        (Self::Query, "query"),
        (Self::Path, "path"),
        (Self::Referer, "referer"),
        (Self::Header, "header"),
    ];

    fn name(self) -> &'static str {
        Self::ALL.iter().find(|(place, _)| *place == self).map_or("", |(_, name)| name)
    }

    /// Whether it is a body: a request has only one.
    pub fn is_body(self) -> bool {
        !matches!(self, Self::Cookie | Self::Query | Self::Path | Self::Referer | Self::Header)
    }
}

/// A text in a place.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Part {
    /// Where.
    pub place: Place,
    /// In how many fields.
    pub fields: usize,
    /// What is repeated.
    pub unit: Vec<u8>,
}

/// A request to be built.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Recipe {
    /// What goes where.
    pub parts: Vec<Part>,
}

/// Bytes of a header that the proxy lets in with the rest of the head (64 KiB in all).
const HEADER_BYTES: usize = 48 * 1024;
/// Bytes of a request target (`palisade_model::limits::URI_BYTES`, with room for the rest).
const TARGET_BYTES: usize = 7 * 1024;
/// The boundary of multipart bodies.
const BOUNDARY: &str = "b0undary";

impl Recipe {
    /// Reads a line.
    pub fn parse(line: &str) -> Result<Self> {
        let (mut parts, mut rest) = (Vec::new(), line.trim());
        loop {
            let (head, after) = rest.split_once(" \"").with_context(|| format!("no text in {line:?}"))?;
            let (name, fields) = head.trim().split_once('*').with_context(|| format!("no * in {line:?}"))?;
            let place = Place::ALL.iter().find(|(_, known)| *known == name);
            let (place, _) = place.with_context(|| format!("no place is called {name:?}"))?;
            let (unit, after) = unescape(after).with_context(|| format!("the text in {line:?}"))?;
            parts.push(Part { place: *place, fields: fields.parse().context("a number of fields")?, unit });
            match after.trim().strip_prefix('+') {
                Some(more) => rest = more.trim(),
                None if after.trim().is_empty() => return Ok(Self { parts }),
                None => bail!("after the text: {after:?}"),
            }
        }
    }

    /// The request, at about so many bytes.
    pub fn build(&self, bytes: usize) -> Shape {
        let mut shape = Shape {
            name: "worst",
            attack: true,
            method: "GET",
            target: "/search".into(),
            headers: vec![
                ("Host", HOST.into()),
                ("User-Agent", "Mozilla/5.0".into()),
                ("Accept", "*/*".into()),
            ],
            body: Vec::new(),
        };
        for part in &self.parts {
            part.add(&mut shape, bytes);
        }
        if !shape.body.is_empty() {
            shape.method = "POST";
            shape.headers.push(("Content-Length", shape.body.len().to_string()));
        }
        shape
    }
}

impl Part {
    fn add(&self, shape: &mut Shape, bytes: usize) {
        let fields = self.fields.max(1);
        match self.place {
            Place::Cookie => {
                let values = self.filled(bytes.min(HEADER_BYTES), fields, header_text);
                shape.headers.push(("Cookie", joined(&values, |at, value| format!("c{at}={value}; "))));
            }
            Place::Referer | Place::Header => {
                let name = if self.place == Place::Referer { "Referer" } else { "X-Bench" };
                let value = self.filled(bytes.min(HEADER_BYTES), 1, header_text).concat();
                shape.headers.push((name, value));
            }
            Place::Query => {
                let values = self.filled(bytes.min(TARGET_BYTES), fields, target_text);
                shape.target =
                    format!("/search?{}", joined(&values, |at, value| format!("q{at}={value}&"))).into();
            }
            Place::Path => {
                let path = self.filled(bytes.min(TARGET_BYTES), fields, target_text).join("/");
                shape.target = format!("/{}", path.replace('?', "")).into();
            }
            _ => {
                let (content_type, body) = self.body(bytes, fields);
                shape.headers.push(("Content-Type", content_type.to_owned()));
                shape.body = body;
            }
        }
    }

    /// A body and its type.
    fn body(&self, bytes: usize, fields: usize) -> (&'static str, Vec<u8>) {
        const FORM: &str = "application/x-www-form-urlencoded";
        const JSON: &str = "application/json";
        const XML: &str = "application/xml";
        const MULTIPART: &str = "multipart/form-data; boundary=b0undary";
        let values = |transform: fn(&[u8]) -> String| self.filled(bytes, fields, transform);
        let raw = || self.pieces(bytes, fields);
        let text = |text: String| text.into_bytes();
        match self.place {
            Place::Form => (FORM, bytes_joined(&raw(), |at| format!("f{at}=").into_bytes(), b"&")),
            Place::FormNames => (FORM, bytes_joined(&raw(), |_| Vec::new(), b"=1&")),
            Place::Json => (
                JSON,
                text(wrapped("{", values(json_text), "}", |at, value| format!("\"f{at}\":\"{value}\","))),
            ),
            Place::JsonNames => {
                (JSON, text(wrapped("{", values(json_text), "}", |at, value| format!("\"{value}{at}\":1,"))))
            }
            Place::JsonDeep => {
                let inner = values(json_text);
                let (open, close) = ("[".repeat(inner.len().min(60)), "]".repeat(inner.len().min(60)));
                (JSON, text(wrapped(&open, inner, &close, |_, value| format!("\"{value}\","))))
            }
            Place::JsonRaw => (JSON, raw().concat()),
            Place::Xml => (
                XML,
                text(format!("<a>{}</a>", joined(&values(xml_text), |_, value| format!("<b>{value}</b>")))),
            ),
            Place::XmlAttributes => (
                XML,
                text(format!(
                    "<a>{}</a>",
                    joined(&values(xml_text), |_, value| format!("<b c=\"{value}\"/>"))
                )),
            ),
            Place::XmlDeep => {
                let inner = joined(&values(xml_text), |_, value| format!("<b>{value}"));
                let depth = inner.matches("<b>").count();
                (XML, text(format!("{inner}{}", "</b>".repeat(depth))))
            }
            Place::Multipart => (MULTIPART, self.multipart(bytes, fields, false)),
            _ => (MULTIPART, self.multipart(bytes, fields, true)),
        }
    }

    fn multipart(&self, bytes: usize, fields: usize, names: bool) -> Vec<u8> {
        let mut body = Vec::new();
        for (at, piece) in self.pieces(bytes, fields).iter().enumerate() {
            let name = if names { header_text(piece).replace('"', "") } else { format!("f{at}") };
            body.extend_from_slice(
                format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n").as_bytes(),
            );
            if !names {
                body.extend_from_slice(piece);
            }
            body.extend_from_slice(b"\r\n");
        }
        body.extend_from_slice(format!("--{BOUNDARY}--\r\n").as_bytes());
        body
    }

    /// The text repeated, in so many pieces that are so many bytes together.
    fn pieces(&self, bytes: usize, fields: usize) -> Vec<Vec<u8>> {
        let unit: &[u8] = if self.unit.is_empty() { b"a" } else { &self.unit };
        // A field is never shorter than its text: then there are fewer.
        let fields = fields.min(bytes / unit.len().max(8)).max(1);
        let length = bytes / fields;
        let piece: Vec<u8> = unit.iter().copied().cycle().take(length).collect();
        vec![piece; fields]
    }

    fn filled(&self, bytes: usize, fields: usize, transform: fn(&[u8]) -> String) -> Vec<String> {
        self.pieces(bytes, fields).iter().map(|piece| transform(piece)).collect()
    }
}

fn joined(values: &[String], write: impl Fn(usize, &str) -> String) -> String {
    values.iter().enumerate().map(|(at, value)| write(at, value)).collect()
}

fn wrapped(open: &str, values: Vec<String>, close: &str, write: impl Fn(usize, &str) -> String) -> String {
    let inner = joined(&values, write);
    format!("{open}{}{close}", inner.trim_end_matches(','))
}

fn bytes_joined(values: &[Vec<u8>], before: impl Fn(usize) -> Vec<u8>, after: &[u8]) -> Vec<u8> {
    let fields = values.iter().enumerate().map(|(at, value)| [&before(at), value.as_slice(), after].concat());
    fields.collect::<Vec<_>>().concat()
}

/// What a header may hold.
fn header_text(bytes: &[u8]) -> String {
    bytes.iter().filter(|byte| (b' '..=b'~').contains(byte)).map(|byte| char::from(*byte)).collect()
}

/// What a request target may hold.
fn target_text(bytes: &[u8]) -> String {
    let hostile = |byte: &&u8| (b'!'..=b'~').contains(byte) && !b"#".contains(byte);
    bytes.iter().filter(hostile).map(|byte| char::from(*byte)).collect()
}

fn json_text(bytes: &[u8]) -> String {
    let quoted = serde_json::Value::String(String::from_utf8_lossy(bytes).into_owned()).to_string();
    quoted.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or_default().to_owned()
}

fn xml_text(bytes: &[u8]) -> String {
    let text =
        String::from_utf8_lossy(bytes).replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;");
    text.chars().filter(|character| *character >= ' ' || "\t\n\r".contains(*character)).collect()
}

/// Reads an escaped text up to its closing quote. Gives it and what follows.
fn unescape(text: &str) -> Result<(Vec<u8>, &str)> {
    let mut bytes = Vec::new();
    let mut rest = text;
    loop {
        let mut characters = rest.chars();
        let first = characters.next().context("it has no end")?;
        rest = characters.as_str();
        match first {
            '"' => return Ok((bytes, rest)),
            '\\' => {
                let kind = characters.next().context("it ends in an escape")?;
                rest = characters.as_str();
                match kind {
                    'n' => bytes.push(b'\n'),
                    'r' => bytes.push(b'\r'),
                    't' => bytes.push(b'\t'),
                    'x' => {
                        let digits = rest.get(..2).context("\\xHH")?;
                        bytes.push(u8::from_str_radix(digits, 16)?);
                        rest = rest.get(2..).unwrap_or_default();
                    }
                    other => bytes.extend_from_slice(other.to_string().as_bytes()),
                }
            }
            other => bytes.extend_from_slice(other.to_string().as_bytes()),
        }
    }
}

impl fmt::Display for Recipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, part) in self.parts.iter().enumerate() {
            let plus = if at > 0 { " + " } else { "" };
            write!(f, "{plus}{}*{} \"{}\"", part.place.name(), part.fields, part.unit.escape_ascii())?;
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_recipe_is_read_as_it_is_written() {
        for line in [
            "form*900 \"%25\\'\"",
            "json*1 \"<\\\"\\\\\" + cookie*40 \"!\" + query*3 \"&a=\"",
            "multipart*7 \"\\x00\\xff\\n\\t\"",
        ] {
            let recipe = Recipe::parse(line).unwrap();
            assert_eq!(recipe.to_string(), line);
        }
        for bad in ["", "form \"a\"", "nowhere*1 \"a\"", "form*1 \"a", "form*1 \"a\" b"] {
            assert!(Recipe::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn every_place_is_filled_to_about_its_size_or_its_limit() {
        for (place, name) in Place::ALL {
            let recipe = Recipe { parts: vec![Part { place, fields: 20, unit: b"ab'c".to_vec() }] };
            let shape = recipe.build(32 * 1024);
            let size = shape.body.len()
                + shape.target.len()
                + shape.headers.iter().map(|(_, value)| value.len()).sum::<usize>();
            let wanted = if matches!(place, Place::Query | Place::Path) { TARGET_BYTES } else { 32 * 1024 };
            assert!(size >= wanted && size < wanted + 8 * 1024, "{name}: {size}");
            assert_eq!(place.is_body(), shape.method == "POST", "{name}");
        }
    }
}
