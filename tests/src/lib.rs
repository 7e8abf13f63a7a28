//! palisade-tests
