//! Promise: no archive of rule files makes the import panic, pass its limits or keep a name that leads out of its folder;
//! what is refused names the archive.
#![no_main]

use std::cell::RefCell;
use std::io::Write;
use std::path::PathBuf;

use flate2::Compression;
use flate2::write::GzEncoder;
use libfuzzer_sys::fuzz_target;
use palisade_fuzz::input::Input;
use palisade_loader::release::read;
use palisade_model::documents::Metadata;
use palisade_seclang::MAX_TOTAL_BYTES;
use tar::{Builder, EntryType, Header};

const KINDS: [EntryType; 8] = [
    EntryType::Regular,
    EntryType::Regular,
    EntryType::Directory,
    EntryType::Symlink,
    EntryType::Link,
    EntryType::GNULongName,
    EntryType::XHeader,
    EntryType::Fifo,
];

/// An archive with right checksums, which chance does not find: an entry for every line `kind name`, and a line of text.
fn archive(mut input: Input<'_>) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    for _ in 0..16 {
        let kind = KINDS[usize::from(input.byte()) % KINDS.len()];
        let (name, text) = (input.line(), input.line());
        let mut header = Header::new_gnu();
        let length = name.len().min(100);
        header.as_mut_bytes()[..length].copy_from_slice(&name[..length]);
        header.set_entry_type(kind);
        header.set_size(text.len() as u64);
        header.set_cksum();
        builder.append(&header, text).expect("memory takes what is written");
    }
    builder.into_inner().expect("memory takes what is written")
}

thread_local! {
    /// One file, which every input fills anew.
    static PLACE: RefCell<Option<PathBuf>> = const { RefCell::new(None) };
}

fn import(bytes: &[u8], ending: &str) {
    let path = PLACE.with_borrow_mut(|place| {
        let made = || std::env::temp_dir().join(format!("palisade-fuzz-{}", std::process::id()));
        place.get_or_insert_with(made).with_extension(ending)
    });
    std::fs::write(&path, bytes).expect("the folder for temporary files takes a file");
    let release = read(&path, None, Metadata::default());
    std::fs::remove_file(&path).expect("what was written can be removed");
    match release {
        Err(error) => {
            let text = error.to_string();
            assert!(text.len() < 64 * 1024 && !text.is_empty(), "{} bytes", text.len());
        }
        Ok(release) => {
            let spec = &release.rule_set.spec;
            let sources = spec.sources.iter().map(|file| (&file.name, &file.text));
            let mut bytes = 0;
            for (name, text) in sources.chain(&spec.data) {
                bytes += text.len();
                assert!(!name.starts_with('/') && !name.contains(['\\', '\0']), "{name:?}");
                assert!(name.split('/').all(|part| !matches!(part, "" | "." | "..")), "{name:?}");
            }
            assert!(bytes <= MAX_TOTAL_BYTES && !spec.sources.is_empty());
        }
    }
}

// The first byte: an archive as it comes, or one that is made of the rest; plain or packed.
fuzz_target!(|data: &[u8]| {
    let mut input = Input::new(data);
    let choice = input.byte();
    let bytes = if choice & 1 == 0 { archive(input) } else { input.rest().to_vec() };
    if choice & 2 == 0 {
        return import(&bytes, "tar");
    }
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(&bytes).expect("memory takes what is written");
    import(&encoder.finish().expect("memory takes what is written"), "tar.gz");
});
