//! Who is at the other end: SPIFFE identities, the TLS configurations that prove them, and how a workload gets one.
//!
//! ```text
//!   join token ──bootstrap──▶ CSR ──CertificateAuthority::sign──▶ Svid ──IdentityStore──▶ TLS configurations
//!   peer certificate ──principal_of──▶ Principal                         (a rotation is one store)
//! ```
//! Promises: a principal is taken from a certificate only if the certificate is a leaf with exactly one well-formed
//! SPIFFE URI, chains to the trust bundle, and is of our trust domain. TLS between workloads is 1.3 only and never
//! resumes a session, since a resumed session skips certificate verification. The attested identity is signed,
//! whatever the request asks. It does not decide what a principal may do, and reads the clock only where rustls does.

#![forbid(unsafe_code)]
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::print_stdout,
        clippy::print_stderr
    )
)]

pub mod authority;
pub mod bootstrap;
pub mod certificate;
pub mod channel;
mod error;
pub mod join_token;
pub mod key;
pub mod rotation;
pub mod service;
pub mod spiffe;
mod store;
mod svid;
mod verify;
mod wire;

pub use authority::CertificateAuthority;
pub use certificate::principal_of;
pub use error::IdentityError;
pub use join_token::JoinToken;
pub use key::WorkloadKey;
pub use store::{ClientAuth, IdentityStore};
pub use svid::Svid;
pub use verify::{MeshClientVerifier, MeshServerVerifier};

/// Installs the one cryptography provider for this process. Call it first in every `main` and test: a process in
/// which a dependency links a second provider would otherwise panic at its first handshake. A second call does nothing.
pub fn install_crypto() {
    // The only error is that a provider is installed already, and it can only be this one.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}
