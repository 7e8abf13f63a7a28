//! Reads a directory of documents, and notices when it changed.
//!
//! Promises: every file is bounded before it is read; the order is that of the paths. What the texts mean is
//! `admission`'s business. Files are compared by content, so that editors, links and volume mounts all work.

use std::path::{Path, PathBuf};
use std::time::Duration;

use palisade_loader::limits::MAX_FILE_BYTES;
use sha2::{Digest, Sha256};

/// How often the directory is looked at.
pub const POLL: Duration = Duration::from_millis(250);
/// The most files of a directory: as many as documents in one file.
pub const MAX_FILES: usize = 10_000;
/// The most bytes of all files together: ten rule sets of the size of CRS, and much else.
pub const MAX_TOTAL_BYTES: usize = 64 * 1024 * 1024;
/// How deep directories may lie in each other; also ends a circle of links.
pub const MAX_DEPTH: usize = 8;

/// One file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceText {
    /// Its path, for errors.
    pub file: String,
    /// What it holds.
    pub text: String,
}

/// Why a directory cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {problem}")]
pub struct DirectoryError {
    /// The file or directory.
    pub path: String,
    /// What is wrong with it.
    pub problem: String,
}

/// The documents of a directory (`.yaml`, `.yml`, `.json`, also in directories below it), or one file. Names that
/// begin with a dot are left out.
pub fn read(path: &Path) -> Result<Vec<SourceText>, DirectoryError> {
    let mut files = Vec::new();
    if path.is_file() {
        files.push(path.to_owned());
    } else {
        collect(path, 0, &mut files)?;
    }
    files.sort();
    let mut total = 0;
    let mut texts = Vec::with_capacity(files.len());
    for file in files {
        let text = read_text(&file)?;
        total += text.len();
        if total > MAX_TOTAL_BYTES {
            return Err(problem(path, format!("more than {MAX_TOTAL_BYTES} bytes in all files together")));
        }
        texts.push(SourceText { file: file.display().to_string(), text });
    }
    Ok(texts)
}

/// A digest of everything that was read: other files, names or contents give another.
pub fn digest(texts: &[SourceText]) -> [u8; 32] {
    let mut digest = Sha256::new();
    for SourceText { file, text } in texts {
        // Lengths keep apart what would otherwise run together.
        for part in [file, text] {
            digest.update(part.len().to_le_bytes());
            digest.update(part);
        }
    }
    digest.finalize().into()
}

fn collect(folder: &Path, depth: usize, files: &mut Vec<PathBuf>) -> Result<(), DirectoryError> {
    if depth >= MAX_DEPTH {
        return Err(problem(folder, format!("directories lie more than {MAX_DEPTH} deep")));
    }
    let entries = std::fs::read_dir(folder).map_err(|error| problem(folder, error))?;
    for entry in entries {
        let entry = entry.map_err(|error| problem(folder, error))?;
        let name = entry.file_name();
        if name.as_encoded_bytes().starts_with(b".") {
            continue;
        }
        let path = entry.path();
        // Follows links: a mounted volume is made of them.
        let kind = std::fs::metadata(&path).map_err(|error| problem(&path, error))?;
        if kind.is_dir() {
            collect(&path, depth + 1, files)?;
        } else if matches!(path.extension().and_then(|e| e.to_str()), Some("yaml" | "yml" | "json")) {
            if files.len() >= MAX_FILES {
                return Err(problem(folder, format!("more than {MAX_FILES} files")));
            }
            files.push(path);
        }
    }
    Ok(())
}

fn read_text(path: &Path) -> Result<String, DirectoryError> {
    use std::io::Read;
    let at = |error| problem(path, error);
    let metadata = std::fs::metadata(path).map_err(at)?;
    if !metadata.is_file() {
        return Err(problem(path, "not a regular file"));
    }
    let limit = u64::try_from(MAX_FILE_BYTES).unwrap_or(u64::MAX);
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(at)?;
    file.take(limit.saturating_add(1)).read_to_string(&mut text).map_err(at)?;
    if text.len() > MAX_FILE_BYTES {
        return Err(problem(path, format!("longer than {MAX_FILE_BYTES} bytes")));
    }
    Ok(text)
}

fn problem(path: &Path, problem: impl std::fmt::Display) -> DirectoryError {
    DirectoryError { path: path.display().to_string(), problem: problem.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_read_in_the_order_of_their_paths_and_others_are_left_out() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("b")).unwrap();
        std::fs::create_dir(folder.path().join(".git")).unwrap();
        for (name, text) in [
            ("c.yaml", "3"),
            ("a.json", "1"),
            ("b/x.yml", "2"),
            ("readme.md", "no"),
            (".hidden.yaml", "no"),
            (".git/y.yaml", "no"),
        ] {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let texts: Vec<String> = read(folder.path()).unwrap().into_iter().map(|file| file.text).collect();
        assert_eq!(texts, ["1", "2", "3"]);
        let one = read(&folder.path().join("c.yaml")).unwrap();
        assert_eq!(one.len(), 1);
    }

    #[test]
    fn the_digest_tells_names_and_contents_apart() {
        let texts = |pairs: &[(&str, &str)]| -> Vec<SourceText> {
            pairs
                .iter()
                .map(|(file, text)| SourceText { file: (*file).into(), text: (*text).into() })
                .collect()
        };
        let one = digest(&texts(&[("a", "bc")]));
        assert_eq!(one, digest(&texts(&[("a", "bc")])));
        for other in [&[("ab", "c")][..], &[("a", "b")], &[("a", "bc"), ("d", "")], &[]] {
            assert_ne!(one, digest(&texts(other)));
        }
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let missing = read(&folder.path().join("missing")).unwrap_err();
        assert!(missing.path.ends_with("missing"), "{missing}");
        std::fs::write(folder.path().join("bad.yaml"), [0xff, 0xfe]).unwrap();
        assert!(read(folder.path()).unwrap_err().path.ends_with("bad.yaml"));
    }

    #[test]
    fn a_circle_of_links_ends() {
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(folder.path(), folder.path().join("again")).unwrap();
        assert!(read(folder.path()).unwrap_err().problem.contains("deep"));
    }

    #[test]
    fn the_depth_limit_is_exact() {
        let folder = tempfile::tempdir().unwrap();
        let mut path = folder.path().to_owned();
        for _ in 1..MAX_DEPTH {
            path.push("d");
        }
        std::fs::create_dir_all(&path).unwrap();
        std::fs::write(path.join("a.yaml"), "x").unwrap();
        assert_eq!(read(folder.path()).unwrap().len(), 1);
        path.push("d");
        std::fs::create_dir(&path).unwrap();
        assert!(read(folder.path()).is_err());
    }

    #[test]
    fn the_file_limit_is_exact() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.yaml");
        std::fs::write(&path, vec![b' '; MAX_FILE_BYTES]).unwrap();
        assert_eq!(read(folder.path()).unwrap()[0].text.len(), MAX_FILE_BYTES);
        std::fs::write(&path, vec![b' '; MAX_FILE_BYTES + 1]).unwrap();
        assert!(read(folder.path()).unwrap_err().problem.contains("longer"));
    }
}
