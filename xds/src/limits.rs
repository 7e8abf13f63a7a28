//! Every limit of the wire with its reason. Each has a test at, under and over it.

/// Bytes of one fragment. The Core Rule Set with its data files is under 2 MiB.
pub const FRAGMENT_BYTES: usize = 8 * 1024 * 1024;
/// Bytes of all fragments of one policy: what a sidecar is willing to hold while it waits for the rest.
pub const POLICY_BYTES: usize = 64 * 1024 * 1024;
/// Fragments of one policy. A sidecar's configuration grows with its dependencies, not with the mesh.
pub const FRAGMENTS: usize = 16 * 1024;
/// Bytes of one response a client reads: one largest fragment and its envelope.
pub const RESPONSE_BYTES: usize = FRAGMENT_BYTES + 64 * 1024;
/// Bytes of fragments the server puts into one response before it begins the next; a larger fragment travels alone.
/// Small enough that other streams of the connection are not held up.
pub const RESPONSE_TARGET_BYTES: usize = 1024 * 1024;
/// Resources of one response. Each costs at least its envelope of some 300 bytes in memory.
pub const RESPONSE_RESOURCES: usize = 4 * 1024;
/// Bytes of one request a server reads. A reconnecting sidecar names some thousand fragments with their hashes.
pub const REQUEST_BYTES: usize = 2 * 1024 * 1024;
/// Bytes of names and versions a client puts into its first request of a type; what does not fit is sent again by
/// the server, which is only slower. Half of [`REQUEST_BYTES`].
pub const INITIAL_VERSION_BYTES: usize = REQUEST_BYTES / 2;
/// Names in one request, and names one stream subscribes to per type.
pub const REQUEST_NAMES: usize = FRAGMENTS;
/// Bytes of a resource name. Kind, namespace (63) and name (253) of Kubernetes fit twice.
pub const NAME_BYTES: usize = 1024;
/// Bytes of an error a client reports; longer ones are cut.
pub const ERROR_BYTES: usize = 4 * 1024;
/// Responses a stream may leave without ACK or NACK before it is closed. One push of a largest policy has some hundred.
pub const OUTSTANDING_RESPONSES: usize = 1024;
/// Seconds a server waits for the first message of a stream, which says whose policy is asked for.
pub const FIRST_MESSAGE_SECONDS: u64 = 10;
/// Seconds a client waits for the fragments a manifest names before it refuses the manifest.
pub const COMPLETION_SECONDS: u64 = 30;
