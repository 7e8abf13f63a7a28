//! The authority of a request, read strictly (RFC 3986 §3.2, RFC 9112 §3.2).
//!
//! Promises a lower-case host without a trailing dot and a port without leading zeros. It knows no DNS and no
//! internationalised names: those arrive as `xn--` labels.

use std::net::Ipv6Addr;

use palisade_model::{Authority, Scheme};

use crate::{Cause, Malformed};

/// Bytes of a host name (RFC 1035 §3.1, in text form).
pub const HOST_BYTES: usize = 253;

/// Reads `host`, `host:port` or `[v6]:port`.
pub fn parse(bytes: &[u8], place: &str) -> Result<Authority, Malformed> {
    let refuse = |cause| Malformed::new(cause, place);
    if bytes.is_empty() {
        return Err(refuse(Cause::MissingHost));
    }
    if memchr::memchr(b'@', bytes).is_some() {
        return Err(refuse(Cause::UserInfo));
    }
    let (host, port) = match bytes.split_first() {
        Some((b'[', rest)) => {
            let end = memchr::memchr(b']', rest).ok_or_else(|| refuse(Cause::Host))?;
            let (address, after) = rest.split_at_checked(end).ok_or_else(|| refuse(Cause::Host))?;
            let address: Ipv6Addr = std::str::from_utf8(address)
                .ok()
                .and_then(|text| text.parse().ok())
                .ok_or_else(|| refuse(Cause::Host))?;
            let port = match after.strip_prefix(b"]") {
                Some([]) => None,
                Some([b':', port @ ..]) => Some(port),
                _ => return Err(refuse(Cause::Host)),
            };
            (format!("[{address}]"), port)
        }
        _ => {
            let (host, port) = match memchr::memchr(b':', bytes) {
                Some(colon) => (bytes.get(..colon).unwrap_or_default(), bytes.get(colon + 1..)),
                None => (bytes, None),
            };
            (name(host).ok_or_else(|| refuse(Cause::Host))?, port)
        }
    };
    let port = port.map(parse_port).transpose().map_err(|()| refuse(Cause::Port))?;
    Ok(Authority { host, port })
}

/// Whether two authorities are the same place under a scheme: a missing port means the scheme's own.
pub fn same(one: &Authority, other: &Authority, scheme: Scheme) -> bool {
    let port = |authority: &Authority| authority.port.unwrap_or(scheme.default_port());
    one.host == other.host && port(one) == port(other)
}

fn name(host: &[u8]) -> Option<String> {
    let host = host.strip_suffix(b".").unwrap_or(host);
    if host.is_empty() || host.len() > HOST_BYTES {
        return None;
    }
    let mut lower = String::with_capacity(host.len());
    let mut label = 0_usize;
    for &byte in host {
        match byte {
            b'.' if label == 0 => return None,
            b'.' => label = 0,
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => label += 1,
            _ => return None,
        }
        lower.push(char::from(byte.to_ascii_lowercase()));
    }
    (label > 0).then_some(lower)
}

/// Leading zeros are refused: `:0080` and `:80` would be one port to us and perhaps two to a policy's author.
fn parse_port(digits: &[u8]) -> Result<u16, ()> {
    if digits.len() > 5 || digits.first().is_none_or(|first| !matches!(first, b'1'..=b'9')) {
        return Err(());
    }
    let mut port = 0_u32;
    for &digit in digits {
        if !digit.is_ascii_digit() {
            return Err(());
        }
        port = port * 10 + u32::from(digit - b'0');
    }
    u16::try_from(port).map_err(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<String, Cause> {
        parse(text.as_bytes(), "test")
            .map(|authority| authority.to_string())
            .map_err(|malformed| malformed.cause)
    }

    #[test]
    fn host_20_case_is_folded() {
        assert_eq!(read("A.COM").as_deref(), Ok("a.com"));
    }

    #[test]
    fn host_21_ports() {
        assert_eq!(read("a.com:80").as_deref(), Ok("a.com:80"));
        assert_eq!(read("a.com:65535").as_deref(), Ok("a.com:65535"));
        for bad in ["a.com:0080", "a.com:", "a.com:0", "a.com:65536", "a.com:+80", "a.com:8o", "a.com:80:80"]
        {
            assert_eq!(read(bad), Err(Cause::Port), "{bad}");
        }
    }

    #[test]
    fn host_22_one_trailing_dot_is_removed() {
        assert_eq!(read("a.com.").as_deref(), Ok("a.com"));
        assert_eq!(read("a.com.:80").as_deref(), Ok("a.com:80"));
        assert_eq!(read("a.com..").map_err(|_| ()), Err(()));
        assert_eq!(read("."), Err(Cause::Host));
    }

    #[test]
    fn bad_hosts_are_refused() {
        for bad in [
            "a..b",
            ".a",
            "a b",
            "a%2eb",
            "a/b",
            "a\\b",
            "é.com",
            "[::1",
            "[::1]x",
            "[fe80::1%25eth0]",
            "::1x y",
            "[1.2.3.4]",
            "a,b",
            "a\0b",
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
        assert_eq!(read(""), Err(Cause::MissingHost));
        assert_eq!(read("user@a.com"), Err(Cause::UserInfo));
        assert_eq!(read("user:pass@a.com"), Err(Cause::UserInfo));
    }

    #[test]
    fn ipv6_has_one_spelling() {
        assert_eq!(read("[::1]:80").as_deref(), Ok("[::1]:80"));
        assert_eq!(read("[0:0:0:0:0:0:0:1]").as_deref(), Ok("[::1]"));
        assert_eq!(read("[2001:DB8::A]").as_deref(), Ok("[2001:db8::a]"));
    }

    #[test]
    fn the_host_limit_is_at_253_bytes() {
        let long = |bytes: usize| "a".repeat(bytes);
        assert!(read(&long(HOST_BYTES - 1)).is_ok());
        assert!(read(&long(HOST_BYTES)).is_ok());
        assert_eq!(read(&long(HOST_BYTES + 1)), Err(Cause::Host));
    }

    #[test]
    fn a_missing_port_is_the_schemes() {
        let (plain, written) = (parse(b"a", "").unwrap(), parse(b"a:443", "").unwrap());
        assert!(same(&plain, &written, Scheme::Https));
        assert!(!same(&plain, &written, Scheme::Http));
    }
}
