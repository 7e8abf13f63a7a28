//! Rules that never run, and rules that never see anything.

use palisade_seclang::{ActionKind, Allow, Ast, DirectiveBody, Phase, VariableKind};

use super::exclusions::Chosen;
use super::{Entry, Report, shown};

pub(super) fn check(ast: &Ast, rules: &[Entry<'_>], report: &mut Report<'_>) {
    for (index, entry) in rules.iter().enumerate() {
        unseen(entry, report);
        if entry.rule.operator.is_none() && entry.rule.links.is_empty() {
            skipped(ast, rules, index, report);
        }
    }
    removed(ast, rules, report);
}

/// Rules of the same phase behind an action without a test that skips them, or ends the phase.
fn skipped(ast: &Ast, rules: &[Entry<'_>], index: usize, report: &mut Report<'_>) {
    let Some(jump) = rules.get(index) else { return };
    let behind = || rules.iter().skip(index + 1).filter(|entry| entry.phase == jump.phase);
    for action in &jump.rule.actions {
        let dead: Vec<&Entry<'_>> = match &action.kind {
            ActionKind::Skip(count) => behind().take(*count as usize).collect(),
            ActionKind::SkipAfter(marker) => {
                let end = after(ast, rules, jump.position, marker);
                behind().take_while(|entry| end.is_some_and(|end| entry.position < end)).collect()
            }
            ActionKind::Deny | ActionKind::Drop | ActionKind::Redirect(_) if jump.phase != Phase::Logging => {
                behind().collect()
            }
            ActionKind::Allow(Allow::Transaction | Allow::Phase | Allow::Request) => behind().collect(),
            _ => continue,
        };
        for entry in dead {
            let text = format!("never runs: the action {} always goes past it", jump.id);
            report.add("W001", entry.rule.span, Some(entry.id), text);
        }
    }
}

/// The position at which `skipAfter` goes on.
fn after(ast: &Ast, rules: &[Entry<'_>], from: usize, name: &str) -> Option<usize> {
    let marker = ast.directives.iter().enumerate().skip(from + 1).find_map(|(position, directive)| {
        matches!(&directive.body, DirectiveBody::Marker(marker) if marker == name).then_some(position)
    });
    marker.or_else(|| {
        let id: u64 = name.parse().ok()?;
        rules.iter().find(|entry| entry.id == id && entry.position > from).map(|entry| entry.position + 1)
    })
}

/// Rules that their own file removes. What another file removes is an exclusion, and meant.
fn removed(ast: &Ast, rules: &[Entry<'_>], report: &mut Report<'_>) {
    for (position, directive) in ast.directives.iter().enumerate() {
        let Some(chosen) = Chosen::removed_by(&directive.body) else { continue };
        for entry in rules.iter().filter(|entry| entry.position < position && chosen.takes(entry)) {
            if entry.rule.span.file == directive.span.file {
                let line = ast.place(directive.span).map_or(0, |(_, at)| at.line);
                let text =
                    format!("never runs: {} in line {line} of its own file removes it", directive.name);
                report.add("W002", entry.rule.span, Some(entry.id), text);
            }
        }
    }
}

/// Variables that are always empty in the rule's phase.
fn unseen(entry: &Entry<'_>, report: &mut Report<'_>) {
    for link in entry.links() {
        let targets = || link.variables.iter().filter(|variable| !variable.exclude);
        let is_unseen = |kind: VariableKind| first_phase(kind) > entry.phase;
        if link.operator.is_none() || targets().next().is_none() {
            continue;
        }
        let phase = entry.phase as u8;
        if targets().all(|variable| is_unseen(variable.kind)) {
            let names: Vec<String> = targets().map(shown).collect();
            let text = format!("never matches: {} is empty in phase {phase}", names.join(", "));
            report.add("W003", link.span, Some(entry.id), text);
            continue;
        }
        for variable in targets().filter(|variable| is_unseen(variable.kind)) {
            let text = format!("{} is always empty in phase {phase}", shown(variable));
            report.add("W004", variable.span, Some(entry.id), text);
        }
    }
}

/// The first phase in which a variable can hold something.
fn first_phase(variable: VariableKind) -> Phase {
    use VariableKind as V;
    match variable {
        V::ArgsPost
        | V::ArgsPostNames
        | V::Files
        | V::FilesCombinedSize
        | V::FilesNames
        | V::FilesSizes
        | V::MultipartFilename
        | V::MultipartName
        | V::MultipartPartHeaders
        | V::MultipartStrictError
        | V::MultipartUnmatchedBoundary
        | V::ReqbodyError
        | V::ReqbodyErrorMsg
        | V::ReqbodyProcessorError
        | V::ReqbodyProcessorErrorMsg
        | V::RequestBody
        | V::RequestBodyLength
        | V::Xml => Phase::RequestBody,
        V::ResponseContentLength
        | V::ResponseContentType
        | V::ResponseHeaders
        | V::ResponseHeadersNames
        | V::ResponseProtocol
        | V::ResponseStatus
        | V::Status
        | V::StatusLine => Phase::ResponseHeaders,
        V::OutboundDataError | V::ResponseBody => Phase::ResponseBody,
        _ => Phase::RequestHeaders,
    }
}
