//! The only way a document comes into force.
//!
//! ```text
//!   directory ─┐                ┌─ refused: every problem with its place; nothing changes
//!   REST ──────┴─▶ one queue ─▶ plan ─▶ build (off the reactor) ─┤
//!                                └─ stored with author and revision ─▶ published ─▶ `Accepted` swapped
//! ```
//! Promises: changes are judged one after the other, each against all documents in force, so two that are good alone
//! and bad together cannot both come in. What is refused changes nothing. Readers see one `Accepted`, never a mix.

mod build;
mod plan;

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use palisade_index::{Index, Settings};
use palisade_model::WorkloadId;
use palisade_model::documents::Document;
use palisade_store::{Change, DocumentKey, Origin, Store, StoreError};
use palisade_xds::SnapshotCache;
use serde::Serialize;
use tokio::sync::{mpsc, oneshot};

use crate::clock::now_ms;
use crate::directory::SourceText;

pub use build::{check_all, parse_all};

/// Changes that wait to be judged. More than that, and the REST API says to come back.
const QUEUE: usize = 64;
/// The author of what comes from the directory.
pub const DIRECTORY_AUTHOR: &str = "directory";

/// One document in force.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The document.
    pub document: Arc<Document>,
    /// Where it came from.
    pub origin: Origin,
    /// The change that made it.
    pub revision: i64,
}

/// Everything in force, together.
#[derive(Clone, Debug)]
pub struct Accepted {
    /// The documents.
    pub documents: BTreeMap<DocumentKey, Entry>,
    /// What they come to.
    pub index: Arc<Index>,
    /// What several of them together show.
    pub warnings: Vec<Problem>,
    /// The number of the last change.
    pub revision: i64,
    /// The version of the policy that each workload is served.
    pub versions: BTreeMap<WorkloadId, String>,
    /// Policies that could not be served, and why; their workloads keep what they had.
    pub unserved: BTreeMap<WorkloadId, String>,
    /// What is wrong with the directory as it is now; empty if it is in force.
    pub directory_problems: Vec<Problem>,
}

/// One problem and its place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// `file:line:column`, or a document and a field path.
    pub place: String,
    /// One sentence.
    pub error: String,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.place.is_empty() {
            return f.write_str(&self.error);
        }
        write!(f, "{}: {}", self.place, self.error)
    }
}

/// Why a change was not made.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// It is not valid.
    #[error("{}", list(.0))]
    Invalid(Vec<Problem>),
    /// There is no such document.
    #[error("{0}: there is no such document")]
    Unknown(DocumentKey),
    /// The document belongs to the directory.
    #[error("{0}: it comes from the directory and is changed there")]
    ReadOnly(DocumentKey),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Too many changes wait, or the control plane is going down.
    #[error("the control plane takes no more changes at the moment")]
    Busy,
    /// The work was lost; nothing changed.
    #[error("internal: {0}")]
    Internal(String),
}

fn list(problems: &[Problem]) -> String {
    problems.iter().map(Problem::to_string).collect::<Vec<_>>().join("; ")
}

enum Command {
    Put(Box<Document>),
    Delete(DocumentKey),
    Directory(Vec<SourceText>),
    DirectoryUnreadable(Problem),
}

struct Queued {
    command: Command,
    author: String,
    answer: oneshot::Sender<Result<i64, Refused>>,
}

/// The door to the documents. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Admission {
    queue: mpsc::Sender<Queued>,
    accepted: Arc<ArcSwap<Accepted>>,
}

impl Admission {
    /// Takes up where the store left off, publishes it, and opens the door.
    pub async fn open(store: Store, cache: SnapshotCache, settings: Settings) -> Result<Self, Refused> {
        let mut documents = BTreeMap::new();
        for stored in store.documents().await? {
            let parsed = palisade_loader::documents::parse(&stored.key.to_string(), &stored.body);
            let document = match parsed.map(<[Document; 1]>::try_from) {
                Ok(Ok([document])) => Arc::new(document),
                Ok(Err(_)) => {
                    return Err(invalid(stored.key.to_string(), "not one document in the store"));
                }
                // To go on without it could drop a restriction.
                Err(error) => return Err(Refused::Invalid(vec![build::load_problem(&error)])),
            };
            documents
                .insert(stored.key, Entry { document, origin: stored.origin, revision: stored.revision });
        }
        let revision = store.last_revision().await?;
        let built = build::build_known(documents, settings.clone()).await?;
        let mut worker =
            Worker { store, cache, settings, versions: BTreeMap::new(), unserved: BTreeMap::new() };
        let accepted = Arc::new(ArcSwap::from_pointee(worker.publish(built, revision, Vec::new())));
        let (queue, commands) = mpsc::channel(QUEUE);
        tokio::spawn(worker.run(commands, accepted.clone()));
        Ok(Self { queue, accepted })
    }

    /// Everything in force now.
    pub fn accepted(&self) -> Arc<Accepted> {
        self.accepted.load_full()
    }

    /// Puts a document in force; says the number of the change.
    pub async fn put(&self, document: Document, author: &str) -> Result<i64, Refused> {
        self.send(Command::Put(Box::new(document)), author).await
    }

    /// Takes a document out of force.
    pub async fn delete(&self, key: DocumentKey, author: &str) -> Result<i64, Refused> {
        self.send(Command::Delete(key), author).await
    }

    /// Puts the whole directory in force in place of what it held before; if anything in it is wrong, nothing changes.
    pub async fn directory(&self, texts: Vec<SourceText>) -> Result<i64, Refused> {
        self.send(Command::Directory(texts), DIRECTORY_AUTHOR).await
    }

    /// Notes that the directory cannot be read; what it held stays in force.
    pub async fn directory_unreadable(&self, problem: Problem) -> Result<i64, Refused> {
        self.send(Command::DirectoryUnreadable(problem), DIRECTORY_AUTHOR).await
    }

    async fn send(&self, command: Command, author: &str) -> Result<i64, Refused> {
        let (answer, answered) = oneshot::channel();
        let queued = Queued { command, author: author.to_owned(), answer };
        self.queue.try_send(queued).map_err(|_| Refused::Busy)?;
        answered.await.map_err(|_| Refused::Busy)?
    }
}

/// A single problem.
fn invalid(place: String, error: &str) -> Refused {
    Refused::Invalid(vec![Problem { place, error: error.to_owned() }])
}

struct Worker {
    store: Store,
    cache: SnapshotCache,
    settings: Settings,
    /// What each workload is served, by the index's version.
    versions: BTreeMap<WorkloadId, (String, String)>,
    unserved: BTreeMap<WorkloadId, String>,
}

impl Worker {
    async fn run(mut self, mut commands: mpsc::Receiver<Queued>, accepted: Arc<ArcSwap<Accepted>>) {
        while let Some(Queued { command, author, answer }) = commands.recv().await {
            let before = accepted.load_full();
            let from_directory = matches!(command, Command::Directory(_) | Command::DirectoryUnreadable(_));
            let result = self.judge(command, &author, &before).await;
            let result = match result {
                Ok(after) => {
                    let revision = after.revision;
                    accepted.store(Arc::new(after));
                    Ok(revision)
                }
                Err(refused) => {
                    if from_directory {
                        let directory_problems = match &refused {
                            Refused::Invalid(problems) => problems.clone(),
                            other => vec![Problem { place: String::new(), error: other.to_string() }],
                        };
                        accepted.store(Arc::new(Accepted { directory_problems, ..Accepted::clone(&before) }));
                    }
                    Err(refused)
                }
            };
            // The asker may have gone away; the change stands.
            let _ = answer.send(result);
        }
    }

    async fn judge(
        &mut self,
        command: Command,
        author: &str,
        before: &Accepted,
    ) -> Result<Accepted, Refused> {
        let is_directory = matches!(command, Command::Directory(_));
        let plan = plan::plan(command, before)?;
        let directory_problems = if is_directory { Vec::new() } else { before.directory_problems.clone() };
        if plan.changes.is_empty() {
            return Ok(Accepted { directory_problems, ..before.clone() });
        }
        let mut built = build::build(plan.documents, plan.changed, self.settings.clone()).await?;
        let changes: Vec<Change> = plan.changes;
        let last = self.store.change(&changes, author, now_ms()).await?;
        let count = i64::try_from(changes.len()).unwrap_or_default();
        for (revision, change) in (last - count + 1..).zip(&changes) {
            if let Some(entry) = built.documents.get_mut(&change.key) {
                entry.revision = revision;
            }
        }
        Ok(self.publish(built, last, directory_problems))
    }

    /// Serves every workload its policy, if it is another than before.
    fn publish(&mut self, built: build::Built, revision: i64, directory_problems: Vec<Problem>) -> Accepted {
        let build::Built { documents, index, warnings, policies } = built;
        let mut versions = BTreeMap::new();
        for (policy, content) in policies {
            let workload = policy.workload.clone();
            if let Some(served) = self.versions.remove(&workload)
                && served.0 == content
            {
                versions.insert(workload, served);
                continue;
            }
            match self.cache.set_policy(&policy) {
                Ok(version) => {
                    self.unserved.remove(&workload);
                    versions.insert(workload, (content, version));
                }
                Err(error) => {
                    tracing::error!(%workload, %error, "policy cannot be served; the sidecar keeps what it has");
                    self.unserved.insert(workload, error.to_string());
                }
            }
        }
        for workload in self.versions.keys() {
            self.cache.remove_policy(workload);
        }
        self.unserved.retain(|workload, _| index.principal(workload).is_some());
        self.versions = versions;
        Accepted {
            documents,
            index,
            warnings,
            revision,
            versions: self.versions.iter().map(|(id, (_, version))| (id.clone(), version.clone())).collect(),
            unserved: self.unserved.clone(),
            directory_problems,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Poll, Waker};

    use super::*;

    #[tokio::test]
    async fn changes_up_to_the_limit_wait_and_the_next_is_told_to_come_back() {
        let store = Store::memory().await.unwrap();
        let admission = Admission::open(store, SnapshotCache::new(), Settings::default()).await.unwrap();
        let key = DocumentKey::local("RuleSet", "shop", "none");
        let mut context = Context::from_waker(Waker::noop());
        // Nothing is awaited between, so nothing is judged yet.
        let mut changes: Vec<_> =
            (0..=QUEUE).map(|_| Box::pin(admission.delete(key.clone(), "ada"))).collect();
        let over = changes.pop().unwrap();
        for change in &mut changes {
            assert!(change.as_mut().poll(&mut context).is_pending());
        }
        assert!(matches!(Box::pin(over).as_mut().poll(&mut context), Poll::Ready(Err(Refused::Busy))));
        for change in changes {
            assert!(matches!(change.await, Err(Refused::Unknown(_))), "those that waited are judged");
        }
    }
}
