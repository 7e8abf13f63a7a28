//! The Content-Disposition of a part: its name, and the file's name if it is a file.

use std::borrow::Cow;

use bytes::Bytes;

use super::Flags;

/// What a part is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Disposition {
    pub(super) name: Bytes,
    pub(super) filename: Option<Bytes>,
}

/// RFC 9110 §5.6.2.
pub(super) fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

impl Disposition {
    /// Finds and reads it among the headers of a part.
    pub(super) fn of(headers: &[Bytes], flags: &mut Flags) -> Result<Self, &'static str> {
        let value = headers.iter().find_map(|header| {
            let colon = header.iter().position(|&byte| byte == b':')?;
            let (name, value) = header.split_at_checked(colon)?;
            let value = value.get(1..).unwrap_or_default();
            name.eq_ignore_ascii_case(b"content-disposition").then(|| header.slice_ref(value))
        });
        let mut named = Named::default();
        let read =
            value.ok_or("a part has no Content-Disposition").and_then(|value| named.read(&value, flags));
        let name = named.name.unwrap_or_default();
        flags.invalid_part |= name.is_empty();
        read.map(|()| Self { name, filename: named.filename })
    }
}

/// What was read so far.
#[derive(Default)]
struct Named {
    name: Option<Bytes>,
    filename: Option<Bytes>,
}

impl Named {
    fn read(&mut self, header: &Bytes, flags: &mut Flags) -> Result<(), &'static str> {
        let value = header.trim_ascii();
        let kind = value.iter().take_while(|byte| is_token(**byte)).count();
        let (kind, mut rest) = value.split_at_checked(kind).unwrap_or_default();
        if !kind.eq_ignore_ascii_case(b"form-data") {
            return Err("a part's Content-Disposition is not form-data");
        }
        loop {
            rest = rest.trim_ascii_start();
            let after = rest.strip_prefix(b";");
            rest = after.unwrap_or(rest).trim_ascii_start();
            if rest.is_empty() {
                break;
            }
            flags.missing_semicolon |= after.is_none();
            let (key, value, left) = parameter(rest, flags)?;
            rest = left;
            let slot = match key.to_ascii_lowercase().as_slice() {
                b"name" => &mut self.name,
                b"filename" => &mut self.filename,
                // `filename*` too: RFC 7578 §4.2 forbids it, and readers differ in which name they take.
                _ => return Err("a part's Content-Disposition has an unknown parameter"),
            };
            let value = match value {
                Cow::Borrowed(value) => header.slice_ref(value),
                Cow::Owned(value) => Bytes::from(value),
            };
            if slot.replace(value).is_some() {
                return Err("a part's Content-Disposition has a parameter twice");
            }
        }
        if self.name.is_none() { Err("a part has no name") } else { Ok(()) }
    }
}

/// A parameter's name and value, and what follows.
type Parameter<'a> = (&'a [u8], Cow<'a, [u8]>, &'a [u8]);

fn parameter<'a>(text: &'a [u8], flags: &mut Flags) -> Result<Parameter<'a>, &'static str> {
    const MALFORMED: &str = "a part's Content-Disposition is malformed";
    let length = text.iter().take_while(|byte| is_token(**byte)).count();
    let (key, rest) = text.split_at_checked(length).ok_or(MALFORMED)?;
    let rest = rest.trim_ascii_start().strip_prefix(b"=").ok_or(MALFORMED)?.trim_ascii_start();
    if key.is_empty() {
        return Err(MALFORMED);
    }
    let Some(quoted) = rest.strip_prefix(b"\"") else {
        flags.invalid_quoting |= rest.starts_with(b"'");
        let length = rest.iter().take_while(|byte| is_token(**byte)).count();
        let (value, rest) = rest.split_at_checked(length).ok_or(MALFORMED)?;
        return if value.is_empty() { Err(MALFORMED) } else { Ok((key, value.into(), rest)) };
    };
    let mut unescaped: Option<Vec<u8>> = None;
    let mut bytes = quoted.iter().enumerate();
    while let Some((at, &byte)) = bytes.next() {
        let before = quoted.get(..at).unwrap_or_default();
        match byte {
            b'"' => {
                let value = unescaped.map_or(Cow::Borrowed(before), Cow::Owned);
                return Ok((key, value, quoted.get(at + 1..).unwrap_or_default()));
            }
            // Browsers escape only quotes, old ones send Windows paths as they are: other backslashes stay.
            b'\\' if matches!(quoted.get(at + 1), Some(b'"' | b'\\')) => {
                let value = unescaped.get_or_insert_with(|| before.to_vec());
                value.extend(bytes.next().map(|(_, byte)| *byte));
            }
            _ => unescaped.iter_mut().for_each(|value| value.push(byte)),
        }
    }
    Err("a quoted parameter has no end")
}
