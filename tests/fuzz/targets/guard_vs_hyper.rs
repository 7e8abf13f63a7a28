//! Promise: whatever the guard lets through, hyper reads as the guard did, and how the bytes are cut does not matter.
#![no_main]

#[path = "../../../rules/http/tests/hyper_reads/mod.rs"]
mod hyper_reads;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    hyper_reads::compare(data);
});
