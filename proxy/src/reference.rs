//! Reference ids: what a refused client is told and what the console finds the event by.
//!
//! Unique per exchange: 64 random bits of the process and a counter. Not a secret, and not predictable across
//! processes. It does not carry time or identity.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};

use bytes::{Bytes, BytesMut};

/// The header that carries it to the client.
pub const HEADER: &str = "x-palisade-reference";

/// Characters of an id: 16 of the process, 12 of the counter.
pub const LENGTH: usize = 28;

/// Characters of a `traceparent`.
const TRACEPARENT_LENGTH: usize = 55;

static PROCESS: LazyLock<u64> = LazyLock::new(|| {
    let mut hasher = RandomState::new().build_hasher();
    hasher.write_u32(std::process::id());
    hasher.finish()
});
static NEXT: AtomicU64 = AtomicU64::new(1);

/// The number of one exchange in this process; its text is made only when it is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reference(u64);

impl Reference {
    /// A number that no other exchange of this process has.
    pub fn next() -> Self {
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }

    /// The id as text.
    pub fn text(self) -> Arc<str> {
        let mut text = String::with_capacity(LENGTH);
        text.extend(hex::<16>(*PROCESS).map(char::from));
        text.extend(hex::<12>(self.0).map(char::from));
        text.into()
    }

    /// The number, to choose among weighted clusters by.
    pub fn turn(self) -> u64 {
        self.0
    }

    /// The id of the exchange's span in a trace that somebody else began; never zeros.
    pub fn span_id(self) -> [u8; 8] {
        // The finalizer of splitmix64 (Steele et al., 2014) spreads the counter over all bits.
        let mut mixed = PROCESS.wrapping_add(self.0.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)).max(1).to_be_bytes()
    }

    /// A W3C `traceparent` (version 00, sampled 0) that begins a trace at this exchange.
    pub fn traceparent(self) -> Bytes {
        let span = self.0.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut text = BytesMut::with_capacity(TRACEPARENT_LENGTH);
        text.extend_from_slice(b"00-");
        text.extend_from_slice(&hex::<16>(*PROCESS | 1));
        text.extend_from_slice(&hex::<16>(self.0));
        text.extend_from_slice(b"-");
        text.extend_from_slice(&hex::<16>(span));
        text.extend_from_slice(b"-00");
        text.freeze()
    }
}

/// The lowest `DIGITS` hexadecimal digits. Formatting machinery costs more than all else that is done per header.
fn hex<const DIGITS: usize>(number: u64) -> [u8; DIGITS] {
    let mut left = number;
    let mut digits = [0; DIGITS];
    for digit in digits.iter_mut().rev() {
        let value = (left & 15) as u8;
        *digit = if value < 10 { b'0' + value } else { b'a' + value - 10 };
        left >>= 4;
    }
    digits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_exchanges_never_share_a_reference() {
        let (a, b) = (Reference::next(), Reference::next());
        assert_ne!(a.text(), b.text());
        assert_eq!(a.text().len(), LENGTH);
    }

    #[test]
    fn digits_are_those_of_the_standard_library() {
        for number in [0, 9, 10, 0xdead_beef, u64::MAX] {
            assert_eq!(
                hex::<16>(number).map(char::from).iter().collect::<String>(),
                format!("{number:016x}")
            );
        }
        assert_eq!(&hex::<3>(0x1_2abc), b"abc");
    }

    #[test]
    fn a_traceparent_has_the_form_of_the_w3c_recommendation() {
        let text = String::from_utf8(Reference::next().traceparent().to_vec()).unwrap();
        assert_eq!(text.len(), TRACEPARENT_LENGTH);
        let parts: Vec<_> = text.split('-').map(str::len).collect();
        assert_eq!(parts, [2, 32, 16, 2]);
        assert!(!text.contains("-0000000000000000-"));
    }
}
