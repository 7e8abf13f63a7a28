//! The pool, its files, and the numbers that only grow.

use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Sqlite, SqlitePool, Transaction};

/// How long a statement waits for another connection's write.
const BUSY: Duration = Duration::from_secs(5);
/// Connections to a database file. SQLite writes one at a time; the others read meanwhile.
const CONNECTIONS: u32 = 4;

/// What can go wrong with the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database refused.
    #[error("database: {0}")]
    Database(#[from] sqlx::Error),
    /// The schema could not be brought up to date.
    #[error("database schema: {0}")]
    Migration(#[from] sqlx::migrate::MigrateError),
    /// The file could not be made private.
    #[error("{path}: {error}")]
    File {
        /// The file.
        path: String,
        /// What the system said.
        error: std::io::Error,
    },
    /// A row holds what this version cannot read.
    #[error("table {table}: unreadable {column} {value:?}")]
    Unreadable {
        /// The table.
        table: &'static str,
        /// The column.
        column: &'static str,
        /// The value.
        value: String,
    },
}

/// The store. Cheap to clone: clones share the pool.
#[derive(Clone, Debug)]
pub struct Store {
    pub(crate) pool: SqlitePool,
    pub(crate) events_kept: i64,
    pub(crate) refusals_kept: i64,
}

impl Store {
    /// Opens or makes a database file that only its owner can read.
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        make_private(path).map_err(|error| StoreError::File { path: path.display().to_string(), error })?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Normal)
            .busy_timeout(BUSY);
        Self::connect(SqlitePoolOptions::new().max_connections(CONNECTIONS), options).await
    }

    /// A store in memory, gone with its last clone.
    pub async fn memory() -> Result<Self, StoreError> {
        // Each connection to `:memory:` is a database of its own, so there must be one that never closes.
        let pool = SqlitePoolOptions::new()
            .max_connections(1)
            .min_connections(1)
            .idle_timeout(None)
            .max_lifetime(None);
        Self::connect(pool, SqliteConnectOptions::new().in_memory(true)).await
    }

    async fn connect(pool: SqlitePoolOptions, options: SqliteConnectOptions) -> Result<Self, StoreError> {
        let pool = pool.connect_with(options).await?;
        sqlx::migrate!("migrations/sqlite").run(&pool).await?;
        Ok(Self { pool, events_kept: crate::MAX_EVENTS, refusals_kept: crate::REFUSALS_KEPT })
    }

    /// The same store with smaller rings, so that tests can fill them.
    pub fn with_rings(mut self, events: i64, refusals: i64) -> Self {
        self.events_kept = events;
        self.refusals_kept = refusals;
        self
    }

    /// Whether the database answers.
    pub async fn ready(&self) -> Result<(), StoreError> {
        sqlx::query("SELECT 1").execute(&self.pool).await?;
        Ok(())
    }

    /// A transaction that may write. Taking the write lock at once avoids the deadlock of two readers that both
    /// want to write.
    pub(crate) async fn write(&self) -> Result<Transaction<'static, Sqlite>, StoreError> {
        Ok(self.pool.begin_with("BEGIN IMMEDIATE").await?)
    }
}

/// Takes `count` numbers of a counter; returns the first.
pub(crate) async fn take_numbers(
    transaction: &mut Transaction<'static, Sqlite>,
    counter: &str,
    count: i64,
) -> Result<i64, StoreError> {
    let (last,): (i64,) =
        sqlx::query_as("UPDATE counters SET value = value + $1 WHERE name = $2 RETURNING value")
            .bind(count)
            .bind(counter)
            .fetch_one(&mut **transaction)
            .await?;
    Ok(last - count + 1)
}

/// Makes the file before SQLite does, so that it is never readable by others; its side files take its mode.
fn make_private(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
    let file = std::fs::OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
    file.set_permissions(std::fs::Permissions::from_mode(0o600))
}
