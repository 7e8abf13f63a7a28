//! Every limit of the WAF engine with its reason. Each has a test at, under and over it.

/// Chain links of one rule. CRS 4's longest chain has 5.
pub const CHAIN_LINKS: usize = 32;
/// Bytes of regular expressions of one compiled rule set. CRS 4 has about 190 KiB; compiled they take some 50 times that.
pub const REGEX_BYTES: usize = 2 * 1024 * 1024;
/// Arguments of one request: query and body together (ModSecurity's recommended `SecArgumentsLimit`).
pub const ARGUMENTS: usize = 1_000;
/// Bytes one macro expands to. A setvar that doubles itself on every match must end somewhere.
pub const EXPANSION_BYTES: usize = 1024 * 1024;
/// Bytes of all names and values that `setvar` and captures keep in one transaction.
pub const STORE_BYTES: usize = 4 * 1024 * 1024;
/// Names that `setvar` and captures keep in one transaction. CRS makes one for each argument name.
pub const STORE_ENTRIES: usize = 8 * ARGUMENTS;
/// Work units of one transaction. One evaluation of one rule on one value costs [`EVALUATION_UNITS`] and one for each
/// byte that is examined or transformed. A 128 KiB body under all rules of CRS takes about 40 million.
pub const WORK_UNITS: u64 = 400_000_000;
/// Work units of one evaluation, whatever the length of the value.
pub const EVALUATION_UNITS: u64 = 64;
/// Bytes of a variable's name in a rule match; the name of an argument comes from the client.
pub const TARGET_NAME_BYTES: usize = 128;
/// Bytes of a rule match's message after expansion.
pub const MESSAGE_BYTES: usize = 1024;
/// Rule matches that one transaction keeps. More than any rule set's rules that match on purpose.
pub const MATCHES: usize = 1_000;
/// Values that one chain may match. CRS's chains look at what earlier links matched, which can double it with each link.
pub const MATCHED_VALUES: usize = 10_000;
