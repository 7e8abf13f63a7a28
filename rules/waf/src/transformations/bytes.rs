//! What several decoders share: digits, C's `isspace`, and the choice between borrowed and owned.

use std::borrow::Cow;
use std::cell::RefCell;

/// Buffers that a thread keeps for what transformations write.
const BUFFERS: usize = 4;
/// Bytes of a buffer that is kept.
const BUFFER_BYTES: usize = 64 * 1024;

thread_local! {
    static KEPT: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// An empty buffer with room for so many bytes: one that this thread keeps, or a new one.
pub(crate) fn buffer(bytes: usize) -> Vec<u8> {
    let kept = KEPT.try_with(|kept| kept.try_borrow_mut().ok().and_then(|mut kept| kept.pop()));
    let mut buffer: Vec<u8> = kept.ok().flatten().unwrap_or_default();
    buffer.clear();
    buffer.reserve(bytes);
    buffer
}

/// Keeps a buffer for the next one who asks.
pub(crate) fn recycle(buffer: Vec<u8>) {
    // At the end of the thread nothing is kept any more.
    let _ = KEPT.try_with(|kept| {
        if let Ok(mut kept) = kept.try_borrow_mut()
            && kept.len() < BUFFERS
            && buffer.capacity() <= BUFFER_BYTES
        {
            kept.push(buffer);
        }
    });
}

/// The byte that Latin-1 and Windows-1252 call a non-breaking space; ModSecurity counts it as white space.
pub(crate) const NBSP: u8 = 0xa0;

/// The value of a hexadecimal digit.
pub(crate) fn hex_digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

/// The byte that two hexadecimal digits at `at` stand for.
pub(crate) fn hex_pair(input: &[u8], at: usize) -> Option<u8> {
    let high = hex_digit(*input.get(at)?)?;
    let low = hex_digit(*input.get(at + 1)?)?;
    Some(high << 4 | low)
}

/// The byte that four hexadecimal digits at `at` best fit to: the low one, where full-width ASCII (U+FF01-FF5E)
/// becomes the plain character.
pub(crate) fn hex_quad(input: &[u8], at: usize) -> Option<u8> {
    let high = hex_pair(input, at)?;
    let low = hex_pair(input, at + 2)?;
    Some(best_fit(high, low))
}

/// See [`hex_quad`].
pub(crate) fn best_fit(high: u8, low: u8) -> u8 {
    if high == 0xff && (0x01..=0x5e).contains(&low) { low + 0x20 } else { low }
}

/// How many of the bytes from `at` on, at most `most`, are of a kind.
pub(crate) fn run(input: &[u8], at: usize, most: usize, kind: impl Fn(&u8) -> bool) -> usize {
    input.iter().skip(at).take(most).take_while(|byte| kind(byte)).count()
}

/// Up to three octal digits at `at`: their value and their number.
pub(crate) fn octal(input: &[u8], at: usize) -> (u32, usize) {
    let digits = run(input, at, 3, |byte| matches!(byte, b'0'..=b'7'));
    let value = input.iter().skip(at).take(digits).fold(0, |value, byte| value * 8 + u32::from(byte - b'0'));
    (value, digits)
}

/// C's `isspace` in the C locale: space, tab, line feed, vertical tab, form feed, carriage return.
pub(crate) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

/// The control character that a letter after a backslash stands for in C and JavaScript.
pub(crate) fn control_escape(letter: u8) -> Option<u8> {
    Some(match letter {
        b'a' => 0x07,
        b'b' => 0x08,
        b'f' => 0x0c,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'v' => 0x0b,
        _ => return None,
    })
}

/// Borrowed when the output is the input.
pub(crate) fn settle(input: &[u8], output: Vec<u8>) -> Cow<'_, [u8]> {
    if output == input {
        recycle(output);
        return Cow::Borrowed(input);
    }
    Cow::Owned(output)
}

/// Borrowed when the part is the whole, so that a borrowed answer always means "nothing changed".
pub(crate) fn part<'a>(whole: &'a [u8], part: &[u8]) -> Cow<'a, [u8]> {
    if part.len() == whole.len() { Cow::Borrowed(whole) } else { Cow::Owned(part.to_vec()) }
}

/// Applies `map` to each byte; borrowed if it changes none.
pub(crate) fn map_bytes(input: &[u8], map: impl Fn(u8) -> u8) -> Cow<'_, [u8]> {
    let Some(at) = first(input, |byte| map(byte) != byte) else { return Cow::Borrowed(input) };
    let (same, rest) = input.split_at_checked(at).unwrap_or((&[], input));
    let mut output = buffer(input.len());
    output.extend_from_slice(same);
    output.extend(rest.iter().map(|&byte| map(byte)));
    Cow::Owned(output)
}

/// Keeps the bytes that `keep` accepts; borrowed if these are all.
pub(crate) fn filter_bytes(input: &[u8], keep: impl Fn(u8) -> bool) -> Cow<'_, [u8]> {
    let Some(at) = first(input, |byte| !keep(byte)) else { return Cow::Borrowed(input) };
    let (same, rest) = input.split_at_checked(at).unwrap_or((&[], input));
    let mut output = Slots::of(input.len());
    output.copy(same);
    rest.iter().for_each(|&byte| output.put(byte, keep(byte)));
    Cow::Owned(output.finish())
}

/// An output no longer than its input, written byte by byte without asking for room: to ask costs more than to write.
#[derive(Debug)]
pub(crate) struct Slots {
    bytes: Vec<u8>,
    length: usize,
}

impl Slots {
    /// Room for so many bytes; more are lost.
    pub(crate) fn of(bytes: usize) -> Self {
        let mut slots = buffer(bytes);
        slots.resize(bytes, 0);
        Self { bytes: slots, length: 0 }
    }

    fn copy(&mut self, part: &[u8]) {
        if let Some(slots) = self.bytes.get_mut(self.length..self.length + part.len()) {
            slots.copy_from_slice(part);
            self.length += part.len();
        }
    }

    /// Writes a byte, which the next one takes the place of unless it stays.
    #[inline]
    pub(crate) fn put(&mut self, byte: u8, stays: bool) {
        if let Some(slot) = self.bytes.get_mut(self.length) {
            *slot = byte;
            self.length += usize::from(stays);
        }
    }

    /// Takes the last byte away.
    #[inline]
    pub(crate) fn pop(&mut self) {
        self.length = self.length.saturating_sub(1);
    }

    /// What was written.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.bytes.truncate(self.length);
        self.bytes
    }
}

/// Bytes that are looked at together.
const BLOCK: usize = 32;

/// Where the first byte of a kind is. Whole blocks are asked at once, without branches.
pub(crate) fn first(input: &[u8], kind: impl Fn(u8) -> bool) -> Option<usize> {
    let mut before = 0;
    for block in input.chunks(BLOCK) {
        if block.iter().fold(false, |any, &byte| any | kind(byte)) {
            return block.iter().position(|&byte| kind(byte)).map(|at| before + at);
        }
        before += block.len();
    }
    None
}

/// An output that differs from its input in some places: what is between them is copied at once, and nothing is
/// allocated before the first difference.
#[derive(Debug)]
pub(crate) struct Rewrite<'a> {
    input: &'a [u8],
    output: Vec<u8>,
    /// Where the input begins that is not yet in the output.
    from: usize,
    changed: bool,
}

impl<'a> Rewrite<'a> {
    pub(crate) fn of(input: &'a [u8]) -> Self {
        Self { input, output: Vec::new(), from: 0, changed: false }
    }

    /// Puts bytes in the place of those from `start` to `end`; places come in order.
    pub(crate) fn replace(&mut self, start: usize, end: usize, bytes: &[u8]) {
        if self.input.get(start..end) == Some(bytes) {
            return;
        }
        if !self.changed {
            self.output = buffer(self.input.len());
            self.changed = true;
        }
        self.output.extend_from_slice(self.input.get(self.from..start).unwrap_or_default());
        self.output.extend_from_slice(bytes);
        self.from = end;
    }

    /// The output; borrowed if nothing changed.
    pub(crate) fn finish(mut self) -> Cow<'a, [u8]> {
        if !self.changed {
            return Cow::Borrowed(self.input);
        }
        self.output.extend_from_slice(self.input.get(self.from..).unwrap_or_default());
        Cow::Owned(self.output)
    }
}

/// Where a search from `at` on finds something.
pub(crate) fn find(input: &[u8], at: usize, search: impl Fn(&[u8]) -> Option<usize>) -> Option<usize> {
    search(input.get(at..)?).map(|found| at + found)
}

/// Checks a table of (input, output) pairs, and that exactly the unchanged ones are borrowed.
#[cfg(test)]
pub(crate) fn check(apply: fn(&[u8]) -> Cow<'_, [u8]>, cases: &[(&[u8], &[u8])]) {
    for (input, expected) in cases {
        let output = apply(input);
        assert_eq!(
            output.as_ref(),
            *expected,
            "input {:?}, got {:?}",
            String::from_utf8_lossy(input),
            String::from_utf8_lossy(&output)
        );
        let borrowed = matches!(output, Cow::Borrowed(_));
        assert_eq!(borrowed, input == expected, "borrowed only if unchanged: {input:?}");
    }
}
