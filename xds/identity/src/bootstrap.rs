//! How a workload gets its first certificate, and every later one.
//!
//! Promises: the key is made here and never sent. Before it trusts anybody the workload checks that the control
//! plane's chain ends in the root whose hash the join token carries. What comes back is taken only if it fits the
//! key, chains to the bundle, and is of the control plane's trust domain.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use palisade_model::{Principal, WorkloadId};
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use crate::join_token::JoinToken;
use crate::verify::{provider, refuse, verify_server_chain};
use crate::wire::certificates_client::CertificatesClient;
use crate::wire::{IssueRequest, IssueResponse};
use crate::{IdentityError, IdentityStore, Svid, WorkloadKey, certificate, channel};

/// The namespace of the control plane's own identity.
pub const CONTROL_PLANE_NAMESPACE: &str = "palisade-system";
/// The service account of the control plane's own identity.
pub const CONTROL_PLANE_ACCOUNT: &str = "control-plane";
/// The most certificates taken from one answer, chain and bundle each: intermediates are few, and a bundle has two roots
/// while one replaces the other.
pub const MAX_CERTIFICATES: usize = 16;

/// The control plane's principal in a trust domain.
pub fn control_plane_principal(trust_domain: &str) -> Result<Principal, IdentityError> {
    Principal::new(trust_domain, CONTROL_PLANE_NAMESPACE, CONTROL_PLANE_ACCOUNT)
        .map_err(|error| IdentityError::SpiffeId(error.to_string()))
}

/// What a workload was given.
#[derive(Debug)]
pub struct Enrolment {
    /// The identity document.
    pub svid: Svid,
    /// Its key, to be kept in the private state directory.
    pub key: WorkloadKey,
    /// The workload the join token was bound to; none on renewal.
    pub workload: Option<WorkloadId>,
}

/// Gets a first SVID with a join token.
pub async fn enrol(address: &str, token: &JoinToken) -> Result<Enrolment, IdentityError> {
    let config = pinned_config(*token.root())?;
    let enrolled = issue(address, config, token.secret().to_vec()).await?;
    let pinned = enrolled.svid.bundle().iter().any(|root| certificate::fingerprint(root) == *token.root());
    if !pinned {
        return Err(IdentityError::Service("the bundle lacks the root of the join token".to_owned()));
    }
    Ok(enrolled)
}

/// Gets a new SVID with the one in use. The store is not changed: the caller keeps the key first, then rotates.
pub async fn renew(address: &str, store: &Arc<IdentityStore>) -> Result<Enrolment, IdentityError> {
    let current = store.current();
    let expected = control_plane_principal(current.principal().trust_domain())?;
    let enrolled = issue(address, store.client_config(vec![expected], &[b"h2"])?, Vec::new()).await?;
    if enrolled.svid.principal() != current.principal() {
        let got = enrolled.svid.principal();
        return Err(IdentityError::Service(format!("the renewed certificate is for {got}")));
    }
    Ok(enrolled)
}

async fn issue(
    address: &str,
    config: Arc<ClientConfig>,
    join_secret: Vec<u8>,
) -> Result<Enrolment, IdentityError> {
    let key = WorkloadKey::generate()?;
    let request = IssueRequest { csr: key.signing_request()?, join_secret };
    let mut client = CertificatesClient::new(channel::connect(address, config).await?);
    let answer = client.issue(request).await.map_err(|status| {
        IdentityError::Service(format!("{:?}: {}", status.code(), status.message().escape_debug()))
    })?;
    take(answer.into_inner(), key, SystemTime::now())
}

/// Checks an answer.
fn take(answer: IssueResponse, key: WorkloadKey, now: SystemTime) -> Result<Enrolment, IdentityError> {
    let refused = |problem: &str| IdentityError::Service(problem.to_owned());
    if answer.chain.len() > MAX_CERTIFICATES || answer.bundle.len() > MAX_CERTIFICATES {
        return Err(IdentityError::Service(format!(
            "more than {MAX_CERTIFICATES} certificates in one answer"
        )));
    }
    let certificates = |list: Vec<Vec<u8>>| list.into_iter().map(CertificateDer::from).collect::<Vec<_>>();
    let svid = Svid::from_issued(certificates(answer.chain), &key, certificates(answer.bundle))?;
    let since = now.duration_since(UNIX_EPOCH).map_err(|_| refused("the clock is before 1970"))?;
    let (leaf, intermediates) = svid.chain().split_first().ok_or_else(|| refused("the chain is empty"))?;
    verify_server_chain(leaf, intermediates, &svid.roots, UnixTime::since_unix_epoch(since))?;
    let of_domain = |root: &CertificateDer<'_>| {
        certificate::trust_domain_of_root(root).is_ok_and(|domain| domain == svid.principal().trust_domain())
    };
    if !svid.bundle().iter().any(of_domain) {
        return Err(refused("no root of the bundle is of the certificate's trust domain"));
    }
    let workload = answer.workload.map(|name| WorkloadId {
        cluster: name.cluster,
        tenant: name.tenant,
        namespace: name.namespace,
        name: name.name,
    });
    Ok(Enrolment { svid, key, workload })
}

fn pinned_config(root: [u8; 32]) -> Result<Arc<ClientConfig>, IdentityError> {
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous() // The verifier checks the chain up to the pinned root and, instead of a host name, the SPIFFE ID.
        .with_custom_certificate_verifier(Arc::new(PinnedRoot { root }))
        .with_no_client_auth();
    config.resumption = Resumption::disabled();
    config.enable_early_data = false;
    config.enable_sni = false;
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(Arc::new(config))
}

/// Trusts the root with this hash, which the server must send along, for the control plane's identity only.
#[derive(Debug)]
struct PinnedRoot {
    root: [u8; 32],
}

impl ServerCertVerifier for PinnedRoot {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let refused = |problem: &str| refuse(IdentityError::Certificate(problem.to_owned()));
        let pinned = intermediates.iter().find(|sent| certificate::fingerprint(sent) == self.root);
        let pinned = pinned.ok_or_else(|| refused("the server's root is not the one of the join token"))?;
        let mut roots = RootCertStore::empty();
        roots.add(pinned.clone().into_owned())?;
        verify_server_chain(end_entity, intermediates, &roots, now)?;
        let domain = certificate::trust_domain_of_root(pinned).map_err(refuse)?;
        let principal = certificate::principal_of(end_entity).map_err(refuse)?;
        if principal != control_plane_principal(&domain).map_err(refuse)? {
            return Err(refused("the server is not the control plane"));
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::PeerIncompatible(rustls::PeerIncompatible::ServerDoesNotSupportTls12Or13))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &provider().signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::CertificateAuthority;
    use crate::authority::{ROOT_VALIDITY, SVID_VALIDITY};

    #[test]
    fn an_answer_at_the_limit_of_certificates_is_taken_and_one_more_refused() {
        crate::install_crypto();
        let now = SystemTime::now();
        let ca = CertificateAuthority::create("mesh.example", now, ROOT_VALIDITY).unwrap();
        let principal = Principal::new("mesh.example", "shop", "web").unwrap();
        let problem = |chain: usize, bundle: usize| {
            let key = WorkloadKey::generate().unwrap();
            let csr = key.signing_request().unwrap();
            let leaf = ca.sign(&csr, &principal, SVID_VALIDITY, now).unwrap().chain.remove(0).to_vec();
            let root = ca.root().to_vec();
            let mut sent = vec![leaf];
            sent.resize(chain, root.clone());
            let answer = IssueResponse { chain: sent, bundle: vec![root; bundle], workload: None };
            take(answer, key, now).err().map(|error| error.to_string())
        };
        for count in [1, MAX_CERTIFICATES - 1, MAX_CERTIFICATES] {
            assert_eq!((problem(count, 1), problem(1, count)), (None, None), "{count}");
        }
        for over in [problem(MAX_CERTIFICATES + 1, 1), problem(1, MAX_CERTIFICATES + 1)] {
            assert!(over.unwrap().contains("more than 16 certificates"));
        }
    }
}
