//! Request head → canonical form.

use http::request::Parts;
use palisade_model::{BodyKind, RawHead, RequestHead, Scheme};

use crate::Malformed;

/// Reads a decoded head into its canonical form (to be filled).
pub fn canonical(
    _parts: Parts,
    _raw: Option<RawHead>,
    _scheme: Scheme,
) -> Result<(RequestHead, BodyKind), Malformed> {
    Err(Malformed { cause: crate::Cause::MissingHost, place: "face".into() })
}
