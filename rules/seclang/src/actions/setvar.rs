//! `setvar`, `setenv`, `expirevar`, `initcol`: actions that write collections.

use crate::diagnostics::Report;
use crate::expansion::{self, MacroText, Unknown};
use crate::names::names;
use crate::text::Slice;

use super::ActionKind;

names! {
    /// Collections that rules write.
    Collection {
        Tx = "TX",
        Ip = "IP",
        Global = "GLOBAL",
        Resource = "RESOURCE",
        Session = "SESSION",
        User = "USER",
    }
}

/// `setvar:tx.key=value` and its forms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetVar {
    /// The collection.
    pub collection: Collection,
    /// The key.
    pub key: MacroText,
    /// What happens to it.
    pub operation: SetVarOperation,
}

/// What `setvar` does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SetVarOperation {
    /// `=value`; without `=` the value is `1`
    Set(MacroText),
    /// `=+value`
    Increment(MacroText),
    /// `=-value`
    Decrement(MacroText),
    /// `!` before the collection
    Unset,
}

/// `setenv:name=value`, `setenv:!name`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetEnv {
    /// The variable.
    pub name: MacroText,
    /// Its value; `None` removes it.
    pub value: Option<MacroText>,
}

pub(super) fn setvar(value: Slice<'_>, report: &mut Report) -> Option<ActionKind> {
    let (unset, rest) = match value.strip_prefix("!") {
        Some(rest) => (true, rest.trim()),
        None => (false, value),
    };
    let (target, assigned) = match split_assignment(rest) {
        Some((target, assigned)) => (target, Some(assigned)),
        None => (rest, None),
    };
    let (collection, key) = collection_and_key(target, report)?;
    let operation = match assigned {
        _ if unset => {
            if let Some(assigned) = assigned {
                report.error(assigned.span(), "a variable that is removed with ! takes no value");
            }
            SetVarOperation::Unset
        }
        None => SetVarOperation::Set(MacroText::literal("1")),
        Some(assigned) => match assigned.text().as_bytes().first() {
            Some(b'+') => SetVarOperation::Increment(macro_text(assigned.from(1), report)),
            Some(b'-') => SetVarOperation::Decrement(macro_text(assigned.from(1), report)),
            _ => SetVarOperation::Set(macro_text(assigned, report)),
        },
    };
    Some(ActionKind::SetVar(SetVar { collection, key, operation }))
}

pub(super) fn expirevar(value: Slice<'_>, report: &mut Report) -> Option<ActionKind> {
    let Some((target, seconds)) = split_assignment(value) else {
        report.error(value.span(), "expirevar is written collection.key=seconds");
        return None;
    };
    let (collection, key) = collection_and_key(target, report)?;
    let read = macro_text(seconds, report);
    if read.as_literal().is_some_and(|text| text.parse::<u32>().is_err()) {
        report.error(seconds.span(), "a number of seconds is expected");
    }
    Some(ActionKind::ExpireVar { collection, key, seconds: read })
}

pub(super) fn initcol(value: Slice<'_>, report: &mut Report) -> Option<ActionKind> {
    let Some((name, key)) = value.split_once(&['=']) else {
        report.error(value.span(), "initcol is written collection=key");
        return None;
    };
    let collection = collection(name.trim(), report)?;
    if key.is_empty() {
        report.error(name.span(), "initcol needs the key of the record");
    }
    Some(ActionKind::InitCol { collection, key: macro_text(key, report) })
}

pub(super) fn setenv(value: Slice<'_>, report: &mut Report) -> Option<ActionKind> {
    if let Some(name) = value.strip_prefix("!") {
        return Some(ActionKind::SetEnv(SetEnv { name: macro_text(name, report), value: None }));
    }
    let (name, value) = match split_assignment(value) {
        Some((name, value)) => (name, macro_text(value, report)),
        None => (value, MacroText::literal("1")),
    };
    Some(ActionKind::SetEnv(SetEnv { name: macro_text(name, report), value: Some(value) }))
}

/// The `=` that is not inside an expansion.
fn split_assignment(text: Slice<'_>) -> Option<(Slice<'_>, Slice<'_>)> {
    let mut inside = false;
    let mut last = b' ';
    for (at, byte) in text.text().bytes().enumerate() {
        match byte {
            b'{' if last == b'%' => inside = true,
            b'}' => inside = false,
            b'=' if !inside => return Some((text.part(0, at).trim(), text.from(at + 1))),
            _ => {}
        }
        last = byte;
    }
    None
}

fn collection_and_key(target: Slice<'_>, report: &mut Report) -> Option<(Collection, MacroText)> {
    let Some((name, key)) = target.split_once(&['.', ':']) else {
        report.error(target.span(), "a variable is written collection.key");
        return None;
    };
    let collection = collection(name.trim(), report)?;
    if key.is_empty() {
        report.error(target.span(), "a key is expected after the dot");
        return None;
    }
    Some((collection, macro_text(key, report)))
}

fn collection(name: Slice<'_>, report: &mut Report) -> Option<Collection> {
    let found = Collection::find(name.text());
    if found.is_none() {
        report.unknown(name.span(), "collection", name.text(), Collection::nearest);
    }
    found
}

pub(super) fn macro_text(text: Slice<'_>, report: &mut Report) -> MacroText {
    expansion::parse(text, Unknown::Refuse, report)
}
