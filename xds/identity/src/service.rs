//! The control plane's end of certificate signing.
//!
//! Promises: a request is checked before a join token is spent on it; the principal that is signed comes from the
//! attestor, never from the request; the caller is told that it was refused, and not why a token was.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use palisade_model::{Principal, WorkloadId};
use rustls_pki_types::CertificateDer;
use tonic::transport::server::{TcpConnectInfo, TlsConnectInfo};
use tonic::{Extensions, Request, Response, Status};

use crate::authority::{self, CertificateAuthority};
use crate::join_token::{SECRET_BYTES, secret_digest};
use crate::wire::certificates_server::{Certificates, CertificatesServer};
use crate::wire::{IssueRequest, IssueResponse, WorkloadName};
use crate::{IdentityError, certificate};

/// The longest message this service reads, in bytes: a request and some room.
const MAX_MESSAGE_BYTES: usize = 2 * authority::MAX_CSR_BYTES;

/// Whom a caller was attested as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attested {
    /// The workload.
    pub workload: WorkloadId,
    /// The principal to sign.
    pub principal: Principal,
}

/// Why a caller is not given a certificate. For the log and the audit trail, not for the caller.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAttested {
    /// The proof is not good (unknown, expired, used up, withdrawn).
    #[error("{0}")]
    Refused(String),
    /// Nothing could be decided; the caller should come back.
    #[error("{0}")]
    Unavailable(String),
}

/// Who knows which proofs are good.
pub trait Attestor: Send + Sync + 'static {
    /// Spends one use of the join token whose secret has this digest.
    fn spend(&self, secret_digest: &str) -> impl Future<Output = Result<Attested, NotAttested>> + Send;

    /// Whether the holder of a still valid certificate may have another.
    fn renew(&self, principal: &Principal) -> impl Future<Output = Result<(), NotAttested>> + Send;

    /// Is told what was issued.
    fn issued(&self, _principal: &Principal, _not_after: i64) -> impl Future<Output = ()> + Send {
        async {}
    }
}

/// The service, to be added to a gRPC server whose TLS gives the client certificate to requests.
pub fn certificates<A: Attestor>(
    authority: Arc<CertificateAuthority>,
    bundle: Arc<ArcSwap<Vec<CertificateDer<'static>>>>,
    ttl: Duration,
    attestor: A,
) -> CertificatesServer<impl Certificates> {
    CertificatesServer::new(Issuing { authority, bundle, ttl, attestor })
        .max_decoding_message_size(MAX_MESSAGE_BYTES)
}

/// The principal of the client certificate that the handshake verified, from the extensions of a request; none if
/// there was none. A certificate that expired after the handshake is an error.
pub fn caller(extensions: &Extensions, now: SystemTime) -> Result<Option<Principal>, IdentityError> {
    let chain = extensions.get::<TlsConnectInfo<TcpConnectInfo>>().and_then(TlsConnectInfo::peer_certs);
    let Some(chain) = chain else { return Ok(None) };
    let Some(leaf) = chain.first() else { return Ok(None) };
    let facts = certificate::leaf_facts(leaf)?;
    let now = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    if i64::try_from(now).map_or(true, |now| now > facts.not_after) {
        return Err(IdentityError::Certificate("it has expired since the connection was made".to_owned()));
    }
    Ok(Some(facts.principal))
}

struct Issuing<A> {
    authority: Arc<CertificateAuthority>,
    bundle: Arc<ArcSwap<Vec<CertificateDer<'static>>>>,
    ttl: Duration,
    attestor: A,
}

#[tonic::async_trait]
impl<A: Attestor> Certificates for Issuing<A> {
    async fn issue(&self, request: Request<IssueRequest>) -> Result<Response<IssueResponse>, Status> {
        let now = SystemTime::now();
        let peer =
            caller(request.extensions(), now).map_err(|error| Status::unauthenticated(error.to_string()))?;
        let IssueRequest { csr, join_secret } = request.into_inner();
        // First the request itself: a broken one must not use up a token.
        authority::check_request(&csr).map_err(|error| Status::invalid_argument(error.to_string()))?;
        let (principal, workload) = if join_secret.is_empty() {
            let principal =
                peer.ok_or_else(|| Status::unauthenticated("neither join token nor client certificate"))?;
            self.attestor.renew(&principal).await.map_err(|why| status(&why, "renewal refused"))?;
            (principal, None)
        } else {
            if join_secret.len() != SECRET_BYTES {
                return Err(Status::unauthenticated("join token refused"));
            }
            let digest = secret_digest(&join_secret);
            let attested = self.attestor.spend(&digest).await;
            let attested = attested.map_err(|why| status(&why, "join token refused"))?;
            (attested.principal, Some(attested.workload))
        };
        let issued = self
            .authority
            .sign(&csr, &principal, self.ttl, now)
            .map_err(|error| Status::internal(error.to_string()))?;
        self.attestor.issued(&principal, issued.not_after).await;
        let der = |list: &[CertificateDer<'_>]| list.iter().map(|one| one.as_ref().to_vec()).collect();
        Ok(Response::new(IssueResponse {
            chain: der(&issued.chain),
            bundle: der(&self.bundle.load()),
            workload: workload.map(|id| WorkloadName {
                cluster: id.cluster,
                tenant: id.tenant,
                namespace: id.namespace,
                name: id.name,
            }),
        }))
    }
}

fn status(why: &NotAttested, refusal: &'static str) -> Status {
    match why {
        NotAttested::Refused(_) => Status::unauthenticated(refusal),
        NotAttested::Unavailable(_) => Status::unavailable("try again"),
    }
}

#[cfg(test)]
mod tests {
    use prost::Message;
    use tonic::Code;

    use super::*;
    use crate::wire::certificates_client::CertificatesClient;

    struct Nobody;

    impl Attestor for Nobody {
        async fn spend(&self, _: &str) -> Result<Attested, NotAttested> {
            Err(NotAttested::Refused("nobody".to_owned()))
        }

        async fn renew(&self, _: &Principal) -> Result<(), NotAttested> {
            Err(NotAttested::Refused("nobody".to_owned()))
        }
    }

    #[tokio::test]
    async fn a_message_under_and_at_the_limit_is_read_and_over_it_refused_unread() {
        crate::install_crypto();
        let now = SystemTime::now();
        let ca = CertificateAuthority::create("mesh.example", now, authority::ROOT_VALIDITY).unwrap();
        let bundle = Arc::new(ArcSwap::from_pointee(vec![ca.root().clone()]));
        let service = certificates(Arc::new(ca), bundle, authority::SVID_VALIDITY, Nobody);
        let mut client = CertificatesClient::new(service);
        for (bytes, code) in [
            (MAX_MESSAGE_BYTES - 1, Code::InvalidArgument),
            (MAX_MESSAGE_BYTES, Code::InvalidArgument),
            (MAX_MESSAGE_BYTES + 1, Code::OutOfRange),
        ] {
            // Five bytes say which fields there are and how long.
            let request = IssueRequest { csr: vec![0; bytes - 100], join_secret: vec![0; 95] };
            assert_eq!(request.encoded_len(), bytes);
            // What is read is refused too, for what it says.
            assert_eq!(client.issue(request).await.unwrap_err().code(), code, "{bytes}");
        }
    }
}
