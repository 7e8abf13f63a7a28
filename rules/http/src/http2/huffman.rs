//! The Huffman code of HPACK (RFC 7541, appendix B).
//!
//! The code is canonical: codes of one length follow one another in the order of their symbols, so that the lengths are
//! the whole table.

/// The end of a string, which must not be in one.
const END: u16 = 256;
/// The longest code.
const LONGEST: usize = 30;
/// The shortest code.
const SHORTEST: usize = 5;

/// The length of each symbol's code: the bytes, then [`END`].
pub(super) const LENGTHS: [u8; 257] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28,
    28, 28, 28, 28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6,
    6, 6, 7, 8, 15, 6, 12, 10, 13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7,
    8, 13, 19, 13, 14, 6, 15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7,
    15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24,
    23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23,
    23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23, 26, 26, 20, 19, 22, 23, 22, 25, 26,
    26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27, 20, 24, 20,
    21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27,
    27, 27, 26, 30,
];

/// What decoding needs, by the length of a code.
struct Code {
    /// The first code of a length.
    first: [u32; LONGEST + 1],
    /// The first code that is longer, both cut or filled to [`LONGEST`] bits.
    beyond: [u32; LONGEST + 1],
    /// Where the symbols of a length begin.
    start: [usize; LONGEST + 1],
    /// The symbols by length and value.
    symbols: [u16; LENGTHS.len()],
}

const CODE: Code = code();

#[expect(
    clippy::indexing_slicing,
    reason = "evaluated by the compiler, which refuses an index that is out of bounds"
)]
const fn code() -> Code {
    let mut code = Code {
        first: [0; LONGEST + 1],
        beyond: [0; LONGEST + 1],
        start: [0; LONGEST + 1],
        symbols: [0; LENGTHS.len()],
    };
    let (mut next, mut count, mut length) = (0_u32, 0, SHORTEST);
    while length <= LONGEST {
        code.first[length] = next;
        code.start[length] = count;
        let mut symbol = 0;
        while symbol < LENGTHS.len() {
            if LENGTHS[symbol] as usize == length {
                code.symbols[count] = symbol as u16;
                count += 1;
                next += 1;
            }
            symbol += 1;
        }
        code.beyond[length] = next << (LONGEST - length);
        next <<= 1;
        length += 1;
    }
    code
}

/// The bytes of a coded string; none if it is not one.
pub(super) fn decode(input: &[u8]) -> Option<Vec<u8>> {
    // The shortest code is five bits long.
    let mut out = Vec::with_capacity(input.len() * 8 / SHORTEST + 1);
    let (mut held, mut bits) = (0_u64, 0_usize);
    let mut input = input.iter();
    loop {
        while bits < LONGEST {
            let Some(byte) = input.next() else { break };
            held = held << 8 | u64::from(*byte);
            bits += 8;
        }
        let rest = held & ((1 << bits) - 1);
        // What fills the last byte is the beginning of the code of the end: ones.
        if bits < 8 && rest == (1 << bits) - 1 {
            return Some(out);
        }
        let window = if bits >= LONGEST {
            rest >> (bits - LONGEST)
        } else {
            let missing = LONGEST - bits;
            rest << missing | ((1 << missing) - 1)
        };
        let window = u32::try_from(window).ok()?;
        let (length, _) =
            CODE.beyond.iter().enumerate().skip(SHORTEST).find(|(_, beyond)| window < **beyond)?;
        if length > bits {
            return None;
        }
        let place = (window >> (LONGEST - length)).checked_sub(*CODE.first.get(length)?)?;
        let symbol = *CODE.symbols.get(CODE.start.get(length)? + usize::try_from(place).ok()?)?;
        if symbol == END {
            return None;
        }
        out.push(u8::try_from(symbol).ok()?);
        bits -= length;
    }
}

/// Codes a string, for tests.
#[cfg(test)]
pub(super) fn encode(text: &[u8]) -> Vec<u8> {
    let (mut out, mut held, mut bits) = (Vec::new(), 0_u64, 0);
    for byte in text {
        let length = usize::from(LENGTHS[usize::from(*byte)]);
        let place =
            CODE.symbols[CODE.start[length]..].iter().position(|symbol| *symbol == u16::from(*byte)).unwrap();
        held = held << length | u64::from(CODE.first[length] + place as u32);
        bits += length;
        while bits >= 8 {
            bits -= 8;
            out.push((held >> bits) as u8);
        }
    }
    if bits > 0 {
        out.push(((held << (8 - bits)) | ((1 << (8 - bits)) - 1)) as u8);
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_examples_of_the_standard_are_read() {
        for (code, text) in [
            (
                &[0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4, 0xff][..],
                "www.example.com",
            ),
            (&[0xa8, 0xeb, 0x10, 0x64, 0x9c, 0xbf], "no-cache"),
            (&[0x25, 0xa8, 0x49, 0xe9, 0x5b, 0xa9, 0x7d, 0x7f], "custom-key"),
            (&[0x25, 0xa8, 0x49, 0xe9, 0x5b, 0xb8, 0xe8, 0xb4, 0xbf], "custom-value"),
        ] {
            assert_eq!(decode(code).unwrap(), text.as_bytes());
            assert_eq!(encode(text.as_bytes()), code, "{text}");
        }
    }

    #[test]
    fn an_end_inside_and_a_filling_that_is_none_are_no_string() {
        assert_eq!(decode(&[0xff, 0xff, 0xff, 0xff]), None, "the code of the end");
        assert_eq!(decode(&[0xff]), None, "eight ones are longer than a filling");
        assert_eq!(decode(&[0x00]), None, "zeros do not fill");
        assert_eq!(decode(&[]), Some(Vec::new()));
    }

    proptest! {
        #[test]
        fn what_is_coded_is_read_again(text in any::<Vec<u8>>()) {
            prop_assert_eq!(decode(&encode(&text)), Some(text));
        }

        #[test]
        fn anything_is_read_or_refused(input in any::<Vec<u8>>()) {
            if let Some(text) = decode(&input) {
                prop_assert_eq!(encode(&text), input);
            }
        }
    }
}
