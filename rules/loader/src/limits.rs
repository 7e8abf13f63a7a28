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

/// Bytes of an archive of rule files, as it is packed. The whole of CRS 4.28 with its tests has 1 MB.
pub const MAX_ARCHIVE_BYTES: u64 = 32 * 1024 * 1024;

/// Bytes that an archive unpacks to, whatever of it is kept. CRS 4.28 with its tests has 9 MB.
pub const MAX_UNPACKED_BYTES: u64 = 64 * 1024 * 1024;

/// Folders in folders of a release. The deepest of CRS is at 6.
pub const MAX_RELEASE_DEPTH: usize = 16;
