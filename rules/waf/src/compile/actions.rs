//! The actions of a rule: what it inherits from `SecDefaultAction`, what the engine carries out, what it refuses.

use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use palisade_seclang::{
    Action as Written, ActionKind, Collection, Control as WrittenControl, MacroText, SetVarOperation, Span,
    Transformation, Variable, VariableKind,
};

use super::catalogue::{Catalogue, Pattern};
use super::costs::{COMPARED, NAMED};
use super::{Compilation, notes};
use crate::audit;
use crate::engine::{Action, Change, Control, Disruption, Sign};
use crate::macros::Macro;
use crate::values::{Target, is_supported};

impl Compilation<'_> {
    /// A text whose expansions the engine can make.
    pub(super) fn text(&mut self, text: &MacroText, span: Span) -> Macro {
        let text = Macro::from(text);
        let unsupported: Vec<_> = text.variables().filter(|variable| !is_supported(*variable)).collect();
        for variable in unsupported {
            self.refuse(span, &format!("the variable {variable} is not supported"));
        }
        text
    }

    /// The actions of one link that run for each match.
    pub(super) fn actions(
        &mut self,
        actions: &[Written],
        catalogue: &Catalogue,
        detect_only: bool,
    ) -> Vec<Action> {
        let mut compiled = Vec::new();
        for action in actions {
            if let Some((name, why)) = notes::action(&action.kind) {
                self.note(name, action.span, why);
            }
            match &action.kind {
                ActionKind::SetVar(set) => {
                    // A rule that only detects leaves the score alone.
                    let scores = set.key.to_string().to_ascii_lowercase().contains("score")
                        && matches!(
                            set.operation,
                            SetVarOperation::Increment(_) | SetVarOperation::Decrement(_)
                        );
                    if !(detect_only && scores) {
                        let key = self.text(&set.key, action.span);
                        let change = self.change(&set.operation, action.span);
                        let collection = VariableKind::find(set.collection.name());
                        compiled.extend(collection.map(|collection| Action::Set { collection, key, change }));
                    }
                }
                ActionKind::SetEnv(set) => {
                    let key = self.text(&set.name, action.span);
                    let change = match &set.value {
                        Some(value) => Change::To(self.text(value, action.span)),
                        None => Change::Unset,
                    };
                    compiled.push(Action::Set { collection: VariableKind::Env, key, change });
                }
                ActionKind::SetUid(text) | ActionKind::SetSid(text) | ActionKind::SetRsc(text) => {
                    let key = self.text(text, action.span);
                    compiled.extend(opening(&action.kind, key));
                }
                ActionKind::InitCol { collection, key } => {
                    let key = self.text(key, action.span);
                    let collection = self.persistent(*collection, action.span);
                    compiled.extend(collection.map(|collection| Action::Open { collection, key }));
                }
                ActionKind::ExpireVar { collection, key, seconds } => {
                    let (key, seconds) = (self.text(key, action.span), self.text(seconds, action.span));
                    let collection = self.persistent(*collection, action.span);
                    compiled.extend(collection.map(|collection| Action::Expire { collection, key, seconds }));
                }
                ActionKind::Ctl(control) => {
                    compiled.extend(self.control(control, catalogue, action.span).map(Action::Control));
                }
                ActionKind::SanitiseArg(_)
                | ActionKind::SanitiseMatched
                | ActionKind::SanitiseMatchedBytes(_)
                | ActionKind::SanitiseRequestHeader(_)
                | ActionKind::SanitiseResponseHeader(_) => {
                    compiled.push(Action::Control(Control::Sanitise));
                }
                ActionKind::Exec(_)
                | ActionKind::Append(_)
                | ActionKind::Prepend(_)
                | ActionKind::Proxy(_)
                | ActionKind::Pause(_)
                | ActionKind::DeprecateVar(_) => {
                    self.refuse(action.span, &format!("the action {} is not supported", action.kind.name()));
                }
                // Metadata, and what other functions here read.
                _ => {}
            }
        }
        compiled
    }

    /// A collection that outlives transactions.
    fn persistent(&mut self, collection: Collection, span: Span) -> Option<VariableKind> {
        if collection == Collection::Tx {
            self.refuse(span, "TX ends with the transaction; nothing in it is kept or expires");
            return None;
        }
        VariableKind::find(collection.name())
    }

    fn change(&mut self, operation: &SetVarOperation, span: Span) -> Change {
        match operation {
            SetVarOperation::Set(value) => Change::To(self.text(value, span)),
            SetVarOperation::Increment(value) => Change::By(self.text(value, span), Sign::Plus),
            SetVarOperation::Decrement(value) => Change::By(self.text(value, span), Sign::Minus),
            SetVarOperation::Unset => Change::Unset,
        }
    }

    /// What `ctl` does; none if it concerns logs and limits that are not the engine's.
    fn control(&mut self, control: &WrittenControl, catalogue: &Catalogue, span: Span) -> Option<Control> {
        use WrittenControl as C;
        if !self.can_name(control, catalogue, span) {
            return None;
        }
        let control = match control {
            C::RuleEngine(mode) => Control::RuleEngine(*mode),
            C::AuditEngine(mode) => Control::AuditEngine(audit::engine(*mode)),
            C::AuditLogParts(change, letters) => match audit::parts(&letters.0) {
                Ok(parts) => Control::AuditParts(*change, parts),
                Err(problem) => {
                    self.refuse(span, &problem);
                    return None;
                }
            },
            C::RequestBodyAccess(on) => Control::RequestBodyAccess(*on),
            C::ResponseBodyAccess(on) => Control::ResponseBodyAccess(*on),
            C::ForceRequestBodyVariable(on) => Control::ForceRequestBody(*on),
            C::RequestBodyProcessor(processor) => Control::BodyProcessor(*processor),
            C::RuleRemoveById(ranges) => Control::RemoveRules(catalogue.by_id(ranges)),
            C::RuleRemoveByTag(text) => Control::RemoveRules(self.tagged(text, catalogue, span)?),
            C::RuleRemoveByMsg(text) => Control::RemoveRules(self.saying(text, catalogue, span)?),
            C::RuleRemoveTargetById(ranges, variables) => {
                Control::RemoveTargets(catalogue.by_id(ranges), self.removed(variables))
            }
            C::RuleRemoveTargetByTag(text, variables) => {
                Control::RemoveTargets(self.tagged(text, catalogue, span)?, self.removed(variables))
            }
            C::RuleRemoveTargetByMsg(text, variables) => {
                Control::RemoveTargets(self.saying(text, catalogue, span)?, self.removed(variables))
            }
            C::HashEngine(true) | C::HashEnforcement(true) => {
                self.refuse(span, "the hash engine is not supported");
                return None;
            }
            C::HashEngine(false) | C::HashEnforcement(false) => return None,
            C::DebugLogLevel(_) => return None,
            C::RequestBodyLimit(bytes) => Control::RequestBodyLimit(*bytes),
            C::ResponseBodyLimit(bytes) => Control::ResponseBodyLimit(*bytes),
        };
        let named = match &control {
            Control::RemoveRules(rules) | Control::RemoveTargets(rules, _) => rules.len(),
            _ => 0,
        };
        self.spend(NAMED * named, span).then_some(control)
    }

    /// Whether there is work left to look for the rules that a `ctl` names.
    fn can_name(&mut self, control: &WrittenControl, catalogue: &Catalogue, span: Span) -> bool {
        use WrittenControl as C;
        let each = match control {
            C::RuleRemoveById(ranges) | C::RuleRemoveTargetById(ranges, _) => ranges.len(),
            C::RuleRemoveByTag(_)
            | C::RuleRemoveByMsg(_)
            | C::RuleRemoveTargetByTag(..)
            | C::RuleRemoveTargetByMsg(..) => COMPARED,
            _ => 0,
        };
        self.spend(each.saturating_mul(catalogue.len()), span)
    }

    fn tagged(&mut self, text: &str, catalogue: &Catalogue, span: Span) -> Option<Arc<[usize]>> {
        self.expression(text, span).map(|pattern| catalogue.by_tag(&pattern))
    }

    fn saying(&mut self, text: &str, catalogue: &Catalogue, span: Span) -> Option<Arc<[usize]>> {
        self.expression(text, span).map(|pattern| catalogue.by_message(&pattern))
    }

    fn expression(&mut self, text: &str, span: Span) -> Option<Pattern> {
        Pattern::new(text, &mut self.interner).map_err(|problem| self.refuse(span, &problem)).ok()
    }

    fn removed(&mut self, variables: &[Variable]) -> Arc<[Target]> {
        variables.iter().filter_map(|variable| self.target(variable)).collect()
    }

    /// What a complete match does to the exchange: the rule's own action, or the one it inherits.
    pub(super) fn disruption(&mut self, own: &[Written], defaults: &[Written]) -> Disruption {
        let disruptive = |actions: &[Written]| {
            let found = actions.iter().rev().find(|action| action.kind.name().is_disruptive());
            found.map(|action| (action.kind.clone(), action.span))
        };
        let inherited = || disruptive(defaults).unwrap_or((ActionKind::Pass, Span::default()));
        let (kind, span) = match disruptive(own) {
            None | Some((ActionKind::Block, _)) => inherited(),
            Some(found) => found,
        };
        let status = |otherwise: StatusCode| {
            let written =
                own.iter().rev().chain(defaults.iter().rev()).find_map(|action| match action.kind {
                    ActionKind::Status(status) => StatusCode::from_u16(status).ok(),
                    _ => None,
                });
            written.unwrap_or(otherwise)
        };
        match kind {
            ActionKind::Deny => Disruption::Deny(status(StatusCode::FORBIDDEN)),
            ActionKind::Drop => Disruption::Drop(status(StatusCode::FORBIDDEN)),
            ActionKind::Redirect(location) => {
                let found = status(StatusCode::FOUND);
                // Other statuses of the 300s do not send a client anywhere.
                let redirects = matches!(found.as_u16(), 301 | 302 | 303 | 307 | 308);
                let found = if redirects { found } else { StatusCode::FOUND };
                Disruption::Redirect(found, self.text(&location, span))
            }
            ActionKind::Allow(scope) => Disruption::Allow(scope),
            _ => Disruption::Pass,
        }
    }

    /// The transformations of a link: inherited ones first; `t:none` drops those before it.
    pub(super) fn transformations(own: &[Written], defaults: &[Written]) -> Vec<Transformation> {
        let mut compiled = Vec::new();
        for action in defaults.iter().chain(own) {
            let ActionKind::Transformation(written) = &action.kind else { continue };
            if *written == Transformation::None {
                compiled.clear();
            } else {
                compiled.push(*written);
            }
        }
        compiled
    }
}

/// `setuid`, `setsid`, `setrsc`: the name is kept, and the record of that name opened.
fn opening(kind: &ActionKind, key: Macro) -> Vec<Action> {
    let (named, collection) = match kind {
        ActionKind::SetUid(_) => (Some(Action::SetUser(key.clone())), VariableKind::User),
        ActionKind::SetSid(_) => (Some(Action::SetSession(key.clone())), VariableKind::Session),
        _ => (None, VariableKind::Resource),
    };
    named.into_iter().chain([Action::Open { collection, key }]).collect()
}

/// Whether matches are recorded: the last word of the rule, else of its defaults, else yes.
pub(super) fn logs(own: &[Written], defaults: &[Written]) -> bool {
    let written = own.iter().rev().chain(defaults.iter().rev()).find_map(|action| match action.kind {
        ActionKind::Log => Some(true),
        ActionKind::NoLog => Some(false),
        _ => None,
    });
    written.unwrap_or(true)
}

/// A text as a member of `RULE`.
pub(super) fn member(text: &impl ToString) -> Bytes {
    Bytes::from(text.to_string())
}
