//! The framing guard (to be filled).
