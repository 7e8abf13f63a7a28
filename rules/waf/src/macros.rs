//! `%{…}` in operator arguments, action values and messages: taken from the syntax tree once, expanded for each use.
//!
//! A variable that has no value expands to nothing, as in ModSecurity.

use bytes::{BufMut, Bytes};
use palisade_seclang::{MacroPart, MacroText, VariableKind};

use crate::limits::EXPANSION_BYTES;
use crate::scratch::Arena;

/// A text with expansions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Macro {
    parts: Vec<Part>,
}

/// A part of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// Taken as it is.
    Text(Bytes),
    /// The value of a variable, or of one member of a collection.
    Variable(VariableKind, Option<Bytes>),
}

/// An expansion came to more than [`EXPANSION_BYTES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooLong;

impl From<&MacroText> for Macro {
    fn from(text: &MacroText) -> Self {
        let parts = text.parts.iter().map(|part| match part {
            MacroPart::Literal(text) => Part::Text(Bytes::copy_from_slice(text.as_bytes())),
            MacroPart::Expansion { variable, key } => {
                Part::Variable(*variable, key.as_ref().map(|key| Bytes::copy_from_slice(key.as_bytes())))
            }
        });
        Self { parts: parts.collect() }
    }
}

impl Macro {
    /// The text, if there is nothing to expand in it.
    pub(crate) fn literal(&self) -> Option<Bytes> {
        match self.parts.as_slice() {
            [] => Some(Bytes::new()),
            [Part::Text(text)] => Some(text.clone()),
            _ => None,
        }
    }

    /// The variable that it is, if it is nothing else, with the member's name.
    pub(crate) fn variable(&self) -> Option<(VariableKind, Option<&Bytes>)> {
        match self.parts.as_slice() {
            [Part::Variable(variable, key)] => Some((*variable, key.as_ref())),
            _ => None,
        }
    }

    /// The variables in it.
    pub(crate) fn variables(&self) -> impl Iterator<Item = VariableKind> {
        self.parts.iter().filter_map(|part| match part {
            Part::Variable(variable, _) => Some(*variable),
            Part::Text(_) => None,
        })
    }

    /// The members of a collection in it; none: the whole collection.
    pub(crate) fn members_of(&self, collection: VariableKind) -> impl Iterator<Item = Option<&Bytes>> {
        self.parts.iter().filter_map(move |part| match part {
            Part::Variable(variable, key) if *variable == collection => Some(key.as_ref()),
            _ => None,
        })
    }

    /// The text before the first expansion.
    pub(crate) fn beginning(&self) -> &[u8] {
        match self.parts.first() {
            Some(Part::Text(text)) => text,
            _ => b"",
        }
    }

    /// The text with every variable's value in its place. Where it is one variable alone nothing is copied.
    pub(crate) fn expand(
        &self,
        mut value: impl FnMut(VariableKind, Option<&Bytes>) -> Option<Bytes>,
    ) -> Result<Bytes, TooLong> {
        self.expand_in(&mut Arena::default(), &mut value)
    }

    /// The same, written to an arena.
    pub(crate) fn expand_in(
        &self,
        arena: &mut Arena,
        value: &mut dyn FnMut(VariableKind, Option<&Bytes>) -> Option<Bytes>,
    ) -> Result<Bytes, TooLong> {
        if let Some(text) = self.literal() {
            return Ok(text);
        }
        if let [Part::Variable(variable, key)] = self.parts.as_slice() {
            return whole(value(*variable, key.as_ref()));
        }
        let mut bytes = 0;
        let expanded = arena.write(|expanded| {
            for part in &self.parts {
                let piece = match part {
                    Part::Text(text) => text.clone(),
                    Part::Variable(variable, key) => value(*variable, key.as_ref()).unwrap_or_default(),
                };
                bytes += piece.len();
                if bytes > EXPANSION_BYTES {
                    return;
                }
                expanded.put_slice(&piece);
            }
        });
        if bytes > EXPANSION_BYTES { Err(TooLong) } else { Ok(expanded) }
    }
}

/// The expansion of a text that is one variable alone.
pub(crate) fn whole(value: Option<Bytes>) -> Result<Bytes, TooLong> {
    let text = value.unwrap_or_default();
    if text.len() > EXPANSION_BYTES { Err(TooLong) } else { Ok(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tx(key: &str) -> MacroPart {
        MacroPart::Expansion { variable: VariableKind::Tx, key: Some(key.to_owned()) }
    }

    #[test]
    fn variables_are_put_in_their_places_and_missing_ones_are_nothing() {
        let text = MacroText { parts: vec![MacroPart::Literal("a".into()), tx("1"), tx("gone")] };
        let expanded = Macro::from(&text)
            .expand(|_, key| (key.unwrap() == "1").then(|| Bytes::from_static(b"<1>")))
            .unwrap();
        assert_eq!(expanded, "a<1>");
        assert_eq!(Macro::from(&MacroText::literal("plain")).literal().unwrap(), "plain");
        assert_eq!(Macro::default().literal().unwrap(), "");
    }

    #[test]
    fn an_expansion_ends_at_its_limit() {
        let text = Macro::from(&MacroText { parts: vec![tx("a"), tx("b")] });
        let of = |first: usize, second: usize| {
            let mut lengths = [first, second].into_iter();
            text.expand(|_, _| Some(Bytes::from(vec![b'x'; lengths.next().unwrap()]))).map(|all| all.len())
        };
        assert_eq!(of(EXPANSION_BYTES - 2, 1), Ok(EXPANSION_BYTES - 1), "one under");
        assert_eq!(of(EXPANSION_BYTES - 1, 1), Ok(EXPANSION_BYTES), "at the limit");
        assert_eq!(of(EXPANSION_BYTES, 1), Err(TooLong), "one over");
    }
}
