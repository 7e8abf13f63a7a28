//! Words and phrases of SQL, and fingerprints that are attacks: looked up in tables made by `cargo xtask tables`.

use super::generated::fingerprints;
use super::generated::words::WORDS;
use super::token::{Kind, TOKEN_BYTES};

/// Places of the hash table: a power of two, four times the words.
const PLACES: usize = 4096;
const _: () = assert!(WORDS.len() * 4 <= PLACES);

/// Word + 1 by hash; zero: none. Words that meet stand in the next free place.
static PLACED: [u16; PLACES] = place();

const fn place() -> [u16; PLACES] {
    let mut places = [0; PLACES];
    let mut word = 0;
    while word < WORDS.len() {
        #[allow(clippy::indexing_slicing)]
        // Evaluated while compiling: out of bounds would be an error there.
        {
            let mut at = hash(WORDS[word].0.as_bytes());
            while places[at % PLACES] != 0 {
                at += 1;
            }
            places[at % PLACES] = word as u16 + 1;
        }
        word += 1;
    }
    places
}

/// Of a text in any case.
const fn hash(text: &[u8]) -> usize {
    let mut hash = text.len() as u32;
    let mut rest = text;
    while let [byte, tail @ ..] = rest {
        hash = (hash ^ byte.to_ascii_uppercase() as u32).wrapping_mul(0x0100_0193);
        rest = tail;
    }
    (hash ^ hash >> 15) as usize
}

/// What a word or phrase is, and its text in capitals.
pub(super) fn word(text: &[u8]) -> Option<(Kind, &'static [u8])> {
    if text.len() < 2 || text.len() > TOKEN_BYTES {
        return None;
    }
    let mut at = hash(text);
    while let Some(place) = PLACED.get(at % PLACES).and_then(|place| place.checked_sub(1)) {
        let (word, kind) = WORDS.get(usize::from(place))?;
        if text.eq_ignore_ascii_case(word.as_bytes()) {
            return Some((*kind, word.as_bytes()));
        }
        at += 1;
    }
    None
}

/// What two words with a space between them are.
pub(super) fn phrase(first: &[u8], second: &[u8]) -> Option<(Kind, &'static [u8])> {
    let mut text = [b' '; TOKEN_BYTES];
    let length = first.len() + 1 + second.len();
    text.get_mut(..first.len())?.copy_from_slice(first);
    text.get_mut(first.len() + 1..length)?.copy_from_slice(second);
    word(text.get(..length)?)
}

/// Whether a fingerprint is one of those of attacks.
pub(super) fn is_attack(fingerprint: &[u8]) -> bool {
    let mut capitals = [0; 5];
    let Some(capitals) = capitals.get_mut(..fingerprint.len()) else { return false };
    capitals.copy_from_slice(fingerprint);
    capitals.make_ascii_uppercase();
    match &*capitals {
        [a] => fingerprints::OF_1.binary_search(&[*a]).is_ok(),
        [a, b] => fingerprints::OF_2.binary_search(&[*a, *b]).is_ok(),
        [a, b, c] => fingerprints::OF_3.binary_search(&[*a, *b, *c]).is_ok(),
        [a, b, c, d] => fingerprints::OF_4.binary_search(&[*a, *b, *c, *d]).is_ok(),
        [a, b, c, d, e] => fingerprints::OF_5.binary_search(&[*a, *b, *c, *d, *e]).is_ok(),
        _ => false,
    }
}
