//! Tables made by `cargo xtask tables` from libinjection's data, which is under the BSD 3-clause licence, and from the Web
//! IDL of the platform's specifications, which is under the MIT licence: see NOTICE.

pub(super) mod fingerprints;
pub(super) mod markup;
pub(super) mod newer_events;
pub(super) mod words;
