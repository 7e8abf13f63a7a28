//! Closed lists of SecLang names, and the nearest name to a misspelt one.
//!
//! Promises that every list can be walked (`ALL`), printed in its canonical spelling and looked up without regard to
//! ASCII case, as ModSecurity does. Does not know what a name means.

/// Defines a closed list of names with their accepted spellings; the first is the canonical one.
macro_rules! names {
    ($(#[$meta:meta])* $list:ident { $( $variant:ident ),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $list {
            $(
                #[doc = concat!("`", stringify!($variant), "`")]
                $variant,
            )+
        }

        $crate::names::names! { @lookups $list { $( $variant = (stringify!($variant)) ),+ } }
    };

    ($(#[$meta:meta])* $list:ident { $( $variant:ident = $text:literal $(| $alias:literal)* ),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $list {
            $(
                #[doc = concat!("`", $text, "`")]
                $variant,
            )+
        }

        $crate::names::names! { @lookups $list { $( $variant = ($text) $( ($alias) )* ),+ } }
    };

    (@lookups $list:ident { $( $variant:ident = ($text:expr) $( ($alias:expr) )* ),+ }) => {
        impl $list {
            /// Every value, in the order of declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// Every accepted spelling.
            pub(crate) const SPELLINGS: &'static [(&'static str, Self)] =
                &[$( ($text, Self::$variant), $( ($alias, Self::$variant), )* )+];

            /// The canonical spelling.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)+
                }
            }

            /// The value of a spelling, without regard to ASCII case.
            pub fn find(text: &str) -> Option<Self> {
                Self::SPELLINGS
                    .iter()
                    .find(|(spelling, _)| spelling.eq_ignore_ascii_case(text))
                    .map(|(_, value)| *value)
            }

            /// The spelling nearest to `text`, if one is near enough to be meant.
            pub fn nearest(text: &str) -> Option<&'static str> {
                $crate::names::nearest(text, Self::SPELLINGS.iter().map(|(spelling, _)| *spelling))
            }
        }

        impl std::fmt::Display for $list {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.name())
            }
        }
    };
}
pub(crate) use names;

/// Longest text that is compared: a longer one is no misspelling, and the comparison is quadratic.
const LONGEST_MISSPELLING: usize = 64;

/// The candidate with the smallest edit distance, if no more than a third of the letters differ.
pub(crate) fn nearest(text: &str, candidates: impl Iterator<Item = &'static str>) -> Option<&'static str> {
    if text.is_empty() || text.len() > LONGEST_MISSPELLING {
        return None;
    }
    let wanted = text.to_ascii_lowercase();
    let allowed = (wanted.len() / 3).max(1);
    candidates
        .map(|candidate| (distance(&wanted, &candidate.to_ascii_lowercase()), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Levenshtein distance over bytes.
fn distance(left: &str, right: &str) -> usize {
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.bytes().enumerate() {
        let mut diagonal = i;
        let mut before = i + 1;
        for (cell, b) in row.iter_mut().skip(1).zip(right.bytes()) {
            let substituted = diagonal + usize::from(a != b);
            diagonal = *cell;
            before = substituted.min(before + 1).min(diagonal + 1);
            *cell = before;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_distance_is_levenshteins() {
        for (left, right, expected) in
            [("", "", 0), ("kitten", "sitting", 3), ("abc", "", 3), ("", "abc", 3), ("flaw", "lawn", 2)]
        {
            assert_eq!(distance(left, right), expected, "{left} {right}");
        }
    }

    #[test]
    fn only_a_name_that_is_near_is_suggested() {
        let names = || ["lowercase", "uppercase", "length"].into_iter();
        assert_eq!(nearest("lowercas", names()), Some("lowercase"));
        assert_eq!(nearest("LOWERCSE", names()), Some("lowercase"));
        assert_eq!(nearest("banana", names()), None);
        assert_eq!(nearest("", names()), None);
        assert_eq!(nearest(&"l".repeat(LONGEST_MISSPELLING + 1), names()), None);
    }
}
