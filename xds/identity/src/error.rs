//! The one error of this crate.

/// What went wrong with an identity. No variant carries key material or token secrets.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// A URI that is not a SPIFFE ID of a workload.
    #[error("not a SPIFFE ID: {0}")]
    SpiffeId(String),
    /// A certificate that cannot be taken for a workload's.
    #[error("certificate: {0}")]
    Certificate(String),
    /// Text that is not the PEM it should be.
    #[error("{what}: not valid PEM: {problem}")]
    Pem {
        /// What was read, e.g. `trust bundle`.
        what: &'static str,
        /// The parser's sentence.
        problem: String,
    },
    /// A private key that cannot be used.
    #[error("private key: {0}")]
    Key(String),
    /// A certificate signing request that is not signed.
    #[error("certificate signing request: {0}")]
    Csr(String),
    /// A certificate authority that cannot be used, or cannot sign.
    #[error("certificate authority: {0}")]
    Authority(String),
    /// A join token that is not one.
    #[error("join token: {0}")]
    JoinToken(&'static str),
    /// rustls refused a configuration.
    #[error("TLS: {0}")]
    Tls(#[from] rustls::Error),
    /// The certificate service could not be reached or refused.
    #[error("certificate service: {0}")]
    Service(String),
}
