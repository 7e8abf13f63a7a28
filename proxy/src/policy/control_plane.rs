//! Identity and policy from the control plane, or from the state directory while it is away.
//!
//! Promises: a kept identity and policy are used at once after a restart; a join token is used only where there is no
//! valid identity; the SVID is renewed at half-life and a still valid one is kept while renewal fails; a new key is
//! kept before it is used; every policy is answered with what became of it.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use palisade_identity::bootstrap::{self, Enrolment, control_plane_principal};
use palisade_identity::certificate::to_pem;
use palisade_identity::{IdentityError, IdentityStore, JoinToken, Svid, channel, rotation};
use palisade_model::Policy;
use palisade_xds::client::{Client, ClientOptions, PolicyUpdate};
use tokio::sync::mpsc;
use tonic::transport::Channel;

use super::state_dir::{KeptIdentity, StateDir};
use super::update::Updater;
use crate::tls::Identity;

/// The longest sleep before time is looked at again: a suspended machine's clock jumps.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);

/// A process that joins a mesh.
#[derive(Debug)]
pub struct Mesh {
    address: String,
    token: Option<JoinToken>,
    state_dir: StateDir,
    updater: Arc<Updater>,
}

impl Mesh {
    /// `token`: the text of a join token, if there is one.
    pub fn new(
        address: &str,
        token: Option<&str>,
        state_dir: StateDir,
        updater: Arc<Updater>,
    ) -> Result<Self, IdentityError> {
        let token = token.map(|text| text.trim().parse()).transpose()?;
        Ok(Self { address: address.to_owned(), token, state_dir, updater })
    }

    /// Takes into use what was kept before a restart. What is damaged or expired is said and left.
    pub async fn recall(&self) {
        match self.state_dir.identity() {
            Ok(Some(kept)) => self.recall_identity(&kept),
            Ok(None) => {}
            Err(error) => tracing::warn!(%error, "the kept identity cannot be read"),
        }
        match self.state_dir.policy() {
            Ok(Some(kept)) => {
                // What is wrong with it was logged.
                let _ = self.updater.put(Arc::new(kept.policy), &kept.version).await;
            }
            Ok(None) => {}
            Err(error) => tracing::warn!(%error, "the kept policy cannot be read"),
        }
    }

    fn recall_identity(&self, kept: &KeptIdentity) {
        let read = Svid::from_pem(kept.chain.as_bytes(), kept.key.as_bytes(), kept.bundle.as_bytes());
        match read {
            Ok(svid) if svid.is_valid_at(now()) => self.join(svid),
            Ok(_) => tracing::warn!("the kept identity has expired"),
            Err(error) => tracing::warn!(%error, "the kept identity cannot be used"),
        }
    }

    fn join(&self, svid: Svid) {
        let principal = svid.principal().to_string();
        match Identity::new(IdentityStore::new(svid)) {
            Ok(identity) => {
                tracing::info!(principal, "identity in use");
                self.updater.plane().join(identity);
            }
            Err(error) => tracing::error!(%error, "the identity cannot be used"),
        }
    }

    /// Joins, then keeps identity and policy fresh until the process ends.
    pub async fn run(self) {
        let store = self.enrolled().await;
        let mesh = Arc::new(self);
        tokio::spawn(mesh.clone().renew(store));
        mesh.follow().await;
    }

    async fn enrolled(&self) -> Arc<IdentityStore> {
        let mut failures = 0;
        loop {
            if let Some(identity) = self.updater.plane().identity() {
                return identity.store().clone();
            }
            match &self.token {
                None => tracing::error!("there is no valid identity and no join token to get one with"),
                Some(token) => match bootstrap::enrol(&self.address, token).await {
                    Ok(enrolment) => {
                        self.keep(&enrolment);
                        self.join(enrolment.svid);
                        continue;
                    }
                    Err(error) => tracing::warn!(%error, "no identity yet"),
                },
            }
            failures += 1;
            tokio::time::sleep(rotation::retry_after(failures, random())).await;
        }
    }

    fn keep(&self, enrolment: &Enrolment) {
        let kept = KeptIdentity {
            chain: to_pem(enrolment.svid.chain()),
            key: enrolment.key.to_pem(),
            bundle: to_pem(enrolment.svid.bundle()),
        };
        if let Err(error) = self.state_dir.keep_identity(&kept) {
            tracing::warn!(%error, "the identity is in use but could not be kept for a restart");
        }
    }

    async fn renew(self: Arc<Self>, store: Arc<IdentityStore>) {
        let mut failures = 0;
        loop {
            let current = store.current();
            let at = rotation::renew_at(current.facts().not_before, current.facts().not_after, random());
            sleep_until(at).await;
            while let Err(error) = self.renew_once(&store).await {
                failures += 1;
                let expires_in = current.facts().not_after.saturating_sub(now());
                tracing::warn!(%error, expires_in, "the SVID could not be renewed; the one in use stays");
                tokio::time::sleep(rotation::retry_after(failures, random())).await;
            }
            failures = 0;
        }
    }

    async fn renew_once(&self, store: &Arc<IdentityStore>) -> Result<(), IdentityError> {
        let enrolment = bootstrap::renew(&self.address, store).await?;
        self.keep(&enrolment);
        let generation = store.rotate(enrolment.svid)?;
        tracing::info!(generation, "the SVID was renewed");
        Ok(())
    }

    /// Makes a channel to the control plane with the SVID in use; fails while there is none.
    pub fn channels(
        &self,
    ) -> impl FnMut() -> Pin<Box<dyn Future<Output = Result<Channel, IdentityError>> + Send>> + Send + use<>
    {
        let (address, plane) = (self.address.clone(), self.updater.plane().clone());
        move || {
            let (address, plane) = (address.clone(), plane.clone());
            Box::pin(async move {
                let identity =
                    plane.identity().ok_or_else(|| IdentityError::Service("no identity yet".to_owned()))?;
                let store = identity.store();
                let expected = control_plane_principal(store.current().principal().trust_domain())?;
                channel::connect(&address, store.client_config(vec![expected], &[b"h2"])?).await
            })
        }
    }

    async fn follow(&self) {
        let (sender, mut updates) = mpsc::channel::<PolicyUpdate>(1);
        let last_good = self.updater.plane().current.load().policy.clone();
        let Some(client) = self.client(last_good) else { return };
        let mut status = client.status();
        let plane = self.updater.plane().clone();
        tokio::spawn(async move {
            while status.changed().await.is_ok() {
                let connected = status.borrow_and_update().connected;
                plane.telemetry.metrics.control_plane.set(i64::from(connected));
            }
        });
        tokio::spawn(client.run(self.channels(), sender));
        while let Some(update) = updates.recv().await {
            match self.updater.put(update.policy.clone(), &update.version).await {
                Ok(()) => update.accept(),
                Err(error) => update.reject(error.to_string()),
            }
        }
    }

    /// The delta ADS client; it begins with what is in force, or with nothing if that cannot be said.
    fn client(&self, last_good: Option<Arc<Policy>>) -> Option<Client> {
        let workload = self.updater.plane().workload.clone();
        let options = ClientOptions::default();
        match Client::new(workload.clone(), last_good, options) {
            Ok(client) => Some(client),
            Err(error) => {
                tracing::warn!(%error, "the kept policy is not told to the control plane");
                Client::new(workload, None, options)
                    .inspect_err(|error| tracing::error!(%error, "no policy can be asked for"))
                    .ok()
            }
        }
    }
}

async fn sleep_until(at: i64) {
    loop {
        let left = u64::try_from(at.saturating_sub(now())).unwrap_or(0);
        if left == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_secs(left).min(LONGEST_SLEEP)).await;
    }
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// Between 0 and 1, for jitter; not for secrets.
fn random() -> f64 {
    let number = RandomState::new().build_hasher().finish();
    (number >> 11) as f64 / (1_u64 << 53) as f64
}
