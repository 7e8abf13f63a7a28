//! The Cookie header: version 0 cookies as ModSecurity reads them. Separated by `;`, white space before a name goes,
//! the first `=` ends the name, nothing is decoded or unquoted. A cookie without `=` has an empty value; one with a value
//! but no name is kept, as Django, Starlette and Express keep it. White space after the last cookie goes.
//!
//! A value in quotes that holds a backslash or a semicolon is another one to servers that unquote it; that reading is
//! there as well (`unquoted`). It is no reason to refuse: these servers write such cookies themselves.

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
    for (name, value) in unquoted(header) {
        if cookies.pairs.len() == COOKIES_LIMIT {
            cookies.over_limit = true;
            break;
        }
        cookies.pairs.push((name.to_vec(), value));
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
    pairs.filter(|(name, value)| !name.is_empty() || !value.is_empty())
}

/// What servers that unquote values read in place of those that [`pairs`] has: a value in quotes without them, with
/// `\054` and `\"` resolved (Django, Starlette, Tornado), and one that goes on behind semicolons to its closing quote
/// (Werkzeug, aiohttp, Python's `http.cookies`).
pub(crate) fn unquoted(header: &[u8]) -> impl Iterator<Item = (&[u8], Vec<u8>)> {
    // Few requests have quotes; the others are not searched any further.
    let header = header.trim_ascii_end();
    let header = if memchr::memchr(b'"', header).is_some() { header } else { &[] };
    let mut next = 0;
    let readings = header.split(|&byte| byte == b';').map(move |segment| {
        let rest = header.get(next..).unwrap_or_default();
        next += segment.len() + 1;
        [alone(segment), across(segment, rest)]
    });
    readings.flatten().flatten()
}

/// The name and the rest of a segment whose value begins with a quote, from behind it.
fn opened(segment: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = memchr::memchr(b'=', segment)?;
    let (name, value) = segment.split_at_checked(at)?;
    Some((name.trim_ascii(), value.get(1..)?.trim_ascii_start().strip_prefix(b"\"")?))
}

/// The value of a segment that begins and ends with a quote, if something in it is escaped.
fn alone(segment: &[u8]) -> Option<(&[u8], Vec<u8>)> {
    let (name, value) = opened(segment)?;
    let inner = value.trim_ascii_end().strip_suffix(b"\"")?;
    memchr::memchr(b'\\', inner).map(|_| (name, unescape(inner)))
}

/// The value that begins in a segment and ends at its closing quote in a later one. `rest` is the header from the
/// segment's first byte on. A later value's opening quote closes this one, so that no byte is searched twice.
fn across<'a>(segment: &'a [u8], rest: &'a [u8]) -> Option<(&'a [u8], Vec<u8>)> {
    let (name, value) = opened(segment)?;
    let rest = rest.get(segment.len() - value.len()..)?;
    let mut at = 0;
    loop {
        at += memchr::memchr2(b'"', b'\\', rest.get(at..)?)?;
        if rest.get(at) == Some(&b'"') {
            break;
        }
        at += 2;
    }
    (at > value.len()).then(|| (name, unescape(rest.get(..at).unwrap_or_default())))
}

/// Resolves `\ooo`, three octal digits that make a byte, and `\c`, which is `c`.
fn unescape(text: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        match (first, after) {
            (b'\\', [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', tail @ ..]) => {
                plain.push((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'));
                rest = tail;
            }
            (b'\\', [escaped, tail @ ..]) => {
                plain.push(*escaped);
                rest = tail;
            }
            _ => plain.push(first),
        }
    }
    plain
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
            ("=1; a=2; =", &[("", "1"), ("a", "2")]),
            ("a =1 ; b=2 ", &[("a ", "1 "), ("b", "2")]),
            ("a=\"x\"", &[("a", "\"x\"")]),
            ("a=%41+b", &[("a", "%41+b")]),
            ("a=1,b=2", &[("a", "1,b=2")]),
        ];
        for (input, expected) in cases {
            let expected: Vec<Pair> =
                expected.iter().map(|(n, v)| (n.as_bytes().to_vec(), v.as_bytes().to_vec())).collect();
            assert_eq!(parse(input.as_bytes()).pairs, expected, "{input}");
        }
    }

    /// What Django 4.2, Starlette 1.10 and Tornado 6.6 (first column) and Werkzeug 3.1, aiohttp 3.14 and Python's own
    /// `http.cookies` (second column) were seen to read, where that is not what is written.
    #[test]
    fn values_in_quotes_are_read_as_django_and_as_werkzeug_read_them_too() {
        let cases: &[(&str, &[&str])] = &[
            (r#"a="plain""#, &[]),
            (r#"a="\141\164tack""#, &["attack"]),
            (r#"a="\a\t\t\a\c\k""#, &["attack"]),
            (r#"a = "\141ttack" ; b=1"#, &["attack"]),
            (r#"a="x;attack"; b=1"#, &["x;attack"]),
            (r#"b=1; a="x; attack"#, &[]),
            (r#"b=1; a="x\";attack""#, &["x\\", "x\";attack"]),
            (r#"a="\141ttack;y""#, &["attack;y"]),
            (r#"a="x"\141""#, &["x\"a"]),
            (r#"a="x"\141;c""#, &[]),
            (r#"a="\401\18""#, &["40118"]),
            (r"a=\141ttack", &[]),
            (r#"a="\141ttack"x"#, &[]),
            (r#"a="\"#, &[]),
            (r#"a=""#, &[]),
            (r#"a"="\141;\142";c"#, &["a;b"]),
        ];
        for (input, expected) in cases {
            let written = pairs(input.as_bytes()).count();
            let read = parse(input.as_bytes()).pairs;
            let values: Vec<_> =
                read.iter().skip(written).map(|(_, value)| String::from_utf8_lossy(value)).collect();
            assert_eq!(values, *expected, "{input}");
            assert!(read.iter().skip(written).all(|(name, _)| name.starts_with(b"a")), "{input}");
        }
    }

    #[test]
    fn readings_without_quotes_count_as_cookies() {
        let half = vec![r#"a="\141""#; COOKIES_LIMIT / 2].join(";");
        let cookies = parse(half.as_bytes());
        assert_eq!((cookies.pairs.len(), cookies.over_limit), (COOKIES_LIMIT, false));
        let cookies = parse(format!(r#"{half};a="\141""#).as_bytes());
        assert_eq!((cookies.pairs.len(), cookies.over_limit), (COOKIES_LIMIT, true));
    }

    #[test]
    fn cookies_at_the_limit_are_read_and_those_over_it_are_flagged() {
        for (count, over) in [(COOKIES_LIMIT - 1, false), (COOKIES_LIMIT, false), (COOKIES_LIMIT + 1, true)] {
            let cookies = parse(vec!["a=1"; count].join("; ").as_bytes());
            assert_eq!((cookies.pairs.len(), cookies.over_limit), (count.min(COOKIES_LIMIT), over));
        }
    }
}
