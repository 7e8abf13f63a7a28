//! `@pmFromFile`: [`super::pm`] with one phrase a line. Lines that are empty or begin with `#` are skipped; white space
//! around a phrase does not belong to it.

/// The phrases of the files.
pub(super) fn phrases(files: &[&str]) -> Vec<Vec<u8>> {
    let lines = files.iter().flat_map(|file| file.lines()).map(str::trim);
    lines
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| line.as_bytes().to_vec())
        .collect()
}
