//! Documents in force, and every change that led to them.

use serde::{Deserialize, Serialize};

use crate::store::{Store, StoreError, take_numbers};

/// The full name of a document.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DocumentKey {
    /// The cluster.
    pub cluster: String,
    /// The tenant.
    pub tenant: String,
    /// E.g. `AuthorizationPolicy`.
    pub kind: String,
    /// The namespace.
    pub namespace: String,
    /// The name.
    pub name: String,
}

impl DocumentKey {
    /// A document of the default cluster and tenant.
    pub fn local(kind: &str, namespace: &str, name: &str) -> Self {
        let part = palisade_model::identity::DEFAULT_PART.to_owned();
        Self {
            cluster: part.clone(),
            tenant: part,
            kind: kind.to_owned(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        }
    }
}

impl std::fmt::Display for DocumentKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}/{}", self.kind, self.namespace, self.name)
    }
}

/// Where a document came from. Each origin changes only its own documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// The REST API.
    Rest,
    /// The watched directory.
    Directory,
}

impl Origin {
    fn as_str(self) -> &'static str {
        match self {
            Self::Rest => "rest",
            Self::Directory => "directory",
        }
    }

    fn parse(text: &str) -> Result<Self, StoreError> {
        match text {
            "rest" => Ok(Self::Rest),
            "directory" => Ok(Self::Directory),
            other => {
                Err(StoreError::Unreadable { table: "documents", column: "origin", value: other.to_owned() })
            }
        }
    }
}

/// A document in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredDocument {
    /// Its name.
    pub key: DocumentKey,
    /// Where it came from.
    pub origin: Origin,
    /// Its text as it was given.
    pub body: String,
    /// The number of the change that made it.
    pub revision: i64,
}

/// A change to make: a body to put in force, or none to delete the document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The document.
    pub key: DocumentKey,
    /// Who owns it.
    pub origin: Origin,
    /// The new text.
    pub body: Option<String>,
}

/// A change that was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Revision {
    /// Its number.
    pub revision: i64,
    /// The document.
    #[serde(flatten)]
    pub key: DocumentKey,
    /// `put` or `delete`.
    pub action: String,
    /// Who made it.
    pub author: String,
    /// Milliseconds since the epoch.
    pub time_ms: i64,
    /// The text it put in force.
    pub body: Option<String>,
}

type DocumentRow = (String, String, String, String, String, String, String, i64);
type RevisionRow = (i64, String, String, String, String, String, String, String, i64, Option<String>);

impl Store {
    /// Every document in force, ordered by name.
    pub async fn documents(&self) -> Result<Vec<StoredDocument>, StoreError> {
        let rows: Vec<DocumentRow> = sqlx::query_as(
            "SELECT cluster, tenant, kind, namespace, name, origin, body, revision FROM documents \
             ORDER BY cluster, tenant, kind, namespace, name",
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter().map(stored).collect()
    }

    /// Makes changes, all or none, each with a revision. Returns the number of the last.
    pub async fn change(&self, changes: &[Change], author: &str, time_ms: i64) -> Result<i64, StoreError> {
        let mut transaction = self.write().await?;
        let count = i64::try_from(changes.len()).unwrap_or(i64::MAX);
        let mut revision = take_numbers(&mut transaction, "revision", count).await?;
        for change in changes {
            let DocumentKey { cluster, tenant, kind, namespace, name } = &change.key;
            let action = match &change.body {
                Some(body) => {
                    sqlx::query(
                        "INSERT INTO documents (cluster, tenant, kind, namespace, name, origin, body, revision) \
                         VALUES ($1, $2, $3, $4, $5, $6, $7, $8) \
                         ON CONFLICT (cluster, tenant, kind, namespace, name) \
                         DO UPDATE SET origin = excluded.origin, body = excluded.body, revision = excluded.revision",
                    )
                    .bind(cluster).bind(tenant).bind(kind).bind(namespace).bind(name)
                    .bind(change.origin.as_str()).bind(body).bind(revision)
                    .execute(&mut *transaction)
                    .await?;
                    "put"
                }
                None => {
                    sqlx::query(
                        "DELETE FROM documents WHERE cluster = $1 AND tenant = $2 AND kind = $3 \
                         AND namespace = $4 AND name = $5",
                    )
                    .bind(cluster)
                    .bind(tenant)
                    .bind(kind)
                    .bind(namespace)
                    .bind(name)
                    .execute(&mut *transaction)
                    .await?;
                    "delete"
                }
            };
            sqlx::query(
                "INSERT INTO revisions \
                 (revision, cluster, tenant, kind, namespace, name, action, author, time_ms, body) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
            )
            .bind(revision)
            .bind(cluster)
            .bind(tenant)
            .bind(kind)
            .bind(namespace)
            .bind(name)
            .bind(action)
            .bind(author)
            .bind(time_ms)
            .bind(&change.body)
            .execute(&mut *transaction)
            .await?;
            revision += 1;
        }
        transaction.commit().await?;
        Ok(revision - 1)
    }

    /// The newest changes of one document, newest first.
    pub async fn revisions(&self, key: &DocumentKey, limit: i64) -> Result<Vec<Revision>, StoreError> {
        let rows: Vec<RevisionRow> = sqlx::query_as(
            "SELECT revision, cluster, tenant, kind, namespace, name, action, author, time_ms, body \
             FROM revisions WHERE cluster = $1 AND tenant = $2 AND kind = $3 AND namespace = $4 AND name = $5 \
             ORDER BY revision DESC LIMIT $6",
        )
        .bind(&key.cluster).bind(&key.tenant).bind(&key.kind).bind(&key.namespace).bind(&key.name)
        .bind(limit.clamp(0, crate::MAX_QUERY_ROWS))
        .fetch_all(&self.pool)
        .await?;
        Ok(rows.into_iter().map(revision).collect())
    }

    /// The number of the last change; 0 if there was none.
    pub async fn last_revision(&self) -> Result<i64, StoreError> {
        let (value,): (i64,) = sqlx::query_as("SELECT value FROM counters WHERE name = 'revision'")
            .fetch_one(&self.pool)
            .await?;
        Ok(value)
    }
}

fn stored(row: DocumentRow) -> Result<StoredDocument, StoreError> {
    let (cluster, tenant, kind, namespace, name, origin, body, revision) = row;
    let key = DocumentKey { cluster, tenant, kind, namespace, name };
    Ok(StoredDocument { key, origin: Origin::parse(&origin)?, body, revision })
}

fn revision(row: RevisionRow) -> Revision {
    let (revision, cluster, tenant, kind, namespace, name, action, author, time_ms, body) = row;
    let key = DocumentKey { cluster, tenant, kind, namespace, name };
    Revision { revision, key, action, author, time_ms, body }
}
