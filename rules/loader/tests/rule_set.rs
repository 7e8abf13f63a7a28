//! Directories of rules: complete, bounded, and never outside their root.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout
)]

use std::fs;
use std::path::{Path, PathBuf};

use palisade_loader::limits::MAX_DIRECTORY_ENTRIES;
use palisade_loader::rule_set::read;
use palisade_model::documents::{Metadata, RuleSet};
use palisade_seclang::{MAX_FILES, MAX_TOTAL_BYTES, parse_rule_set};

fn directory(files: &[(&str, &str)]) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = root.path().join("rules").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    root
}

fn load(root: &Path, include: &[&str]) -> Result<RuleSet, String> {
    let include: Vec<String> = include.iter().map(|text| (*text).to_owned()).collect();
    let metadata = Metadata { name: "r".into(), ..Metadata::default() };
    read(&root.join("rules"), &include, metadata).map_err(|error| error.to_string())
}

const A: &str = "Include more/*.conf\nSecRule ARGS \"@pmFromFile a.data\" \"id:1\"\n";
const B: &str = "SecRule ARGS \"@pmFromFile b.data ../a.data\" \"id:2\"\nInclude ../one.inc\n";

#[test]
fn a_directory_becomes_a_rule_set_that_needs_nothing_else() {
    let root = directory(&[
        ("z.conf", "SecRule ARGS \"x\" \"id:9\"\n"),
        ("a.conf", A),
        ("more/b.conf", B),
        ("more/b.data", "bee\n"),
        ("a.data", "ay\n"),
        ("one.inc", "SecMarker one\n"),
        ("unused.data", "never\n"),
    ]);
    let rule_set = load(root.path(), &["z.conf", "[ab].conf"]).unwrap();
    let names: Vec<&str> = rule_set.spec.sources.iter().map(|source| source.name.as_str()).collect();
    assert_eq!(names, ["z.conf", "a.conf"], "in the order that was asked for");
    let data: Vec<&String> = rule_set.spec.data.keys().collect();
    assert_eq!(data, ["a.data", "more/b.conf", "more/b.data", "one.inc"]);
    fs::remove_dir_all(root.path().join("rules")).unwrap();
    let ast = parse_rule_set(&rule_set).unwrap();
    let ids: Vec<Option<u64>> = ast.rules().map(|rule| rule.id()).collect();
    assert_eq!(ids, [Some(9), Some(2), Some(1)]);
    let files = |rule: usize| {
        let rule = ast.rules().nth(rule).unwrap();
        rule.operator.as_ref().unwrap().data_texts(&ast).collect::<Vec<_>>()
    };
    assert_eq!(files(1), ["bee\n", "ay\n"]);
}

#[test]
fn what_is_missing_no_file_no_text_or_twice_there_is_refused_by_name() {
    let root = directory(&[("a.conf", "SecRule ARGS \"@pmFromFile gone.data\" \"id:1\"\n"), ("d/x", "")]);
    fs::write(root.path().join("rules/latin.conf"), b"# caf\xe9\n").unwrap();
    for (include, parts) in [
        (vec!["gone.conf"], vec!["gone.conf", "No such file"]),
        (vec!["*.rules"], vec!["no file matches \"*.rules\""]),
        (vec!["d"], vec!["d: not a regular file"]),
        (vec!["latin.conf"], vec!["latin.conf", "not UTF-8", "byte 5"]),
        (vec!["a.conf", "a.conf"], vec!["\"a.conf\" is included twice"]),
        (vec!["a.conf"], vec!["a.conf:1:27: error", "gone.data", "No such file", "^"]),
    ] {
        let message = load(root.path(), &include).unwrap_err();
        for part in parts {
            assert!(message.contains(part), "{include:?}: {message}");
        }
    }
    let message = load(&root.path().join("rules/d/x"), &["a"]).unwrap_err();
    assert!(message.contains("rules/d/x"), "{message}");
    assert!(load(&root.path().join("nowhere"), &["a"]).unwrap_err().contains("nowhere"));
}

#[test]
fn a_malformed_rule_is_told_with_file_line_column_and_caret() {
    let root = directory(&[("a.conf", "\nSecRule ARGZ \"x\" \"id:1\"\n")]);
    let message = load(root.path(), &["*.conf"]).unwrap_err();
    assert!(message.starts_with("a.conf:2:9: error: unknown variable \"ARGZ\"\n"), "{message}");
    assert!(message.contains("did you mean \"ARGS\"?"), "{message}");
}

#[test]
fn no_name_and_no_link_leads_outside_the_root() {
    let root = directory(&[
        ("up.conf", "Include ../secret.conf\n"),
        ("data.conf", "SecRule ARGS \"@pmFromFile ../secret.conf\" \"id:1\"\n"),
        ("absolute.conf", "Include /etc/hostname\n"),
        ("through.conf", "Include link.conf\n"),
        ("folder.conf", "Include out/*.conf\n"),
        ("fine.conf", "Include inner.conf\n"),
        ("target.conf", "SecMarker here\n"),
    ]);
    fs::write(root.path().join("secret.conf"), "SecMarker secret\n").unwrap();
    let link = |to: PathBuf, name: &str| {
        std::os::unix::fs::symlink(to, root.path().join("rules").join(name)).unwrap()
    };
    link(root.path().join("secret.conf"), "link.conf");
    link(root.path().to_path_buf(), "out");
    link(PathBuf::from("target.conf"), "inner.conf");
    for include in [
        "up.conf",
        "data.conf",
        "absolute.conf",
        "through.conf",
        "folder.conf",
        "../secret.conf",
        "link.conf",
        "out/*",
    ] {
        let message = load(root.path(), &[include]).unwrap_err();
        assert!(message.contains("root") || message.contains("relative"), "{include}: {message}");
    }
    assert!(load(root.path(), &["fine.conf"]).is_ok(), "a link that stays inside is followed");
}

#[test]
fn as_many_rule_files_and_directory_entries_as_are_allowed_are_looked_at_and_no_more() {
    let root = directory(&[("many/0000.conf", "")]);
    let fill = |folder: &str, from: usize, to: usize, ending: &str| {
        for index in from..to {
            fs::write(root.path().join(format!("rules/{folder}/{index:04}.{ending}")), "").unwrap();
        }
    };
    fill("many", 1, MAX_FILES - 1, "conf");
    assert_eq!(load(root.path(), &["many/*.conf"]).unwrap().spec.sources.len(), MAX_FILES - 1);
    fill("many", MAX_FILES - 1, MAX_FILES, "conf");
    assert_eq!(load(root.path(), &["many/*.conf"]).unwrap().spec.sources.len(), MAX_FILES);
    fill("many", MAX_FILES, MAX_FILES + 1, "conf");
    assert!(load(root.path(), &["many/*.conf"]).unwrap_err().contains("more than 1000 rule files"));

    let root = directory(&[("one.conf", "")]);
    let entries = |count: usize| {
        let present = fs::read_dir(root.path().join("rules")).unwrap().count();
        for index in present..count {
            fs::hard_link(root.path().join("rules/one.conf"), root.path().join(format!("rules/{index}.x")))
                .unwrap();
        }
        load(root.path(), &["*.conf"])
    };
    assert!(entries(MAX_DIRECTORY_ENTRIES - 1).is_ok());
    assert!(entries(MAX_DIRECTORY_ENTRIES).is_ok());
    assert!(entries(MAX_DIRECTORY_ENTRIES + 1).unwrap_err().contains("more than 10000 directory entries"));
}

#[test]
fn the_files_of_a_rule_set_together_have_a_limit_before_they_are_in_memory() {
    let half = "#".repeat(MAX_TOTAL_BYTES / 2);
    let root = directory(&[("a.conf", &half), ("b.conf", &half), ("c.conf", "#")]);
    assert!(load(root.path(), &["a.conf", "c.conf"]).is_ok());
    assert!(load(root.path(), &["a.conf", "b.conf"]).is_ok());
    let message = load(root.path(), &["a.conf", "b.conf", "c.conf"]).unwrap_err();
    assert!(message.contains("c.conf: 1 bytes; 0 are allowed"), "{message}");
}

#[test]
fn plugins_are_read_in_the_order_that_the_core_rule_set_documents() {
    let root = directory(&[
        ("crs-setup.conf", "SecMarker setup"),
        ("rules/REQUEST-901.conf", "SecMarker rules"),
        ("plugins/a-config.conf", "SecMarker a-config"),
        ("plugins/b-config.conf", "SecMarker b-config"),
        ("plugins/a-before.conf", "SecMarker a-before\nInclude a-more/*.inc"),
        ("plugins/a-more/x.inc", "SecRule ARGS \"@pmFromFile x.data\" \"id:9500100\""),
        ("plugins/a-more/x.data", "x"),
        ("plugins/b-after.conf", "SecMarker b-after"),
    ]);
    let order = [
        "crs-setup.conf",
        "plugins/*-config.conf",
        "plugins/*-before.conf",
        "rules/*.conf",
        "plugins/*-after.conf",
    ];
    let rule_set = load(root.path(), &order).unwrap();
    let names: Vec<&str> = rule_set.spec.sources.iter().map(|source| source.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "crs-setup.conf",
            "plugins/a-config.conf",
            "plugins/b-config.conf",
            "plugins/a-before.conf",
            "rules/REQUEST-901.conf",
            "plugins/b-after.conf"
        ]
    );
    assert_eq!(parse_rule_set(&rule_set).unwrap().rules().count(), 1);
}

#[test]
fn a_file_of_a_hundred_megabytes_is_refused_before_it_is_read() {
    let root = directory(&[("small.conf", "")]);
    let big = fs::File::create(root.path().join("rules/big.conf")).unwrap();
    // A hole: reading it would take the memory, its length alone takes nothing.
    big.set_len(100 * 1024 * 1024 * 1024).unwrap();
    let message = load(root.path(), &["big.conf"]).unwrap_err();
    assert!(message.contains("big.conf: 107374182400 bytes; 33554432 are allowed"), "{message}");
}

#[test]
fn the_core_rule_set_is_read_from_its_directory() {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/crs");
    let root = std::env::var_os("PALISADE_CRS").map_or_else(|| PathBuf::from(beside), PathBuf::from);
    if !root.join("rules").is_dir() {
        println!("skipped: no Core Rule Set at {} (set PALISADE_CRS)", root.display());
        return;
    }
    let include = ["crs-setup.conf.example".to_owned(), "rules/*.conf".to_owned()];
    let rule_set = read(&root, &include, Metadata { name: "crs".into(), ..Metadata::default() }).unwrap();
    assert_eq!((rule_set.spec.sources.len(), rule_set.spec.data.len()), (28, 19));
    assert_eq!(parse_rule_set(&rule_set).unwrap().rules().count(), 630);
}
