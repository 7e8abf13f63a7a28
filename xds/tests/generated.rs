//! The committed Rust of `proto/` is what the protos say. `PALISADE_REGENERATE=1` rewrites it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::Path;

#[test]
fn the_committed_code_is_what_the_protos_generate() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = root.join("proto/palisade/v1");
    let mut files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 8, "the protos are not where this test looks");
    let descriptors = protox::compile(&files, [root.join("proto")]).expect("the protos compile");

    let out = tempfile::tempdir().unwrap();
    let mut config = prost_build::Config::new();
    // Without the domain a type URL would be `/palisade.v1.…`, which no xDS peer writes.
    config.enable_type_names().type_name_domain(["."], "type.googleapis.com");
    // Ordered maps: the same message always has the same bytes, so that its hash can be its version.
    config.btree_map(["."]).out_dir(out.path());
    config.compile_fds(descriptors).expect("code is generated");
    let generated = std::fs::read_to_string(out.path().join("palisade.v1.rs")).unwrap();

    let committed = root.join("src/generated/palisade.v1.rs");
    if std::env::var_os("PALISADE_REGENERATE").is_some() {
        std::fs::write(&committed, &generated).unwrap();
    }
    let found = std::fs::read_to_string(&committed).unwrap_or_default();
    assert!(found == generated, "src/generated is stale; run this test with PALISADE_REGENERATE=1");
}
