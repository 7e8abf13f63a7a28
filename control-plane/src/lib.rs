//! palisade-control-plane
