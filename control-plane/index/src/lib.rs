//! palisade-index
