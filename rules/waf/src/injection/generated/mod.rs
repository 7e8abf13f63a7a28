//! Tables made by `cargo xtask tables` from libinjection's data, which is under the BSD 3-clause licence: see NOTICE.

pub(super) mod fingerprints;
pub(super) mod markup;
pub(super) mod words;
