//! Documents from YAML with `---` between them, or from JSON.
//!
//! Promises that the API version is the one its kind must have, that unknown kinds and fields are refused, and that
//! an error names line, column and field.

use palisade_model::documents::{Document, KINDS};
use serde::Deserialize;

use crate::LoadError;
use crate::error::Place;
use crate::limits::{MAX_DOCUMENTS, MAX_FILE_BYTES};
use crate::yaml::{self, Text};

/// The documents of a text. `file_name` is for errors.
pub fn parse(file_name: &str, text: &str) -> Result<Vec<Document>, LoadError> {
    if text.len() > MAX_FILE_BYTES {
        let problem = format!("{} bytes; {MAX_FILE_BYTES} are allowed", text.len());
        return Err(LoadError::file(file_name, problem));
    }
    let pieces = split(file_name, text)?;
    pieces.into_iter().map(document).collect()
}

/// Reads and parses a file.
pub fn load(path: &std::path::Path) -> Result<Vec<Document>, LoadError> {
    parse(&path.display().to_string(), &crate::file::read_text(path, MAX_FILE_BYTES)?)
}

/// What is read first, to know as what to read the rest.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Header {
    #[serde(default)]
    api_version: Option<String>,
    #[serde(default)]
    kind: Option<String>,
}

fn document(text: Text<'_>) -> Result<Document, LoadError> {
    let header: Header = yaml::read(text)?;
    let kind = header.kind.unwrap_or_default();
    let Some((_, version)) = KINDS.iter().find(|(known, _)| *known == kind) else {
        let known: Vec<&str> = KINDS.iter().map(|(kind, _)| *kind).collect();
        let known = known.join(", ");
        let problem = if kind.is_empty() {
            format!("missing; one of {known} is expected")
        } else {
            format!("unknown kind {kind:?}; one of {known} is expected")
        };
        return Err(at_key(text, "kind", problem));
    };
    check_version(text, header.api_version.as_deref(), &kind, version)?;
    Ok(match kind.as_str() {
        "AuthorizationPolicy" => Document::AuthorizationPolicy(yaml::read(text)?),
        "RuleSet" => Document::RuleSet(yaml::read(text)?),
        "WafPolicy" => Document::WafPolicy(yaml::read(text)?),
        "Gateway" => Document::Gateway(yaml::read(text)?),
        "HTTPRoute" => Document::HttpRoute(yaml::read(text)?),
        "WorkloadEntry" => Document::WorkloadEntry(yaml::read(text)?),
        "ServiceEntry" => Document::ServiceEntry(yaml::read(text)?),
        _ => return Err(at_key(text, "kind", format!("{kind} cannot be read yet"))),
    })
}

/// Checks `apiVersion`.
pub(crate) fn check_version(
    text: Text<'_>,
    found: Option<&str>,
    kind: &str,
    expected: &str,
) -> Result<(), LoadError> {
    match found {
        Some(found) if found == expected => Ok(()),
        Some(found) => {
            Err(at_key(text, "apiVersion", format!("{found:?} is not the version of {kind}; {expected} is")))
        }
        None => Err(at_key(text, "apiVersion", format!("missing; {expected} is expected for {kind}"))),
    }
}

/// An error at the value of a key of the document's first level.
pub(crate) fn at_key(text: Text<'_>, key: &str, problem: String) -> LoadError {
    let quoted = format!("\"{key}\"");
    let found = text.text.lines().enumerate().find_map(|(index, line)| {
        let start = line.find(|letter: char| !letter.is_whitespace() && letter != '{' && letter != ',')?;
        let rest = line.get(start..)?;
        let rest = rest.strip_prefix(key).or_else(|| rest.strip_prefix(&quoted))?;
        let value = rest.trim_start().strip_prefix(':')?;
        let column = line.len() - value.trim_start().len() + 1;
        (start == 0 || text.text.trim_start().starts_with('{')).then_some((index, column))
    });
    let (line, column) = found.unwrap_or((first_line(text.text), 1));
    LoadError::Document(Box::new(Place {
        file: text.file.to_owned(),
        line: text.lines_before + line + 1,
        column,
        path: key.to_owned(),
        problem,
    }))
}

/// The index of the first line with content.
fn first_line(text: &str) -> usize {
    text.lines().position(has_content).unwrap_or_default()
}

fn has_content(line: &str) -> bool {
    let line = line.strip_prefix('\u{feff}').unwrap_or(line);
    let line = if is_marker(line, "---") { line.get(3..).unwrap_or_default() } else { line };
    let line = line.trim();
    !line.is_empty() && !line.starts_with('#') && !is_marker(line, "...")
}

fn is_marker(line: &str, marker: &str) -> bool {
    line.strip_prefix(marker).is_some_and(|rest| rest.is_empty() || rest.starts_with(char::is_whitespace))
}

/// Cuts a text at its document markers. A line that begins with `---` is one wherever it stands (YAML 1.2 §9.1.2
/// forbids it inside scalars). Documents without content are left out.
fn split<'a>(file: &'a str, text: &'a str) -> Result<Vec<Text<'a>>, LoadError> {
    let mut pieces = Vec::new();
    let mut start = 0;
    let mut lines_before = 0;
    let mut is_empty = true;
    let mut at = 0;
    for (index, line) in text.split_inclusive('\n').enumerate() {
        if is_marker(line.trim_end_matches(['\n', '\r']), "---") {
            if !is_empty {
                pieces.push(Text { file, text: text.get(start..at).unwrap_or_default(), lines_before });
            }
            (start, lines_before, is_empty) = (at, index, true);
        }
        is_empty &= !has_content(line);
        at += line.len();
    }
    if !is_empty {
        pieces.push(Text { file, text: text.get(start..).unwrap_or_default(), lines_before });
    }
    if pieces.len() > MAX_DOCUMENTS {
        return Err(LoadError::file(
            file,
            format!("{} documents; {MAX_DOCUMENTS} are allowed", pieces.len()),
        ));
    }
    Ok(pieces)
}
