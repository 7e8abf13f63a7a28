//! `multipart/form-data` bodies (RFC 7578), read strictly.
//!
//! One pass over the lines of the body. What two readers could understand differently is flagged (ModSecurity's
//! `MULTIPART_…` variables) or ends the reading with an error; what was read before is kept, so that rules see it.
//! Parts with a `filename` are files: their bytes are counted, not kept. Nothing is decoded. What is written as it reads is
//! a part of the body, not a copy.

use std::borrow::Cow;

use bytes::Bytes;

use crate::transformations::bytes::is_space;

mod boundary;
mod delimiter;
mod disposition;
mod passing;
#[cfg(test)]
mod strays;
#[cfg(test)]
mod tests;

pub use delimiter::{Delimiter, Found, Stray};
use disposition::Disposition;
pub use passing::{Passing, Rest};

/// Parts of one body. Browsers send one for each field; a form with hundreds is not a form.
pub const PARTS_LIMIT: usize = 256;
/// Headers of one part. RFC 7578 knows three.
pub const PART_HEADERS_LIMIT: usize = 16;
/// Bytes of one part header with its continuations.
pub const PART_HEADER_BYTES: usize = 4096;

/// A name and a value, or a header line.
pub type Pair = (Bytes, Bytes);

/// What was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Form {
    /// Names and values of the parts that are no files, in order.
    pub fields: Vec<Pair>,
    /// The files.
    pub files: Vec<File>,
    /// The name of a part and one of its header lines, for every header (`MULTIPART_PART_HEADERS`).
    pub part_headers: Vec<Pair>,
    /// What is suspicious.
    pub flags: Flags,
    /// Whether there were more parts than the limit; reading stopped there.
    pub over_limit: bool,
    /// Bytes of the file in which the body was cut off.
    pub open_file: Option<usize>,
    /// Why the body is not a form, if it is none. Never holds bytes of the body.
    pub error: Option<&'static str>,
}

/// A part with a `filename`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// The name of the field (`FILES_NAMES`).
    pub name: Bytes,
    /// The name that the client gave the file (`FILES`).
    pub filename: Bytes,
    /// Bytes (`FILES_SIZES`).
    pub size: usize,
    /// Where in the body they begin.
    pub start: usize,
}

/// Malformations that do not end the reading, each a `MULTIPART_…` variable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags {
    /// The boundary is in quotes. Legal.
    pub boundary_quoted: bool,
    /// There is white space around the boundary's `=`.
    pub boundary_whitespace: bool,
    /// A line that is not empty stands before the first boundary. Many home-made clients send an empty one.
    pub data_before: bool,
    /// A line that is not empty stands after the last boundary. Many home-made clients send an empty one.
    pub data_after: bool,
    /// A part header is continued on the next line.
    pub header_folding: bool,
    /// It is continued behind other white space than spaces and tabs. Ends the reading, too: some readers go on.
    pub invalid_header_folding: bool,
    /// A part ends before it had a name, or its name is empty.
    pub invalid_part: bool,
    /// There are more files than `SecUploadFileLimit`.
    pub file_limit_exceeded: bool,
    /// A header or boundary line ends with LF alone.
    pub lf_line: bool,
    /// Lines end both ways. But for the last one it ends the reading, too.
    pub crlf_lf_lines: bool,
    /// A parameter is not preceded by a semicolon.
    pub missing_semicolon: bool,
    /// A parameter is in single quotes.
    pub invalid_quoting: bool,
    /// Some reader could take a place for a boundary that is none ([`Stray`]). Ends the reading, too.
    ///
    /// Lines that merely begin with two dashes are not meant: they are in every key file, patch and SQL script.
    /// ModSecurity 2 has a 1 for them, 3 overwrites it with a 2 at the next boundary, which every form has, so that the
    /// recommended rule (`@eq 1`) would refuse key files or not by where they stand. No reader takes such a line for a
    /// boundary: where readers could disagree about what the boundary is, it is refused ([`Delimiter::of`]).
    pub unmatched_boundary: bool,
}

impl Flags {
    /// What makes servers read other parts than rules do, though the reading goes on: Django (5.2) takes lines that end with
    /// LF for no lines, and what stands outside the boundaries for a part.
    pub fn disagreement(self) -> Option<&'static str> {
        match self {
            Self { lf_line: true, .. } => Some("lines of the form end with LF alone"),
            Self { data_before: true, .. } => Some("something stands before the form's first boundary"),
            Self { data_after: true, .. } => Some("something stands after the form's last boundary"),
            _ => None,
        }
    }
}

impl Form {
    /// `MULTIPART_STRICT_ERROR`: anything that ModSecurity's recommended rule 200003 refuses.
    pub fn strict_error(&self) -> bool {
        let Flags { boundary_quoted, boundary_whitespace, data_before, data_after, .. } = self.flags;
        let Flags { header_folding, lf_line, missing_semicolon, invalid_quoting, .. } = self.flags;
        let Flags { invalid_part, invalid_header_folding, file_limit_exceeded, .. } = self.flags;
        let head = boundary_quoted || boundary_whitespace || data_before || data_after;
        let parts = header_folding || lf_line || missing_semicolon || invalid_quoting;
        let invalid = invalid_part || invalid_header_folding || file_limit_exceeded;
        head || parts || invalid || self.error.is_some()
    }
}

/// Reads a form of at most `parts` parts. `complete`: whether the whole body is here; a body that was cut off lacks its
/// last boundary without fault.
pub fn parse(content_type: &[u8], body: &[u8], parts: usize, complete: bool) -> Form {
    read(content_type, &Bytes::copy_from_slice(body), parts, complete)
}

/// The same; what comes of it are parts of the body.
pub(crate) fn read(content_type: &[u8], body: &Bytes, parts: usize, complete: bool) -> Form {
    let mut form = Form::default();
    let boundary = match boundary::read(content_type, &mut form.flags) {
        Ok(boundary) => boundary,
        Err(error) => {
            form.error = Some(error);
            return form;
        }
    };
    let mut reader = Reader { body, form, parts, begun: 0, crlf_line: false, state: State::Before };
    if let Err(error) = reader.run(&Delimiter::new(&boundary), complete) {
        reader.form.error = Some(error);
    }
    reader.form.flags.crlf_lf_lines = reader.form.flags.lf_line && reader.crlf_line;
    reader.form
}

/// A line: where it is, what it says, and how it ends.
struct Line<'a> {
    start: usize,
    text: &'a [u8],
    ending: Ending,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Ending {
    Crlf,
    Lf,
    None,
}

/// The lines of a body. A CR counts as text unless an LF follows.
fn lines(body: &[u8]) -> impl Iterator<Item = Line<'_>> {
    let mut start = 0;
    body.split_inclusive(|&byte| byte == b'\n').map(move |line| {
        let (text, ending) = match line {
            [text @ .., b'\r', b'\n'] => (text, Ending::Crlf),
            [text @ .., b'\n'] => (text, Ending::Lf),
            text => (text, Ending::None),
        };
        let at = start;
        start += line.len();
        Line { start: at, text, ending }
    })
}

enum State<'a> {
    Before,
    /// The header lines so far, continuations joined.
    Headers(Vec<Cow<'a, [u8]>>),
    /// What the part is, and where its bytes begin and (but for its last line's end) would end.
    Data {
        disposition: Disposition,
        start: usize,
        end: usize,
        ending: Ending,
    },
    After,
}

struct Reader<'a> {
    body: &'a Bytes,
    form: Form,
    parts: usize,
    begun: usize,
    crlf_line: bool,
    state: State<'a>,
}

impl<'a> Reader<'a> {
    fn run(&mut self, delimiter: &Delimiter, complete: bool) -> Result<(), &'static str> {
        let body = self.body;
        let stray = delimiter.stray(body);
        for line in lines(body) {
            let rest = delimiter.begins(line.text);
            if let Some((_, stray)) = stray.filter(|(at, _)| *at < line.start + line.text.len()) {
                self.form.flags.unmatched_boundary = true;
                return Err(stray.reason());
            }
            if !complete && line.ending == Ending::None {
                // The line was cut; nobody knows what it would have been. With a boundary in it, it is no data.
                if rest.is_some() {
                    self.cut_in_boundary();
                }
                break;
            }
            match rest {
                Some(rest) => {
                    self.boundary_line(rest, &line)?;
                    if self.form.over_limit {
                        return Ok(());
                    }
                }
                None => self.other_line(&line)?,
            }
        }
        match std::mem::replace(&mut self.state, State::After) {
            State::After => Ok(()),
            State::Data { disposition, start, .. } if !complete => {
                self.form.open_file = disposition.filename.as_ref().map(|_| body.len().saturating_sub(start));
                self.finish(disposition, start, body.len());
                Ok(())
            }
            _ if !complete => Ok(()),
            _ => Err("the last boundary is missing"),
        }
    }

    /// A line that begins with the boundary.
    fn boundary_line(&mut self, rest: &[u8], line: &Line<'_>) -> Result<(), &'static str> {
        let last = match rest {
            b"" if line.ending != Ending::None => false,
            b"--" => true,
            _ => return Err("something follows a boundary on its line"),
        };
        match std::mem::replace(&mut self.state, State::After) {
            State::Before => {}
            State::Headers(_) => {
                self.form.flags.invalid_part = true;
                return Err("a part ends in its headers");
            }
            State::Data { disposition, start, end, ending } => {
                self.finish(disposition, start, end);
                self.note_ending(ending)?;
            }
            State::After => return Err("a boundary follows the last one"),
        }
        let noted = self.note_ending(line.ending);
        if !last {
            noted?;
            self.form.over_limit = self.begun >= self.parts;
            self.begun += 1;
            self.state = State::Headers(Vec::new());
        }
        Ok(())
    }

    /// The body was cut behind a boundary and before its line's end: a part that was open has ended.
    fn cut_in_boundary(&mut self) {
        if let State::Data { disposition, start, end, .. } = std::mem::replace(&mut self.state, State::After)
        {
            self.finish(disposition, start, end);
        }
    }

    /// Any other line.
    fn other_line(&mut self, line: &Line<'a>) -> Result<(), &'static str> {
        match &mut self.state {
            State::Before => self.form.flags.data_before |= !line.text.is_empty(),
            State::After => self.form.flags.data_after |= !line.text.is_empty(),
            State::Data { end, ending, .. } => {
                *end = line.start + line.text.len();
                *ending = line.ending;
            }
            State::Headers(headers) => {
                if line.text.is_empty() {
                    let body = self.body;
                    let header = |text: Cow<'_, [u8]>| match text {
                        Cow::Borrowed(text) => body.slice_ref(text),
                        Cow::Owned(text) => Bytes::from(text),
                    };
                    let headers: Vec<Bytes> = headers.drain(..).map(header).collect();
                    let disposition = Disposition::of(&headers, &mut self.form.flags)?;
                    let named = headers.into_iter().map(|header| (disposition.name.clone(), header));
                    self.form.part_headers.extend(named);
                    let start = line.start + if line.ending == Ending::Crlf { 2 } else { 1 };
                    self.state = State::Data { disposition, start, end: start, ending: line.ending };
                } else {
                    header_line(headers, line.text, &mut self.form.flags)?;
                }
                self.note_ending(line.ending)?;
            }
        }
        Ok(())
    }

    /// Notes how a line ends that is no data, or the one in front of a boundary.
    fn note_ending(&mut self, ending: Ending) -> Result<(), &'static str> {
        self.form.flags.lf_line |= ending == Ending::Lf;
        self.crlf_line |= ending == Ending::Crlf;
        // Some readers take a line for one only if it ends with CR LF: to them a part goes on where it ends for us.
        if self.form.flags.lf_line && self.crlf_line { Err("lines end in two ways") } else { Ok(()) }
    }

    fn finish(&mut self, disposition: Disposition, start: usize, end: usize) {
        let data = self.body.slice_ref(self.body.get(start..end).unwrap_or_default());
        let name = disposition.name;
        match disposition.filename {
            Some(filename) => self.form.files.push(File { name, filename, size: data.len(), start }),
            None => self.form.fields.push((name, data)),
        }
    }
}

/// Takes a header line of a part, or the continuation of one.
fn header_line<'a>(
    headers: &mut Vec<Cow<'a, [u8]>>,
    text: &'a [u8],
    flags: &mut Flags,
) -> Result<(), &'static str> {
    let blanks = text.iter().take_while(|byte| is_space(**byte));
    if blanks.clone().next().is_some() {
        flags.header_folding = true;
        if blanks.clone().any(|byte| !matches!(byte, b' ' | b'\t')) {
            flags.invalid_header_folding = true;
            return Err("a part's header is continued behind other white space than spaces and tabs");
        }
        let header = headers.last_mut().ok_or("a part begins with a continued header")?.to_mut();
        header.push(b' ');
        header.extend_from_slice(text.trim_ascii_start());
    } else {
        let name = text.split(|&byte| byte == b':').next().unwrap_or_default();
        // CRS expects these words in REQBODY_ERROR_MSG: they are ModSecurity's.
        if name.len() == text.len() {
            return Err("Multipart: Invalid part header (colon missing)");
        }
        if name.is_empty() {
            return Err("Multipart: Invalid part header (header name missing)");
        }
        if !name.iter().all(|byte| disposition::is_token(*byte)) {
            return Err("Multipart: Invalid part header (contains invalid character)");
        }
        let same = |header: &Cow<'_, [u8]>| {
            header.get(..=name.len()).is_some_and(|start| {
                start.strip_suffix(b":").is_some_and(|start| start.eq_ignore_ascii_case(name))
            })
        };
        if headers.iter().any(same) {
            return Err("a part has a header twice");
        }
        if headers.len() == PART_HEADERS_LIMIT {
            return Err("a part has more headers than the limit");
        }
        headers.push(Cow::Borrowed(text));
    }
    // Some readers end a line, or the headers, at a carriage return alone; some end a text at a NUL.
    if text.iter().any(|byte| matches!(byte, b'\r' | 0)) {
        return Err("a part's header holds a carriage return or a NUL");
    }
    if headers.last().is_some_and(|header| header.len() > PART_HEADER_BYTES) {
        return Err("a part's header is longer than the limit");
    }
    Ok(())
}
