//! The rules that stay after every `SecRuleRemove…` and `SecRuleUpdate…`, with the defaults that were in force.

use std::collections::BTreeMap;
use std::sync::Arc;

use palisade_seclang::{
    Action, ActionKind, DirectiveBody, DirectiveName, IdRange, Rule, RuleSelection, Setting, Span,
    UnicodeMap as UnicodeMapFile, UpdateTarget, Variable,
};

use super::catalogue::Pattern;
use super::costs::{ADDED, COMPARED};
use super::{Compilation, notes, settings};
use crate::engine::Settings;
use crate::limits::CHAIN_LINKS;
use crate::transformations::UnicodeMap;

/// A rule on its way to be compiled.
pub(super) struct Draft {
    /// The rule, as it was written and then updated.
    pub(super) rule: Rule,
    /// Its place among rules and markers.
    pub(super) position: usize,
    /// `SecDefaultAction` of its phase.
    pub(super) defaults: Arc<Vec<Action>>,
    /// Whether the WafPolicy discards its effects.
    pub(super) detect_only: bool,
}

impl Draft {
    /// Its id; every rule has one.
    pub(super) fn id(&self) -> u64 {
        self.rule.id().unwrap_or_default()
    }

    /// Its tags as written.
    pub(super) fn tags(&self) -> impl Iterator<Item = String> {
        self.rule.actions.iter().filter_map(|action| match &action.kind {
            ActionKind::Tag(tag) => Some(tag.to_string()),
            _ => None,
        })
    }

    /// Its message as written.
    pub(super) fn message(&self) -> Option<String> {
        self.rule.actions.iter().rev().find_map(|action| match &action.kind {
            ActionKind::Msg(message) => Some(message.to_string()),
            _ => None,
        })
    }
}

/// What the directives come to.
#[derive(Default)]
pub(super) struct Drafts {
    pub(super) rules: Vec<Draft>,
    /// The positions of each marker, ascending.
    markers: BTreeMap<String, Vec<usize>>,
    /// The positions of rules, which `skipAfter` may name too.
    ids: BTreeMap<u64, usize>,
}

impl Drafts {
    /// Where `skipAfter` goes on: the first position that is not skipped.
    pub(super) fn after(&self, name: &str, position: usize) -> Option<usize> {
        if let Some(positions) = self.markers.get(name) {
            return positions.get(positions.partition_point(|marker| *marker <= position)).copied();
        }
        let id: u64 = name.parse().ok()?;
        self.ids.get(&id).copied().filter(|rule| *rule > position).map(|rule| rule + 1)
    }
}

/// Reads every directive in order.
pub(super) fn read(compilation: &mut Compilation<'_>, settings: &mut Settings) -> Drafts {
    let mut drafts = Drafts::default();
    let mut defaults: BTreeMap<u8, Arc<Vec<Action>>> = BTreeMap::new();
    let ast = compilation.ast;
    for (position, directive) in ast.directives.iter().enumerate() {
        match &directive.body {
            DirectiveBody::Rule(rule) => {
                if rule.links.len() >= CHAIN_LINKS {
                    compilation.refuse(rule.span, &format!("a chain has at most {CHAIN_LINKS} links"));
                    continue;
                }
                let defaults = defaults.get(&(rule.phase() as u8)).cloned().unwrap_or_default();
                let draft = Draft { rule: (**rule).clone(), position, defaults, detect_only: false };
                drafts.ids.insert(draft.id(), position);
                drafts.rules.push(draft);
            }
            DirectiveBody::Marker(name) => drafts.markers.entry(name.clone()).or_default().push(position),
            DirectiveBody::DefaultAction { phase, actions } => {
                defaults.insert(*phase as u8, Arc::new(actions.clone()));
            }
            DirectiveBody::Setting(setting) => apply(compilation, settings, setting, directive.span),
            body => update(compilation, &mut drafts.rules, body, directive.span),
        }
    }
    drafts
}

fn apply(compilation: &mut Compilation<'_>, settings: &mut Settings, setting: &Setting, span: Span) {
    if let Some(why) = notes::directive(setting.name()) {
        compilation.note(setting.name().name(), span, why);
    }
    let applied = match setting {
        Setting::SecUnicodeMapFile(map) => unicode_map(compilation, settings, map, span),
        _ => settings::apply(settings, setting),
    };
    if let Err(problem) = applied {
        compilation.refuse(span, &problem);
    }
}

/// Reads the map that `urlDecodeUni` uses; the last one counts.
fn unicode_map(
    compilation: &mut Compilation<'_>,
    settings: &mut Settings,
    map: &UnicodeMapFile,
    span: Span,
) -> Result<(), String> {
    let Some(file) = map.data.and_then(|index| compilation.ast.data.get(index)) else {
        let why = "the rule set has no such file: urlDecodeUni maps full-width forms to ASCII, others to their low byte";
        compilation.note(DirectiveName::SecUnicodeMapFile.name(), span, why);
        return Ok(());
    };
    if compilation.spend(file.text.len(), span) {
        settings.unicode_map = Some(Arc::new(UnicodeMap::read(&file.text, map.code_page)?));
    }
    Ok(())
}

/// Directives that change the rules before them.
fn update(compilation: &mut Compilation<'_>, rules: &mut Vec<Draft>, body: &DirectiveBody, span: Span) {
    if !compilation.spend(rules.len().saturating_mul(unit_cost(body)), span) {
        return;
    }
    match body {
        DirectiveBody::RemoveById(ranges) => rules.retain(|draft| !in_ranges(ranges, draft.id())),
        DirectiveBody::RemoveByTag(text) => {
            if let Some(tag) = pattern(compilation, text, span) {
                rules.retain(|draft| !draft.tags().any(|found| tag.matches(&found)));
            }
        }
        DirectiveBody::RemoveByMsg(text) => {
            if let Some(message) = pattern(compilation, text, span) {
                rules.retain(|draft| !draft.message().is_some_and(|found| message.matches(&found)));
            }
        }
        DirectiveBody::UpdateTarget(update) => update_targets(compilation, rules, update, span),
        DirectiveBody::UpdateAction { id, link, actions } => {
            for draft in rules.iter_mut().filter(|draft| draft.id() == *id) {
                let number = *link as usize;
                let rule = match number.checked_sub(1) {
                    None => Some(&mut draft.rule),
                    Some(index) => draft.rule.links.get_mut(index),
                };
                match rule {
                    Some(_) if !compilation.spend(ADDED * actions.len(), span) => return,
                    Some(rule) => update_actions(rule, actions),
                    None => compilation.refuse(span, &format!("rule {id} has no link {link}")),
                }
            }
        }
        DirectiveBody::Script { .. } => compilation.refuse(span, "Lua scripts are not supported"),
        _ => {}
    }
}

/// What a directive costs for each rule that it looks at.
fn unit_cost(body: &DirectiveBody) -> usize {
    match body {
        DirectiveBody::RemoveById(ranges) => ranges.len(),
        DirectiveBody::UpdateTarget(UpdateTarget { rules: RuleSelection::Ids(ranges), .. }) => ranges.len(),
        DirectiveBody::RemoveByTag(_) | DirectiveBody::RemoveByMsg(_) | DirectiveBody::UpdateTarget(_) => {
            COMPARED
        }
        DirectiveBody::UpdateAction { .. } => 1,
        _ => 0,
    }
}

fn pattern(compilation: &mut Compilation<'_>, text: &str, span: Span) -> Option<Pattern> {
    match Pattern::new(text, &mut compilation.interner) {
        Ok(pattern) => Some(pattern),
        Err(problem) => {
            compilation.refuse(span, &problem);
            None
        }
    }
}

/// Whether an id is in one of the ranges.
pub(super) fn in_ranges(ranges: &[IdRange], id: u64) -> bool {
    ranges.iter().any(|range| range.contains(id))
}

fn update_targets(compilation: &mut Compilation<'_>, rules: &mut [Draft], update: &UpdateTarget, span: Span) {
    let expression = match &update.rules {
        RuleSelection::Ids(_) => None,
        RuleSelection::Tag(text) | RuleSelection::Msg(text) => match pattern(compilation, text, span) {
            Some(pattern) => Some(pattern),
            None => return,
        },
    };
    for draft in rules {
        let chosen = match (&update.rules, &expression) {
            (RuleSelection::Ids(ranges), _) => in_ranges(ranges, draft.id()),
            (RuleSelection::Tag(_), Some(tag)) => draft.tags().any(|found| tag.matches(&found)),
            (RuleSelection::Msg(_), Some(message)) => {
                draft.message().is_some_and(|found| message.matches(&found))
            }
            _ => false,
        };
        // `SecAction` has no targets to change.
        if chosen && draft.rule.operator.is_some() {
            let changed = update.variables.len() + update.replaced.as_ref().map_or(0, Vec::len);
            if !compilation.spend(ADDED * changed + draft.rule.variables.len(), span) {
                return;
            }
            for replaced in update.replaced.iter().flatten() {
                draft.rule.variables.retain(|variable| !same(variable, replaced));
            }
            draft.rule.variables.extend(update.variables.iter().cloned());
        }
    }
}

fn same(left: &Variable, right: &Variable) -> bool {
    left.kind == right.kind && left.selector == right.selector && left.count == right.count
}

/// New actions take the place of old ones of the same name; those that may be many are added.
fn update_actions(rule: &mut Rule, actions: &[Action]) {
    for action in actions {
        let name = action.kind.name();
        let logs = matches!(action.kind, ActionKind::Log | ActionKind::NoLog);
        let adds = matches!(
            action.kind,
            ActionKind::Tag(_) | ActionKind::SetVar(_) | ActionKind::Ctl(_) | ActionKind::Transformation(_)
        );
        if !adds {
            rule.actions.retain(|old| {
                let old_logs = matches!(old.kind, ActionKind::Log | ActionKind::NoLog);
                let disrupts = name.is_disruptive() && old.kind.name().is_disruptive();
                old.kind.name() != name && !disrupts && !(logs && old_logs)
            });
        }
        rule.actions.push(action.clone());
    }
}
