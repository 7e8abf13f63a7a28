//! `.tar` and `.tar.gz`, read in memory.
//!
//! Links, devices and other special entries, absolute names, `..`, and names twice are refused: an archive of rule
//! files has no use for them. A bomb ends at a limit.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek};
use std::path::Path;

use flate2::read::GzDecoder;
use palisade_seclang::MAX_TOTAL_BYTES;
use sha2::{Digest, Sha256};
use tar::{Archive, EntryType};

use super::{Files, hexadecimal, is_wanted};
use crate::LoadError;
use crate::limits::{MAX_ARCHIVE_BYTES, MAX_DIRECTORY_ENTRIES, MAX_RELEASE_DEPTH, MAX_UNPACKED_BYTES};

/// The files of an archive that may be wanted, and its SHA-256.
pub(super) fn read(path: &Path) -> Result<(Files, String), LoadError> {
    let fail = |problem: String| LoadError::file(path.display(), problem);
    // Opening a FIFO would wait for a writer.
    let is_file = std::fs::metadata(path).map_err(|error| fail(error.to_string()))?.is_file();
    if !is_file {
        return Err(fail("not a regular file".into()));
    }
    let mut file = File::open(path).map_err(|error| fail(error.to_string()))?;
    let length = file.metadata().map_err(|error| fail(error.to_string()))?.len();
    if length > MAX_ARCHIVE_BYTES {
        return Err(fail(format!("{length} bytes; {MAX_ARCHIVE_BYTES} are allowed in an archive")));
    }
    let mut packed = Vec::new();
    (&mut file)
        .take(MAX_ARCHIVE_BYTES)
        .read_to_end(&mut packed)
        .and_then(|_| file.rewind())
        .map_err(|error| fail(error.to_string()))?;
    let checksum = hexadecimal(&Sha256::digest(&packed));
    let files = if packed.starts_with(&[0x1f, 0x8b]) {
        unpack(Bounded::new(GzDecoder::new(packed.as_slice())))
    } else {
        unpack(Bounded::new(packed.as_slice()))
    };
    Ok((files.map_err(fail)?, checksum))
}

/// Reads entries. The error names the entry.
fn unpack(reader: impl Read) -> Result<Files, String> {
    let mut files = BTreeMap::new();
    let mut archive = Archive::new(reader);
    let mut kept = 0_usize;
    for (number, entry) in archive.entries().map_err(|error| error.to_string())?.enumerate() {
        if number >= MAX_DIRECTORY_ENTRIES {
            return Err(format!("more than {MAX_DIRECTORY_ENTRIES} entries"));
        }
        let mut entry = entry.map_err(|error| format!("entry {}: {error}", number + 1))?;
        let bytes = entry.path_bytes().into_owned();
        let shown: String = String::from_utf8_lossy(&bytes).escape_debug().take(200).collect();
        let fail = |problem: &str| Err(format!("entry {shown}: {problem}"));
        let kind = entry.header().entry_type();
        match kind {
            EntryType::Regular | EntryType::Continuous | EntryType::Directory => {}
            // What git archive writes in front: a comment.
            EntryType::XGlobalHeader => continue,
            EntryType::Symlink | EntryType::Link => return fail("a link; archives of rules have none"),
            _ => return fail("neither a file nor a folder"),
        }
        let Some(name) = std::str::from_utf8(&bytes).ok().and_then(clean) else {
            return fail("the name is not below the archive's own folder, or is not plain text");
        };
        if name.split('/').count() > MAX_RELEASE_DEPTH {
            return fail(&format!("deeper than {MAX_RELEASE_DEPTH} folders"));
        }
        if kind == EntryType::Directory || !is_wanted(&name) {
            continue;
        }
        let left = MAX_TOTAL_BYTES - kept;
        let mut text = Vec::new();
        if let Err(error) = (&mut entry).take(left as u64 + 1).read_to_end(&mut text) {
            return fail(&error.to_string());
        }
        if text.len() > left {
            return fail(&format!("with it the rule files have more than {MAX_TOTAL_BYTES} bytes"));
        }
        kept += text.len();
        let Ok(text) = String::from_utf8(text) else { return fail("not UTF-8") };
        if files.insert(name, text).is_some() {
            return fail("there is an earlier entry of this name");
        }
    }
    Ok(files)
}

/// A name with `.` left out; none if it leads anywhere else than down.
fn clean(name: &str) -> Option<String> {
    if name.starts_with('/') || name.contains(['\\', '\0']) {
        return None;
    }
    let parts: Vec<&str> = name.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    (!parts.contains(&"..")).then(|| parts.join("/"))
}

/// A reader that fails after [`MAX_UNPACKED_BYTES`].
struct Bounded<R> {
    inner: R,
    left: u64,
}

impl<R> Bounded<R> {
    fn new(inner: R) -> Self {
        Self { inner, left: MAX_UNPACKED_BYTES }
    }
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.left = self.left.checked_sub(read as u64).ok_or_else(|| {
            std::io::Error::other(format!("the archive unpacks to more than {MAX_UNPACKED_BYTES} bytes"))
        })?;
        Ok(read)
    }
}
