//! `SecUnicodeMapFile FILE CODEPAGE`: which byte an application of that code page makes of a character beyond it.
//!
//! The file lists code pages: a number, a name, and pairs `hhhh:hh` of a code point and its byte, between blanks. Only the
//! pairs of the page that was chosen count. As in ModSecurity, four full stops (RFC 3490 §3.1) are mapped in every page.

use std::collections::BTreeMap;

/// Code points that are a full stop whatever the file says.
const FULL_STOPS: [u16; 4] = [0x002e, 0x3002, 0xff0e, 0xff61];

/// Code points with their bytes, ascending.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UnicodeMap(Box<[(u16, u8)]>);

impl UnicodeMap {
    /// Reads the pairs of a code page.
    pub(crate) fn read(text: &str, code_page: u32) -> Result<Self, String> {
        let mut words = text.split([' ', '\t', '\r', '\n']).filter(|word| !word.is_empty());
        let is_page = |word: &str| word.parse() == Ok(code_page);
        if !words.by_ref().any(is_page) {
            return Err(format!("the file has no code page {code_page}"));
        }
        let mut pairs: BTreeMap<u16, u8> = FULL_STOPS.map(|point| (point, b'.')).into();
        // The page's name stands in front of its pairs, the number of the next page behind them.
        let pairs_of_page =
            words.skip_while(|word| !word.contains(':')).take_while(|word| word.contains(':'));
        for word in pairs_of_page {
            let (point, byte) = word.split_once(':').unwrap_or_default();
            match (u16::from_str_radix(point, 16), u8::from_str_radix(byte, 16)) {
                (Ok(point), Ok(byte)) => pairs.insert(point, byte),
                _ => return Err(format!("{word:?} of code page {code_page} is no pair hhhh:hh")),
            };
        }
        Ok(Self(pairs.into_iter().collect()))
    }

    /// The byte of a code point.
    pub(crate) fn byte(&self, point: u16) -> Option<u8> {
        let found = self.0.binary_search_by_key(&point, |(point, _)| *point).ok()?;
        self.0.get(found).map(|(_, byte)| *byte)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "(made for this test)\r\n\r\n1250  (ANSI - Central Europe)\r\n00a1:21 00a2:63\t010c:43\r\n\r\n\
                        20127 (US-ASCII)\n00a0:20 00e9:65\n2039:3c\n\n28591 (ISO 8859-1) 0100:41 2039:28";

    #[test]
    fn the_pairs_of_the_chosen_page_are_read_and_no_others() {
        let of = |page: u32, points: &[u16]| -> Vec<Option<u8>> {
            let map = UnicodeMap::read(FILE, page).unwrap();
            points.iter().map(|point| map.byte(*point)).collect()
        };
        let points = [0x00a1, 0x00a0, 0x2039, 0x0100, 0x010c, 0x3002];
        assert_eq!(of(1250, &points), [Some(b'!'), None, None, None, Some(b'C'), Some(b'.')]);
        assert_eq!(of(20127, &points), [None, Some(b' '), Some(b'<'), None, None, Some(b'.')]);
        assert_eq!(of(28591, &points), [None, None, Some(b'('), Some(b'A'), None, Some(b'.')]);
    }

    #[test]
    fn a_page_that_is_not_there_and_a_pair_that_is_none_are_refused() {
        assert!(UnicodeMap::read(FILE, 932).unwrap_err().contains("no code page 932"));
        assert!(UnicodeMap::read("", 20127).is_err());
        for pair in ["00a0:", ":20", "00a0:120", "1f600:20", "g:20", "00a0:2:0"] {
            let error = UnicodeMap::read(&format!("1 (x) 0041:61 {pair}"), 1).unwrap_err();
            assert!(error.contains(&format!("{pair:?}")), "{error}");
        }
        assert_eq!(
            UnicodeMap::read("1 (x) 0041:61 0041:62", 1).unwrap().byte(0x41),
            Some(b'b'),
            "the last counts"
        );
    }
}
