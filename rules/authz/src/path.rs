//! Path patterns, templates, and the readings a canonical path may have for the server behind.
//!
//! Promises: a pattern that no canonical path can ever match is refused, since a DENY that never fires is a hole.
//! `{*}` never crosses a `/`. It does not canonicalise requests: that is `palisade-http`.

use std::borrow::Cow;

use crate::pattern::Pattern;

/// One compiled value of `paths`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PathPattern {
    /// Exact, prefix, suffix, present.
    Text(Pattern),
    /// With `{*}` and `{**}`.
    Template(Template),
}

/// A path of segments, some of which are open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Template {
    /// Before `{**}`; all of them if there is none.
    head: Box<[Segment]>,
    /// After `{**}`; none if there is no `{**}`.
    tail: Option<Box<[Segment]>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    Literal(Box<str>),
    /// `{*}`: one segment that is not empty.
    One,
}

impl PathPattern {
    /// Reads a pattern; the error is a sentence.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if text.contains(['{', '}']) {
            return Template::parse(text).map(Self::Template);
        }
        let pattern = Pattern::parse(text)?;
        let from_start = matches!(pattern, Pattern::Exact(_) | Pattern::Prefix(_));
        if from_start && !pattern.literal().starts_with('/') {
            return Err(format!("{text:?} can never match: a path begins with `/`"));
        }
        let complete = matches!(pattern, Pattern::Exact(_) | Pattern::Suffix(_));
        never_canonical(pattern.literal(), complete)
            .map_or(Ok(Self::Text(pattern)), |why| Err(format!("{text:?} can never match: {why}")))
    }

    /// The path, if it is only one.
    pub(crate) fn exact(&self) -> Option<&str> {
        match self {
            Self::Text(Pattern::Exact(path)) => Some(path),
            _ => None,
        }
    }

    pub(crate) fn matches(&self, path: &str) -> bool {
        match self {
            Self::Text(pattern) => pattern.matches(path.as_bytes()),
            Self::Template(template) => template.matches(path),
        }
    }
}

impl Template {
    fn parse(text: &str) -> Result<Self, String> {
        let Some(rest) = text.strip_prefix('/') else {
            return Err(format!("{text:?}: a template begins with `/`"));
        };
        let (mut head, mut tail): (Vec<Segment>, Option<Vec<Segment>>) = (Vec::new(), None);
        for segment in rest.split('/') {
            if segment == "{**}" {
                if tail.is_some() {
                    return Err(format!("{text:?}: `{{**}}` may stand only once"));
                }
                tail = Some(Vec::new());
                continue;
            }
            let compiled = if segment == "{*}" {
                if tail.is_some() {
                    return Err(format!("{text:?}: no operator may follow `{{**}}`"));
                }
                Segment::One
            } else if segment.contains(['{', '}', '*']) {
                return Err(format!("{text:?}: `{{*}}` and `{{**}}` must be whole segments"));
            } else {
                Segment::Literal(segment.into())
            };
            tail.as_mut().unwrap_or(&mut head).push(compiled);
        }
        let literal = text.replace("{**}", "x").replace("{*}", "x");
        if let Some(why) = never_canonical(&literal, true) {
            return Err(format!("{text:?} can never match: {why}"));
        }
        Ok(Self { head: head.into(), tail: tail.map(Into::into) })
    }

    fn matches(&self, path: &str) -> bool {
        let Some(rest) = path.strip_prefix('/') else { return false };
        let mut segments = rest.split('/');
        if !self.head.iter().all(|wanted| segments.next().is_some_and(|segment| wanted.matches(segment))) {
            return false;
        }
        let Some(tail) = &self.tail else { return segments.next().is_none() };
        // `{**}` takes what lies between two slashes, which may be nothing: at least one (perhaps empty) segment.
        tail.iter().rev().all(|wanted| segments.next_back().is_some_and(|segment| wanted.matches(segment)))
            && segments.next().is_some()
    }
}

impl Segment {
    fn matches(&self, segment: &str) -> bool {
        match self {
            Self::Literal(text) => **text == *segment,
            Self::One => !segment.is_empty(),
        }
    }
}

/// Why no canonical path contains this text, if none does. `complete`: whether the text reaches the end of the path.
fn never_canonical(literal: &str, complete: bool) -> Option<&'static str> {
    if let Some(byte) = literal.bytes().find(|byte| !in_path(*byte)) {
        return Some(match byte {
            b'?' => "the query is not part of the path",
            b'#' => "a fragment is never sent",
            _ => "a byte that RFC 3986 does not allow in a path is compared as %XX",
        });
    }
    if literal.contains("//") {
        return Some("duplicate slashes are merged before paths are compared");
    }
    let dots = |segment: &str| segment == "." || segment == "..";
    let mut segments = literal.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        if dots(segment) && (segments.peek().is_some() || complete) {
            return Some("dot segments are resolved before paths are compared");
        }
    }
    for (at, _) in literal.match_indices('%') {
        let Some(escape) = literal.as_bytes().get(at + 1..at + 3) else {
            // The end of a prefix may cut an escape.
            return complete.then_some("`%` needs two hexadecimal digits");
        };
        match hex_pair(escape) {
            None => return Some("`%` needs two hexadecimal digits"),
            Some(byte) if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') => {
                return Some("unreserved characters are decoded before paths are compared");
            }
            Some(_) if escape.iter().any(u8::is_ascii_lowercase) => {
                return Some("escapes are in upper case when paths are compared");
            }
            Some(_) => {}
        }
    }
    None
}

/// A `/`, a `%`, or a `pchar` (RFC 3986 §3.3).
fn in_path(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/%".contains(&byte)
}

fn hex_pair(pair: &[u8]) -> Option<u8> {
    let [high, low] = pair else { return None };
    let digit = |byte: &u8| char::from(*byte).to_digit(16);
    u8::try_from(digit(high)? * 16 + digit(low)?).ok()
}

/// The ways a server may read one canonical path.
#[derive(Debug)]
pub(crate) struct Readings<'a> {
    /// What is forwarded.
    pub(crate) canonical: &'a str,
    /// What a server makes of it that decodes `%2F` and `%5C`, takes `\` for `/` and drops `;parameters`; none if
    /// that is the same.
    pub(crate) loose: Option<String>,
    /// Whether the loose reading climbs out of a directory with `..`, or the canonical one hides a slash.
    pub(crate) treacherous: bool,
}

impl<'a> Readings<'a> {
    pub(crate) fn of(path: &'a str) -> Self {
        if !path.contains(['%', '\\', ';']) {
            return Self { canonical: path, loose: None, treacherous: false };
        }
        let decoded = decode(path);
        let hidden_slash = decoded.matches('/').count() != path.matches('/').count();
        let (mut segments, mut climbs): (Vec<&str>, bool) = (Vec::new(), false);
        let mut parts = decoded.split('/').skip(1).peekable();
        while let Some(part) = parts.next() {
            let last = parts.peek().is_none();
            match part.split(';').next().unwrap_or_default() {
                ".." => {
                    climbs = true;
                    segments.pop();
                    if last {
                        segments.push("");
                    }
                }
                "." | "" if !last => {}
                "." => segments.push(""),
                name => segments.push(name),
            }
        }
        let loose = format!("/{}", segments.join("/"));
        let treacherous = climbs || hidden_slash;
        Self { canonical: path, loose: (loose != path).then_some(loose), treacherous }
    }
}

/// Decodes every escape once and turns backslashes into slashes.
fn decode(path: &str) -> Cow<'_, str> {
    let (mut out, mut rest) = (Vec::with_capacity(path.len()), path.as_bytes());
    while let Some((byte, after)) = rest.split_first() {
        let escaped = if *byte == b'%' { after.get(..2).and_then(hex_pair) } else { None };
        out.push(match escaped.unwrap_or(*byte) {
            b'\\' => b'/',
            other => other,
        });
        rest = if escaped.is_some() { after.get(2..).unwrap_or_default() } else { after };
    }
    Cow::Owned(String::from_utf8_lossy(&out).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, path: &str) -> bool {
        PathPattern::parse(pattern).unwrap().matches(path)
    }

    #[test]
    fn path_17_one_segment_never_crosses_a_slash() {
        assert!(matches("/a/{*}/c", "/a/b/c") && matches("/a/{*}", "/a/b"));
        for path in ["/a/b/x/c", "/a//c", "/a/c", "/a/b/c/"] {
            assert!(!matches("/a/{*}/c", path), "{path}");
        }
        assert!(!matches("/a/{*}", "/a/") && !matches("/a/{*}", "/a") && !matches("/a/{*}", "/a/b/c"));
        assert!(matches("/a/{*}", "/a/*"), "a star sent by a client is a segment like any other");
    }

    #[test]
    fn any_segments_stand_for_everything_between_two_slashes() {
        for path in ["/a/", "/a/b", "/a/b/c/"] {
            assert!(matches("/a/{**}", path), "{path}");
        }
        assert!(!matches("/a/{**}", "/a") && !matches("/a/{**}", "/ab/c"));
        assert!(matches("/a/{**}/z", "/a/b/c/z") && !matches("/a/{**}/z", "/a/z"));
        assert!(matches("/{*}/b/{**}", "/x/b/c/d") && !matches("/{*}/b/{**}", "/x/c/d"));
    }

    #[test]
    fn patterns_that_can_never_match_are_refused() {
        for text in [
            "admin",
            "a*",
            "/a//b",
            "/a/../b",
            "/a/.",
            "/..",
            "/a?x=1",
            "/a#b",
            "/a\\b",
            "/%61",
            "/%2f",
            "/a%",
            "/a%zz",
            "/é",
            "/a b",
            "/a{*}",
            "/{*}x/y",
            "/{**}/{*}",
            "/{**}/a/{**}",
            "/{a}",
            "{*}",
            "/a*/{*}",
            "/{*}/../x",
            "/(x|y)",
            "/a[0]",
            "/^a",
            "/{*}/a\"",
        ] {
            assert!(PathPattern::parse(text).is_err(), "{text:?} was taken");
        }
        for text in ["/", "/a", "/a*", "*.html", "*", "/a/..*", "/a%2F", "/a.b+c(d)", "/{*}", "/a/{**}/b"] {
            assert!(PathPattern::parse(text).is_ok(), "{text:?} was refused");
        }
    }

    #[test]
    fn loose_readings_find_what_a_lenient_server_would_serve() {
        for (path, loose, treacherous) in [
            ("/x%2F..%2Fadmin", "/admin", true),
            ("/%5Cadmin", "/admin", true),
            ("/x/..;/admin", "/admin", true),
            ("/admin;x=y", "/admin", false),
            ("/admin;x=y/b", "/admin/b", false),
            ("/a%20b", "/a b", false),
        ] {
            let readings = Readings::of(path);
            assert_eq!(readings.loose.as_deref(), Some(loose), "{path}");
            assert_eq!(readings.treacherous, treacherous, "{path}");
        }
        assert_eq!(Readings::of("/a/b").loose, None);
        assert_eq!(Readings::of("/a/%252e").loose.as_deref(), Some("/a/%2e"));
    }
}
