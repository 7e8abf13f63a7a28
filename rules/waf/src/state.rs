//! What a transaction remembers while its rules run: the facts, what rules set, what matched last.

use std::sync::Arc;

use bytes::Bytes;
use palisade_seclang::VariableKind;

use crate::budget::WorkBudget;
use crate::collection::{Collection, Store};
use crate::facts::Facts;
use crate::macros::{self, Macro, TooLong};
use crate::scratch::Arena;
use crate::values::Value;

/// The memory of one transaction.
#[derive(Debug)]
pub(crate) struct State {
    /// What came in.
    pub(crate) facts: Facts,
    /// `TX`, captures included.
    pub(crate) tx: Store,
    /// `GLOBAL`, `IP`, `SESSION`, `USER`, `RESOURCE`, `ENV`: what the transaction sees of them; see `crate::persistent`.
    pub(crate) local: [Store; 6],
    /// `USERID`, `SESSIONID`.
    pub(crate) user_id: Bytes,
    /// See `user_id`.
    pub(crate) session_id: Bytes,
    /// `WEBAPPID`
    pub(crate) web_app_id: Bytes,
    /// `MATCHED_VARS`: everything the links of the current chain matched, in order; the last is `MATCHED_VAR`.
    pub(crate) matched: Vec<Value>,
    /// `MATCHED_VAR` of an earlier rule, which outlives it.
    earlier_matched: Option<Value>,
    /// The lowest severity number of all rules that matched; 255 if none.
    pub(crate) highest_severity: u8,
    /// `RULE`: the rule that runs.
    pub(crate) rule: Option<Arc<Collection>>,
    /// Expanded texts.
    pub(crate) arena: Arena,
    /// What is left to spend.
    pub(crate) budget: WorkBudget,
}

impl State {
    /// The memory of a transaction that begins.
    pub(crate) fn new(facts: Facts, tx: Store, arena: Arena) -> Self {
        Self {
            facts,
            tx,
            local: Default::default(),
            user_id: Bytes::new(),
            session_id: Bytes::new(),
            web_app_id: Bytes::new(),
            matched: Vec::new(),
            earlier_matched: None,
            highest_severity: 255,
            rule: None,
            arena,
            budget: WorkBudget::default(),
        }
    }

    /// A rule begins: nothing is matched.
    pub(crate) fn begin_rule(&mut self, facts: &Arc<Collection>) {
        self.forget_matched();
        self.rule = Some(facts.clone());
    }

    /// No rule runs until the next phase: of what matched, only `MATCHED_VAR` outlives it. Gives the room of the rest.
    pub(crate) fn end_rules(&mut self) -> Vec<Value> {
        self.forget_matched();
        std::mem::take(&mut self.matched)
    }

    fn forget_matched(&mut self) {
        if let Some(last) = self.matched.pop() {
            self.earlier_matched = Some(last);
        }
        self.matched.clear();
    }

    /// `MATCHED_VAR`
    pub(crate) fn last_matched(&self) -> Option<&Value> {
        self.matched.last().or(self.earlier_matched.as_ref())
    }

    /// The store of a collection that rules may set.
    pub(crate) fn store(&self, variable: VariableKind) -> Option<&Store> {
        if variable == VariableKind::Tx {
            return Some(&self.tx);
        }
        self.local.get(local_index(variable)?)
    }

    /// Sets a member of a collection that rules may set.
    pub(crate) fn set(&mut self, variable: VariableKind, key: &Bytes, value: Bytes) {
        let store = match local_index(variable) {
            Some(index) => self.local.get_mut(index),
            None => Some(&mut self.tx),
        };
        if let Some(store) = store {
            store.set(key, value, &mut self.budget);
        }
    }

    /// Removes a member of a collection that rules may set.
    pub(crate) fn unset(&mut self, variable: VariableKind, key: &[u8]) {
        let store = match local_index(variable) {
            Some(index) => self.local.get_mut(index),
            None => Some(&mut self.tx),
        };
        if let Some(store) = store {
            store.remove(key);
        }
    }

    /// Expands a text. An expansion that is too long exhausts the budget.
    pub(crate) fn expand(&mut self, text: &Macro) -> Bytes {
        if let Some(literal) = text.literal() {
            return literal;
        }
        let mut arena = std::mem::take(&mut self.arena);
        let expanded = text.expand_in(&mut arena, &mut |variable, key| self.first(variable, key));
        self.arena = arena;
        self.expanded(expanded)
    }

    /// What a slot of `TX` holds, as the expansion of a text that is nothing else.
    pub(crate) fn expand_slot(&mut self, slot: usize) -> Bytes {
        self.expanded(macros::whole(self.tx.slot(slot).cloned()))
    }

    fn expanded(&mut self, expanded: Result<Bytes, TooLong>) -> Bytes {
        match expanded {
            Ok(expanded) => {
                self.budget.bytes(expanded.len());
                expanded
            }
            Err(_) => {
                self.budget.exhaust("a macro expands to too many bytes");
                Bytes::new()
            }
        }
    }
}

/// Whether `setvar` may name this collection.
pub(crate) fn is_settable(variable: VariableKind) -> bool {
    variable == VariableKind::Tx || local_index(variable).is_some()
}

fn local_index(variable: VariableKind) -> Option<usize> {
    use VariableKind as V;
    [V::Global, V::Ip, V::Session, V::User, V::Resource, V::Env].iter().position(|known| *known == variable)
}
