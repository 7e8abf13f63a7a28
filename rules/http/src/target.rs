//! Bytes that RFC 3986 does not allow in a request target, that clients send all the same, and that can mean only
//! themselves: they are escaped before anybody reads the target, as the URL standard (WHATWG) has it.
//!
//! In a path `<`, `>` and `` ` ``; in a query `"`, `<`, `>` and bytes over 0x7f. Promises: what is escaped here decodes
//! to the bytes that were sent, and escaping again changes nothing. What could be read in two ways (white space,
//! control characters, `#`) is not here but refused.

/// Whether a byte must be escaped.
pub(crate) fn is_escaped(byte: u8, query: bool) -> bool {
    match byte {
        b'<' | b'>' => true,
        b'`' => !query,
        b'"' | 0x80.. => query,
        _ => false,
    }
}

/// The target with those bytes escaped; none if it has none of them.
pub(crate) fn escaped(target: &[u8]) -> Option<Vec<u8>> {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let mut query = false;
    let mut out: Option<Vec<u8>> = None;
    for (at, &byte) in target.iter().enumerate() {
        query |= byte == b'?';
        if is_escaped(byte, query) {
            let out = out.get_or_insert_with(|| {
                let mut start = Vec::with_capacity(target.len() + 32);
                start.extend_from_slice(target.get(..at).unwrap_or_default());
                start
            });
            out.push(b'%');
            out.extend([byte >> 4, byte & 15].iter().filter_map(|nibble| DIGITS.get(usize::from(*nibble))));
        } else if let Some(out) = &mut out {
            out.push(byte);
        }
    }
    out
}

/// Whether `read` is `sent`, or what it is escaped to.
pub(crate) fn same(sent: &[u8], read: &str) -> bool {
    sent == read.as_bytes() || escaped(sent).is_some_and(|escaped| escaped == read.as_bytes())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(target: &[u8]) -> Option<String> {
        escaped(target).map(|bytes| String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn bytes_that_mean_themselves_are_escaped_and_others_stay() {
        assert_eq!(text(b"/a?b=c"), None);
        assert_eq!(text(b"/<`\">?<`\">").as_deref(), Some("/%3C%60\"%3E?%3C`%22%3E"));
        assert_eq!(text("/?q=é".as_bytes()).as_deref(), Some("/?q=%C3%A9"));
        assert_eq!(text(b"/?q=\xff%3c").as_deref(), Some("/?q=%FF%3c"));
    }

    #[test]
    fn what_is_read_is_what_was_sent() {
        assert!(same(b"/?a", "/?a") && same(b"/?<", "/?%3C"));
        assert!(!same(b"/?<", "/?<b") && !same(b"/?a", "/?b") && !same(b"/?<", "/?%3E"));
    }

    proptest! {
        #[test]
        fn escaping_twice_changes_nothing_and_decodes_to_what_was_sent(target in any::<Vec<u8>>()) {
            if let Some(once) = escaped(&target) {
                prop_assert_eq!(escaped(&once), None);
                let plain = |bytes: &[u8]| -> Vec<u8> {
                    let text: String = bytes.iter().map(|byte| char::from(*byte)).collect();
                    ["%3C", "%3E", "%60", "%22"].iter().zip(["<", ">", "`", "\""])
                        .fold(text, |text, (from, to)| text.replace(from, to))
                        .chars().map(|letter| letter as u8).filter(|byte| *byte < 0x80).collect()
                };
                let ascii: Vec<u8> = target.iter().copied().filter(|byte| *byte < 0x80).collect();
                let high = target.iter().any(|byte| *byte >= 0x80);
                prop_assert!(high || plain(&once) == plain(&ascii));
            }
        }
    }
}
