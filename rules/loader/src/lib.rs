//! Reads what users write: documents, the policy file of a standalone proxy, directories of rules.
//!
//! The only rules crate with I/O. Promises that every file is bounded before it is read, that nothing unknown is
//! ignored (kinds, versions, fields), that rule files stay below their root whatever links lie there, and that an
//! error names its place. Does not compile or judge.

#![forbid(unsafe_code)]
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::print_stdout,
        clippy::print_stderr
    )
)]

pub mod bootstrap;
pub mod default_rules;
pub mod documents;
mod error;
mod file;
pub mod limits;
pub mod policy_file;
pub mod release;
pub mod rule_set;
mod version;
mod yaml;

pub use bootstrap::Bootstrap;
pub use error::LoadError;
pub use policy_file::PolicyFile;
pub use version::version_of;
