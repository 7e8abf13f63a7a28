//! The house test: floors, sizes, names and module headers, read from the repository itself.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// A crate uses only crates on lower floors; the numbers are ARCHITECTURE.md's.
const FLOORS: &[(&str, u32)] = &[
    ("palisade-model", 0),
    ("palisade-http", 1),
    ("palisade-seclang", 1),
    ("palisade-waf", 2),
    ("palisade-authz", 2),
    ("palisade-rules", 3),
    ("palisade-loader", 4),
    ("palisade-xds", 4),
    ("palisade-identity", 4),
    ("palisade-telemetry", 4),
    ("palisade-index", 5),
    ("palisade-store", 5),
    ("palisade-proxy", 6),
    ("palisade-control-plane", 6),
    ("palisade-tests", 7),
    ("palisade-benches", 7),
    ("palisade-crs", 8),
    ("xtask", 8),
];

/// Crates the rule engines (floors 0 to 3) may not reach: they would bring I/O, a runtime or a wire format.
const NO_IO: &[&str] = &["tokio", "hyper", "tonic", "prost", "rustls", "kube", "sqlx", "envoy-types"];

fn metadata() -> serde_json::Value {
    let output = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--format-version",
            "1",
            "--locked",
            "--filter-platform",
            "x86_64-unknown-linux-gnu",
        ])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The normal and build dependencies of a package entry.
fn dependencies(package: &serde_json::Value) -> Vec<String> {
    package["dependencies"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|dependency| dependency["kind"].as_str() != Some("dev"))
        .map(|dependency| dependency["name"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn a_crate_uses_only_crates_on_lower_floors() {
    let metadata = metadata();
    let floors: BTreeMap<&str, u32> = FLOORS.iter().copied().collect();
    let mut seen = 0;
    for package in metadata["packages"].as_array().unwrap() {
        if !package["source"].is_null() {
            continue;
        }
        let name = package["name"].as_str().unwrap();
        let floor = floors.get(name).unwrap_or_else(|| panic!("{name} is on no floor: add it to FLOORS"));
        seen += 1;
        for dependency in dependencies(package) {
            if let Some(below) = floors.get(dependency.as_str()) {
                assert!(below < floor, "{name} (floor {floor}) uses {dependency} (floor {below})");
            }
            assert!(
                *floor > 3 || !NO_IO.contains(&dependency.as_str()),
                "{name} is a rule engine and uses {dependency}"
            );
            assert!(
                name != "xtask" || !dependency.starts_with("palisade-") || dependency == "palisade-tests",
                "xtask links no product crate, but uses {dependency}"
            );
        }
    }
    assert_eq!(seen, FLOORS.len(), "FLOORS names a crate that does not exist");
}

#[test]
fn the_proxy_and_the_control_plane_do_not_know_each_other() {
    let metadata = metadata();
    for package in metadata["packages"].as_array().unwrap() {
        let name = package["name"].as_str().unwrap();
        let used = dependencies(package);
        match name {
            "palisade-proxy" => assert!(!used.iter().any(|used| used == "palisade-control-plane"
                || used == "palisade-index"
                || used == "palisade-store")),
            "palisade-control-plane" => assert!(!used.iter().any(|used| used == "palisade-proxy")),
            _ => {}
        }
    }
}

#[test]
fn one_crypto_provider_and_one_tls() {
    // What is built, not what could be: `cargo tree` leaves out optional dependencies nobody switched on.
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--workspace", "--locked", "--edges", "normal,build,dev", "--prefix", "none"])
        .current_dir(root())
        .output()
        .unwrap();
    let built = String::from_utf8(output.stdout).unwrap();
    assert!(built.lines().any(|line| line.starts_with("aws-lc-rs v")), "cargo tree lists what is built");
    for name in ["ring", "openssl", "openssl-sys", "native-tls", "boring", "boring-sys"] {
        let found = built.lines().find(|line| line.starts_with(&format!("{name} v")));
        assert!(found.is_none(), "{found:?} is built; deny.toml bans it");
    }
}

#[test]
fn every_dependency_has_a_line_in_the_book() {
    let metadata = metadata();
    let book = std::fs::read_to_string(root().join("docs/dependencies.md")).unwrap();
    for package in metadata["packages"].as_array().unwrap() {
        if !package["source"].is_null() {
            continue;
        }
        for dependency in package["dependencies"].as_array().unwrap() {
            let name = dependency["name"].as_str().unwrap();
            if dependency["source"].is_null() {
                continue;
            }
            assert!(book.contains(&format!("| `{name}` |")), "{name} has no row in docs/dependencies.md");
        }
    }
}

/// Every Rust file of the product and its tests, without what is generated.
fn rust_files() -> Vec<PathBuf> {
    let output = Command::new("git").args(["ls-files", "*.rs"]).current_dir(root()).output().unwrap();
    let listed = String::from_utf8(output.stdout).unwrap();
    let files: Vec<PathBuf> =
        listed.lines().filter(|path| !path.contains("/generated/")).map(|path| root().join(path)).collect();
    assert!(files.len() > 20, "git lists the sources");
    files
}

/// The text before the inline tests.
fn without_tests(text: &str) -> &str {
    text.find("\n#[cfg(test)]\nmod ").and_then(|at| text.get(..at)).unwrap_or(text)
}

fn is_test(path: &Path) -> bool {
    path.components().any(|part| part.as_os_str() == "tests") && !path.ends_with("tests/src/lib.rs")
        || path.file_name().is_some_and(|name| name == "tests.rs")
}

#[test]
fn rooms_are_small() {
    let mut long = Vec::new();
    let mut measured = 0;
    for path in rust_files().into_iter().filter(|path| !is_test(path)) {
        let text = std::fs::read_to_string(&path).unwrap();
        let lines = without_tests(&text).lines().count();
        measured += 1;
        assert!(lines <= 700, "{} has {lines} lines without tests", path.display());
        if lines > 400 {
            long.push((path, lines));
        }
    }
    assert!(long.len() * 10 <= measured, "9 in 10 files have at most 400 lines, but {long:?}");
}

#[test]
fn functions_fit_a_screen() {
    for path in rust_files().into_iter().filter(|path| !is_test(path)) {
        let text = std::fs::read_to_string(&path).unwrap();
        let mut start: Option<(usize, usize, String)> = None;
        for (number, line) in without_tests(&text).lines().enumerate() {
            let indent = line.len() - line.trim_start().len();
            let code = line.trim_start();
            let head = code
                .trim_start_matches("pub(crate) ")
                .trim_start_matches("pub(super) ")
                .trim_start_matches("pub ");
            let head = head.trim_start_matches("const ").trim_start_matches("async ");
            if head.starts_with("fn ") && start.is_none() && !code.ends_with(';') && !code.ends_with('}') {
                start = Some((number, indent, code.to_owned()));
            } else if let Some((from, at, name)) = &start
                && indent == *at
                && (code == "}" || code.ends_with(';'))
            {
                let lines = number - from + 1;
                assert!(lines <= 80, "{}:{}: {name} has {lines} lines", path.display(), from + 1);
                start = None;
            }
        }
    }
}

#[test]
fn every_module_says_what_it_is() {
    for path in rust_files() {
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.trim_start().starts_with("//!"), "{} does not open with what it is", path.display());
    }
}

#[test]
fn no_room_without_a_subject() {
    let forbidden =
        ["manager", "helper", "helpers", "util", "utils", "common", "handler", "handlers", "misc"];
    for path in rust_files() {
        for part in path.strip_prefix(root()).unwrap().iter() {
            let name = part.to_string_lossy();
            let name = name.trim_end_matches(".rs");
            assert!(!forbidden.contains(&name), "{} is named {name}", path.display());
        }
    }
}

#[test]
fn no_leftovers() {
    let marks = [
        concat!("FIX", "ME"),
        concat!("XX", "X:"),
        concat!("todo", "!("),
        concat!("dbg", "!("),
        concat!("#[ign", "ore"),
    ];
    for path in rust_files() {
        let text = std::fs::read_to_string(&path).unwrap();
        for mark in marks {
            assert!(!text.contains(mark), "{} has a leftover {mark}", path.display());
        }
    }
}
