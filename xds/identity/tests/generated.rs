//! The committed Rust of `proto/` is what the protos say. `PALISADE_REGENERATE=1` rewrites it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::Path;

#[test]
fn the_committed_code_is_what_the_protos_generate() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let file = root.join("proto/palisade/v1/certificates.proto");
    let descriptors = protox::compile([file], [root.join("proto")]).expect("the proto compiles");
    let out = tempfile::tempdir().unwrap();
    tonic_prost_build::configure()
        .out_dir(out.path())
        .compile_fds_with_config(descriptors, prost_build::Config::new())
        .expect("code is generated");
    let generated = std::fs::read_to_string(out.path().join("palisade.v1.rs")).unwrap();

    let committed = root.join("src/generated/palisade.v1.rs");
    if std::env::var_os("PALISADE_REGENERATE").is_some() {
        std::fs::write(&committed, &generated).unwrap();
    }
    let found = std::fs::read_to_string(&committed).unwrap_or_default();
    assert!(found == generated, "src/generated is stale; run this test with PALISADE_REGENERATE=1");
}
