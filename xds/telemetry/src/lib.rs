//! palisade-telemetry
