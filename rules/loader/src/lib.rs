//! palisade-loader
