//! The operators (`@rx`, `@pm`, …): what a rule asks of a value.
