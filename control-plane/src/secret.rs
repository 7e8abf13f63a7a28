//! Secrets made here: random, shown once, kept as digests.

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use sha2::{Digest, Sha256};

/// What every API token begins with, so that a leaked one is recognised.
pub const TOKEN_PREFIX: &str = "palisade-api:";
/// Bytes of randomness in an API token.
const TOKEN_BYTES: usize = 32;
/// Bytes of randomness in a public identifier.
const ID_BYTES: usize = 6;

/// There was no randomness to be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the system gives no randomness")]
pub struct NoRandomness;

/// A new API token.
pub fn new_token() -> Result<String, NoRandomness> {
    Ok(format!("{TOKEN_PREFIX}{}", random_hex::<TOKEN_BYTES>()?))
}

/// A new public identifier.
pub fn new_id() -> Result<String, NoRandomness> {
    random_hex::<ID_BYTES>()
}

/// What is kept of an API token: its SHA-256 digest in hexadecimal. A fast digest is enough, since the token has 256
/// bits of randomness and nothing to guess.
pub fn digest(token: &str) -> String {
    hex(&Sha256::digest(token.as_bytes()))
}

/// Bytes in lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn random_hex<const N: usize>() -> Result<String, NoRandomness> {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).map_err(|_| NoRandomness)?;
    Ok(hex(&bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_differ_and_are_kept_as_digests_only() {
        let (one, two) = (new_token().unwrap(), new_token().unwrap());
        assert_ne!(one, two);
        assert_eq!(one.len(), TOKEN_PREFIX.len() + 2 * TOKEN_BYTES);
        assert_eq!(digest(&one).len(), 64);
        assert_ne!(digest(&one), digest(&two));
    }
}
