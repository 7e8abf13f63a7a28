//! Which exchanges the audit log has, which sections of them, and what they may show.

use serde::{Deserialize, Serialize};

/// Which exchanges are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum AuditEngine {
    /// None.
    Off,
    /// Those that a rule with `auditlog` matched, that were refused, or whose status is relevant.
    #[default]
    RelevantOnly,
    /// All.
    On,
}

/// Sections of the audit log, by ModSecurity's letters. A and Z are always there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuditParts(u16);

/// The letters there are.
const LETTERS: [char; 12] = ['A', 'B', 'C', 'D', 'E', 'F', 'G', 'H', 'I', 'J', 'K', 'Z'];

impl AuditParts {
    /// What is written if nobody says: header, request headers, response headers, trailer, rules.
    pub const DEFAULT: &str = "ABFHKZ";

    /// The sections of these letters; none if one is no letter of a section.
    pub fn parse(letters: &str) -> Option<Self> {
        let always = Self(bit('A')? | bit('Z')?);
        letters.chars().try_fold(always, |parts, letter| Some(Self(parts.0 | bit(letter)?)))
    }

    /// Whether a section is among them.
    pub fn contains(self, letter: char) -> bool {
        bit(letter).is_some_and(|bit| self.0 & bit != 0)
    }

    /// With others.
    pub fn with(self, others: Self) -> Self {
        Self(self.0 | others.0)
    }

    /// Without others; A and Z stay.
    pub fn without(self, others: Self) -> Self {
        Self(self.0 & !others.0).with(Self(1 | 1 << 11))
    }

    /// The letters in order.
    pub fn letters(self) -> String {
        LETTERS.into_iter().filter(|letter| self.contains(*letter)).collect()
    }
}

impl Default for AuditParts {
    fn default() -> Self {
        Self::parse(Self::DEFAULT).unwrap_or(Self(1 | 1 << 11))
    }
}

fn bit(letter: char) -> Option<u16> {
    LETTERS.iter().position(|known| letter.eq_ignore_ascii_case(known)).map(|place| 1 << place)
}

/// A set of statuses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StatusSet([u64; 10]);

impl StatusSet {
    /// The statuses from 100 to 599 that are wanted.
    pub fn of(wanted: impl Fn(u16) -> bool) -> Self {
        let mut set = Self::default();
        for status in (100..600).filter(|status| wanted(*status)) {
            if let Some(word) = set.0.get_mut(usize::from(status) / 64) {
                *word |= 1 << (status % 64);
            }
        }
        set
    }

    /// Whether a status is in it.
    pub fn contains(&self, status: u16) -> bool {
        self.0.get(usize::from(status) / 64).is_some_and(|word| word & 1 << (status % 64) != 0)
    }
}

/// What the audit log may show. Nothing of it is on unless the policy says so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AuditShow {
    /// Values of headers that are no credentials.
    pub headers: bool,
    /// The path beyond its first segment, and the query.
    pub uri: bool,
    /// What rules matched, and what their `logdata` expands to.
    pub matched_bytes: bool,
    /// Bodies (sections C, E, I).
    pub bodies: bool,
}

/// What rule set and policy say of the audit log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditSettings {
    /// Which exchanges are written.
    pub engine: AuditEngine,
    /// Which sections of them.
    pub parts: AuditParts,
    /// Statuses that make an exchange relevant.
    pub relevant: StatusSet,
    /// What they may show.
    pub show: AuditShow,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_are_letters_and_the_first_and_last_are_always_there() {
        let parts = AuditParts::parse("abij").unwrap();
        assert_eq!(parts.letters(), "ABIJZ");
        assert_eq!(AuditParts::parse("AQ"), None);
        let less = parts.without(AuditParts::parse("AIZ").unwrap());
        assert_eq!(less.letters(), "ABJZ");
        assert_eq!(less.with(AuditParts::parse("E").unwrap()).letters(), "ABEJZ");
        assert_eq!(AuditParts::default().letters(), AuditParts::DEFAULT);
    }

    #[test]
    fn a_set_of_statuses_has_what_was_put_in() {
        let set = StatusSet::of(|status| status >= 500 || status == 100);
        for status in [100, 500, 599] {
            assert!(set.contains(status), "{status}");
        }
        for status in [0, 99, 101, 499, 600, 999, u16::MAX] {
            assert!(!set.contains(status), "{status}");
        }
    }
}
