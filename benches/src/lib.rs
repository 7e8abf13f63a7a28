//! Measurements: micro-benches in `benches/benches/`, and the programs that `cargo xtask bench` runs beside peers
//! (an origin, a load generator, certificates, WAF engines). Nothing here is part of the product.

#![forbid(unsafe_code)]

pub mod clock;
pub mod recipes;
pub mod requests;
pub mod waf;
