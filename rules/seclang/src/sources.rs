//! Where files come from: a trait, since the parser does no I/O, and its implementation over a `RuleSet` document.
//!
//! Promises that no name leads outside the root: absolute names and `..` beyond it are refused before anything is
//! looked up. Does not read the file system (`palisade-loader` does).

use palisade_model::documents::RuleSet;

use crate::limits::MAX_FILES;

/// Where files come from: bounded and rooted. The parser itself does no I/O.
pub trait Sources {
    /// The text of a file that `Include` or a data operator names, relative to the file that names it.
    fn read(&self, from: &str, name: &str) -> Result<Source, SourceError>;

    /// The names, in the order of the alphabet, that an `Include` with `*`, `?` or `[` stands for, relative to the
    /// same file as the pattern. An empty list is an error to the parser.
    fn expand(&self, _from: &str, pattern: &str) -> Result<Vec<String>, SourceError> {
        Err(SourceError(format!("the pattern {pattern:?} cannot be expanded here; name the files")))
    }
}

/// A file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Its name for diagnostics and for relative includes.
    pub name: String,
    /// Its text.
    pub text: String,
}

/// Why a file cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SourceError(pub String);

/// No files at all: every `Include` and data file is an error.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoSources;

impl Sources for NoSources {
    fn read(&self, _from: &str, name: &str) -> Result<Source, SourceError> {
        Err(SourceError(format!("{name:?} cannot be read: this rule text has no files beside it")))
    }
}

/// The files of a `RuleSet` document: what rules name is looked up in `spec.data`, first beside the file that names
/// it, then from the root, so that `rules/a.conf` finds both `rules/a.data` and `a.data`.
#[derive(Clone, Copy, Debug)]
pub struct RuleSetSources<'a> {
    rule_set: &'a RuleSet,
}

impl<'a> RuleSetSources<'a> {
    /// The files of this document.
    pub fn new(rule_set: &'a RuleSet) -> Self {
        Self { rule_set }
    }

    /// The rule files in their order.
    pub fn roots(&self) -> Vec<Source> {
        let sources = self.rule_set.spec.sources.iter();
        sources.map(|file| Source { name: file.name.clone(), text: file.text.clone() }).collect()
    }
}

impl Sources for RuleSetSources<'_> {
    fn read(&self, from: &str, name: &str) -> Result<Source, SourceError> {
        let beside = resolve(from, name)?;
        let from_root = resolve("", name).ok();
        for candidate in std::iter::once(beside).chain(from_root) {
            if let Some(text) = self.rule_set.spec.data.get(&candidate) {
                return Ok(Source { name: candidate, text: text.clone() });
            }
        }
        let known = self.rule_set.spec.data.len();
        Err(SourceError(format!("{name:?} is not among the {known} files in spec.data of this RuleSet")))
    }

    fn expand(&self, from: &str, pattern: &str) -> Result<Vec<String>, SourceError> {
        let (resolved, files) = (resolve(from, pattern)?, self.rule_set.spec.data.len());
        if files > MAX_FILES {
            return Err(SourceError(format!("{files} files in spec.data; {MAX_FILES} are allowed")));
        }
        let names = self.rule_set.spec.data.keys().filter(|name| matches_glob(&resolved, name));
        let up = "../".repeat(from.matches('/').count());
        Ok(names.map(|name| format!("{up}{name}")).collect())
    }
}

/// The name of a file relative to the root, when the file `from` calls it `name`: `/` separates, `.` and `..` are
/// followed by text alone. Absolute names and `..` beyond the root are refused.
pub fn resolve(from: &str, name: &str) -> Result<String, SourceError> {
    let is_drive = name.as_bytes().get(1) == Some(&b':');
    if name.is_empty() || name.starts_with('/') || is_drive || name.contains(['\\', '\0']) {
        return Err(SourceError(format!("{name:?} is not a relative file name")));
    }
    let folder = from.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut parts: Vec<&str> = Vec::new();
    for part in folder.split('/').chain(name.split('/')) {
        match part {
            "" | "." => {}
            ".." => {
                if parts.pop().is_none() {
                    return Err(SourceError(format!("{name:?} leads outside the root of the rule set")));
                }
            }
            part => parts.push(part),
        }
    }
    Ok(parts.join("/"))
}

/// Whether a name has `*`, `?` or `[`.
pub fn is_glob(name: &str) -> bool {
    name.contains(['*', '?', '['])
}

/// Whether a path matches a pattern: `*` any number of characters but `/`, `?` one of them, `[a-z]` and `[!a-z]` one
/// of a set. Linear in the product of the lengths; never backtracks further than the last `*`.
pub fn matches_glob(pattern: &str, path: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let path: Vec<char> = path.chars().collect();
    let (mut p, mut s) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while let Some(letter) = path.get(s) {
        if pattern.get(p) == Some(&'*') {
            retry = Some((p, s));
            p += 1;
            continue;
        }
        if let Some(next) = one(&pattern, p, *letter) {
            (p, s) = (next, s + 1);
            continue;
        }
        let Some((star, at)) = retry.filter(|(_, at)| path.get(*at) != Some(&'/')) else { return false };
        retry = Some((star, at + 1));
        (p, s) = (star + 1, at + 1);
    }
    pattern.get(p..).unwrap_or_default().iter().all(|letter| *letter == '*')
}

/// The position after the pattern's element at `p` if it takes `letter`.
fn one(pattern: &[char], p: usize, letter: char) -> Option<usize> {
    match pattern.get(p)? {
        '?' => (letter != '/').then_some(p + 1),
        '[' => {
            let close = p + 2 + pattern.get(p + 2..)?.iter().position(|c| *c == ']')?;
            let set = pattern.get(p + 1..close)?;
            let (negated, set) = match set.split_first() {
                Some(('!' | '^', rest)) if !rest.is_empty() => (true, rest),
                _ => (false, set),
            };
            (letter != '/' && in_set(set, letter) != negated).then_some(close + 1)
        }
        other => (*other == letter).then_some(p + 1),
    }
}

fn in_set(set: &[char], letter: char) -> bool {
    let mut rest = set;
    while let Some((first, tail)) = rest.split_first() {
        if let [minus, last, after @ ..] = tail
            && *minus == '-'
        {
            if (*first..=*last).contains(&letter) {
                return true;
            }
            rest = after;
        } else {
            if *first == letter {
                return true;
            }
            rest = tail;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_relative_to_its_file_and_never_leaves_the_root() {
        for (from, name, expected) in [
            ("a.conf", "b.data", "b.data"),
            ("rules/a.conf", "b.data", "rules/b.data"),
            ("rules/a.conf", "./b.data", "rules/b.data"),
            ("rules/a.conf", "../b.data", "b.data"),
            ("rules/x/a.conf", "../../y/b.data", "y/b.data"),
            ("", "b//c", "b/c"),
        ] {
            assert_eq!(resolve(from, name).unwrap(), expected, "{from} {name}");
        }
        for (from, name) in [
            ("a.conf", "../b"),
            ("rules/a.conf", "../../b"),
            ("a.conf", "x/../../b"),
            ("a.conf", "/etc/passwd"),
            ("a.conf", "C:/x"),
            ("a.conf", "a\\b"),
            ("a.conf", "a\0b"),
            ("a.conf", ""),
        ] {
            assert!(resolve(from, name).is_err(), "{from} {name}");
        }
    }

    #[test]
    fn a_pattern_takes_what_a_shell_would_take() {
        for (pattern, path, expected) in [
            ("*.conf", "a.conf", true),
            ("*.conf", "rules/a.conf", false),
            ("rules/*.conf", "rules/a.conf", true),
            ("rules/*.conf", "rules/x/a.conf", false),
            ("rules/*-9?0-*", "rules/REQUEST-920-X", true),
            ("[a-c]*", "b", true),
            ("[!a-c]*", "b", false),
            ("[]x", "[]x", false),
            ("a*b*c", "a1b2b3c", true),
            ("a*b*c", "a1b2b3", false),
            ("*", "", true),
            ("", "a", false),
        ] {
            assert_eq!(matches_glob(pattern, path), expected, "{pattern} {path}");
        }
    }

    #[test]
    fn a_pattern_of_many_stars_is_not_exponential() {
        let pattern = "*a".repeat(200) + "b";
        assert!(!matches_glob(&pattern, &"a".repeat(2_000)));
    }
}
