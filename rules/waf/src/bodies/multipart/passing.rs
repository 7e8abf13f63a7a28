//! The bytes of a file that pass without being held, watched for the delimiter that ends the file.
//!
//! What comes next is told by a few bytes that are kept: a delimiter may have begun in them. However the bytes are cut,
//! what is found and where is the same. White space that stands in a delimiter to be is shortened to one byte, so that
//! what is kept is bounded by the boundary's length.

use super::delimiter::{Delimiter, Found, is_dress};

/// Bytes in front of a delimiter that are kept: a line end.
const CONTEXT: usize = 2;

/// The watch over one file after the other.
#[derive(Clone, Debug)]
pub struct Passing {
    delimiter: Delimiter,
    /// The last bytes, and the two in front of whatever may have begun in them: the end of a line tells, too.
    kept: Vec<u8>,
    /// Whether `kept` begins a line.
    at_line: bool,
    /// Bytes of the file that are in no one's hands any more.
    gone: u64,
}

/// What is left of a file that passed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rest {
    /// From the line end in front of the delimiter on, or from the bytes in front of a stray one.
    pub kept: Vec<u8>,
    /// Bytes that are not kept.
    pub gone: u64,
}

impl Passing {
    /// Watches no file yet.
    pub fn new(delimiter: Delimiter) -> Self {
        Self { delimiter, kept: Vec::new(), at_line: false, gone: 0 }
    }

    /// Begins with a form that ends `open` bytes into a file, and takes from it what may belong to a delimiter.
    pub fn begin(&mut self, form: &mut Vec<u8>, open: usize) {
        let start = form.len().saturating_sub(open);
        self.kept = form.split_off(start);
        (self.at_line, self.gone) = (true, 0);
        let begun = self.delimiter.look(&self.kept, true).begun;
        let from = self.needed_from(begun);
        let needed = self.kept.split_off(from);
        form.append(&mut self.kept);
        self.kept = needed;
        self.at_line = from == 0;
        self.shorten(begun.map(|at| at - from));
    }

    /// Takes the next piece. What it holds of a delimiter, if it completes one: the file has passed then.
    pub fn feed(&mut self, piece: &[u8]) -> Option<Found> {
        self.kept.extend_from_slice(piece);
        let look = self.delimiter.look(&self.kept, self.at_line);
        if let Some(found) = look.found {
            self.let_go(found.at.saturating_sub(CONTEXT));
            return Some(found);
        }
        let from = self.needed_from(look.begun);
        self.let_go(from);
        self.shorten(look.begun.map(|at| at - from));
        None
    }

    /// Ends the watch over this file.
    pub fn end(&mut self) -> Rest {
        self.at_line = false;
        Rest { kept: std::mem::take(&mut self.kept), gone: std::mem::take(&mut self.gone) }
    }

    /// Bytes that are kept.
    pub fn kept(&self) -> usize {
        self.kept.len()
    }

    /// Bytes that a delimiter and the line end in front of it have.
    pub fn mark(&self) -> usize {
        self.delimiter.length() + 1
    }

    /// From where on bytes are needed: all of a delimiter but its last byte, and the bytes in front of it.
    fn needed_from(&self, begun: Option<usize>) -> usize {
        let plain = self.kept.len().saturating_sub(self.delimiter.length() - 1 + CONTEXT);
        begun.map_or(plain, |at| plain.min(at.saturating_sub(CONTEXT)))
    }

    fn let_go(&mut self, bytes: usize) {
        self.kept.drain(..bytes);
        self.gone += bytes as u64;
        self.at_line &= bytes == 0;
    }

    /// Of the white space in a delimiter that began at `at` the last byte is enough.
    fn shorten(&mut self, at: Option<usize>) {
        let Some(from) = at.map(|at| at + 2) else { return };
        let dress = self.kept.iter().skip(from).take_while(|byte| is_dress(**byte)).count();
        if dress > 1 {
            self.kept.drain(from..from + dress - 1);
            self.gone += dress as u64 - 1;
        }
    }
}
