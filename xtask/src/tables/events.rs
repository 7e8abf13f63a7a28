//! Names of event handlers that markup can have and libinjection 3.10 does not know, from the Web IDL of the platform's
//! specifications.
//!
//! A handler of anything but an element, a document or a window cannot be written as an attribute.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context, Result, ensure};

/// Handlers that one browser runs and no specification has: Firefox's around scripts, its old names, WebKit's marquee.
const VENDORS: [&str; 6] = [
    "AFTERSCRIPTEXECUTE",
    "BEFORESCRIPTEXECUTE",
    "BOUNCE",
    "DRAGEXIT",
    "MOZFULLSCREENCHANGE",
    "MOZFULLSCREENERROR",
];
/// Fewer handlers than any version of the specifications has: the files are others, or their form is.
const FEWEST: usize = 80;

/// The names after `ON`, in capitals.
pub(super) fn read(directory: &Path) -> Result<BTreeSet<String>> {
    let mut names: BTreeSet<String> = BTreeSet::new();
    let entries = std::fs::read_dir(directory);
    for entry in entries.with_context(|| format!("{} cannot be read", directory.display()))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "idl") {
            let text = std::fs::read_to_string(&path);
            of(&text.with_context(|| format!("{} cannot be read", path.display()))?, &mut names);
        }
    }
    ensure!(names.len() >= FEWEST, "{} has {} event handlers of elements", directory.display(), names.len());
    names.extend(VENDORS.map(str::to_owned));
    Ok(names)
}

/// The names in one file.
fn of(text: &str, names: &mut BTreeSet<String>) {
    let mut markup = false;
    for line in text.lines() {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        if let Some(interface) = interface(&words) {
            markup = ["GlobalEventHandlers", "WindowEventHandlers", "Document", "Element", "Window"]
                .contains(&interface)
                || interface.starts_with("HTML")
                || interface.starts_with("SVG");
        }
        let [.., "attribute", kind, name] = words.as_slice() else { continue };
        let name = name.strip_prefix("on").and_then(|name| name.strip_suffix(';'));
        if markup
            && kind.contains("EventHandler")
            && let Some(name) = name
        {
            names.insert(name.to_ascii_uppercase());
        }
    }
}

/// The interface that a line begins.
fn interface<'t>(words: &[&'t str]) -> Option<&'t str> {
    match words {
        ["interface", "mixin", name, ..] | ["partial", "interface", "mixin", name, ..] => Some(name),
        ["interface", name, ..] | ["partial", "interface", name, ..] => Some(name),
        ["dictionary" | "namespace" | "callback", ..] | ["partial", ..] => Some(""),
        _ => None,
    }
}

/// The table: those of them that do not begin with a name that is `known` or is one of them.
pub(super) fn table(names: &BTreeSet<String>, known: &BTreeSet<&str>) -> Result<String> {
    let mut text = String::from(
        "//! Names of event handlers that are newer than libinjection's list. Made by `cargo xtask tables` from the Web IDL of\n\
         //! the platform's specifications; do not edit.\n\
         //!\n\
         //! The package `@webref/idl`, Copyright 2020 World Wide Web Consortium; MIT licence: see NOTICE.\n\n\
         /// After `ON`, in order; none begins with another one, nor with one of libinjection's.\n\
         pub const NEWER_EVENTS: &[&str] = &[\n",
    );
    let begins = |name: &str| {
        (1..=name.len())
            .filter_map(|end| name.get(..end))
            .any(|begin| known.contains(begin) || begin.len() < name.len() && names.contains(begin))
    };
    names.iter().filter(|name| !begins(name)).try_for_each(|name| writeln!(text, "{name:?},"))?;
    text.push_str("];\n");
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "interface mixin GlobalEventHandlers {\n  attribute EventHandler onabort;\n  attribute OnErrorEventHandler onerror;\n\
                        attribute DOMString once;\n};\npartial interface SVGElement { };\n  attribute EventHandler onrepeat;\n\
                        [Exposed=Worker]\ninterface Worker : EventTarget {\n  attribute EventHandler onmessage;\n};";

    #[test]
    fn handlers_of_what_markup_has_are_found_and_no_others() {
        let mut names = BTreeSet::new();
        of(TEXT, &mut names);
        assert_eq!(names.iter().map(String::as_str).collect::<Vec<_>>(), ["ABORT", "ERROR", "REPEAT"]);
    }

    #[test]
    fn a_name_that_begins_with_a_known_one_is_left_out() {
        let names = ["ABORT", "ABORTED", "ERROR", "REPEAT"].map(str::to_owned).into();
        let text = table(&names, &BTreeSet::from(["ERR"])).unwrap_or_default();
        let listed: Vec<&str> = text.lines().filter(|line| line.starts_with('"')).collect();
        assert_eq!(listed, ["\"ABORT\",", "\"REPEAT\","]);
    }
}
