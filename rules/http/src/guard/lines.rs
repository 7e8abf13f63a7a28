//! Lines of a head: where it ends, and its header fields one by one. Shared by requests and responses.

use crate::framing::{self, HeadLimits};
use crate::{Cause, Malformed};

/// Bytes of a start line beside the target: a method, two spaces, a version and the line end, generously.
const START_LINE_EXTRA: usize = 64;

/// Searches the end of a head, remembering how far it got, so that a head in many pieces is searched once.
#[derive(Debug, Default)]
pub(crate) struct HeadScan {
    scanned: usize,
    line: usize,
    lines: usize,
    skipped: bool,
}

impl HeadScan {
    /// The length of the head, its empty line included, once it is complete. One empty line before it is accepted
    /// (RFC 9112 §2.2) and is part of it.
    pub(crate) fn find(&mut self, input: &[u8], limits: &HeadLimits) -> Result<Option<usize>, Malformed> {
        if self.scanned == 0
            && input.first().is_some_and(|first| *first != b'\r' && !framing::is_token_byte(*first))
        {
            let cause = if input.first() == Some(&b'\n') { Cause::BareLf } else { Cause::StartLine };
            return Err(Malformed::new(cause, "start line"));
        }
        loop {
            // Only where a good line may end is searched, so that the outcome does not depend on how much came at once.
            let (most, cause) = match self.lines {
                0 => (
                    limits.header_bytes.min(self.line + limits.uri_bytes + START_LINE_EXTRA),
                    Cause::UriTooLong,
                ),
                _ => (limits.header_bytes, Cause::HeadTooLarge),
            };
            let window = input.get(..most).unwrap_or(input);
            let Some(offset) = window.get(self.scanned..).and_then(|rest| memchr::memchr(b'\n', rest)) else {
                self.scanned = window.len();
                return if input.len() > most { Err(Malformed::new(cause, self.place())) } else { Ok(None) };
            };
            let end = self.scanned + offset + 1;
            let text = input.get(self.line..end).and_then(|line| line.strip_suffix(b"\r\n"));
            let Some(text) = text else { return Err(Malformed::new(Cause::BareLf, self.place())) };
            self.scanned = end;
            self.line = end;
            match (text.is_empty(), self.lines) {
                (true, 0) if self.skipped => return Err(Malformed::new(Cause::StartLine, "start line")),
                (true, 0) => self.skipped = true,
                (true, _) => return Ok(Some(end)),
                (false, lines) if lines > limits.header_count => {
                    return Err(Malformed::new(Cause::TooManyHeaders, "headers"));
                }
                (false, _) => self.lines += 1,
            }
        }
    }

    fn place(&self) -> &'static str {
        if self.lines == 0 { "start line" } else { "headers" }
    }
}

/// Splits a complete head into its start line and the lines of its fields (each with its line end).
pub(crate) fn split(head: &[u8]) -> (&[u8], &[u8]) {
    let head = head.strip_prefix(b"\r\n").unwrap_or(head);
    let end = memchr::memchr(b'\n', head).map_or(head.len(), |end| end + 1);
    let (line, rest) = head.split_at_checked(end).unwrap_or((head, &[]));
    let fields = rest.strip_suffix(b"\r\n").unwrap_or(rest);
    (line.strip_suffix(b"\r\n").unwrap_or(line), fields)
}

/// The fields of a head whose line ends were checked: name and trimmed value, or what is wrong.
pub(crate) fn fields(mut lines: &[u8]) -> impl Iterator<Item = Result<(&[u8], &[u8]), Malformed>> {
    std::iter::from_fn(move || {
        let end = memchr::memchr(b'\n', lines)? + 1;
        let (line, rest) = lines.split_at_checked(end)?;
        lines = rest;
        Some(field(line.strip_suffix(b"\r\n").unwrap_or(line)))
    })
}

/// Reads one `name: value` without its line end.
pub(crate) fn field(line: &[u8]) -> Result<(&[u8], &[u8]), Malformed> {
    const PLACE: &str = "headers";
    if matches!(line.first(), Some(b' ' | b'\t')) {
        return Err(Malformed::new(Cause::ObsFold, PLACE));
    }
    let colon = memchr::memchr(b':', line).ok_or_else(|| Malformed::new(Cause::HeaderName, PLACE))?;
    let (name, value) = line.split_at_checked(colon).unwrap_or_default();
    if matches!(name.last(), Some(b' ' | b'\t')) {
        return Err(Malformed::new(Cause::SpaceBeforeColon, PLACE));
    }
    if !framing::is_token(name) {
        return Err(Malformed::new(Cause::HeaderName, PLACE));
    }
    let value = value.get(1..).unwrap_or_default();
    if !framing::is_field_text(value) {
        let cause = if value.contains(&b'\r') { Cause::BareCr } else { Cause::ControlCharacter };
        return Err(Malformed::new(cause, PLACE));
    }
    Ok((name, framing::trim(value)))
}
