//! The text patterns of a policy: exact, `prefix*`, `*suffix`, and `*` for "there is one".
//!
//! Promises: every other character is literal; there are no regular expressions anywhere, so a `.` or `+` in a name
//! means itself. A `*` in any other place is refused, because Istio would take it literally and it would never match.

/// One compiled pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Pattern {
    /// The whole text.
    Exact(Box<str>),
    /// It begins so.
    Prefix(Box<str>),
    /// It ends so.
    Suffix(Box<str>),
    /// It is there and not empty.
    Present,
}

impl Pattern {
    /// Reads a pattern; the error is a sentence.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("is empty".to_owned());
        }
        if text == "*" {
            return Ok(Self::Present);
        }
        let (kind, literal): (fn(Box<str>) -> Self, &str) = if let Some(rest) = text.strip_prefix('*') {
            (Self::Suffix, rest)
        } else if let Some(rest) = text.strip_suffix('*') {
            (Self::Prefix, rest)
        } else {
            (Self::Exact, text)
        };
        if literal.contains('*') {
            return Err(format!("{text:?}: `*` may stand only at the start or only at the end"));
        }
        Ok(kind(literal.into()))
    }

    /// The same pattern for texts that are compared in lower case.
    pub(crate) fn lower_case(self) -> Self {
        let lower = |text: Box<str>| text.to_ascii_lowercase().into_boxed_str();
        match self {
            Self::Exact(text) => Self::Exact(lower(text)),
            Self::Prefix(text) => Self::Prefix(lower(text)),
            Self::Suffix(text) => Self::Suffix(lower(text)),
            Self::Present => Self::Present,
        }
    }

    /// What must be there literally.
    pub(crate) fn literal(&self) -> &str {
        match self {
            Self::Exact(text) | Self::Prefix(text) | Self::Suffix(text) => text,
            Self::Present => "",
        }
    }

    /// Compares bytes, since header values need not be UTF-8.
    pub(crate) fn matches(&self, value: &[u8]) -> bool {
        match self {
            Self::Exact(text) => value == text.as_bytes(),
            Self::Prefix(text) => value.starts_with(text.as_bytes()),
            Self::Suffix(text) => value.ends_with(text.as_bytes()),
            Self::Present => !value.is_empty(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_in_the_middle_or_on_both_sides_is_refused() {
        for text in ["a*b", "*a*", "**", "a**", ""] {
            assert!(Pattern::parse(text).is_err(), "{text:?} was taken");
        }
    }

    #[test]
    fn translation_69_metacharacters_are_literal() {
        for text in ["a.b", "a+", "(a|b)", "[a]", "a?", "^a$", "\\d"] {
            let pattern = Pattern::parse(text).unwrap();
            assert!(pattern.matches(text.as_bytes()));
            for other in ["aXb", "a", "aa", "b", "1", ""] {
                assert!(!pattern.matches(other.as_bytes()), "{text:?} took {other:?}");
            }
        }
    }

    #[test]
    fn prefix_suffix_and_presence_match_as_written() {
        let matches = |pattern: &str, value: &str| Pattern::parse(pattern).unwrap().matches(value.as_bytes());
        assert!(matches("ab*", "abc") && matches("ab*", "ab") && !matches("ab*", "a"));
        assert!(matches("*bc", "abc") && matches("*bc", "bc") && !matches("*bc", "c"));
        assert!(matches("*", "a") && !matches("*", ""));
    }
}
