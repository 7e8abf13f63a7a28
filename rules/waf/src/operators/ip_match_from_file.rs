//! `@ipMatchFromFile`: [`super::ip_match`] with one address or network a line; `#` starts a comment.

/// The items of the files.
pub(super) fn items<'a>(files: &'a [&'a str]) -> impl Iterator<Item = &'a str> {
    let lines = files.iter().flat_map(|file| file.lines());
    lines.map(|line| line.split('#').next().unwrap_or_default().trim()).filter(|item| !item.is_empty())
}
