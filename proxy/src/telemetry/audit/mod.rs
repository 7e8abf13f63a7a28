//! The audit log: one line for each exchange that the policy wants audited, in ModSecurity's sections.
//!
//! ```text
//!   Ending ──audited()──▶ AuditRecord ──(bounded, never waits)──▶ AuditFile's thread ──▶ FILE
//! ```
//! Promises: the data path never waits for a disk; what does not fit, or cannot be written, is dropped and counted;
//! nothing is shown that the policy does not show (`record`). It does not rotate: it opens the file again when told.

mod file;
mod record;
#[cfg(test)]
mod tests;

pub use file::{AuditFile, AuditFileError};
pub(super) use record::{Audited, audited};
