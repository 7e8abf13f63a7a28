//! What is shown of bytes that came in: a description, or a bounded text without control characters.

use std::fmt::Write as _;

use palisade_model::audit::{AuditBody, AuditMatch, REDACTED};

/// Bytes of a matched value that are shown, if the policy shows them.
pub(super) const VALUE_BYTES: usize = 512;

/// Bytes of a body that are shown, if the policy shows them: what an analyst reads, not an archive.
pub(super) const BODY_BYTES: usize = 64 * 1024;

/// Bytes as text for people: bounded, no control characters.
pub(crate) fn text(bytes: &[u8], limit: usize) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut shown = String::new();
    for letter in text.chars() {
        if shown.len() + letter.len_utf8() > limit {
            shown.push('…');
            break;
        }
        shown.push(if letter.is_control() { '\u{fffd}' } else { letter });
    }
    shown
}

/// A matched value: itself, or its length and the kinds of bytes it has.
pub(super) fn value(bytes: &[u8], show: bool) -> String {
    if show {
        return text(bytes, VALUE_BYTES);
    }
    let kinds = [
        ("letters", bytes.iter().any(u8::is_ascii_alphabetic)),
        ("digits", bytes.iter().any(u8::is_ascii_digit)),
        ("space", bytes.iter().any(u8::is_ascii_whitespace)),
        ("punctuation", bytes.iter().any(u8::is_ascii_punctuation)),
        ("control", bytes.iter().any(|byte| byte.is_ascii_control() && !byte.is_ascii_whitespace())),
        ("non-ASCII", !bytes.is_ascii()),
    ];
    let kinds: Vec<&str> = kinds.into_iter().filter(|(_, there)| *there).map(|(kind, _)| kind).collect();
    let plural = if bytes.len() == 1 { "" } else { "s" };
    match kinds.as_slice() {
        [] => "0 bytes".to_owned(),
        kinds => format!("{} byte{plural}: {}", bytes.len(), kinds.join(", ")),
    }
}

/// The first part of a body as text. Bytes that are not UTF-8 are replaced.
pub(super) fn body(bytes: &[u8], complete: bool) -> AuditBody {
    let first = bytes.get(..BODY_BYTES).unwrap_or(bytes);
    AuditBody {
        bytes: bytes.len() as u64,
        truncated: !complete || first.len() < bytes.len(),
        text: String::from_utf8_lossy(first).into_owned(),
    }
}

/// Fields of a form in their URL-encoded form.
pub(super) fn form<'a>(fields: impl Iterator<Item = (&'a [u8], &'a [u8])>, bytes: u64) -> AuditBody {
    let mut text = String::new();
    let mut truncated = false;
    for (name, value) in fields {
        if text.len() + name.len() + value.len() > BODY_BYTES {
            truncated = true;
            break;
        }
        if !text.is_empty() {
            text.push('&');
        }
        encode(name, &mut text);
        text.push('=');
        encode(value, &mut text);
    }
    AuditBody { bytes, truncated, text }
}

fn encode(bytes: &[u8], text: &mut String) {
    for byte in bytes {
        if byte.is_ascii_alphanumeric() || b"-._".contains(byte) {
            text.push(char::from(*byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(text, "%{byte:02X}");
        }
    }
}

/// Takes back what was shown of a match.
pub(super) fn hide(found: &mut AuditMatch) {
    REDACTED.clone_into(&mut found.value);
    if !found.data.is_empty() {
        REDACTED.clone_into(&mut found.data);
    }
    found.message = bracketed(found);
}

/// A match as one line in ModSecurity's form.
pub(super) fn bracketed(found: &AuditMatch) -> String {
    let mut line = format!("Matched at {}.", found.target);
    let mut put = |name: &str, value: &str| {
        let value = value.replace('\\', "\\\\").replace('"', "\\\"");
        // Writing to a String cannot fail.
        let _ = write!(line, " [{name} \"{value}\"]");
    };
    if let (Some(file), Some(number)) = (&found.file, found.line) {
        put("file", file);
        put("line", &number.to_string());
    }
    put("id", &found.id.to_string());
    if let Some(rev) = &found.rev {
        put("rev", rev);
    }
    put("msg", &found.msg);
    put("data", &found.data);
    if let Some(severity) = &found.severity {
        put("severity", severity);
    }
    if let Some(ver) = &found.ver {
        put("ver", ver);
    }
    for (name, number) in [("maturity", found.maturity), ("accuracy", found.accuracy)] {
        if let Some(number) = number {
            put(name, &number.to_string());
        }
    }
    for tag in &found.tags {
        put("tag", tag);
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_is_bounded_and_has_no_control_characters() {
        assert_eq!(text(b"ARGS:a", 6), "ARGS:a", "at the limit");
        assert_eq!(text(b"ARGS:ab", 6), "ARGS:a…", "one over");
        assert_eq!(text(b"a\r\nb\xff", 16), "a\u{fffd}\u{fffd}b\u{fffd}");
    }

    #[test]
    fn a_value_is_described_unless_the_policy_shows_it() {
        assert_eq!(value(b"' or 1=1", false), "8 bytes: letters, digits, space, punctuation");
        assert_eq!(value(b"\0", false), "1 byte: control");
        assert_eq!(value("ü".as_bytes(), false), "2 bytes: non-ASCII");
        assert_eq!(value(b"", false), "0 bytes");
        assert_eq!(value(b"' or 1=1", true), "' or 1=1");
        let long = vec![b'x'; VALUE_BYTES];
        assert_eq!(value(&long, true).len(), VALUE_BYTES, "at the limit");
        assert!(value(&[long.as_slice(), b"x"].concat(), true).ends_with("x…"), "one over");
    }

    #[test]
    fn a_body_is_shown_up_to_its_limit() {
        let of = |length: usize| body(&vec![b'x'; length], true);
        assert!(!of(BODY_BYTES - 1).truncated && !of(BODY_BYTES).truncated, "under and at the limit");
        let over = of(BODY_BYTES + 1);
        assert!(over.truncated);
        assert_eq!((over.text.len(), over.bytes), (BODY_BYTES, BODY_BYTES as u64 + 1));
        assert!(body(b"x", false).truncated, "the rest was not read");
    }

    #[test]
    fn a_form_is_shown_encoded_and_up_to_its_limit() {
        let fields = [("a b", "1&2"), ("c", "ü")];
        let shown = form(fields.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())), 9);
        assert_eq!((shown.text.as_str(), shown.truncated, shown.bytes), ("a%20b=1%262&c=%C3%BC", false, 9));
        let long = vec![b'x'; BODY_BYTES - 1];
        let of = |name: &'static [u8]| form([(name, long.as_slice())].into_iter(), 0).truncated;
        assert!(!of(b"") && !of(b"a") && of(b"ab"), "under, at and over the limit");
    }

    #[test]
    fn a_match_is_one_line_that_parsers_of_modsecurity_read() {
        let found = AuditMatch {
            id: 942100,
            msg: "SQL \"Injection\"".into(),
            data: "a\\b".into(),
            severity: Some("CRITICAL".into()),
            tags: vec!["attack-sqli".into(), "OWASP_CRS".into()],
            target: "ARGS:q".into(),
            ver: Some("OWASP_CRS/4.0".into()),
            file: Some("a.conf".into()),
            line: Some(7),
            accuracy: Some(9),
            ..AuditMatch::default()
        };
        assert_eq!(
            bracketed(&found),
            "Matched at ARGS:q. [file \"a.conf\"] [line \"7\"] [id \"942100\"] [msg \"SQL \\\"Injection\\\"\"] \
             [data \"a\\\\b\"] [severity \"CRITICAL\"] [ver \"OWASP_CRS/4.0\"] [accuracy \"9\"] \
             [tag \"attack-sqli\"] [tag \"OWASP_CRS\"]"
        );
    }
}
