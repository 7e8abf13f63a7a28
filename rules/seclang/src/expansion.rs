//! `%{…}` in rule text: a sequence of literal pieces and expansions.

use crate::diagnostics::Report;
use crate::text::Slice;
use crate::variables::VariableKind;

/// Text with expansions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MacroText {
    /// Literal pieces are never empty, and no two of them follow one another.
    pub parts: Vec<MacroPart>,
}

/// A piece of a [`MacroText`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MacroPart {
    /// As it stands.
    Literal(String),
    /// `%{NAME}`, `%{NAME.key}`, `%{NAME:key}`.
    Expansion {
        /// The variable.
        variable: VariableKind,
        /// What selects in a collection.
        key: Option<String>,
    },
}

impl MacroText {
    /// Text without expansions.
    pub fn literal(text: &str) -> Self {
        let parts = if text.is_empty() { Vec::new() } else { vec![MacroPart::Literal(text.to_owned())] };
        Self { parts }
    }

    /// The text if it has no expansion.
    pub fn as_literal(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [] => Some(""),
            [MacroPart::Literal(text)] => Some(text),
            _ => None,
        }
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    fn push(&mut self, text: &str) {
        match self.parts.last_mut() {
            Some(MacroPart::Literal(last)) => last.push_str(text),
            _ if text.is_empty() => {}
            _ => self.parts.push(MacroPart::Literal(text.to_owned())),
        }
    }
}

impl std::fmt::Display for MacroText {
    /// As it is written in a rule.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for part in &self.parts {
            match part {
                MacroPart::Literal(text) => f.write_str(text)?,
                MacroPart::Expansion { variable, key: None } => write!(f, "%{{{variable}}}")?,
                MacroPart::Expansion { variable, key: Some(key) } => write!(f, "%{{{variable}.{key}}}")?,
            }
        }
        Ok(())
    }
}

/// What an unknown `%{…}` means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unknown {
    /// A mistake.
    Refuse,
    /// Itself: in a regular expression `%{` is a percent sign and a repetition or a brace.
    Literal,
}

/// Reads text with expansions. A `%{` that is never closed is literal.
pub(crate) fn parse(text: Slice<'_>, unknown: Unknown, report: &mut Report) -> MacroText {
    let mut read = MacroText::default();
    let mut rest = text;
    while let Some(start) = rest.text().find("%{") {
        let inner = rest.from(start + 2);
        let Some(length) = inner.text().find('}') else { break };
        read.push(rest.part(0, start).text());
        let whole = rest.part(start, start + 2 + length + 1);
        match expansion(inner.part(0, length)) {
            Ok(part) => read.parts.push(part),
            Err(_) if unknown == Unknown::Literal => read.push(whole.text()),
            Err(name) => {
                report.unknown(whole.span(), "variable in an expansion", name.text(), VariableKind::nearest);
            }
        }
        rest = inner.from(length + 1);
    }
    read.push(rest.text());
    read
}

/// The inside of `%{…}`; the name if it is unknown.
fn expansion(inner: Slice<'_>) -> Result<MacroPart, Slice<'_>> {
    let (name, key) = match inner.split_once(&['.', ':']) {
        Some((name, key)) => (name.trim(), Some(key.text().to_owned())),
        None => (inner.trim(), None),
    };
    let variable = VariableKind::find(name.text()).ok_or(name)?;
    Ok(MacroPart::Expansion { variable, key })
}
