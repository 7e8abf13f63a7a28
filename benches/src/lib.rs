//! palisade-benches
