//! Charsets: what the bytes of a body say as text.
//!
//! Rules read UTF-8, and attacks are made of ASCII. So bytes in an encoding that keeps ASCII are decoded only where the
//! decoding keeps every ASCII byte of them (in Shift_JIS a letter may be half a character, for readers that know it);
//! otherwise they are judged as the bytes they are. UTF-16 and UTF-32 are decoded whole, and refused where the same bytes
//! are a text in UTF-8 as well: a reader that ignores the charset would read another body than the one that was judged.
//! Everything else (UTF-7, EBCDIC, ISO-2022) is not decoded.

use std::borrow::Cow;

use encoding_rs::{Encoding, ISO_2022_JP, REPLACEMENT, UTF_8, UTF_16BE, UTF_16LE};

#[cfg(test)]
mod tests;

/// What a charset means for reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Charset {
    /// UTF-8 or ASCII, or nothing is said.
    Utf8,
    /// An encoding that keeps ASCII.
    Ascii(&'static Encoding),
    /// UTF-16 or UTF-32.
    Wide(Wide),
    /// One that is not decoded, and why.
    Unknown(&'static str),
}

/// An encoding whose units have several bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wide {
    /// Bytes of a unit: 2 or 4.
    unit: usize,
    /// Whether the most significant byte comes first; none: the text says, or shows, it.
    big: Option<bool>,
}

/// The charset that a Content-Type declares.
pub fn declared(content_type: &[u8]) -> Charset {
    let mut found = None;
    for parameter in content_type.split(|byte| matches!(byte, b';' | b',')).skip(1) {
        let mut parts = parameter.splitn(2, |byte| *byte == b'=');
        let name = parts.next().unwrap_or_default().trim_ascii();
        let own = name.split(|byte| *byte == b'*').next().unwrap_or_default().trim_ascii();
        if !own.eq_ignore_ascii_case(b"charset") {
            continue;
        }
        // RFC 2231: `charset*=''utf-7`, which Django decodes and most others do not know.
        if own.len() < name.len() {
            return Charset::Unknown("its content type declares a charset in an extended parameter");
        }
        let charset = named(parts.next().unwrap_or_default());
        if found.replace(charset).is_some_and(|before| before != charset) {
            return Charset::Unknown("its content type declares several charsets");
        }
    }
    found.unwrap_or(Charset::Utf8)
}

/// The charset of a name, quotes and white space aside.
pub fn named(name: &[u8]) -> Charset {
    let quote = |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, b'"' | b'\'');
    let start = name.iter().position(|byte| !quote(byte)).unwrap_or(name.len());
    let end = name.iter().rposition(|byte| !quote(byte)).map_or(start, |last| last + 1);
    let name = name.get(start..end).unwrap_or_default().to_ascii_lowercase();
    let wide = |unit, big| Charset::Wide(Wide { unit, big });
    match name.as_slice() {
        b"utf-16" | b"utf16" => return wide(2, None),
        b"utf-32" | b"utf32" | b"ucs-4" | b"iso-10646-ucs-4" => return wide(4, None),
        b"utf-32le" => return wide(4, Some(false)),
        b"utf-32be" => return wide(4, Some(true)),
        b"us-ascii" | b"ascii" => return Charset::Utf8,
        _ => {}
    }
    match Encoding::for_label(&name) {
        Some(encoding) if encoding == UTF_8 => Charset::Utf8,
        Some(encoding) if encoding == UTF_16LE => wide(2, Some(false)),
        Some(encoding) if encoding == UTF_16BE => wide(2, Some(true)),
        Some(encoding) if encoding != REPLACEMENT && encoding != ISO_2022_JP => Charset::Ascii(encoding),
        _ => Charset::Unknown("its charset is not one that is decoded"),
    }
}

/// Why bytes are no text of a charset.
pub(crate) const MISMATCH: &str = "the body is not in its charset";
const TWO_SYNTAXES: &str = "the body has another syntax in its charset than in UTF-8";

impl Charset {
    /// The text of a value, as UTF-8 where that loses nothing.
    pub fn text<'a>(&self, value: &'a [u8]) -> Cow<'a, [u8]> {
        let Self::Ascii(encoding) = self else { return Cow::Borrowed(value) };
        if value.is_ascii() {
            return Cow::Borrowed(value);
        }
        let (text, faulty) = encoding.decode_without_bom_handling(value);
        let ascii = |bytes: &[u8]| bytes.iter().filter(|byte| byte.is_ascii()).count();
        if faulty || ascii(text.as_bytes()) != ascii(value) {
            return Cow::Borrowed(value);
        }
        Cow::Owned(text.into_owned().into_bytes())
    }

    /// The text of a whole body in a syntax of ASCII. A fault where readers that know the charset and those that do not
    /// would find that syntax in different places: in GBK, `]` and `\` may be half a character.
    pub fn syntax<'a>(&self, body: &'a [u8]) -> Result<Cow<'a, [u8]>, &'static str> {
        match (self, self.text(body)) {
            (Self::Ascii(_), Cow::Borrowed(same)) if !same.is_ascii() => Err(TWO_SYNTAXES),
            (_, text) => Ok(text),
        }
    }

    /// Whether bytes that are declared to be UTF-16 or UTF-32 are a text in UTF-8 as well.
    pub fn is_also_utf8(&self, body: &[u8]) -> bool {
        // A NUL somewhere proves nothing: Werkzeug reads it as a part of a value. In UTF-16, ASCII is never adjacent.
        let adjacent = || body.windows(2).any(|pair| !pair.contains(&0));
        matches!(self, Self::Wide(_)) && adjacent() && std::str::from_utf8(body).is_ok()
    }

    /// A whole body as UTF-8, if its charset is one whose syntax only shows when it is decoded; none if it is not.
    /// `complete`: whether the body was not cut off, perhaps inside a character.
    pub fn body(&self, body: &[u8], complete: bool) -> Result<Option<Vec<u8>>, &'static str> {
        match self {
            Self::Wide(wide) => wide.decode(body, complete).map(Some),
            _ => Ok(None),
        }
    }
}

impl Wide {
    fn decode(self, body: &[u8], complete: bool) -> Result<Vec<u8>, &'static str> {
        // Text in UTF-16 has NULs wherever it has ASCII, and hardly ever is UTF-8 without it.
        if !body.contains(&0) && std::str::from_utf8(body).is_ok() && !body.is_empty() {
            return Err(MISMATCH);
        }
        let (big, body) = self.order(body);
        let body = match body.len() % self.unit {
            0 => body,
            _ if complete => return Err(MISMATCH),
            odd => body.get(..body.len() - odd).unwrap_or_default(),
        };
        let decoded = self.units(body, big);
        match decoded {
            None if !complete => {
                self.units(body.get(..body.len().saturating_sub(self.unit)).unwrap_or_default(), big)
            }
            decoded => decoded,
        }
        .ok_or(MISMATCH)
    }

    /// The order of bytes, and the text behind its mark. Without a mark, the order that shows more ASCII.
    fn order(self, body: &[u8]) -> (bool, &[u8]) {
        let marks: [(&[u8], bool); 2] = match self.unit {
            2 => [(b"\xfe\xff", true), (b"\xff\xfe", false)],
            _ => [(b"\0\0\xfe\xff", true), (b"\xff\xfe\0\0", false)],
        };
        for (mark, big) in marks {
            if let Some(rest) = body.strip_prefix(mark)
                && self.big.is_none_or(|wanted| wanted == big)
            {
                return (big, rest);
            }
        }
        let nuls = |at: usize| body.chunks(self.unit).filter(|unit| unit.get(at) == Some(&0)).count();
        (self.big.unwrap_or_else(|| nuls(0) > nuls(self.unit - 1)), body)
    }

    fn units(self, body: &[u8], big: bool) -> Option<Vec<u8>> {
        if self.unit == 2 {
            let encoding = if big { UTF_16BE } else { UTF_16LE };
            let (text, faulty) = encoding.decode_without_bom_handling(body);
            return (!faulty).then(|| text.into_owned().into_bytes());
        }
        let mut text = String::with_capacity(body.len() / 4);
        for unit in body.chunks_exact(4) {
            let unit = unit.first_chunk::<4>()?;
            let number = if big { u32::from_be_bytes(*unit) } else { u32::from_le_bytes(*unit) };
            text.push(char::from_u32(number)?);
        }
        Some(text.into_bytes())
    }
}
