//! What stands between the parts of a form, and what some reader could take for it.
//!
//! A part ends in front of a line that begins with two dashes and the boundary, and nowhere else. Readers differ: Django
//! takes the delimiter wherever it stands, Werkzeug behind a carriage return too, others take away white space or quotes.
//! To them the bytes behind it are a part that no rule saw. So a form that holds such a delimiter, a stray one, is
//! refused wherever that stands, a file's bytes included. Whoever makes a form chooses a boundary that is in none of its
//! parts (RFC 2046 §5.1.1), so that this costs nobody anything; lines that merely begin with dashes, as in key files and
//! patches, are data.
//!
//! The definition is here and nowhere else: the reader of whole forms and the one of files that pass ([`super::passing`])
//! both ask it.

use memchr::memmem::Finder;

use super::Flags;
use super::boundary;
use crate::transformations::bytes::is_space;

const DASHES: &[u8] = b"--";

/// The delimiter of one form.
#[derive(Clone, Debug)]
pub struct Delimiter {
    /// Two dashes and the boundary.
    whole: Finder<'static>,
    dashes: Finder<'static>,
}

/// Why a delimiter is a stray one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stray {
    /// It stands behind other bytes of its line.
    WithinLine,
    /// White space stands in front of the boundary.
    WhiteSpace,
    /// A quote stands in front of the boundary.
    Quote,
}

impl Stray {
    /// The reason, as a sentence.
    pub fn reason(self) -> &'static str {
        match self {
            Self::WithinLine => "a boundary stands within a line",
            Self::WhiteSpace => "white space stands in a boundary",
            Self::Quote => "a boundary is in quotes",
        }
    }
}

/// A delimiter that was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// Where its dashes are.
    pub at: usize,
    /// None if it begins a line.
    pub stray: Option<Stray>,
}

/// What some bytes hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Look {
    pub(super) found: Option<Found>,
    /// Where a stray delimiter may have begun that the bytes do not end.
    pub(super) begun: Option<usize>,
}

/// What may stand between the dashes and the boundary of a stray delimiter. No boundary begins with it.
pub(super) fn is_dress(byte: u8) -> bool {
    matches!(byte, b'"' | b'\'') || is_space(byte) && byte != b'\n'
}

impl Delimiter {
    /// The delimiter of a form of this Content-Type; none where its boundary is refused.
    pub fn of(content_type: &[u8]) -> Option<Self> {
        boundary::read(content_type, &mut Flags::default()).ok().map(|boundary| Self::new(&boundary))
    }

    pub(super) fn new(boundary: &[u8]) -> Self {
        let whole = [DASHES, boundary].concat();
        Self { whole: Finder::new(&whole).into_owned(), dashes: Finder::new(DASHES).into_owned() }
    }

    /// Bytes of the dashes and the boundary.
    pub fn length(&self) -> usize {
        self.whole.needle().len()
    }

    /// The bytes from the first delimiter to the last one and what may end it.
    pub fn span<'a>(&self, bytes: &'a [u8]) -> Option<&'a [u8]> {
        let first = self.whole.find(bytes)?;
        let last = memchr::memmem::rfind(bytes, self.whole.needle())?;
        let end = last.saturating_add(self.length()).saturating_add(DASHES.len()).min(bytes.len());
        bytes.get(first..end)
    }

    fn boundary(&self) -> &[u8] {
        self.whole.needle().get(DASHES.len()..).unwrap_or_default()
    }

    /// What follows the delimiter on its line; none on other lines.
    pub(super) fn begins<'a>(&self, line: &'a [u8]) -> Option<&'a [u8]> {
        line.strip_prefix(self.whole.needle())
    }

    /// The first delimiter, of whatever kind. `at_line`: whether the bytes begin a line. The first to begin is the first
    /// to end, so that it is the same however the bytes come.
    pub(super) fn look(&self, bytes: &[u8], at_line: bool) -> Look {
        let plain = self.whole.find(bytes).map(|at| {
            let line = if at == 0 { at_line } else { bytes.get(at - 1) == Some(&b'\n') };
            Found { at, stray: (!line).then_some(Stray::WithinLine) }
        });
        let dressed = self.dressed(bytes, at_line);
        let found = match (plain, dressed.found) {
            (Some(plain), Some(dressed)) if dressed.at < plain.at => Some(dressed),
            (plain, dressed) => plain.or(dressed),
        };
        Look { found, begun: dressed.begun }
    }

    /// The first stray delimiter of a whole form.
    pub(super) fn stray(&self, body: &[u8]) -> Option<(usize, Stray)> {
        let dressed = self.dressed(body, true).found;
        let mut plain = memchr::memmem::find_iter(body, self.whole.needle());
        let within = plain.find(|at| *at > 0 && body.get(at - 1) != Some(&b'\n'));
        let within = within.map(|at| Found { at, stray: Some(Stray::WithinLine) });
        let first = [dressed, within].into_iter().flatten().min_by_key(|found| found.at)?;
        first.stray.map(|stray| (first.at, stray))
    }

    /// The first delimiter with white space or quotes in it, behind a line feed or a carriage return.
    fn dressed(&self, bytes: &[u8], at_line: bool) -> Look {
        let mut from = 0;
        let rest = |at: usize| bytes.get(at..).unwrap_or_default();
        while let Some(at) = self.dashes.find(rest(from)).map(|found| from + found) {
            let begins = if at == 0 { at_line } else { matches!(bytes.get(at - 1), Some(b'\n' | b'\r')) };
            let behind = rest(at + DASHES.len());
            let dress = behind.iter().take_while(|byte| is_dress(**byte)).count();
            if let (true, Some((dress, text))) = (begins && dress > 0, behind.split_at_checked(dress)) {
                if text.starts_with(self.boundary()) {
                    let space = dress.last().is_some_and(|byte| is_space(*byte));
                    let stray = Some(if space { Stray::WhiteSpace } else { Stray::Quote });
                    return Look { found: Some(Found { at, stray }), begun: None };
                }
                if self.boundary().starts_with(text) {
                    return Look { found: None, begun: Some(at) };
                }
            }
            // Of a row of dashes only the first two can begin a line.
            let dashes = behind.iter().take_while(|byte| **byte == b'-').count();
            from = at + DASHES.len() + dashes;
        }
        Look::default()
    }
}
