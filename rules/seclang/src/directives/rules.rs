//! Reads directives that make rules or change them.

use crate::actions::{self, Action, ActionKind};
use crate::diagnostics::Report;
use crate::lines::{Argument, Line, arguments};
use crate::operators;
use crate::span::Span;
use crate::variables;

use super::{DirectiveBody, DirectiveName, Rule, RuleSelection, Setting, UpdateTarget, id_ranges};

/// What a line says.
pub(crate) enum Read {
    /// A directive other than `Include`.
    Directive { name: DirectiveName, body: DirectiveBody, span: Span },
    /// `Include`, to be expanded by the caller.
    Include { pattern: String, span: Span },
}

/// Reads one line. `None` if it is wrong (it is reported).
pub(crate) fn read(line: &Line, report: &mut Report) -> Option<Read> {
    let whole = line.text.all().trim();
    let (word, arguments) = arguments(whole, report)?;
    let Some(name) = DirectiveName::find(word.text()) else {
        report.unknown(word.span(), "directive", word.text(), DirectiveName::nearest);
        return None;
    };
    let place = word.span();
    let span = whole.span();
    use DirectiveName as N;
    let body = match name {
        N::Include => {
            let [pattern] = exactly(&arguments, place, ["a file"], report)?;
            return Some(Read::Include { pattern: text(pattern), span: pattern.span });
        }
        N::SecRule => rule(&arguments, place, span, report)?,
        N::SecAction => {
            let [list] = exactly(&arguments, place, ["a list of actions"], report)?;
            let actions = actions::parse(list.text.all(), report);
            DirectiveBody::Rule(Box::new(Rule {
                variables: Vec::new(),
                operator: None,
                actions,
                links: Vec::new(),
                span,
            }))
        }
        N::SecMarker => {
            let [marker] = exactly(&arguments, place, ["a name"], report)?;
            DirectiveBody::Marker(text(marker))
        }
        N::SecDefaultAction => default_action(&arguments, place, report)?,
        N::SecRuleRemoveById => DirectiveBody::RemoveById(ids(&arguments, place, report)?),
        N::SecRuleRemoveByMsg | N::SecRuleRemoveByTag => {
            let [expression] = exactly(&arguments, place, ["an expression"], report)?;
            let expression = not_empty(expression, report)?;
            if name == N::SecRuleRemoveByTag {
                DirectiveBody::RemoveByTag(expression)
            } else {
                DirectiveBody::RemoveByMsg(expression)
            }
        }
        N::SecRuleUpdateTargetById | N::SecRuleUpdateTargetByMsg | N::SecRuleUpdateTargetByTag => {
            update_target(name, &arguments, place, report)?
        }
        N::SecRuleUpdateActionById => update_action(&arguments, place, report)?,
        N::SecRuleScript => script(&arguments, place, report)?,
        _ => DirectiveBody::Setting(Setting::read(name, &arguments, place, report)?),
    };
    Some(Read::Directive { name, body, span })
}

fn text(argument: &Argument) -> String {
    argument.text.all().text().to_owned()
}

fn not_empty(argument: &Argument, report: &mut Report) -> Option<String> {
    let text = text(argument);
    if text.is_empty() {
        report.error(argument.span, "an empty expression would select everything");
        return None;
    }
    Some(text)
}

/// The arguments if they are as many as are expected.
fn exactly<'a, const N: usize>(
    arguments: &'a [Argument],
    place: Span,
    expected: [&str; N],
    report: &mut Report,
) -> Option<[&'a Argument; N]> {
    if let Some(extra) = arguments.get(N) {
        let help = "text with blanks is written between quotes";
        report.error_with_help(extra.span, "one argument too many", help);
        return None;
    }
    let found: Vec<&Argument> = arguments.iter().collect();
    let missing = expected.get(found.len()).copied().unwrap_or_default();
    match found.try_into() {
        Ok(found) => Some(found),
        Err(_) => {
            report.error(place, format!("{missing} is expected as an argument of this directive"));
            None
        }
    }
}

fn rule(arguments: &[Argument], place: Span, span: Span, report: &mut Report) -> Option<DirectiveBody> {
    let [targets, operator, list] = match arguments {
        // A link may do without actions.
        [targets, operator] => [Some(targets), Some(operator), None],
        _ => {
            let expected = ["a list of variables", "an operator", "a list of actions"];
            exactly(arguments, place, expected, report)?.map(Some)
        }
    };
    let variables = variables::parse(targets?.text.all(), report);
    if !variables.is_empty() && variables.iter().all(|variable| variable.exclude) {
        report.error(targets?.span, "every variable is excluded; this rule can never match");
    }
    let operator = operators::parse(operator?.text.all(), report);
    let actions = list.map(|list| actions::parse(list.text.all(), report)).unwrap_or_default();
    let rule = Rule { variables, operator: Some(operator?), actions, links: Vec::new(), span };
    Some(DirectiveBody::Rule(Box::new(rule)))
}

fn default_action(arguments: &[Argument], place: Span, report: &mut Report) -> Option<DirectiveBody> {
    let [list] = exactly(arguments, place, ["a list of actions"], report)?;
    let actions = actions::parse(list.text.all(), report);
    let phase = actions.iter().find_map(|action| match action.kind {
        ActionKind::Phase(phase) => Some(phase),
        _ => None,
    });
    for action in &actions {
        let name = action.kind.name();
        let is_refused = name.is_metadata()
            || matches!(
                action.kind,
                ActionKind::Chain | ActionKind::Skip(_) | ActionKind::SkipAfter(_) | ActionKind::Block
            );
        if is_refused {
            report.error(action.span, format!("SecDefaultAction cannot contain {name}"));
        }
    }
    let is_disruptive = |action: &Action| action.kind.name().is_disruptive();
    if phase.is_none() || !actions.iter().any(is_disruptive) {
        report.error(list.span, "SecDefaultAction needs a phase and a disruptive action, e.g. phase:2,pass");
    }
    Some(DirectiveBody::DefaultAction { phase: phase?, actions })
}

fn ids(arguments: &[Argument], place: Span, report: &mut Report) -> Option<Vec<super::IdRange>> {
    if arguments.is_empty() {
        report.error(place, "an id or a range of ids is expected as an argument of this directive");
        return None;
    }
    let lists: Option<Vec<_>> = arguments.iter().map(|list| id_ranges(list.text.all(), report)).collect();
    Some(lists?.concat())
}

fn update_target(
    name: DirectiveName,
    arguments: &[Argument],
    place: Span,
    report: &mut Report,
) -> Option<DirectiveBody> {
    let (rules, targets, replaced) = match arguments {
        [rules, targets, replaced] => (rules, targets, Some(replaced)),
        _ => {
            let [rules, targets] = exactly(arguments, place, ["the rules", "a list of variables"], report)?;
            (rules, targets, None)
        }
    };
    let rules = match name {
        DirectiveName::SecRuleUpdateTargetById => RuleSelection::Ids(id_ranges(rules.text.all(), report)?),
        DirectiveName::SecRuleUpdateTargetByTag => RuleSelection::Tag(not_empty(rules, report)?),
        _ => RuleSelection::Msg(not_empty(rules, report)?),
    };
    let variables = variables::parse(targets.text.all(), report);
    let replaced = replaced.map(|replaced| variables::parse(replaced.text.all(), report));
    Some(DirectiveBody::UpdateTarget(UpdateTarget { rules, variables, replaced }))
}

fn update_action(arguments: &[Argument], place: Span, report: &mut Report) -> Option<DirectiveBody> {
    let [rule, list] = exactly(arguments, place, ["the id of a rule", "a list of actions"], report)?;
    let whole = text(rule);
    let (id, link) = whole.split_once(':').unwrap_or((&whole, "0"));
    let (Ok(id), Ok(link)) = (id.parse::<u64>(), link.parse::<u32>()) else {
        report.error(rule.span, "the id of a rule is expected, or id:link for a link of its chain");
        return None;
    };
    let actions = actions::parse(list.text.all(), report);
    for action in &actions {
        if matches!(action.kind, ActionKind::Id(_) | ActionKind::Phase(_) | ActionKind::Chain) {
            let name = action.kind.name();
            report.error(action.span, format!("{name} of a rule cannot be changed"));
        }
    }
    Some(DirectiveBody::UpdateAction { id, link, actions })
}

fn script(arguments: &[Argument], place: Span, report: &mut Report) -> Option<DirectiveBody> {
    let (path, list) = match arguments {
        [path] => (path, None),
        _ => {
            let [path, list] = exactly(arguments, place, ["a file", "a list of actions"], report)?;
            (path, Some(list))
        }
    };
    let actions = list.map(|list| actions::parse(list.text.all(), report)).unwrap_or_default();
    Some(DirectiveBody::Script { path: text(path), actions })
}
