//! The suite's files: YAML in the schema of its runner (ftw-tests-schema 2).
//!
//! Fields that are not known are an error, since a test would not be run as it is meant.

use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// A test with the name the suite's people use: `942100-1`.
#[derive(Clone, Debug)]
pub struct Named {
    /// `RULE-TEST`
    pub name: String,
    /// The rule it is for.
    pub rule: u64,
    /// What is sent and expected, in order; or why the test cannot be read.
    pub stages: Result<Vec<Stage>, String>,
}

#[derive(Deserialize)]
struct File {
    rule_id: Option<u64>,
    #[serde(default)]
    tests: Vec<Test>,
}

#[derive(Deserialize)]
struct Test {
    test_id: Option<u64>,
    stages: Vec<Stage>,
}

/// One exchange.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stage {
    #[serde(default, rename = "description")]
    _description: Option<IgnoredAny>,
    /// What is sent.
    pub input: Input,
    /// What is expected.
    pub output: Output,
}

/// What is sent.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    #[serde(default, rename = "dest_addr")]
    _dest_addr: Option<IgnoredAny>,
    #[serde(default, rename = "port")]
    _port: Option<IgnoredAny>,
    #[serde(default, rename = "protocol")]
    _protocol: Option<IgnoredAny>,
    #[serde(default, rename = "virtual_host_mode")]
    _virtual_host_mode: Option<IgnoredAny>,
    /// The target, as it stands in the request line.
    #[serde(default = "slash")]
    pub uri: String,
    /// The request line's last word.
    #[serde(default = "http")]
    pub version: String,
    /// The request line's first word.
    #[serde(default = "get")]
    pub method: String,
    /// Names and values, in the order of the file.
    #[serde(default, deserialize_with = "in_order")]
    pub headers: Vec<(String, String)>,
    /// The same, where a name may stand twice.
    #[serde(default, deserialize_with = "in_order")]
    pub ordered_headers: Vec<(String, String)>,
    /// The body, with templates.
    pub data: Option<String>,
    /// The body, in base64.
    pub encoded_data: Option<String>,
    /// The whole request, in base64.
    pub encoded_request: Option<String>,
    /// Whether later stages send the cookies of this answer.
    #[serde(default)]
    pub save_cookie: bool,
    /// Whether this stage goes where the last answer's Location says.
    #[serde(default)]
    pub follow_redirect: bool,
    /// Whether headers that a client would add are added.
    pub autocomplete_headers: Option<bool>,
    /// The older, opposite word for it.
    pub stop_magic: Option<bool>,
}

impl Input {
    /// Whether headers that a client would add are added.
    pub fn autocompletes(&self) -> bool {
        self.autocomplete_headers.or(self.stop_magic.map(|stop| !stop)).unwrap_or(true)
    }
}

/// What is expected.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Output {
    /// The status, if it matters.
    pub status: Option<u16>,
    /// A pattern in the whole answer.
    pub response_contains: Option<String>,
    /// A pattern in the log; the older word for `match_regex`.
    pub log_contains: Option<String>,
    /// A pattern not in the log.
    pub no_log_contains: Option<String>,
    /// What is in the log.
    #[serde(default)]
    pub log: Log,
    /// Whether no answer is expected.
    pub expect_error: Option<bool>,
    /// Whether a failure is tried again.
    #[serde(default)]
    pub retry_once: bool,
    /// Whether exactly one rule matches.
    #[serde(default)]
    pub isolated: bool,
}

/// What is in the log.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// Rules that must have matched.
    #[serde(default)]
    pub expect_ids: Vec<u64>,
    /// Rules that must not have matched.
    #[serde(default)]
    pub no_expect_ids: Vec<u64>,
    /// A pattern that some line has.
    pub match_regex: Option<String>,
    /// A pattern that no line has.
    pub no_match_regex: Option<String>,
}

fn slash() -> String {
    "/".into()
}

fn http() -> String {
    "HTTP/1.1".into()
}

fn get() -> String {
    "GET".into()
}

#[derive(Deserialize)]
struct Header {
    name: String,
    value: String,
}

/// Headers as a list, in the order of the file: a map of any scalars, or a list of `name` and `value`.
fn in_order<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<(String, String)>, D::Error> {
    struct InOrder;
    impl<'de> Visitor<'de> for InOrder {
        type Value = Vec<(String, String)>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("headers")
        }
        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut list = Vec::new();
            while let Some(entry) = map.next_entry::<String, String>()? {
                list.push(entry);
            }
            Ok(list)
        }
        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
            let mut list = Vec::new();
            while let Some(Header { name, value }) = seq.next_element()? {
                list.push((name, value));
            }
            Ok(list)
        }
        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok(Vec::new())
        }
    }
    deserializer.deserialize_any(InOrder)
}

/// Reads every `*.yaml` below a directory, in the order of their paths.
pub fn read(directory: &Path) -> Result<Vec<Named>> {
    let mut files = Vec::new();
    collect(directory, &mut files)?;
    files.sort();
    let mut tests = Vec::new();
    for path in &files {
        let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
        tests.extend(parse(path, &text)?);
    }
    if tests.is_empty() {
        bail!("{}: no test in {} YAML files", directory.display(), files.len());
    }
    Ok(tests)
}

fn collect(directory: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in std::fs::read_dir(directory).with_context(|| directory.display().to_string())? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml") {
            files.push(path);
        }
    }
    Ok(())
}

/// Reads one file. One that cannot be read is one test that fails.
fn parse(path: &Path, text: &str) -> Result<Vec<Named>> {
    let name = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let from_name = name.chars().filter(char::is_ascii_digit).collect::<String>().parse().unwrap_or(0);
    let empty = text.lines().all(|line| matches!(line.trim(), "" | "---") || line.starts_with('#'));
    if empty {
        return Ok(Vec::new());
    }
    let file: File = match serde_saphyr::from_str(text) {
        Ok(file) => file,
        Err(error) => {
            let why = format!("{}: {error}", path.display());
            return Ok(vec![Named { name, rule: from_name, stages: Err(why) }]);
        }
    };
    let rule = file.rule_id.unwrap_or(from_name);
    let named = file.tests.into_iter().zip(1..).map(|(test, number)| Named {
        name: format!("{rule}-{}", test.test_id.unwrap_or(number)),
        rule,
        stages: Ok(test.stages),
    });
    Ok(named.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_keep_their_order_and_may_be_numbers_or_a_list() {
        let text = "rule_id: 7\ntests:\n- test_id: 3\n  stages:\n  - input:\n      headers: {B: 1, A: x}\n      \
                    ordered_headers:\n      - {name: C, value: y}\n      - {name: C, value: z}\n    output: {status: 200}\n";
        let tests = parse(Path::new("7.yaml"), text).unwrap();
        let [Named { name, stages: Ok(stages), .. }] = tests.as_slice() else { panic!("{tests:?}") };
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(name, "7-3");
        assert_eq!(stages[0].input.headers, [pair("B", "1"), pair("A", "x")]);
        assert_eq!(stages[0].input.ordered_headers, [pair("C", "y"), pair("C", "z")]);
        assert!(stages[0].input.autocompletes());
    }

    #[test]
    fn a_field_that_is_not_known_fails_the_file_and_is_named() {
        let text = "rule_id: 7\ntests:\n- stages:\n  - input: {moon: full}\n    output: {}\n";
        let tests = parse(Path::new("7.yaml"), text).unwrap();
        assert!(matches!(&tests[..], [Named { stages: Err(why), .. }] if why.contains("moon")), "{tests:?}");
    }

    #[test]
    fn an_empty_file_has_no_tests_and_names_come_from_the_file_if_need_be() {
        assert!(parse(Path::new("920539.yaml"), "---\n# nothing\n\n").unwrap().is_empty());
        let text = "tests:\n- stages:\n  - input: {}\n    output: {}\n";
        assert_eq!(parse(Path::new("920100.yaml"), text).unwrap()[0].name, "920100-1");
    }
}
