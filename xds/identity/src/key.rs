//! The key of a workload: made here, and leaving the process only into its private state directory.

use rcgen::{CertificateParams, DistinguishedName, KeyPair, PKCS_ECDSA_P256_SHA256};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::IdentityError;

/// A P-256 key pair.
pub struct WorkloadKey {
    pair: KeyPair,
}

impl WorkloadKey {
    /// Makes a new key.
    pub fn generate() -> Result<Self, IdentityError> {
        let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)
            .map_err(|error| IdentityError::Key(error.to_string()))?;
        Ok(Self { pair })
    }

    /// Reads a PKCS#8 PEM, P-256 only.
    pub fn from_pem(pem: &str) -> Result<Self, IdentityError> {
        let pair = KeyPair::from_pem_and_sign_algo(pem, &PKCS_ECDSA_P256_SHA256)
            .map_err(|_| IdentityError::Key("not a P-256 key in PKCS#8 PEM".to_owned()))?;
        Ok(Self { pair })
    }

    /// The key as PKCS#8 PEM, for the private state directory and nothing else.
    pub fn to_pem(&self) -> String {
        self.pair.serialize_pem()
    }

    /// The key for rustls.
    pub fn to_der(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.pair.serialize_der()))
    }

    /// A certificate signing request (DER) that proves possession of the key. It names nobody, since the signer
    /// decides by attestation and not by what is asked.
    pub fn signing_request(&self) -> Result<Vec<u8>, IdentityError> {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        let request =
            params.serialize_request(&self.pair).map_err(|error| IdentityError::Csr(error.to_string()))?;
        Ok(request.der().to_vec())
    }
}

impl std::fmt::Debug for WorkloadKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("WorkloadKey(P-256)")
    }
}
