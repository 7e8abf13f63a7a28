//! Header blocks of HTTP/2 (HPACK, RFC 7541): read with the table that a connection builds up, and written without one.
//!
//! Promises: what is read is what any reader of the same connection reads, or it is an error; memory is bounded by the
//! table's size and by the limit of a block's fields.

use std::collections::VecDeque;

use bytes::Bytes;

use super::huffman;

/// Bytes of the table: what we announce, which is the default of HTTP/2.
const TABLE_BYTES: usize = 4096;
/// What an entry counts beside its name and value (§4.1).
const ENTRY_OVERHEAD: usize = 32;

/// A name and a value.
pub(super) type Field = (Bytes, Bytes);

/// A block that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unreadable;

/// The table of a connection.
#[derive(Debug)]
pub(super) struct Decoder {
    entries: VecDeque<Field>,
    used: usize,
    most: usize,
    fields: Vec<Field>,
}

impl Default for Decoder {
    fn default() -> Self {
        Self { entries: VecDeque::new(), used: 0, most: TABLE_BYTES, fields: Vec::new() }
    }
}

impl Decoder {
    /// The fields of a block in order. After an error the table is of no use any more. `limit`: bytes of all fields, as
    /// entries count.
    pub(super) fn read(&mut self, block: &[u8], limit: usize) -> Result<&[Field], Unreadable> {
        self.fields.clear();
        let (mut rest, mut total) = (block, 0);
        while let Some(first) = rest.first() {
            let (field, added) = match first {
                0x80.. => {
                    let (index, after) = integer(rest, 7)?;
                    rest = after;
                    (self.entry(index)?, false)
                }
                0x40.. => (self.literal(&mut rest, 6)?, true),
                0x20.. => {
                    let (most, after) = integer(rest, 5)?;
                    rest = after;
                    self.resize(most)?;
                    continue;
                }
                _ => (self.literal(&mut rest, 4)?, false),
            };
            total += size(&field);
            if total > limit {
                return Err(Unreadable);
            }
            if added {
                self.add(field.clone());
            }
            self.fields.push(field);
        }
        Ok(&self.fields)
    }

    /// Lets the fields of the last block go.
    pub(super) fn forget(&mut self) {
        self.fields.clear();
    }

    fn literal(&self, rest: &mut &[u8], prefix: u32) -> Result<Field, Unreadable> {
        let (index, after) = integer(rest, prefix)?;
        let (name, after) = match index {
            0 => string(after)?,
            index => (self.entry(index)?.0, after),
        };
        let (value, after) = string(after)?;
        *rest = after;
        Ok((name, value))
    }

    fn entry(&self, index: usize) -> Result<Field, Unreadable> {
        let index = index.checked_sub(1).ok_or(Unreadable)?;
        if let Some((name, value)) = STATIC.get(index) {
            return Ok((Bytes::from_static(name.as_bytes()), Bytes::from_static(value.as_bytes())));
        }
        self.entries.get(index - STATIC.len()).cloned().ok_or(Unreadable)
    }

    fn add(&mut self, field: Field) {
        let size = size(&field);
        self.shrink(self.most.saturating_sub(size));
        if size <= self.most {
            self.used += size;
            self.entries.push_front(field);
        }
    }

    fn resize(&mut self, most: usize) -> Result<(), Unreadable> {
        if most > TABLE_BYTES {
            return Err(Unreadable);
        }
        self.most = most;
        self.shrink(most);
        Ok(())
    }

    /// Gives the oldest entries up until what is left fits.
    fn shrink(&mut self, most: usize) {
        while self.used > most {
            let Some(field) = self.entries.pop_back() else { return };
            self.used -= size(&field);
        }
    }
}

fn size((name, value): &Field) -> usize {
    name.len() + value.len() + ENTRY_OVERHEAD
}

/// An integer in the low `prefix` bits of the first byte and after it (§5.1), and what follows.
fn integer(input: &[u8], prefix: u32) -> Result<(usize, &[u8]), Unreadable> {
    let (first, mut rest) = input.split_first().ok_or(Unreadable)?;
    let full = (1_usize << prefix) - 1;
    let mut value = usize::from(*first) & full;
    if value < full {
        return Ok((value, rest));
    }
    // Four bytes more come to 2^28: no length or index here is longer.
    for shift in [0, 7, 14, 21] {
        let (byte, after) = rest.split_first().ok_or(Unreadable)?;
        rest = after;
        value += usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok((value, rest));
        }
    }
    Err(Unreadable)
}

fn string(input: &[u8]) -> Result<(Bytes, &[u8]), Unreadable> {
    let coded = input.first().is_some_and(|first| first & 0x80 != 0);
    let (length, rest) = integer(input, 7)?;
    let (text, rest) = rest.split_at_checked(length).ok_or(Unreadable)?;
    let text =
        if coded { huffman::decode(text).ok_or(Unreadable)?.into() } else { Bytes::copy_from_slice(text) };
    Ok((text, rest))
}

/// Writes a field that no table remembers and that refers to none.
pub(super) fn write(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.push(0);
    for text in [name, value] {
        write_length(out, text.len());
        out.extend_from_slice(text);
    }
}

fn write_length(out: &mut Vec<u8>, length: usize) {
    const FULL: usize = 0x7f;
    if length < FULL {
        out.extend(u8::try_from(length));
        return;
    }
    out.push(0x7f);
    let mut rest = length - FULL;
    while rest >= 0x80 {
        out.extend(u8::try_from(rest & 0x7f | 0x80));
        rest >>= 7;
    }
    out.extend(u8::try_from(rest));
}

/// Appendix A.
const STATIC: [(&str, &str); 61] = [
    (":authority", ""),
    (":method", "GET"),
    (":method", "POST"),
    (":path", "/"),
    (":path", "/index.html"),
    (":scheme", "http"),
    (":scheme", "https"),
    (":status", "200"),
    (":status", "204"),
    (":status", "206"),
    (":status", "304"),
    (":status", "400"),
    (":status", "404"),
    (":status", "500"),
    ("accept-charset", ""),
    ("accept-encoding", "gzip, deflate"),
    ("accept-language", ""),
    ("accept-ranges", ""),
    ("accept", ""),
    ("access-control-allow-origin", ""),
    ("age", ""),
    ("allow", ""),
    ("authorization", ""),
    ("cache-control", ""),
    ("content-disposition", ""),
    ("content-encoding", ""),
    ("content-language", ""),
    ("content-length", ""),
    ("content-location", ""),
    ("content-range", ""),
    ("content-type", ""),
    ("cookie", ""),
    ("date", ""),
    ("etag", ""),
    ("expect", ""),
    ("expires", ""),
    ("from", ""),
    ("host", ""),
    ("if-match", ""),
    ("if-modified-since", ""),
    ("if-none-match", ""),
    ("if-range", ""),
    ("if-unmodified-since", ""),
    ("last-modified", ""),
    ("link", ""),
    ("location", ""),
    ("max-forwards", ""),
    ("proxy-authenticate", ""),
    ("proxy-authorization", ""),
    ("range", ""),
    ("referer", ""),
    ("refresh", ""),
    ("retry-after", ""),
    ("server", ""),
    ("set-cookie", ""),
    ("strict-transport-security", ""),
    ("transfer-encoding", ""),
    ("user-agent", ""),
    ("vary", ""),
    ("via", ""),
    ("www-authenticate", ""),
];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
        digits
            .chunks(2)
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
            .collect()
    }

    fn text(fields: &[Field]) -> String {
        let line = |(name, value): &Field| {
            format!("{}={};", String::from_utf8_lossy(name), String::from_utf8_lossy(value))
        };
        fields.iter().map(line).collect()
    }

    #[test]
    fn the_requests_of_the_standard_are_read_with_their_table() {
        // C.3 without and C.4 with the Huffman code: the same three requests.
        for blocks in [
            [
                "828684410f7777772e6578616d706c652e636f6d",
                "828684be58086e6f2d6361636865",
                "828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565",
            ],
            [
                "828684418cf1e3c2e5f23a6ba0ab90f4ff",
                "828684be5886a8eb10649cbf",
                "828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf",
            ],
        ] {
            let mut decoder = Decoder::default();
            let mut read = |block: &str| text(decoder.read(&hex(block), 1000).unwrap());
            let common = ":method=GET;:scheme=http;:path=/;:authority=www.example.com;";
            assert_eq!(read(blocks[0]), common);
            assert_eq!(read(blocks[1]), format!("{common}cache-control=no-cache;"));
            let last = ":method=GET;:scheme=https;:path=/index.html;:authority=www.example.com;";
            assert_eq!(read(blocks[2]), format!("{last}custom-key=custom-value;"));
            assert_eq!(decoder.used, 164);
        }
    }

    #[test]
    fn old_entries_go_when_the_table_is_full_and_when_it_shrinks() {
        let mut decoder = Decoder::default();
        let entry = |value: &str| [b"\x40\x01n", &[value.len() as u8][..], value.as_bytes()].concat();
        // Each counts 133 bytes: thirty fit, the first of thirty-one does not.
        for at in 0..31 {
            decoder.read(&entry(&format!("{at:0>100}")), 1000).unwrap();
        }
        assert_eq!((decoder.entries.len(), decoder.used), (30, 30 * 133));
        assert!(text(decoder.read(&[0x80 | 62], 1000).unwrap()).ends_with("30;"));
        assert!(text(decoder.read(&[0x80 | 91], 1000).unwrap()).ends_with("01;"));
        assert_eq!(decoder.read(&[0x80 | 92], 1000), Err(Unreadable));
        decoder.read(&[0x3f, 0xe1, 0x01], 1000).unwrap();
        assert_eq!((decoder.most, decoder.entries.len()), (256, 1));
        // An entry that is larger than the table empties it.
        decoder.read(&hex("20"), 1000).unwrap();
        decoder.read(&entry("x"), 1000).unwrap();
        assert_eq!((decoder.entries.len(), decoder.used), (0, 0));
        assert_eq!(
            decoder.read(&[0x3f, 0xe1, 0x1f], 1000).map(<[Field]>::len),
            Ok(0),
            "at the limit of the table"
        );
        assert_eq!(decoder.read(&[0x3f, 0xe2, 0x1f], 1000), Err(Unreadable), "over it");
    }

    #[test]
    fn fields_are_read_up_to_the_limit_and_no_further() {
        let block = [b"\x00\x01n".as_slice(), &[67], &[b'v'; 67]].concat();
        for (limit, readable) in [(99, false), (100, true), (101, true)] {
            assert_eq!(Decoder::default().read(&block, limit).is_ok(), readable, "{limit}");
        }
    }

    #[test]
    fn what_is_cut_off_or_refers_to_nothing_is_unreadable() {
        for block in
            ["80", "be", "40", "4001", "400161", "40016105", "ffffffffff7f", "7fffffffffff7f01", "3f"]
        {
            assert_eq!(Decoder::default().read(&hex(block), 1000), Err(Unreadable), "{block}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again_and_no_table_remembers_it(
            fields in proptest::collection::vec((any::<Vec<u8>>(), proptest::collection::vec(any::<u8>(), 0..400)), 0..8)
        ) {
            let mut block = Vec::new();
            fields.iter().for_each(|(name, value)| write(&mut block, name, value));
            let mut decoder = Decoder::default();
            let read = decoder.read(&block, usize::MAX).unwrap();
            let read: Vec<_> = read.iter().map(|(name, value)| (name.to_vec(), value.to_vec())).collect();
            prop_assert_eq!(read, fields);
            prop_assert_eq!(decoder.used, 0);
        }

        #[test]
        fn anything_is_read_or_refused(block in any::<Vec<u8>>()) {
            let mut decoder = Decoder::default();
            let _ = decoder.read(&block, 10_000);
            prop_assert!(decoder.used <= TABLE_BYTES);
        }
    }
}
