//! The policy in force: where it comes from, how it is swapped, and what is kept of it across restarts.
//!
//! ```text
//!   control plane ─┐
//!   file ──────────┼─▶ update (compile off the data path) ─▶ Current (one atomic swap) ─▶ open connections re-judged
//!   state directory┘
//! ```

mod active;
pub mod control_plane;
pub mod file;
pub mod state_dir;
pub mod update;

pub use active::{Active, Current};
