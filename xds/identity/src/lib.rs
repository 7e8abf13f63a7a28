//! palisade-identity
