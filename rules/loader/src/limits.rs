//! What may be read. Each limit has its reason; tests reach every one from both sides.

/// Bytes of one YAML or JSON file. CRS 4.28 inline in a RuleSet has 1.3 MB.
pub const MAX_FILE_BYTES: usize = 16 * 1024 * 1024;

/// Documents of one file: a file of every policy of a large mesh. An empty document costs 4 bytes and an allocation.
pub const MAX_DOCUMENTS: usize = 10_000;

/// Depth of a document. The deepest field of our kinds is at 14.
pub const MAX_DEPTH: usize = 32;

/// Values (scalars, lists, maps) of one document.
pub const MAX_NODES: usize = 250_000;

/// Anchors, and as many aliases, of one document. They are for repeating a few lines; a bomb needs ten of ten.
pub const MAX_ANCHORS: usize = 32;

/// Values that all aliases of a document together stand for.
pub const MAX_REPLAYED_NODES: usize = 4_096;

/// Files that a pattern may take and entries of a directory that are looked at for one.
pub const MAX_DIRECTORY_ENTRIES: usize = 10_000;
