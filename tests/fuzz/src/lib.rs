//! What the targets share: how an input is cut into parts, and what an exchange with a rule set is made of.
//!
//! Inputs are made of lines, so that a seed can be written by hand. Parts of the programs that are no library are
//! compiled in: how the rule writer's tool reads samples, and how the proxy writes a line of the audit log.

pub mod exchange;
pub mod input;

#[path = "../../../proxy/src/telemetry/audit/record.rs"]
pub mod record;

#[path = "../../../control-plane/src/sample/mod.rs"]
pub mod sample;
