//! What a rule set may cost to read. Each limit has its reason; tests reach every one from both sides.

/// Depth of `Include`: a file that a root names is at depth 1. Real rule sets use 2; a cycle must end.
pub const MAX_INCLUDE_DEPTH: usize = 16;

/// Files of one rule set, included and data files among them. CRS 4.28 has 50.
pub const MAX_FILES: usize = 1_000;

/// Bytes of all files together. CRS 4.28 has 1.2 MB; a rule set is kept in memory by every process that enforces it.
pub const MAX_TOTAL_BYTES: usize = 32 * 1024 * 1024;

/// Bytes of one directive with its continuation lines. The longest of CRS 4.28 has 14 kB.
pub const MAX_DIRECTIVE_BYTES: usize = 128 * 1024;

/// Rules (`SecRule`, `SecAction`, chain links among them). CRS 4.28 has 703.
pub const MAX_RULES: usize = 50_000;

/// Problems that are kept; the rest are counted. More help nobody, and each holds a piece of the source line.
pub const MAX_DIAGNOSTICS: usize = 64;

/// The limits in force; the constants of this module by default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// See [`MAX_INCLUDE_DEPTH`].
    pub include_depth: usize,
    /// See [`MAX_FILES`].
    pub files: usize,
    /// See [`MAX_TOTAL_BYTES`].
    pub total_bytes: usize,
    /// See [`MAX_DIRECTIVE_BYTES`].
    pub directive_bytes: usize,
    /// See [`MAX_RULES`].
    pub rules: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            include_depth: MAX_INCLUDE_DEPTH,
            files: MAX_FILES,
            total_bytes: MAX_TOTAL_BYTES,
            directive_bytes: MAX_DIRECTIVE_BYTES,
            rules: MAX_RULES,
        }
    }
}
