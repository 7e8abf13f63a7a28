//! SPIFFE IDs: `spiffe://<trust-domain>/ns/<namespace>/sa/<service-account>` ↔ [`Principal`].
//!
//! Promises: one text has one reading. What a lenient URI parser would rewrite (ports, user names, queries,
//! fragments, percent-escapes, dot segments, upper-case trust domains, trailing slashes) is refused.

use palisade_model::Principal;

use crate::IdentityError;

/// The longest SPIFFE ID in bytes (SPIFFE-ID §2.3).
pub const MAX_SPIFFE_ID_BYTES: usize = 2048;

/// Reads a SPIFFE ID of a workload.
pub fn parse_uri(uri: &str) -> Result<Principal, IdentityError> {
    if uri.len() > MAX_SPIFFE_ID_BYTES {
        return Err(IdentityError::SpiffeId(format!("longer than {MAX_SPIFFE_ID_BYTES} bytes")));
    }
    let Some(rest) = uri.strip_prefix("spiffe://") else {
        return Err(IdentityError::SpiffeId("the scheme must be spiffe://".to_owned()));
    };
    // The characters that a principal's parts may have exclude every URI delimiter but the slash.
    rest.parse().map_err(|error| IdentityError::SpiffeId(format!("{error}")))
}

/// Reads the SPIFFE ID of a trust domain: `spiffe://<trust-domain>`, as a signing certificate carries it.
pub fn parse_trust_domain_uri(uri: &str) -> Result<String, IdentityError> {
    let Some(domain) = uri.strip_prefix("spiffe://") else {
        return Err(IdentityError::SpiffeId("the scheme must be spiffe://".to_owned()));
    };
    check_trust_domain(domain)?;
    Ok(domain.to_owned())
}

/// Whether a text is a trust domain (SPIFFE-ID §2.1).
pub fn check_trust_domain(domain: &str) -> Result<(), IdentityError> {
    Principal::new(domain, "n", "s").map(drop).map_err(|error| IdentityError::SpiffeId(format!("{error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spiffe_id_is_read_and_written_the_same() {
        let uri = "spiffe://cluster.local/ns/shop/sa/web-1";
        let principal = parse_uri(uri).unwrap();
        assert_eq!(principal, Principal::new("cluster.local", "shop", "web-1").unwrap());
        assert_eq!(principal.spiffe_uri(), uri);
    }

    // Adversarial test 62 is among these.
    #[test]
    fn a_text_with_a_second_reading_is_refused() {
        for uri in [
            "",
            "spiffe://",
            "spiffe://td",
            "spiffe://td/",
            "https://td/ns/a/sa/b",
            "SPIFFE://td/ns/a/sa/b",
            "spiffe:/td/ns/a/sa/b",
            "spiffe:///ns/a/sa/b",
            "spiffe://TD/ns/a/sa/b",
            "spiffe://td:443/ns/a/sa/b",
            "spiffe://user@td/ns/a/sa/b",
            "spiffe://td/ns/a/sa/b?x=y",
            "spiffe://td/ns/a/sa/b#x",
            "spiffe://td/ns/a/sa/b/",
            "spiffe://td/ns/a/sa/b/../c",
            "spiffe://td/ns/a/sa/b/c",
            "spiffe://td/ns/a/sa/..",
            "spiffe://td/ns/./sa/b",
            "spiffe://td//ns/a/sa/b",
            "spiffe://td/ns/a%2fx/sa/b",
            "spiffe://td/ns/a/sa/b\0",
            "spiffe://td/ns/a/sa/b\0.evil",
            "spiffe://td/ns/a/sa/*",
            "spiffe://*/ns/a/sa/b",
            "spiffe://td/sa/a/ns/b",
            "spiffe://td/ns/a b/sa/c",
            "spiffe://tд/ns/a/sa/c",
            " spiffe://td/ns/a/sa/c",
        ] {
            assert!(parse_uri(uri).is_err(), "{uri:?} was taken for a SPIFFE ID");
        }
    }

    #[test]
    fn the_length_limit_is_exact() {
        let at = |total: usize| {
            let fixed = "spiffe:///ns/n/sa/s".len();
            format!("spiffe://{}/ns/n/sa/s", "d".repeat(total - fixed))
        };
        // Over 255 bytes the trust domain is refused for itself; the message tells which limit spoke.
        let message = |uri: &str| parse_uri(uri).unwrap_err().to_string();
        assert!(!message(&at(MAX_SPIFFE_ID_BYTES)).contains("longer than"));
        assert!(message(&at(MAX_SPIFFE_ID_BYTES + 1)).contains("longer than"));
        assert!(parse_uri(&at(200)).is_ok());
    }

    #[test]
    fn a_trust_domain_uri_has_no_path() {
        assert_eq!(parse_trust_domain_uri("spiffe://mesh.example").unwrap(), "mesh.example");
        for uri in
            ["spiffe://", "spiffe://mesh.example/", "spiffe://A", "mesh.example", "spiffe://a/ns/b/sa/c"]
        {
            assert!(parse_trust_domain_uri(uri).is_err(), "{uri:?}");
        }
    }
}
