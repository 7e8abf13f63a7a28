//! Reads one text file with a bound.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::LoadError;

/// The text of a regular file of at most `limit` bytes.
pub(crate) fn read_text(path: &Path, limit: usize) -> Result<String, LoadError> {
    let fail = |problem: String| LoadError::file(path.display(), problem);
    // Opening a FIFO would wait for a writer, so the kind is asked first, and again of what was opened.
    let is_file = std::fs::metadata(path).map_err(|error| fail(error.to_string()))?.is_file();
    if !is_file {
        return Err(fail("not a regular file".into()));
    }
    let file = File::open(path).map_err(|error| fail(error.to_string()))?;
    let length = file.metadata().map_err(|error| fail(error.to_string()))?.len();
    if length > limit as u64 {
        return Err(fail(format!("{length} bytes; {limit} are allowed")));
    }
    let mut bytes = Vec::with_capacity(length as usize);
    file.take(limit as u64 + 1).read_to_end(&mut bytes).map_err(|error| fail(error.to_string()))?;
    if bytes.len() > limit {
        return Err(fail(format!("more than the {limit} bytes that are allowed")));
    }
    String::from_utf8(bytes)
        .map_err(|error| fail(format!("not UTF-8 text: byte {} is wrong", error.utf8_error().valid_up_to())))
}
