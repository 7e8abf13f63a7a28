//! The words every other crate speaks: plain data of one exchange and of what was asked about it.
//!
//! ```text
//!   documents/*  what users write          Policy       what one workload is asked to enforce
//!   Connection   who is calling, and where RequestHead  one canonical reading of one request
//!   Denial       why an exchange ended     RequestRecord the facts that explain, replay and events share
//! ```
//!
//! Promises: plain data without I/O, clock, protobuf or Kubernetes types; everything users write refuses
//! unknown fields. It does not decide anything: matching lives in `palisade-http`, `palisade-authz` and
//! `palisade-waf`, and only `palisade-rules` composes their answers.

#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing))]

pub mod audit;
pub mod connection;
pub mod denial;
pub mod documents;
pub mod head;
pub mod identity;
pub mod limits;
pub mod network;
pub mod policy;
pub mod record;

pub use connection::{Connection, Direction, Protocol};
pub use denial::{Denial, Reason, RuleId};
pub use head::{Authority, BodyKind, RawHead, RequestHead, ResponseHead, Scheme};
pub use identity::{Principal, WorkloadId};
pub use limits::Limits;
pub use network::network;
pub use policy::Policy;
pub use record::RequestRecord;
