//! The one face of the rule engines: Policy → Engine → Transaction → Verdict.
//!
//! ```text
//!   engine.connection(&Connection)          -> TcpPermit | Denial                       splice(TcpPermit)
//!   snapshot.request(connection, head, …)   -> Forward(Permit) | NeedBody(BodyStage) | Deny(Refused)
//!   body_stage.feed(&[u8]) / .finish()      -> Permit | Refused
//!   permit.into_exchange()                  -> the canonical head, the route, and the ResponseStage
//!   response_stage.head / feed / finish     -> pass | Refused, and in the end the facts for the record
//! ```
//!
//! Promises: a [`Permit`] cannot be made, copied or altered outside this crate, and owns the head that was judged, so
//! what was judged is what is sent. One transaction uses one [`Snapshot`] from start to end. No I/O, no clock: time
//! and reference ids are passed in. Which engine runs when is one table: [`stages`].

#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod answer;
mod engine;
pub mod explain;
mod permit;
mod request;
mod response;
mod snapshot;
pub mod stages;
pub mod upload;

pub use answer::{Answer, LOCATION_BYTES};
pub use engine::{CompileError, Engine};
pub use explain::Explanation;
pub use permit::{Destination, Found, Judgement, Permit, Refused, TcpPermit};
pub use request::{BodyStage, Exchange, Feed, HEAVY_BYTES, LOOKS, Step};
pub use response::{ResponseBody, ResponseStage};
pub use snapshot::{Snapshot, State};
