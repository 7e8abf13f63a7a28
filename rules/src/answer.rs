//! What a refused client gets: a status, a redirection, or nothing.
//!
//! Promises that a location holds no byte that could end a header or be read as another one, whatever a rule expands
//! into it. Does not render: `proxy/src/deny.rs` does.

use http::HeaderValue;
use palisade_waf::Interruption;

/// Bytes of a location after escaping. Rules may expand what the client sent into it; browsers take about as many.
pub const LOCATION_BYTES: usize = 8 * 1024;

/// What a refused client gets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Answer {
    /// The denial's status and a reference id.
    #[default]
    Status,
    /// The denial's status, which is one of the 300s, and a location (`redirect`).
    Redirect(HeaderValue),
    /// No answer: the HTTP/2 stream is reset, the HTTP/1 connection closed (`drop`).
    Drop,
}

impl Answer {
    /// What a rule asked for. A location that is empty or too long becomes a refusal with a status.
    pub(crate) fn of(interruption: &Interruption) -> Self {
        if interruption.drop {
            return Self::Drop;
        }
        interruption.redirect.as_deref().and_then(location).map_or(Self::Status, Self::Redirect)
    }

    /// Whether a rule asked for a redirection that cannot be written.
    pub(crate) fn is_lost_redirect(&self, interruption: &Interruption) -> bool {
        interruption.redirect.is_some() && !matches!(self, Self::Redirect(_))
    }
}

/// A location as a URI reference: bytes that no URI has are percent-encoded, line ends among them.
fn location(text: &[u8]) -> Option<HeaderValue> {
    let mut written = String::with_capacity(text.len());
    for byte in text.trim_ascii() {
        if byte.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(byte) {
            written.push(char::from(*byte));
        } else {
            written.push_str(&format!("%{byte:02X}"));
        }
        if written.len() > LOCATION_BYTES {
            return None;
        }
    }
    if written.is_empty() { None } else { HeaderValue::from_str(&written).ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_byte_of_a_location_ends_a_header_and_every_one_is_a_uris() {
        let every: Vec<u8> = (0..=255).collect();
        let written = location(&every).unwrap();
        let written = written.to_str().unwrap();
        assert!(written.bytes().all(|byte| byte.is_ascii_graphic()), "{written}");
        for (text, expected) in [
            ("https://example.com/a?b=c#d", "https://example.com/a?b=c#d"),
            ("/a\r\nset-cookie: x=1", "/a%0D%0Aset-cookie:%20x=1"),
            (" /trimmed\t", "/trimmed"),
            ("/%41%zz", "/%41%zz"),
            ("/\u{fc}\0", "/%C3%BC%00"),
        ] {
            assert_eq!(location(text.as_bytes()).unwrap(), expected, "{text:?}");
        }
        assert_eq!(location(b" \r\n"), None);
    }

    #[test]
    fn a_location_may_be_as_long_as_the_limit_and_no_longer() {
        let of = |bytes: usize| location("/".repeat(bytes).as_bytes()).is_some();
        assert_eq!([LOCATION_BYTES - 1, LOCATION_BYTES, LOCATION_BYTES + 1].map(of), [true, true, false]);
        assert!(
            location("\n/".repeat(LOCATION_BYTES).as_bytes()).is_none(),
            "it is counted as it is written"
        );
    }
}
