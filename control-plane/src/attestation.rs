//! Who may have a certificate, and whose policy a peer may have.
//!
//! Promises: the principal that is signed is the one the inventory gives the workload; a workload that left the
//! inventory gets no further certificate; a peer gets only policies of workloads with its own proven principal.

use std::time::SystemTime;

use palisade_identity::service::{Attested, Attestor, NotAttested, caller};
use palisade_model::{Principal, WorkloadId};
use palisade_store::{NewAuditEntry, Outcome, Spent, Store};
use palisade_xds::server::Authorize;
use tonic::{Extensions, Status};

use crate::admission::Admission;
use crate::clock::now_ms;

/// Attests by join token, and for renewal by the inventory.
#[derive(Clone, Debug)]
pub struct JoinTokens {
    /// Where the tokens are.
    pub store: Store,
    /// Where the inventory is.
    pub admission: Admission,
}

impl JoinTokens {
    async fn note(&self, action: &str, actor: String, object: String, outcome: Outcome, detail: String) {
        let action = action.to_owned();
        let entry = NewAuditEntry { time_ms: now_ms(), actor, action, object, outcome, detail };
        if let Err(error) = self.store.audit(&entry).await {
            tracing::error!(%error, "the audit trail could not be written");
        }
    }

    async fn decide(&self, digest: &str) -> Result<Attested, NotAttested> {
        let refused = |why: &str| Err(NotAttested::Refused(why.to_owned()));
        let spent = self.store.spend_join_token(digest, now_ms()).await;
        let record = match spent.map_err(|error| NotAttested::Unavailable(error.to_string()))? {
            Spent::Good(record) => record,
            Spent::Unknown => return refused("unknown"),
            Spent::Expired => return refused("expired"),
            Spent::UsedUp => return refused("every use was taken"),
        };
        match self.admission.accepted().index.principal(&record.workload) {
            Some(principal) if *principal == record.principal => {
                Ok(Attested { workload: record.workload, principal: record.principal })
            }
            Some(_) => refused("the workload has another principal since the token was made"),
            None => refused("the workload is not in the inventory any more"),
        }
    }
}

impl Attestor for JoinTokens {
    async fn spend(&self, digest: &str) -> Result<Attested, NotAttested> {
        let decided = self.decide(digest).await;
        // The first digits name the token without being it.
        let actor = format!("join token {}", digest.get(..12).unwrap_or_default());
        match &decided {
            Ok(attested) => {
                let object = attested.workload.to_string();
                self.note("certificate.join", actor, object, Outcome::Done, attested.principal.to_string())
                    .await;
            }
            Err(why) => {
                tracing::info!(%why, token = %actor, "join token refused");
                self.note("certificate.join", actor, String::new(), Outcome::Refused, why.to_string()).await;
            }
        }
        decided
    }

    async fn renew(&self, principal: &Principal) -> Result<(), NotAttested> {
        let accepted = self.admission.accepted();
        let known = accepted.index.workloads().any(|id| accepted.index.principal(id) == Some(principal));
        if known {
            return Ok(());
        }
        let why = "no workload of the inventory has this principal";
        let actor = principal.to_string();
        self.note("certificate.renew", actor, String::new(), Outcome::Refused, why.to_owned()).await;
        Err(NotAttested::Refused(why.to_owned()))
    }

    async fn issued(&self, principal: &Principal, not_after: i64) {
        tracing::info!(%principal, not_after, "certificate issued");
    }
}

/// Lets a peer have the policies of workloads with its own proven principal.
#[derive(Clone, Debug)]
pub struct OwnWorkload {
    /// Where the inventory is.
    pub admission: Admission,
}

/// The principal that a peer proved in its handshake.
pub fn proven(peer: &Extensions) -> Result<Principal, Status> {
    let proven =
        caller(peer, SystemTime::now()).map_err(|error| Status::unauthenticated(error.to_string()))?;
    proven.ok_or_else(|| Status::unauthenticated("a client certificate is needed"))
}

impl Authorize for OwnWorkload {
    fn authorize(&self, peer: &Extensions, claimed: &WorkloadId) -> Result<(), Status> {
        let principal = proven(peer)?;
        if self.admission.accepted().index.principal(claimed) == Some(&principal) {
            return Ok(());
        }
        tracing::warn!(%principal, %claimed, "a sidecar asked for another workload's policy");
        Err(Status::permission_denied("the certificate is not that workload's"))
    }
}
