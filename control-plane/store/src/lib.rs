//! What the control plane remembers: documents and their revisions, tokens, sidecar status, events, the audit trail.
//!
//! ```text
//!   Store ── documents · tokens · join_tokens · sidecars · events · audit      (one module each, same pool)
//! ```
//! Promises: a change and its revision are one transaction, so nothing is in force without an author; revision numbers
//! only grow and none is given twice; secrets are kept as digests only; tables that traffic fills are bounded.
//! It decides nothing: what a document means, who may change it, and what time it is, is the caller's knowledge.
//! The SQL is portable, since PostgreSQL is to run on the same code.

#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing))]

mod audit;
mod documents;
mod events;
mod join_tokens;
mod sidecars;
mod store;
mod tokens;

pub use audit::{AuditEntry, NewAuditEntry, Outcome, REFUSALS_KEPT};
pub use documents::{Change, DocumentKey, Origin, Revision, StoredDocument};
pub use events::{EventQuery, EventRow, MAX_EVENTS, MAX_QUERY_ROWS, NewEvent};
pub use join_tokens::{JoinTokenRecord, Spent};
pub use sidecars::SidecarStatus;
pub use store::{Store, StoreError};
pub use tokens::{Role, TokenRecord};
