//! One YAML or JSON text → a value, bounded in size, depth and expansion, with the place of what is wrong.

use serde::de::DeserializeOwned;
use serde_saphyr::{
    DefaultMessageFormatter, DuplicateKeyPolicy, MergeKeyPolicy, MessageFormatter, NonFiniteFloatPolicy,
    Options,
};

use crate::LoadError;
use crate::error::Place;
use crate::limits::{MAX_ANCHORS, MAX_DEPTH, MAX_NODES, MAX_REPLAYED_NODES};

/// A piece of a file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Text<'a> {
    /// The file's name.
    pub(crate) file: &'a str,
    /// The piece.
    pub(crate) text: &'a str,
    /// Lines of the file before it.
    pub(crate) lines_before: usize,
}

/// Reads one document. JSON is read as JSON, whose strings have escapes that YAML lacks; everything else as YAML.
pub(crate) fn read<T: DeserializeOwned>(text: Text<'_>) -> Result<T, LoadError> {
    if text.text.trim_start().starts_with('{') {
        match read_json(text) {
            // `{a: 1}` is YAML.
            Err((_, false)) => {}
            Err((error, true)) => return Err(error),
            Ok(value) => return Ok(value),
        }
    }
    read_yaml(text, MAX_NODES)
}

/// Reads JSON. The error says whether it is about the content, the text being JSON.
fn read_json<T: DeserializeOwned>(text: Text<'_>) -> Result<T, (LoadError, bool)> {
    let mut deserializer = serde_json::Deserializer::from_str(text.text);
    let read = serde_path_to_error::deserialize(&mut deserializer);
    let fail = |error: &serde_json::Error, path: String| {
        let message = error.to_string();
        let problem = message.rsplit_once(" at line ").map_or(message.as_str(), |(problem, _)| problem);
        let place = Place {
            file: text.file.to_owned(),
            line: text.lines_before + error.line(),
            column: error.column(),
            path,
            problem: problem.to_owned(),
        };
        let is_json = error.is_data() || text.file.ends_with(".json") || problem.contains("recursion limit");
        (LoadError::Document(Box::new(place)), is_json)
    };
    let value = read.map_err(|error| fail(error.inner(), path_of(error.path())))?;
    deserializer.end().map_err(|error| fail(&error, String::new()))?;
    Ok(value)
}

fn read_yaml<T: DeserializeOwned>(text: Text<'_>, nodes: usize) -> Result<T, LoadError> {
    let mut path = String::new();
    let read =
        serde_saphyr::with_deserializer_from_str_with_options(text.text, options(nodes), |deserializer| {
            serde_path_to_error::deserialize(deserializer).map_err(|error: serde_path_to_error::Error<_>| {
                path = path_of(error.path());
                error.into_inner()
            })
        });
    read.map_err(|error| {
        let error = error.without_snippet();
        let (line, column) = error.location().map_or((1, 1), |place| (place.line(), place.column()));
        LoadError::Document(Box::new(Place {
            file: text.file.to_owned(),
            line: text.lines_before + line.max(1) as usize,
            column: column.max(1) as usize,
            path,
            problem: one_line(&DefaultMessageFormatter.format_message(error)),
        }))
    })
}

/// The path of a field; empty for the document itself and where it is lost in an enum.
fn path_of(path: &serde_path_to_error::Path) -> String {
    let text = path.to_string();
    if text == "." || text == "?" { String::new() } else { text }
}

/// Messages quote what was written; a control character in it must not reach a terminal.
fn one_line(message: &str) -> String {
    message.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}

/// What YAML may do here: no duplicate and no merged keys, only `true` and `false`, a few small anchors.
fn options(nodes: usize) -> Options {
    let mut options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: MAX_DEPTH,
            flow_nesting_limit: MAX_DEPTH,
            max_nodes: nodes,
            max_anchors: MAX_ANCHORS,
            max_aliases: MAX_ANCHORS,
            max_documents: 1,
            max_merge_keys: 0,
        },
        duplicate_keys: DuplicateKeyPolicy::Error,
        merge_keys: MergeKeyPolicy::Error,
        strict_booleans: true,
        reject_unsupported_tags: true,
        reject_tagged_field_names: true,
        non_finite_float_policy: NonFiniteFloatPolicy::Reject,
        with_snippet: false,
    };
    options.alias_limits.max_total_replayed_events = MAX_REPLAYED_NODES;
    options
}

#[cfg(test)]
mod tests {
    use serde::de::IgnoredAny;

    use super::*;

    #[test]
    fn a_document_has_as_many_values_as_are_allowed_and_no_more() {
        let read = |text: &str, nodes: usize| {
            read_yaml::<IgnoredAny>(Text { file: "f", text, lines_before: 0 }, nodes).map(|_| ())
        };
        // A map, two keys, a text, a list of three.
        let text = "a: b\nc: [1, 2, 3]\n";
        assert!(read(text, 9).is_ok());
        assert!(read(text, 8).is_ok());
        assert!(read(text, 7).is_err());
    }
}
