//! Join tokens: how a workload outside Kubernetes proves, once, who it is.
//!
//! ```text
//!   palisade-join:v1:<SHA-256 of the root certificate, hex>:<32 secret bytes, hex>
//! ```
//! The hash tells the workload whom to trust before it trusts anybody; the secret tells the control plane which record
//! to look up. What the token is good for (workload, principal, expiry, uses) stands in that record and not in the
//! token, so nothing can be gained by altering one. The control plane keeps the secret's digest only.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use rustls_pki_types::CertificateDer;

use crate::{IdentityError, certificate};

/// What every token begins with, so that a leaked one is recognised.
pub const PREFIX: &str = "palisade-join:v1:";
/// Bytes of the secret: as many as its digest has, so that guessing either is equally hopeless.
pub const SECRET_BYTES: usize = 32;

/// A join token. `Display` shows the secret: it is the token.
#[derive(Clone, PartialEq, Eq)]
pub struct JoinToken {
    root: [u8; 32],
    secret: [u8; SECRET_BYTES],
}

impl JoinToken {
    /// Makes a token for workloads that shall trust this root.
    pub fn generate(root: &CertificateDer<'_>) -> Result<Self, IdentityError> {
        let mut secret = [0; SECRET_BYTES];
        SystemRandom::new().fill(&mut secret).map_err(|_| IdentityError::JoinToken("no randomness"))?;
        Ok(Self { root: certificate::fingerprint(root), secret })
    }

    /// The SHA-256 digest of the root certificate that the control plane must show.
    pub fn root(&self) -> &[u8; 32] {
        &self.root
    }

    /// The secret.
    pub(crate) fn secret(&self) -> &[u8; SECRET_BYTES] {
        &self.secret
    }

    /// What the control plane keeps and looks up.
    pub fn digest(&self) -> String {
        secret_digest(&self.secret)
    }
}

/// The digest of a secret, in hexadecimal.
pub fn secret_digest(secret: &[u8]) -> String {
    hex(digest(&SHA256, secret).as_ref())
}

impl fmt::Display for JoinToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}:{}", hex(&self.root), hex(&self.secret))
    }
}

impl fmt::Debug for JoinToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JoinToken(root {})", hex(&self.root))
    }
}

impl FromStr for JoinToken {
    type Err = IdentityError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let rest = text.trim_ascii().strip_prefix(PREFIX);
        let rest = rest.ok_or(IdentityError::JoinToken("it does not begin with palisade-join:v1:"))?;
        let (root, secret) = rest.split_once(':').ok_or(IdentityError::JoinToken("it has no second part"))?;
        Ok(Self {
            root: unhex(root).ok_or(IdentityError::JoinToken("the root's hash is not 64 hex digits"))?,
            secret: unhex(secret).ok_or(IdentityError::JoinToken("the secret is not 64 hex digits"))?,
        })
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    if text.len() != 64 {
        return None;
    }
    let mut bytes = [0; 32];
    for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
        let &[high, low] = digits else { return None };
        // Lower case only: one token has one text.
        let value = |digit: u8| match digit {
            b'0'..=b'9' => Some(digit - b'0'),
            b'a'..=b'f' => Some(digit - b'a' + 10),
            _ => None,
        };
        *byte = (value(high)? << 4) | value(low)?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token() -> JoinToken {
        JoinToken::generate(&CertificateDer::from(vec![1, 2, 3])).unwrap()
    }

    #[test]
    fn a_token_survives_its_text() {
        let token = token();
        let again: JoinToken = token.to_string().parse().unwrap();
        assert_eq!(again, token);
        assert_eq!(again.digest(), token.digest());
        let with_newline: JoinToken = format!("{token}\n").parse().unwrap();
        assert_eq!(with_newline, token, "a token read from a file ends with a line end");
    }

    #[test]
    fn two_tokens_differ_in_their_secret_only() {
        let (one, two) = (token(), token());
        assert_eq!(one.root(), two.root());
        assert_ne!(one.digest(), two.digest());
    }

    #[test]
    fn debug_output_does_not_show_the_secret() {
        let token = token();
        let secret = token.to_string().rsplit(':').next().unwrap().to_owned();
        assert!(!format!("{token:?}").contains(&secret));
    }

    #[test]
    fn a_malformed_token_is_refused_and_the_error_does_not_repeat_it() {
        let good = token().to_string();
        let (head, secret) = good.rsplit_once(':').unwrap();
        for bad in [
            String::new(),
            "palisade-join:v1:".to_owned(),
            head.to_owned(),
            format!("{head}:"),
            format!("{head}:{}", &secret[1..]),
            format!("{head}:{secret}0"),
            format!("{head}:{secret}:more"),
            format!("{head}:{}", secret.replace(|c: char| c.is_ascii_hexdigit(), "g")),
            format!("{head}:{}", "A".repeat(64)),
            format!("{head}:{}", "é".repeat(32)),
            good.replace("v1", "v2"),
            good.replace("palisade-join", "palisade"),
            good.replacen("v1:", "v1:0", 1),
        ] {
            let error = bad.parse::<JoinToken>().expect_err(&bad).to_string();
            assert!(!error.contains(secret), "{error}");
        }
    }
}
