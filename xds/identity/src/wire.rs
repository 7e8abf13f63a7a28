//! The generated messages and stubs of `proto/palisade/v1/certificates.proto`.

#![allow(missing_docs, clippy::all, clippy::unwrap_used, unused_qualifications, rust_2018_idioms)]

include!("generated/palisade.v1.rs");
