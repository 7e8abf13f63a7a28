//! What a rule set may cost to read. Each limit has its reason; tests reach every one from both sides.

/// Depth of `Include`: a file that a root names is at depth 1. Real rule sets use 2; a cycle must end.
pub const MAX_INCLUDE_DEPTH: usize = 16;

/// Files of one rule set, included and data files among them. CRS 4.28 has 50.
pub const MAX_FILES: usize = 1_000;

/// Bytes of all files together. CRS 4.28 has 1.2 MB; a rule set is kept in memory by every process that enforces it.
pub const MAX_TOTAL_BYTES: usize = 32 * 1024 * 1024;

/// Bytes of one directive with its continuation lines. The longest of CRS 4.28 has 14 kB.
pub const MAX_DIRECTIVE_BYTES: usize = 128 * 1024;

/// Directives, rules among them. CRS 4.28 has 750; a tree of a million is a size bomb.
pub const MAX_DIRECTIVES: usize = 100_000;

/// Rules (`SecRule`, `SecAction`, chain links among them). CRS 4.28 has 703; the rest is room for the user's own.
pub const MAX_RULES: usize = 20_000;

/// Targets of one rule. CRS 4.28 has at most 15, and exclusions add some dozens.
pub const MAX_TARGETS: usize = 1_000;

/// Actions of one rule. CRS 4.28 has at most 45; an exclusion package may write one `ctl` for each of its rules.
pub const MAX_ACTIONS: usize = 1_000;

/// Targets, actions and pieces of expanded text of all rules together. CRS 4.28 has some 15,000; each takes about a
/// hundred bytes of memory though it may be written with four.
pub const MAX_PARTS: usize = 500_000;

/// Files that one operator names.
pub const MAX_OPERATOR_FILES: usize = 100;

/// Bytes of the name of a file or of a pattern over names. Comparing costs the product of both lengths.
pub const MAX_NAME_BYTES: usize = 1_024;

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
    /// See [`MAX_DIRECTIVES`].
    pub directives: usize,
    /// See [`MAX_RULES`].
    pub rules: usize,
    /// See [`MAX_PARTS`].
    pub parts: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            include_depth: MAX_INCLUDE_DEPTH,
            files: MAX_FILES,
            total_bytes: MAX_TOTAL_BYTES,
            directive_bytes: MAX_DIRECTIVE_BYTES,
            directives: MAX_DIRECTIVES,
            rules: MAX_RULES,
            parts: MAX_PARTS,
        }
    }
}
