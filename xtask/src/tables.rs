//! `cargo xtask tables SOURCE IDL`: the tables of the injection detectors, from the source of libinjection's port to Rust
//! and from the Web IDL of the platform's specifications.
//!
//! SOURCE is a directory with `src/sqli/generated_data.rs` and `src/xss/blacklists.rs`, as the crate `libinjectionrs`
//! 0.1.1 has it; both hold libinjection's data, under the BSD 3-clause licence. IDL is the directory of the package
//! `@webref/idl` 3.85.0, under the MIT licence. What has another shape is refused. The result is committed, so that a
//! build needs no source.

mod events;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

const TARGET: &str = "rules/waf/src/injection/generated";

/// Makes the tables anew.
pub fn run(source: &Path, idl: &Path) -> Result<()> {
    let read = |path: &str| {
        let path = source.join(path);
        std::fs::read_to_string(&path).with_context(|| format!("{} cannot be read", path.display()))
    };
    let sqli = read("src/sqli/generated_data.rs")?;
    let xss = read("src/xss/blacklists.rs")?;
    let (words, fingerprints) = keywords(&sqli)?;
    let events = names(&xss, "BLACK_ATTR_EVENTS", true)?;
    let known: BTreeSet<&str> = events.keys().map(String::as_str).collect();
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(TARGET);
    for (name, text) in [
        ("words.rs", words_file(&words)?),
        ("fingerprints.rs", fingerprints_file(&fingerprints)?),
        ("markup.rs", markup_file(&xss)?),
        ("newer_events.rs", events::table(&events::read(idl)?, &known)?),
    ] {
        let path = target.join(name);
        std::fs::write(&path, text).with_context(|| format!("{} cannot be written", path.display()))?;
        let status = Command::new("rustfmt").args(["--edition", "2024"]).arg(&path).status()?;
        ensure!(status.success(), "rustfmt refuses {}", path.display());
    }
    println!("{} words, {} fingerprints", words.len(), fingerprints.len());
    Ok(())
}

/// The lines of a list: those between the one that declares it and its end.
fn list<'t>(text: &'t str, declaration: &str) -> Result<Vec<&'t str>> {
    let mut lines = text.lines().skip_while(|line| *line != declaration);
    ensure!(lines.next().is_some(), "there is no line {declaration:?}");
    let mut found = Vec::new();
    for line in lines {
        if line == "];" {
            ensure!(!found.is_empty(), "{declaration:?} is empty");
            return Ok(found);
        }
        found.push(line.trim());
    }
    bail!("{declaration:?} has no end")
}

/// A line's text between quotes, and what is after it.
fn quoted<'t>(line: &'t str, before: &str) -> Result<(String, &'t str)> {
    let rest = line.strip_prefix(before).with_context(|| format!("unknown line {line:?}"))?;
    let mut text = String::new();
    let mut characters = rest.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => {
                ensure!(text.is_ascii() && !text.is_empty(), "unknown text in {line:?}");
                return Ok((text, rest.get(at + 1..).unwrap_or_default()));
            }
            '\\' => text.push(characters.next().context("a lone backslash")?.1),
            other => text.push(other),
        }
    }
    bail!("{line:?} has no end of its text")
}

/// Words with the letters of their kinds, and fingerprints.
fn keywords(text: &str) -> Result<(BTreeMap<String, char>, BTreeSet<String>)> {
    let (mut words, mut fingerprints) = (BTreeMap::new(), BTreeSet::new());
    for line in list(text, "pub const SQL_KEYWORDS: &[Keyword] = &[")? {
        let (word, rest) = quoted(line, "Keyword { word: \"")?;
        let kind = rest.strip_prefix(", token_type: b'").and_then(|rest| rest.strip_suffix("' },"));
        let kind = kind.and_then(|kind| kind.parse::<char>().ok());
        let kind = kind.with_context(|| format!("unknown kind in {line:?}"))?;
        ensure!(word == word.to_ascii_uppercase(), "{word:?} is not in capitals");
        let is_new = if kind == 'F' {
            let letters = word.strip_prefix('0').context("a fingerprint begins with 0")?;
            ensure!((1..=5).contains(&letters.len()), "the fingerprint {word:?} has another length");
            fingerprints.insert(letters.to_owned())
        } else {
            words.insert(word.clone(), kind).is_none()
        };
        ensure!(is_new, "{word:?} is there twice");
    }
    Ok((words, fingerprints))
}

fn header(what: &str) -> String {
    format!(
        "//! {what} Made by `cargo xtask tables` from libinjection's data; do not edit.\n\
         //!\n\
         //! Copyright 2012-2024 Nick Galbreath and the authors of libinjection; BSD 3-clause licence: see NOTICE.\n\n"
    )
}

fn words_file(words: &BTreeMap<String, char>) -> Result<String> {
    let mut text = header("Words and phrases of SQL, and what they are.");
    text.push_str("use crate::injection::token::Kind::{self, *};\n\n");
    text.push_str("/// In capitals, in order.\npub(in crate::injection) const WORDS: &[(&str, Kind)] = &[\n");
    for (word, kind) in words {
        let kind = match kind {
            'k' => "Keyword",
            'f' => "Function",
            'U' => "Union",
            'E' => "Expression",
            'T' => "Tsql",
            't' => "SqlType",
            'o' => "Operator",
            '&' => "Logic",
            'v' => "Variable",
            '1' => "Number",
            'A' => "Collate",
            'B' => "Group",
            'n' => "Bareword",
            other => bail!("the kind {other:?} of {word:?} is unknown"),
        };
        writeln!(text, "({word:?}, {kind}),")?;
    }
    text.push_str("];\n");
    Ok(text)
}

fn fingerprints_file(fingerprints: &BTreeSet<String>) -> Result<String> {
    let mut text = header("Fingerprints of attacks, in capitals.");
    for length in 1..=5 {
        writeln!(text, "/// Those of {length}, in order.")?;
        writeln!(text, "pub(in crate::injection) const OF_{length}: &[[u8; {length}]] = &[")?;
        for fingerprint in fingerprints.iter().filter(|fingerprint| fingerprint.len() == length) {
            write!(text, "*b{fingerprint:?}, ")?;
        }
        text.push_str("];\n\n");
    }
    Ok(text)
}

/// The names of a list with what they are, if the list says so.
fn names(text: &str, list_name: &str, kind: bool) -> Result<BTreeMap<String, String>> {
    let (declared, before) = match kind {
        true => ("StringType", "StringType { name: \""),
        false => ("&str", "\""),
    };
    let mut names = BTreeMap::new();
    for line in list(text, &format!("pub const {list_name}: &[{declared}] = &["))? {
        let (name, rest) = quoted(line, before)?;
        let danger = match (kind, rest) {
            (false, "," | ", ") => "",
            (true, ", atype: AttributeType::Black },") => "Always",
            (true, ", atype: AttributeType::AttrUrl },") => "Url",
            (true, ", atype: AttributeType::Style },") => "Style",
            (true, ", atype: AttributeType::AttrIndirect },") => "Name",
            _ => bail!("unknown line {line:?} in {list_name}"),
        };
        ensure!(name == name.to_ascii_uppercase(), "{name:?} is not in capitals");
        // Some names are there twice.
        names.insert(name, danger.to_owned());
    }
    Ok(names)
}

fn markup_file(source: &str) -> Result<String> {
    let mut text = header("Names of HTML that run scripts.");
    text.push_str(
        "/// Why an attribute is dangerous.\n#[derive(Clone, Copy, Debug, PartialEq, Eq)]\npub enum Danger {\n\
         /// Whatever its value is.\nAlways,\n/// Its value is a style.\nStyle,\n/// Its value is a URL.\nUrl,\n\
         /// Its value is the name of an attribute.\nName,\n}\n\n",
    );
    let events = names(source, "BLACK_ATTR_EVENTS", true)?;
    ensure!(events.values().all(|danger| danger == "Always"), "an event of another kind");
    // A name that begins with another one is met with it.
    let is_free =
        |name: &&String| (1..name.len()).all(|end| !events.contains_key(name.get(..end).unwrap_or_default()));
    let events: Vec<&String> = events.keys().filter(is_free).collect();
    let tags = names(source, "BLACK_TAGS", false)?;
    let urls = names(source, "BLACK_URL_PROTOCOLS", false)?;
    for (doc, name, list) in [
        ("Events after `ON`, in order; none begins with another one.", "EVENTS", events),
        ("Tags, in order.", "TAGS", tags.keys().collect()),
        ("Schemes of URLs, in order.", "URLS", urls.keys().collect()),
    ] {
        writeln!(text, "/// {doc}\npub const {name}: &[&str] = &[")?;
        list.into_iter().try_for_each(|item| writeln!(text, "{item:?},"))?;
        text.push_str("];\n\n");
    }
    text.push_str("/// Other attributes, in order.\npub const ATTRIBUTES: &[(&str, Danger)] = &[\n");
    for (name, danger) in names(source, "BLACK_ATTRS", true)? {
        writeln!(text, "({name:?}, Danger::{danger}),")?;
    }
    text.push_str("];\n");
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(line: &str) -> String {
        format!("pub const SQL_KEYWORDS: &[Keyword] = &[\n    {line}\n];\n")
    }

    #[test]
    fn unknown_shapes_are_refused() {
        let good = source("Keyword { word: \"SELECT\", token_type: b'E' },");
        assert_eq!(keywords(&good).map(|(words, _)| words.len()).ok(), Some(1));
        for bad in [
            "Keyword { word: \"select\", token_type: b'E' },",
            "Keyword { word: \"SELECT\", kind: b'E' },",
            "Keyword { word: \"SELECT, token_type: b'E' },",
            "Keyword { word: \"\", token_type: b'E' },",
            "Keyword { word: \"0ABCDEF\", token_type: b'F' },",
            "Keyword { word: \"ABC\", token_type: b'F' },",
            "Word { word: \"SELECT\", token_type: b'E' },",
        ] {
            assert!(keywords(&source(bad)).is_err(), "{bad}");
        }
        assert!(keywords("").is_err(), "no list");
        assert!(keywords("pub const SQL_KEYWORDS: &[Keyword] = &[\n").is_err(), "no end");
        let unknown = BTreeMap::from([("SELECT".to_owned(), '?')]);
        assert!(words_file(&unknown).is_err(), "an unknown kind");
    }
}
