//! palisade-xds
