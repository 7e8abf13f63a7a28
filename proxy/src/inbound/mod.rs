//! From an accepted connection to an answered request. Despite its name (the design's), inbound, outbound and gateway
//! traffic walk the same way; the listener's direction tells the rules what to judge.

pub mod body;
pub mod connection;
pub mod request;
