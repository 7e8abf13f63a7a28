//! The actions that links carry out for each value that matches: `setvar` and `ctl`.

use bytes::Bytes;
use palisade_seclang::{EngineMode, VariableKind};

use crate::engine::{Action, Change, Control, Sign};
use crate::transaction::Transaction;
use crate::values::number_text;

impl Transaction {
    /// Takes rules out of force, by their indices.
    pub(crate) fn remove_rules(&mut self, rules: impl Iterator<Item = usize>) {
        self.removed_rules.reach(self.engine.rules.len());
        rules.for_each(|rule| self.removed_rules.insert(rule));
    }

    /// Carries out actions in order.
    pub(crate) fn act(&mut self, actions: &[Action]) {
        for action in actions {
            match action {
                Action::Set { collection, key, change } => {
                    let key = self.state.expand(key);
                    self.set(*collection, &key, change);
                }
                Action::SetUser(text) => self.state.user_id = self.state.expand(text),
                Action::SetSession(text) => self.state.session_id = self.state.expand(text),
                Action::Open { collection, key } => self.open(*collection, key),
                Action::Expire { collection, key, seconds } => self.expire(*collection, key, seconds),
                Action::Control(control) => self.control(control),
            }
        }
    }

    fn set(&mut self, collection: VariableKind, key: &Bytes, change: &Change) {
        let pinned = &self.engine.settings.pinned;
        if collection == VariableKind::Tx && pinned.iter().any(|(name, _)| name.eq_ignore_ascii_case(key)) {
            return;
        }
        if let Some(value) = self.keep(collection, key, change) {
            return self.state.set(collection, key, value);
        }
        match change {
            Change::To(value) => {
                let value = self.state.expand(value);
                self.state.set(collection, key, value);
            }
            Change::By(value, sign) => {
                let change = self.state.expand(value);
                let before = self.state.first(collection, Some(key));
                self.state.set(collection, key, sum(before.as_deref(), &change, *sign));
            }
            Change::Unset => self.state.unset(collection, key),
        }
    }

    fn control(&mut self, control: &Control) {
        match control {
            Control::RuleEngine(mode) => self.mode = weaker(*mode, self.engine.settings.mode),
            Control::AuditEngine(engine) => self.audit.set_engine(*engine),
            Control::Sanitise => self.audit.sanitise(),
            Control::AuditParts(change, parts) => self.audit.change_parts(*change, *parts),
            Control::RequestBodyAccess(on) => self.request_body_access = *on,
            Control::ResponseBodyAccess(on) => self.response_body_access = *on,
            Control::RequestBodyLimit(bytes) => self.body_limits.request = Some(*bytes),
            Control::ResponseBodyLimit(bytes) => self.body_limits.response = Some(*bytes),
            Control::ForceRequestBody(on) => self.force_request_body = *on,
            Control::BodyProcessor(processor) => {
                self.state.facts.body.processor = Bytes::from_static(processor.name().as_bytes());
            }
            Control::RemoveRules(rules) => {
                self.state.budget.bytes(rules.len());
                self.remove_rules(rules.iter().copied());
                self.unfold(rules);
            }
            Control::RemoveTargets(rules, targets) => {
                self.unfold(rules);
                let known = self
                    .scratch
                    .removed_targets
                    .iter()
                    .any(|(_, known)| std::sync::Arc::ptr_eq(known, targets));
                if !known {
                    self.scratch.removed_targets.push((rules.clone(), targets.clone()));
                }
            }
        }
    }
}

/// What `setvar` comes to that adds or takes away a number.
pub(crate) fn sum(before: Option<&[u8]>, change: &[u8], sign: Sign) -> Bytes {
    let (before, change) = (before.map_or(0, number), number(change));
    let after = match sign {
        Sign::Plus => before.saturating_add(change),
        Sign::Minus => before.saturating_sub(change),
    };
    match u64::try_from(after) {
        Ok(after) => number_text(after),
        Err(_) => Bytes::from(after.to_string()),
    }
}

/// The mode that does less.
pub(crate) fn weaker(left: EngineMode, right: EngineMode) -> EngineMode {
    let strength = |mode: EngineMode| match mode {
        EngineMode::Off => 0,
        EngineMode::DetectionOnly => 1,
        EngineMode::On => 2,
    };
    if strength(left) <= strength(right) { left } else { right }
}

/// A number at the beginning of a text, as ModSecurity reads it; 0 if there is none.
pub(crate) fn number(text: &[u8]) -> i64 {
    let text = text.trim_ascii_start();
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        all => (false, all),
    };
    let mut number = 0_i64;
    for digit in digits.iter().take_while(|byte| byte.is_ascii_digit()) {
        number = number.saturating_mul(10).saturating_add(i64::from(digit - b'0'));
    }
    if negative { -number } else { number }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_read_as_far_as_it_goes() {
        for (text, expected) in
            [("5", 5), (" -3x", -3), ("+7", 7), ("", 0), ("x", 0), ("99999999999999999999", i64::MAX)]
        {
            assert_eq!(number(text.as_bytes()), expected, "{text}");
        }
    }
}
