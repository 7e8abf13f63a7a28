//! Client and server over real gRPC on loopback, and each of them against a hostile peer.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod hostile_client;
mod hostile_server;
mod stage;
mod updates;
