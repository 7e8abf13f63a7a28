//! Whether the WAF decides rightly, through the real `palisade-proxy` in blocking mode. The regression suite of CRS looks
//! at logged ids alone; a proxy that refused everything, or nothing, would hardly move its score.
//!
//! ```text
//!   stage     a proxy with rules, an origin that remembers       scores   CRS: thresholds, levels, early blocking
//!   modes     modes of policies and groups, exclusions           rules    what one rule does: deny, allow, skip, ctl
//!   answers   phases 3 and 4, and what the client and the log see of a refusal; swaps
//! ```

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::indexing_slicing,
    missing_docs
)]

mod answers;
mod modes;
mod rules;
mod scores;
mod stage;
