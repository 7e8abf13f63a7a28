//! The Cookie header: version 0 cookies as ModSecurity reads them. Separated by `;`, white space before a name goes,
//! the first `=` ends the name, nothing is decoded or unquoted. A cookie without `=` has an empty value; one without a
//! name is skipped. White space after the last cookie goes.

use super::Pair;

/// Cookies of one request that are read; the rest is flagged. Browsers keep at most 180 a site; many cookies cost
/// seconds in other engines.
pub const COOKIES_LIMIT: usize = 1000;

/// What was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cookies {
    /// Names and values in order.
    pub pairs: Vec<Pair>,
    /// Whether there were more than [`COOKIES_LIMIT`].
    pub over_limit: bool,
}

/// Reads one Cookie header's value.
pub fn parse(header: &[u8]) -> Cookies {
    let mut cookies = Cookies::default();
    for (name, value) in pairs(header) {
        if cookies.pairs.len() == COOKIES_LIMIT {
            cookies.over_limit = true;
            break;
        }
        cookies.pairs.push((name.to_vec(), value.to_vec()));
    }
    cookies
}

/// The cookies of one header, in order.
pub(crate) fn pairs(header: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let segments = header.trim_ascii_end().split(|&byte| byte == b';');
    let pairs = segments.map(|segment| {
        let mut parts = segment.trim_ascii_start().splitn(2, |&byte| byte == b'=');
        (parts.next().unwrap_or_default(), parts.next().unwrap_or_default())
    });
    pairs.filter(|(name, _)| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies_are_read_as_modsecurity_reads_them() {
        let cases: &[(&str, &[(&str, &str)])] = &[
            ("", &[]),
            ("a=1", &[("a", "1")]),
            ("a=1; b=2", &[("a", "1"), ("b", "2")]),
            ("a=1;b=2", &[("a", "1"), ("b", "2")]),
            ("a", &[("a", "")]),
            ("a=; b", &[("a", ""), ("b", "")]),
            ("a=b=c", &[("a", "b=c")]),
            (";;a=1;;", &[("a", "1")]),
            ("=1; a=2", &[("a", "2")]),
            ("a =1 ; b=2 ", &[("a ", "1 "), ("b", "2")]),
            ("a=\"x;y\"", &[("a", "\"x"), ("y\"", "")]),
            ("a=%41+b", &[("a", "%41+b")]),
            ("a=1,b=2", &[("a", "1,b=2")]),
        ];
        for (input, expected) in cases {
            let expected: Vec<Pair> =
                expected.iter().map(|(n, v)| (n.as_bytes().to_vec(), v.as_bytes().to_vec())).collect();
            assert_eq!(parse(input.as_bytes()).pairs, expected, "{input}");
        }
    }

    #[test]
    fn cookies_at_the_limit_are_read_and_those_over_it_are_flagged() {
        for (count, over) in [(COOKIES_LIMIT - 1, false), (COOKIES_LIMIT, false), (COOKIES_LIMIT + 1, true)] {
            let cookies = parse(vec!["a=1"; count].join("; ").as_bytes());
            assert_eq!((cookies.pairs.len(), cookies.over_limit), (count.min(COOKIES_LIMIT), over));
        }
    }
}
