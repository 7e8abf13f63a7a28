//! A directory of rule files: what may be wanted of it, no deeper than a release is.

use std::path::Path;

use palisade_seclang::MAX_TOTAL_BYTES;

use super::{Files, is_wanted};
use crate::LoadError;
use crate::file::read_text;
use crate::limits::{MAX_DIRECTORY_ENTRIES, MAX_RELEASE_DEPTH};

/// The files below a directory that may be wanted.
pub(super) fn read(root: &Path) -> Result<Files, LoadError> {
    let canonical = root.canonicalize().map_err(|error| LoadError::file(root.display(), error))?;
    let mut walk = Walk { root: canonical, files: Files::new(), entries: 0, bytes: 0 };
    walk.folder("", 1)?;
    Ok(walk.files)
}

struct Walk {
    /// Without links.
    root: std::path::PathBuf,
    files: Files,
    entries: usize,
    bytes: usize,
}

impl Walk {
    fn folder(&mut self, folder: &str, depth: usize) -> Result<(), LoadError> {
        let path = self.root.join(folder);
        let fail = |problem: String| LoadError::file(path.display(), problem);
        for entry in std::fs::read_dir(&path).map_err(|error| fail(error.to_string()))? {
            let entry = entry.map_err(|error| fail(error.to_string()))?;
            self.entries += 1;
            if self.entries > MAX_DIRECTORY_ENTRIES {
                return Err(fail(format!("more than {MAX_DIRECTORY_ENTRIES} entries to look at")));
            }
            let Ok(name) = entry.file_name().into_string() else { continue };
            let kind = entry.file_type().map_err(|error| fail(error.to_string()))?;
            let name = if folder.is_empty() { name } else { format!("{folder}/{name}") };
            // Links to folders are not followed; hidden folders hold no rules.
            if kind.is_dir()
                && !entry.file_name().to_string_lossy().starts_with('.')
                && depth < MAX_RELEASE_DEPTH
            {
                self.folder(&name, depth + 1)?;
            } else if !kind.is_dir() && is_wanted(&name) {
                self.file(name)?;
            }
        }
        Ok(())
    }

    fn file(&mut self, name: String) -> Result<(), LoadError> {
        let path = self.root.join(&name);
        let fail = |problem: String| LoadError::file(path.display(), problem);
        let canonical = path.canonicalize().map_err(|error| fail(error.to_string()))?;
        if !canonical.starts_with(&self.root) {
            return Err(fail("a link leads outside the root of the rule set".into()));
        }
        let text = read_text(&canonical, MAX_TOTAL_BYTES - self.bytes)?;
        self.bytes += text.len();
        self.files.insert(name, text);
        Ok(())
    }
}
