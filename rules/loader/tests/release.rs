//! Releases: the layout of the Core Rule Set, versions and checksums, and archives that want to do harm.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout
)]

use std::io::Write;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use palisade_loader::limits::{
    MAX_ARCHIVE_BYTES, MAX_DIRECTORY_ENTRIES, MAX_RELEASE_DEPTH, MAX_UNPACKED_BYTES,
};
use palisade_loader::release::{ARCHIVE_ANNOTATION, Release, SOURCES_ANNOTATION, VERSION_ANNOTATION, read};
use palisade_model::documents::Metadata;
use sha2::{Digest, Sha256};
use tar::{Builder, EntryType, Header};
use tempfile::TempDir;

const SETUP: &str = "SecAction \"id:900000,phase:1,pass,nolog\"\n";
const RULES: &str = "SecRule ARGS \"@pmFromFile words.data\" \"id:1,phase:2,deny,ver:'TEST/1.2.3'\"\n";

/// A release in the layout of the Core Rule Set.
const FILES: [(&str, &str); 9] = [
    ("crs-setup.conf.example", SETUP),
    ("rules/B.conf", "SecAction \"id:3,phase:1,pass,ver:'TEST/1.2.3'\"\n"),
    ("rules/A.conf", RULES),
    ("rules/words.data", "attack\n"),
    ("rules/unused.data", "unused\n"),
    ("rules/X.conf.example", "SecRuleEngine Off\n"),
    ("plugins/p-before.conf", "SecAction \"id:10,phase:1,pass\"\n"),
    ("plugins/p-after.conf", "SecAction \"id:11,phase:1,pass\"\n"),
    ("tests/a.yaml", "no rule\n"),
];

fn metadata() -> Metadata {
    Metadata { name: "crs".into(), namespace: "shop".into(), ..Metadata::default() }
}

fn write_files(root: &Path, files: &[(&str, &str)]) {
    for (name, text) in files {
        let path = root.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
}

fn header(kind: EntryType, name: &str, size: u64) -> Header {
    let mut header = Header::new_gnu();
    // As raw bytes: the builder itself refuses the names that are tried here.
    let bytes = name.as_bytes();
    header.as_mut_bytes()[..bytes.len()].copy_from_slice(bytes);
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_mode(0o644);
    header.set_cksum();
    header
}

fn packed(entries: &[(EntryType, &str, &[u8])]) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    for (kind, name, content) in entries {
        builder.append(&header(*kind, name, content.len() as u64), *content).unwrap();
    }
    builder.into_inner().unwrap()
}

fn zipped(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn archive(folder: &TempDir, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

fn refused(bytes: &[u8]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = archive(&folder, "x.tar", bytes);
    read(&path, None, metadata()).expect_err("refused").to_string()
}

fn names(release: &Release) -> Vec<&str> {
    release.rule_set.spec.sources.iter().map(|source| source.name.as_str()).collect()
}

const ORDER: [&str; 5] = [
    "crs-setup.conf.example",
    "plugins/p-before.conf",
    "rules/A.conf",
    "rules/B.conf",
    "plugins/p-after.conf",
];

#[test]
fn a_directory_and_its_archive_are_the_same_rule_set() {
    let folder = tempfile::tempdir().unwrap();
    write_files(&folder.path().join("release"), &FILES);
    let from_directory = read(&folder.path().join("release"), None, metadata()).unwrap();
    assert_eq!(names(&from_directory), ORDER);
    let data: Vec<&String> = from_directory.rule_set.spec.data.keys().collect();
    assert_eq!(data, ["rules/words.data"], "what no rule names is left out");
    let inside: Vec<(EntryType, String, &[u8])> = FILES
        .iter()
        .map(|(name, text)| (EntryType::Regular, format!("release-1.2.3/{name}"), text.as_bytes()))
        .collect();
    let mut entries = vec![
        (EntryType::XGlobalHeader, "pax_global_header", &b"19 comment=0123456\n"[..]),
        (EntryType::Directory, "release-1.2.3/", &b""[..]),
    ];
    entries.extend(inside.iter().map(|(kind, name, text)| (*kind, name.as_str(), *text)));
    let tar = packed(&entries);
    for (name, bytes) in [("x.tar", tar.clone()), ("x.tar.gz", zipped(&tar)), ("x.tgz", zipped(&tar))] {
        let release = read(&archive(&folder, name, &bytes), None, metadata()).unwrap();
        assert_eq!(release.rule_set.spec, from_directory.rule_set.spec, "{name}");
        assert_eq!(release.sources_sha256, from_directory.sources_sha256);
        let checksum: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(release.archive_sha256.as_deref(), Some(checksum.as_str()));
        let annotations = &release.rule_set.metadata.annotations;
        assert_eq!(annotations[VERSION_ANNOTATION], "TEST/1.2.3");
        assert_eq!(annotations[SOURCES_ANNOTATION], release.sources_sha256);
        assert_eq!(annotations[ARCHIVE_ANNOTATION], checksum);
    }
}

#[test]
fn a_set_up_file_takes_the_place_of_the_releases_own() {
    let folder = tempfile::tempdir().unwrap();
    write_files(folder.path(), &FILES);
    let own = folder.path().join("mine/setup.conf");
    write_files(folder.path(), &[("mine/setup.conf", "SecAction \"id:900001,phase:1,pass\"\n")]);
    let release = read(folder.path(), Some(&own), metadata()).unwrap();
    assert_eq!(names(&release)[..2], ["setup.conf", "plugins/p-before.conf"]);
    let before = read(folder.path(), None, metadata()).unwrap();
    assert_ne!(before.sources_sha256, release.sources_sha256);
}

#[test]
fn one_file_is_a_rule_set_with_what_it_includes() {
    let folder = tempfile::tempdir().unwrap();
    write_files(folder.path(), &[("a.conf", "Include b.conf\n"), ("b.conf", RULES), ("words.data", "x\n")]);
    let release = read(&folder.path().join("a.conf"), None, metadata()).unwrap();
    assert_eq!(names(&release), ["a.conf"]);
    assert_eq!(release.rule_set.spec.data.len(), 2);
    let missing = read(&folder.path().join("c.conf"), None, metadata()).unwrap_err().to_string();
    assert!(missing.contains("c.conf"), "{missing}");
    write_files(folder.path(), &[("bad.conf", "SecRule ARGS\n")]);
    let bad = read(&folder.path().join("bad.conf"), None, metadata()).unwrap_err().to_string();
    assert!(bad.contains("bad.conf:1:"), "{bad}");
    let empty = tempfile::tempdir().unwrap();
    assert!(read(empty.path(), None, metadata()).unwrap_err().to_string().contains("no rule file"));
}

#[test]
fn an_archive_with_anything_but_files_and_folders_is_refused_with_the_entry() {
    for (kind, words) in [
        (EntryType::Symlink, "a link"),
        (EntryType::Link, "a link"),
        (EntryType::Char, "neither a file nor a folder"),
        (EntryType::Block, "neither a file nor a folder"),
        (EntryType::Fifo, "neither a file nor a folder"),
    ] {
        let problem = refused(&packed(&[(kind, "rules/evil.conf", b"")]));
        assert!(problem.contains("rules/evil.conf") && problem.contains(words), "{kind:?}: {problem}");
    }
    for name in ["/rules/a.conf", "../a.conf", "rules/../../a.conf", "rules\\..\\a.conf", "a/../b.conf"] {
        let problem = refused(&packed(&[(EntryType::Regular, name, b"x")]));
        assert!(problem.contains("not below"), "{name}: {problem}");
    }
    let twice = [(EntryType::Regular, "a.conf", &b"x"[..]), (EntryType::Regular, "./a.conf", &b"y"[..])];
    assert!(refused(&packed(&twice)).contains("earlier entry"));
    assert!(refused(&packed(&[(EntryType::Regular, "a.conf", b"\xff\xfe")])).contains("UTF-8"));
    assert!(refused(b"not an archive at all, but long enough to be taken for a header").contains("x.tar"));
}

#[test]
fn an_archive_is_bounded_in_entries_depth_and_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let tree = |depth: usize| {
        let deep = format!("{}a.txt", "d/".repeat(depth - 1));
        packed(&[(EntryType::Regular, "a.conf", SETUP.as_bytes()), (EntryType::Regular, &deep, b"x")])
    };
    assert!(
        read(&archive(&folder, "a.tar", &tree(MAX_RELEASE_DEPTH)), None, metadata()).is_ok(),
        "at the limit"
    );
    assert!(refused(&tree(MAX_RELEASE_DEPTH + 1)).contains("deeper than"), "one over");
    let many = |count: usize| {
        let mut builder = Builder::new(Vec::new());
        builder.append(&header(EntryType::Regular, "a.conf", SETUP.len() as u64), SETUP.as_bytes()).unwrap();
        for number in 1..count {
            builder.append(&header(EntryType::Regular, &format!("{number}.md"), 0), &b""[..]).unwrap();
        }
        builder.into_inner().unwrap()
    };
    let at = read(&archive(&folder, "b.tar", &many(MAX_DIRECTORY_ENTRIES)), None, metadata());
    assert!(at.is_ok(), "at the limit");
    assert!(refused(&many(MAX_DIRECTORY_ENTRIES + 1)).contains("entries"), "one over");
}

#[test]
fn a_bomb_ends_at_its_limit() {
    let bomb = |length: u64| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(header(EntryType::Regular, "a.md", length).as_bytes()).unwrap();
        std::io::copy(&mut std::io::Read::take(std::io::repeat(0), length), &mut encoder).unwrap();
        encoder.finish().unwrap()
    };
    let problem = refused(&bomb(MAX_UNPACKED_BYTES));
    assert!(problem.contains("unpacks to more than"), "{problem}");
    let under = refused(&bomb(MAX_UNPACKED_BYTES - 1024));
    assert!(under.contains("no rule file"), "under the limit it is read: {under}");
    let folder = tempfile::tempdir().unwrap();
    let path = archive(&folder, "big.tar", b"");
    std::fs::File::options().write(true).open(&path).unwrap().set_len(MAX_ARCHIVE_BYTES + 1).unwrap();
    assert!(read(&path, None, metadata()).unwrap_err().to_string().contains("allowed in an archive"));
    // A data file that alone is too much for a rule set.
    let big = vec![b'x'; palisade_seclang::MAX_TOTAL_BYTES + 1];
    let problem = refused(&zipped(&packed(&[(EntryType::Regular, "big.data", &big)])));
    assert!(problem.contains("big.data") && problem.contains("more than"), "{problem}");
}

#[test]
fn links_in_a_directory_lead_nowhere_else() {
    let folder = tempfile::tempdir().unwrap();
    let (inside, outside) = (folder.path().join("in"), folder.path().join("out.conf"));
    write_files(&inside, &FILES);
    std::fs::write(&outside, SETUP).unwrap();
    std::os::unix::fs::symlink(&outside, inside.join("rules/Z.conf")).unwrap();
    let problem = read(&inside, None, metadata()).unwrap_err().to_string();
    assert!(problem.contains("Z.conf") && problem.contains("outside"), "{problem}");
}

#[test]
fn the_core_rule_set_says_its_version() {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/crs");
    let directory = std::env::var_os("PALISADE_CRS").map_or_else(|| beside.into(), std::path::PathBuf::from);
    if !directory.join("rules").is_dir() {
        println!("skipped: no Core Rule Set at {} (set PALISADE_CRS)", directory.display());
        return;
    }
    let release = read(&directory, None, metadata()).unwrap();
    assert!(
        release.version.as_deref().is_some_and(|version| version.starts_with("OWASP_CRS/4.")),
        "{:?}",
        release.version
    );
    assert!(release.rule_set.spec.sources.len() > 20 && release.rule_set.spec.data.len() > 15);
}
