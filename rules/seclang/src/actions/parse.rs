//! Reads an action list: `id:1,phase:2,t:none,msg:'a, b',setvar:'tx.a=+1'`.

use crate::diagnostics::Report;
use crate::text::{Slice, Text, closing_quote};
use crate::transformations::Transformation;

use super::ctl::{self, number, word};
use super::setvar::{self, macro_text};
use super::{Action, ActionKind, ActionName, Allow, Phase, Severity};

/// Reads a list of actions.
pub(crate) fn parse(text: Slice<'_>, report: &mut Report) -> Vec<Action> {
    let mut actions = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix(",") {
            rest = after.trim();
            continue;
        }
        let Some((raw, length)) = cut(rest, report) else { break };
        let span = rest.part(0, length).trim().span();
        if let Some(kind) = action(&raw, report) {
            actions.push(Action { kind, span });
        }
        rest = rest.from(length).trim();
        if !rest.is_empty() && !rest.text().starts_with(',') {
            report.error(rest.part(0, 1).span(), "a comma is expected between actions");
            break;
        }
    }
    actions
}

/// An action before its value is understood.
struct Raw<'t> {
    name: Slice<'t>,
    value: Option<Text>,
}

/// Cuts the first action off; also how long it is.
fn cut<'t>(rest: Slice<'t>, report: &mut Report) -> Option<(Raw<'t>, usize)> {
    let text = rest.text();
    let end = text.find([':', ',']).unwrap_or(text.len());
    let name = rest.part(0, end);
    if !text.get(end..).unwrap_or_default().starts_with(':') {
        return Some((Raw { name: name.trim(), value: None }, end));
    }
    let name = name.trim();
    let after = rest.from(end + 1);
    let value = after.trim_start();
    let start = end + 1 + (after.text().len() - value.text().len());
    if value.text().starts_with('\'') {
        let inner = value.from(1);
        let Some(close) = closing_quote(inner.text(), b'\'') else {
            report.error(value.part(0, 1).span(), "this ' is never closed");
            return None;
        };
        let value = inner.part(0, close).unescaped('\'');
        return Some((Raw { name, value: Some(value) }, start + 1 + close + 1));
    }
    // `ctl:ruleRemoveTargetById=1;ARGS:'a,b'` and the like keep the commas between their quotes.
    let length = unquoted_end(value.text());
    let value = value.part(0, length).trim().unescaped('\'');
    Some((Raw { name, value: Some(value) }, start + length))
}

/// Where an unquoted value ends: at the comma that no quote encloses. A quote opens after `=` or `:`.
fn unquoted_end(text: &str) -> usize {
    let mut from = 0;
    loop {
        let rest = text.get(from..).unwrap_or_default();
        let Some(comma) = rest.find(',') else { return text.len() };
        let before = rest.get(..comma).unwrap_or_default();
        let Some(open) = before.find("='").or_else(|| before.find(":'")) else { return from + comma };
        let inside = rest.get(open + 2..).unwrap_or_default();
        let Some(close) = closing_quote(inside, b'\'') else { return from + comma };
        from += open + 2 + close + 1;
    }
}

/// Understands one action.
fn action(raw: &Raw<'_>, report: &mut Report) -> Option<ActionKind> {
    let name = raw.name.text();
    let Some(known) = ActionName::find(name) else {
        if name.is_empty() {
            report.error(raw.name.span(), "the name of an action is expected");
        } else {
            report.unknown(raw.name.span(), "action", name, ActionName::nearest);
        }
        return None;
    };
    if let Some(kind) = plain(known) {
        if raw.value.is_some() {
            report.error(raw.name.span(), format!("{known} takes no value"));
        }
        return Some(kind);
    }
    let Some(value) = raw.value.as_ref().filter(|value| !value.all().is_empty()) else {
        return match known {
            ActionName::Allow => Some(ActionKind::Allow(Allow::Transaction)),
            ActionName::SanitiseMatchedBytes => Some(ActionKind::SanitiseMatchedBytes(None)),
            // An empty message is allowed: CRS users blank them.
            ActionName::Msg | ActionName::LogData | ActionName::Ver | ActionName::Rev
                if raw.value.is_some() =>
            {
                described(known, Text::new(0).all(), report)
            }
            _ => {
                report.error(raw.name.span(), format!("{known} needs a value"));
                None
            }
        };
    };
    described(known, value.all(), report)
}

/// Actions without a value.
fn plain(name: ActionName) -> Option<ActionKind> {
    use ActionName as N;
    Some(match name {
        N::AuditLog => ActionKind::AuditLog,
        N::Block => ActionKind::Block,
        N::Capture => ActionKind::Capture,
        N::Chain => ActionKind::Chain,
        N::Deny => ActionKind::Deny,
        N::Drop => ActionKind::Drop,
        N::Log => ActionKind::Log,
        N::MultiMatch => ActionKind::MultiMatch,
        N::NoAuditLog => ActionKind::NoAuditLog,
        N::NoLog => ActionKind::NoLog,
        N::Pass => ActionKind::Pass,
        N::SanitiseMatched => ActionKind::SanitiseMatched,
        _ => return None,
    })
}

/// Actions with a value.
fn described(name: ActionName, value: Slice<'_>, report: &mut Report) -> Option<ActionKind> {
    use ActionName as N;
    let text = || value.text().to_owned();
    Some(match name {
        N::Accuracy => ActionKind::Accuracy(one_to_nine(value, report)?),
        N::Allow => ActionKind::Allow(allow(value, report)?),
        N::Append => ActionKind::Append(macro_text(value, report)),
        N::Ctl => return ctl::parse(value, report),
        N::DeprecateVar => ActionKind::DeprecateVar(text()),
        N::Exec => ActionKind::Exec(text()),
        N::ExpireVar => return setvar::expirevar(value, report),
        N::Id => ActionKind::Id(id(value, report)?),
        N::InitCol => return setvar::initcol(value, report),
        N::LogData => ActionKind::LogData(macro_text(value, report)),
        N::Maturity => ActionKind::Maturity(one_to_nine(value, report)?),
        N::Msg => ActionKind::Msg(macro_text(value, report)),
        N::Pause => ActionKind::Pause(macro_text(value, report)),
        N::Phase => ActionKind::Phase(phase(value, report)?),
        N::Prepend => ActionKind::Prepend(macro_text(value, report)),
        N::Proxy => ActionKind::Proxy(macro_text(value, report)),
        N::Redirect => ActionKind::Redirect(macro_text(value, report)),
        N::Rev => ActionKind::Rev(text()),
        N::SanitiseArg => ActionKind::SanitiseArg(text()),
        N::SanitiseMatchedBytes => ActionKind::SanitiseMatchedBytes(Some(text())),
        N::SanitiseRequestHeader => ActionKind::SanitiseRequestHeader(text()),
        N::SanitiseResponseHeader => ActionKind::SanitiseResponseHeader(text()),
        N::SetEnv => return setvar::setenv(value, report),
        N::SetRsc => ActionKind::SetRsc(macro_text(value, report)),
        N::SetSid => ActionKind::SetSid(macro_text(value, report)),
        N::SetUid => ActionKind::SetUid(macro_text(value, report)),
        N::SetVar => return setvar::setvar(value, report),
        N::Severity => ActionKind::Severity(severity(value, report)?),
        N::Skip => ActionKind::Skip(number(value, u64::from(u32::MAX), report)? as u32),
        N::SkipAfter => ActionKind::SkipAfter(text()),
        N::Status => ActionKind::Status(status(value, report)?),
        N::T => ActionKind::Transformation(transformation(value, report)?),
        N::Tag => ActionKind::Tag(macro_text(value, report)),
        N::Ver => ActionKind::Ver(text()),
        N::Xmlns => return xmlns(value, report),
        N::AuditLog | N::Block | N::Capture | N::Chain | N::Deny | N::Drop | N::Log | N::MultiMatch => {
            return None;
        }
        N::NoAuditLog | N::NoLog | N::Pass | N::SanitiseMatched => return None,
    })
}

fn one_to_nine(value: Slice<'_>, report: &mut Report) -> Option<u8> {
    match value.text().parse() {
        Ok(number @ 1..=9) => Some(number),
        _ => {
            report.error(value.span(), "a number from 1 to 9 is expected");
            None
        }
    }
}

fn allow(value: Slice<'_>, report: &mut Report) -> Option<Allow> {
    word(value, &[("phase", Allow::Phase), ("request", Allow::Request)], report)
}

fn id(value: Slice<'_>, report: &mut Report) -> Option<u64> {
    let id = number(value, u64::MAX, report)?;
    if id == 0 {
        report.error(value.span(), "an id is at least 1");
    }
    Some(id)
}

fn phase(value: Slice<'_>, report: &mut Report) -> Option<Phase> {
    let phases = &[
        ("1", Phase::RequestHeaders),
        ("2", Phase::RequestBody),
        ("3", Phase::ResponseHeaders),
        ("4", Phase::ResponseBody),
        ("5", Phase::Logging),
        ("request", Phase::RequestBody),
        ("response", Phase::ResponseBody),
        ("logging", Phase::Logging),
    ];
    word(value, phases, report)
}

fn severity(value: Slice<'_>, report: &mut Report) -> Option<Severity> {
    if let Ok(number) = value.text().parse::<usize>()
        && let Some(severity) = Severity::ALL.get(number)
    {
        return Some(*severity);
    }
    let found = Severity::find(value.text());
    if found.is_none() {
        report.unknown(value.span(), "severity", value.text(), Severity::nearest);
    }
    found
}

fn status(value: Slice<'_>, report: &mut Report) -> Option<u16> {
    match value.text().parse() {
        Ok(status @ 100..=599) => Some(status),
        _ => {
            report.error(value.span(), "an HTTP status from 100 to 599 is expected");
            None
        }
    }
}

fn transformation(value: Slice<'_>, report: &mut Report) -> Option<Transformation> {
    let found = Transformation::find(value.text());
    if found.is_none() {
        report.unknown(value.span(), "transformation", value.text(), Transformation::nearest);
    }
    found
}

fn xmlns(value: Slice<'_>, report: &mut Report) -> Option<ActionKind> {
    let Some((prefix, uri)) = value.split_once(&['=']) else {
        report.error(value.span(), "xmlns is written xmlns:prefix=URI");
        return None;
    };
    Some(ActionKind::Xmlns { prefix: prefix.trim().text().to_owned(), uri: uri.trim().text().to_owned() })
}
