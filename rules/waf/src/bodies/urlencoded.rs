//! `application/x-www-form-urlencoded` bodies and query strings.
//!
//! ModSecurity's reading: pairs are separated by one byte, name and value by the first `=`, both are decoded (`+`,
//! `%HH`; not `%uHHHH`, which is a transformation's business). An invalid escape stays as it is and is flagged. A
//! parameter without `=` has an empty value; an empty segment between separators is a parameter with an empty name.

use super::Pair;
use crate::transformations::decode_form;

/// SecArgumentSeparator's default.
pub const SEPARATOR: u8 = b'&';

/// How arguments of a query or a form are read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reading {
    /// The most that are read.
    pub(crate) limit: usize,
    /// What stands between them.
    pub(crate) separator: u8,
}

/// What was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parameters {
    /// Names and values, decoded, in order.
    pub pairs: Vec<Pair>,
    /// Whether a `%` was followed by something else than two hexadecimal digits (URLENCODED_ERROR).
    pub invalid_encoding: bool,
    /// Whether there were more than the limit; `pairs` then holds the first ones.
    pub over_limit: bool,
}

/// Reads parameters, at most `limit` of them.
pub fn parse(input: &[u8], separator: u8, limit: usize) -> Parameters {
    let mut parameters = Parameters::default();
    for (name, value) in segments(input, separator) {
        if parameters.pairs.len() == limit {
            parameters.over_limit = true;
            break;
        }
        let (name, wrong_name) = decode_form(name);
        let (value, wrong_value) = decode_form(value);
        parameters.invalid_encoding |= wrong_name + wrong_value > 0;
        parameters.pairs.push((name, value));
    }
    parameters
}

/// The names and values before they are decoded.
pub(crate) fn segments(input: &[u8], separator: u8) -> impl Iterator<Item = (&[u8], &[u8])> {
    // A separator at the end does not start another parameter.
    let input = input.strip_suffix(&[separator]).unwrap_or(input);
    let segments = (!input.is_empty()).then(|| input.split(move |&byte| byte == separator));
    segments.into_iter().flatten().map(|segment| {
        let mut parts = segment.splitn(2, |&byte| byte == b'=');
        (parts.next().unwrap_or_default(), parts.next().unwrap_or_default())
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::bodies::ARGUMENTS_LIMIT;

    fn read(input: &str) -> Vec<(String, String)> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let parameters = parse(input.as_bytes(), SEPARATOR, ARGUMENTS_LIMIT);
        parameters.pairs.iter().map(|(name, value)| (text(name), text(value))).collect()
    }

    #[test]
    fn parameters_are_read_as_modsecurity_reads_them() {
        let cases: &[(&str, &[(&str, &str)])] = &[
            ("", &[]),
            ("a=1", &[("a", "1")]),
            ("a=1&b=2", &[("a", "1"), ("b", "2")]),
            ("a=1&a=2", &[("a", "1"), ("a", "2")]),
            ("a", &[("a", "")]),
            ("a&b=", &[("a", ""), ("b", "")]),
            ("=1", &[("", "1")]),
            ("a=b=c", &[("a", "b=c")]),
            ("a=1&", &[("a", "1")]),
            ("a=1&&b=2", &[("a", "1"), ("", ""), ("b", "2")]),
            ("a+b=c+d", &[("a b", "c d")]),
            ("%61%3d=%26%3D", &[("a=", "&=")]),
            ("a=%", &[("a", "%")]),
            ("a=%zz%4", &[("a", "%zz%4")]),
            ("a=%u0041", &[("a", "%u0041")]),
            ("a;b=1", &[("a;b", "1")]),
        ];
        for (input, expected) in cases {
            let expected: Vec<_> = expected.iter().map(|(n, v)| (n.to_string(), v.to_string())).collect();
            assert_eq!(read(input), expected, "{input}");
        }
    }

    #[test]
    fn an_invalid_escape_is_flagged_and_a_valid_one_is_not() {
        for (input, invalid) in
            [("a=%41", false), ("a=%4", true), ("%=1", true), ("a=%u0041", true), ("a+b", false)]
        {
            assert_eq!(parse(input.as_bytes(), SEPARATOR, 10).invalid_encoding, invalid, "{input}");
        }
    }

    #[test]
    fn the_separator_can_be_chosen() {
        let parameters = parse(b"a=1;b=2&c", b';', 10);
        assert_eq!(parameters.pairs, [(b"a".to_vec(), b"1".to_vec()), (b"b".to_vec(), b"2&c".to_vec())]);
    }

    #[test]
    fn parameters_at_the_limit_are_read_and_those_over_it_are_flagged() {
        for (count, over) in
            [(ARGUMENTS_LIMIT - 1, false), (ARGUMENTS_LIMIT, false), (ARGUMENTS_LIMIT + 1, true)]
        {
            let input = vec!["a=1"; count].join("&");
            let parameters = parse(input.as_bytes(), SEPARATOR, ARGUMENTS_LIMIT);
            assert_eq!((parameters.pairs.len(), parameters.over_limit), (count.min(ARGUMENTS_LIMIT), over));
        }
    }

    /// The plainest reading of the same rules.
    fn naive(input: &[u8]) -> Vec<u8> {
        let mut output = Vec::new();
        let mut rest = input.to_vec();
        while !rest.is_empty() {
            let digits = rest.get(1..3).and_then(|pair| std::str::from_utf8(pair).ok());
            let digits = digits.filter(|pair| pair.bytes().all(|byte| byte.is_ascii_hexdigit()));
            match (rest[0], digits) {
                (b'%', Some(pair)) => {
                    output.push(u8::from_str_radix(pair, 16).unwrap());
                    rest.drain(..3);
                }
                (b'+', _) => {
                    output.push(b' ');
                    rest.remove(0);
                }
                (byte, _) => {
                    output.push(byte);
                    rest.remove(0);
                }
            }
        }
        output
    }

    proptest! {
        #[test]
        fn decoding_agrees_with_a_naive_reading(input in "[%+a-f0-9xu=é]{0,24}") {
            let value = input.replace('=', "");
            let read = parse(format!("k={value}").as_bytes(), SEPARATOR, 10);
            prop_assert_eq!(&read.pairs[0].1, &naive(value.as_bytes()));
        }

        #[test]
        fn escaped_pairs_come_back(pairs in prop::collection::vec((any::<Vec<u8>>(), any::<Vec<u8>>()), 1..8)) {
            let escape = |bytes: &[u8]| bytes.iter().map(|byte| format!("%{byte:02X}")).collect::<String>();
            let input: Vec<_> = pairs.iter().map(|(name, value)| format!("{}={}", escape(name), escape(value))).collect();
            prop_assert_eq!(parse(input.join("&").as_bytes(), SEPARATOR, 10).pairs, pairs);
        }
    }
}
