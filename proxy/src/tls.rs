//! TLS on our sockets: the mesh identity, both ways.
//!
//! Promises: a rotation is seen by the next handshake; a peer's principal is read once per connection, from the
//! certificate that the handshake verified. Ordinary certificates of a gateway are in `certificates`.

use std::sync::Arc;

use palisade_identity::{ClientAuth, IdentityError, IdentityStore, principal_of};
use palisade_model::Principal;
use rustls::{ClientConfig, ServerConfig};

/// HTTP/2 in ALPN.
pub const H2: &[u8] = b"h2";
/// HTTP/1.1 in ALPN.
pub const HTTP11: &[u8] = b"http/1.1";
/// Opaque bytes between sidecars in ALPN; private to the mesh.
pub const TCP: &[u8] = b"palisade-tcp";

/// The workload's identity with the configurations made from it.
#[derive(Clone, Debug)]
pub struct Identity {
    store: Arc<IdentityStore>,
    server: Arc<ServerConfig>,
}

impl Identity {
    /// Serves and calls with whatever SVID the store has.
    pub fn new(store: Arc<IdentityStore>) -> Result<Self, IdentityError> {
        let server = store.server_config(ClientAuth::Required, &[H2, HTTP11, TCP])?;
        Ok(Self { store, server })
    }

    /// Who we are.
    pub fn principal(&self) -> Principal {
        self.store.current().principal().clone()
    }

    /// How many SVIDs there have been; upstream connections of an older one are not used again.
    pub fn generation(&self) -> u64 {
        self.store.generation()
    }

    /// The store behind it.
    pub fn store(&self) -> &Arc<IdentityStore> {
        &self.store
    }

    /// To serve the mesh with.
    pub fn server_config(&self) -> &Arc<ServerConfig> {
        &self.server
    }

    /// To call one of `expected` with, speaking `protocol`.
    pub fn client_config(
        &self,
        expected: &[Principal],
        protocol: &[u8],
    ) -> Result<Arc<ClientConfig>, IdentityError> {
        self.store.client_config(expected.to_vec(), &[protocol])
    }
}

/// Who the client of a finished mesh handshake is.
pub fn peer_of(connection: &rustls::ServerConnection) -> Option<Principal> {
    let leaf = connection.peer_certificates()?.first()?;
    principal_of(leaf).ok()
}

#[cfg(test)]
pub(crate) mod tests {
    use std::time::SystemTime;

    use palisade_identity::authority::{ROOT_VALIDITY, SVID_VALIDITY};
    use palisade_identity::{CertificateAuthority, Svid, WorkloadKey};

    use super::*;

    /// An identity of an authority of its own.
    pub(crate) fn identity() -> Identity {
        palisade_identity::install_crypto();
        let now = SystemTime::now();
        let authority = CertificateAuthority::create("mesh.example", now, ROOT_VALIDITY).unwrap();
        let key = WorkloadKey::generate().unwrap();
        let principal = Principal::new("mesh.example", "shop", "web").unwrap();
        let issued = authority.sign(&key.signing_request().unwrap(), &principal, SVID_VALIDITY, now).unwrap();
        let svid = Svid::from_issued(issued.chain, &key, vec![authority.root().clone()]).unwrap();
        Identity::new(IdentityStore::new(svid)).unwrap()
    }
}
