//! Strictness towards upstream responses (to be filled).
