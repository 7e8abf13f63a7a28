//! Body and query parsers: bytes → named values. Each is one pass, bounded, and answers flags instead of failing where
//! ModSecurity goes on.

pub mod charset;
pub mod coding;
pub mod cookies;
pub mod json;
pub mod multipart;
pub mod unread;
pub mod urlencoded;
pub mod xml;

/// A name and a value, both as bytes from the request.
pub type Pair = (Vec<u8>, Vec<u8>);

/// SecArgumentsLimit's default: arguments of one source. ModSecurity's and CRS's recommendation; more is an attack on
/// the rule engine, whose work grows with the product of rules and arguments.
pub const ARGUMENTS_LIMIT: usize = 1000;
