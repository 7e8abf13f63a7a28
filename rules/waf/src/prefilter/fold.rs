//! What is known of `TX` before any request: set-up that is carried out at compile time, and gates that are jumps.
//!
//! One pass over the rules in the order in which they run. At each place it is known what some members of `TX` hold on
//! every way there; a rule that asks nothing else is decided. One that never matches is dropped. One that always does
//! and only sets `TX` becomes a list of what slots are set to: shared texts, what another slot holds, sums. One that only
//! skips becomes a jump, and what cannot be reached is dropped. Promise: while none of the decided rules is removed at run
//! time (`assumed`) and phase 1 has begun, the rules that stay do exactly what all rules would do. Rules that record,
//! disrupt or have a severity are never folded.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use palisade_seclang::VariableKind;
use regex_automata::meta::Regex;

use super::bits::Bits;
use crate::act;
use crate::collection::Names;
use crate::engine::{Action, Change, Disruption, Engine, Flow, Link, Rule, Sign};
use crate::macros::Macro;
use crate::operators::CAPTURES;
use crate::transformations::{self, UnicodeMap};
use crate::values::{Selector, Target, number_text};

/// Names of `TX` times rules that skip: what is known is copied for each jump. CRS has 150 times 210.
const KNOWLEDGE: usize = 4 * 1024 * 1024;
/// Names that are folded; CRS has some 150.
const NAMES: usize = 4 * 1024;

/// What a rule set comes to.
#[derive(Debug, Default)]
pub(crate) struct Folded {
    pub(crate) names: Arc<Names>,
    pub(super) phases: [FoldedPhase; 5],
    /// The rules, as ascending indices, whose outcome is taken for certain.
    assumed: Vec<usize>,
}

/// What a slot of `TX` is set to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Setting {
    /// A shared text, or nothing.
    Share(usize, Option<usize>),
    /// What another slot holds.
    Copy(usize, usize),
    /// What it holds, with a number added or taken away.
    Sum(usize, Source, Sign),
}

/// Where a number comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// A shared text.
    Text(usize),
    Slot(usize),
}

/// The rules of a phase that stay.
#[derive(Debug, Default)]
pub(super) struct FoldedPhase {
    /// By their place in the phase.
    pub(super) live: Bits,
    /// Places where the slots of `TX` are set, ascending, with what they are set to.
    sets: Vec<(usize, Vec<Setting>)>,
}

impl FoldedPhase {
    /// What is set at a place.
    pub(super) fn sets(&self, place: usize) -> Option<&[Setting]> {
        let found = self.sets.binary_search_by_key(&place, |(place, _)| *place).ok()?;
        self.sets.get(found).map(|(_, sets)| sets.as_slice())
    }
}

impl Folded {
    /// Folds a rule set.
    pub(super) fn of(engine: &Engine) -> Self {
        let mut fold = Fold::new(engine);
        let phases = fold.phases(engine);
        let mut assumed = fold.assumed;
        assumed.sort_unstable();
        Self { names: Arc::new(Names::new(fold.names, fold.texts, &selectors(engine))), phases, assumed }
    }

    /// Whether one of these rules is taken for certain.
    pub(crate) fn assumes(&self, rules: &[usize]) -> bool {
        rules.iter().any(|rule| self.assumed.binary_search(rule).is_ok())
    }
}

/// What a member of `TX` holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fact {
    /// This text, or nothing.
    Known(Option<usize>),
    /// One thing on one way, another on another.
    Unknown,
}

/// What all members hold at a place in the rules.
type Facts = Vec<Fact>;

/// What comes of a rule.
enum Outcome {
    Never,
    /// It matches, sets nothing but `TX`, and this is known after it. What it sets, if that is not all known.
    Always(Facts, Option<Vec<Setting>>),
    Unknown,
}

struct Fold<'a> {
    /// Ascending.
    names: Vec<Bytes>,
    texts: Vec<Bytes>,
    places: HashMap<Bytes, usize>,
    pinned: &'a [(Bytes, Bytes)],
    unicode_map: Option<&'a UnicodeMap>,
    /// Whether a rule reads what an earlier rule matched; then no match may be left out.
    reads_earlier_matches: bool,
    assumed: Vec<usize>,
}

impl<'a> Fold<'a> {
    fn new(engine: &'a Engine) -> Self {
        let mut names = BTreeSet::new();
        for rule in &engine.rules {
            names_of(rule, &mut |name| {
                names.insert(Bytes::from(name.to_ascii_lowercase()));
            });
        }
        // Those of captures, which rules set all together.
        names.extend((0..CAPTURES).map(|group| number_text(group as u64)));
        names.extend(engine.settings.pinned.iter().map(|(name, _)| Bytes::from(name.to_ascii_lowercase())));
        let skips = engine.rules.iter().filter(|rule| rule.flow.is_some()).count();
        if !fits(names.len(), skips) {
            names.clear();
        }
        Self {
            names: names.into_iter().collect(),
            texts: Vec::new(),
            places: HashMap::new(),
            pinned: &engine.settings.pinned,
            unicode_map: engine.settings.unicode_map.as_deref(),
            reads_earlier_matches: engine.rules.iter().any(reads_earlier_matches),
            assumed: Vec::new(),
        }
    }

    fn find(&self, name: &[u8]) -> Option<usize> {
        let name = name.to_ascii_lowercase();
        self.names.binary_search_by(|known| known.as_ref().cmp(name.as_slice())).ok()
    }

    fn text(&mut self, text: Bytes) -> usize {
        *self.places.entry(text).or_insert_with_key(|text| {
            self.texts.push(text.clone());
            self.texts.len() - 1
        })
    }

    fn phases(&mut self, engine: &Engine) -> [FoldedPhase; 5] {
        let mut start = vec![Fact::Known(None); self.names.len()];
        for (name, value) in self.pinned {
            let text = self.text(value.clone());
            if let Some(fact) = self.find(name).and_then(|place| start.get_mut(place)) {
                *fact = Fact::Known(Some(text));
            }
        }
        // What is known where phases end, and where an exchange is ended; after the latter only phase 5 runs.
        let (mut exits, mut ends): (Option<Facts>, Option<Facts>) = (Some(start), None);
        let mut phases = Vec::new();
        for (number, indices) in engine.phases.iter().enumerate() {
            let mut entry = exits.clone().unwrap_or_default();
            if number == 4 {
                ends.iter().for_each(|ended| join(&mut entry, ended));
            }
            if number == 0 {
                exits = None;
            }
            let mut walk = Walk::new(indices.len(), entry, &mut exits, &mut ends);
            self.phase(engine, indices, &mut walk);
            phases.push(walk.finish());
        }
        let mut phases = phases.into_iter();
        [(); 5].map(|()| phases.next().unwrap_or_default())
    }

    fn phase(&mut self, engine: &Engine, indices: &[usize], walk: &mut Walk<'_>) {
        let target = |place: usize, flow: Flow| match flow {
            Flow::Skip(rules) => place.saturating_add(1).saturating_add(rules as usize),
            Flow::SkipTo(position) => {
                let position_of = |index: &usize| engine.rules.get(*index).map_or(0, |rule| rule.position);
                indices.partition_point(|index| position_of(index) < position)
            }
        };
        for (place, index) in indices.iter().enumerate() {
            let Some(rule) = engine.rules.get(*index) else { continue };
            let is_target = walk.arrive(place);
            let Some(facts) = walk.current.take() else { continue };
            match self.decide(rule, &facts) {
                Outcome::Never => walk.current = Some(facts),
                Outcome::Always(after, sets) => {
                    self.assumed.push(*index);
                    let may_go = is_silent(rule) && !self.reads_earlier_matches;
                    match (sets.is_some() || after != facts, rule.flow) {
                        (true, None) if may_go => {
                            walk.set(place, is_target, sets.unwrap_or_else(|| changes(&facts, &after)))
                        }
                        (false, None) if may_go => {}
                        (false, Some(flow)) if may_go => walk.gates.push((place, target(place, flow))),
                        _ => walk.stays(place),
                    }
                    walk.leave(rule, &after);
                    match rule.flow {
                        Some(flow) if matches!(rule.disruption, Disruption::Pass) => {
                            walk.jump(target(place, flow), after)
                        }
                        Some(flow) => {
                            walk.jump(target(place, flow), after.clone());
                            walk.current = Some(after);
                        }
                        None => walk.current = Some(after),
                    }
                }
                Outcome::Unknown => {
                    walk.stays(place);
                    let mut after = facts;
                    self.forget(rule, &mut after);
                    walk.leave(rule, &after);
                    if let Some(flow) = rule.flow {
                        walk.jump(target(place, flow), after.clone());
                    }
                    walk.current = Some(after);
                }
            }
        }
        walk.arrive(usize::MAX);
        let last = walk.current.take();
        last.iter().for_each(|facts| merge(walk.exits, facts));
    }

    fn decide(&mut self, rule: &Rule, facts: &Facts) -> Outcome {
        let mut after = Cow::Borrowed(facts);
        let mut sets = Vec::new();
        for (number, link) in rule.links.iter().enumerate() {
            let Some(matches) = self.test(link, &after) else { return Outcome::Unknown };
            if matches == 0 {
                // The matches of earlier links stay, and what they set.
                let is_clean =
                    number == 0 || !self.reads_earlier_matches && matches!(after, Cow::Borrowed(_));
                return if is_clean { Outcome::Never } else { Outcome::Unknown };
            }
            for _ in 0..matches {
                for action in &link.actions {
                    let Some(effect) = self.action(action, &after) else { return Outcome::Unknown };
                    let Some(setting) = effect else { continue };
                    let (place, fact) = match setting {
                        Setting::Share(place, text) => (place, Fact::Known(text)),
                        Setting::Copy(place, _) | Setting::Sum(place, ..) => (place, Fact::Unknown),
                    };
                    sets.push(setting);
                    after.to_mut().get_mut(place).into_iter().for_each(|known| *known = fact);
                }
            }
        }
        let is_known = sets.iter().all(|setting| matches!(setting, Setting::Share(..)));
        Outcome::Always(after.into_owned(), (!is_known).then_some(sets))
    }

    /// How many values a link matches, if that is known.
    fn test(&self, link: &Link, facts: &[Fact]) -> Option<usize> {
        let Some(operator) = &link.operator else { return Some(1) };
        if !link.exclusions.is_empty() || link.capture || link.multi_match {
            return None;
        }
        let argument = self.expand(&link.argument, facts)?;
        let mut matches = 0;
        for target in &link.targets {
            let Selector::Exact(key) = &target.selector else { return None };
            if target.variable != VariableKind::Tx {
                return None;
            }
            let Fact::Known(text) = *facts.get(self.find(key)?)? else { return None };
            let value = match (target.count, text) {
                (true, text) => Bytes::from_static(if text.is_some() { b"1" } else { b"0" }),
                (false, Some(text)) => self.texts.get(text)?.clone(),
                (false, None) => continue,
            };
            let mut value = Cow::Borrowed(value.as_ref());
            for transformation in &link.transformations {
                value = Cow::Owned(
                    transformations::apply_with(self.unicode_map, *transformation, &value).into_owned(),
                );
            }
            matches += usize::from(operator.matches(&value, &argument, None) != link.negated);
        }
        Some(matches)
    }

    /// What an action sets, if that is known or comes from one slot; nothing: it has no effect.
    fn action(&mut self, action: &Action, facts: &[Fact]) -> Option<Option<Setting>> {
        let Action::Set { collection: VariableKind::Tx, key, change } = action else { return None };
        let key = key.literal()?;
        if self.pinned.iter().any(|(name, _)| name.eq_ignore_ascii_case(&key)) {
            return Some(None);
        }
        let place = self.find(&key)?;
        Some(Some(match change {
            Change::Unset => Setting::Share(place, None),
            Change::To(value) => match self.expand(value, facts) {
                Some(text) => Setting::Share(place, Some(self.text(text))),
                None => Setting::Copy(place, self.slot(value)?),
            },
            Change::By(value, sign) => {
                let change = self.expand(value, facts);
                match (change, *facts.get(place)?) {
                    (Some(change), Fact::Known(before)) => {
                        let before = before.and_then(|text| self.texts.get(text));
                        let sum = act::sum(before.map(Bytes::as_ref), &change, *sign);
                        Setting::Share(place, Some(self.text(sum)))
                    }
                    (Some(change), Fact::Unknown) => {
                        Setting::Sum(place, Source::Text(self.text(change)), *sign)
                    }
                    (None, _) => Setting::Sum(place, Source::Slot(self.slot(value)?), *sign),
                }
            }
        }))
    }

    /// The slot that a text is, if it is nothing else.
    fn slot(&self, text: &Macro) -> Option<usize> {
        match text.variable()? {
            (VariableKind::Tx, Some(key)) => self.find(key),
            _ => None,
        }
    }

    /// A text, if every variable in it is known.
    fn expand(&self, text: &Macro, facts: &[Fact]) -> Option<Bytes> {
        if text.variables().any(|variable| variable != VariableKind::Tx) {
            return None;
        }
        for key in text.members_of(VariableKind::Tx) {
            let Fact::Known(_) = facts.get(self.find(key?)?)? else { return None };
        }
        let value = |key: Option<&Bytes>| match facts.get(self.find(key?)?)? {
            Fact::Known(text) => self.texts.get((*text)?).cloned(),
            Fact::Unknown => None,
        };
        text.expand(|_, key| value(key)).ok()
    }

    /// Takes away what is not known any more after a rule that may match.
    fn forget(&self, rule: &Rule, facts: &mut Facts) {
        let mut unknown = |wanted: &dyn Fn(&[u8]) -> bool| {
            for (name, fact) in self.names.iter().zip(facts.iter_mut()) {
                let is_pinned = || self.pinned.iter().any(|(pinned, _)| pinned.eq_ignore_ascii_case(name));
                if wanted(name) && !is_pinned() {
                    *fact = Fact::Unknown;
                }
            }
        };
        for link in &rule.links {
            if link.capture {
                unknown(&|name| name.len() == 1 && name.iter().all(u8::is_ascii_digit));
            }
            for action in &link.actions {
                let Action::Set { collection: VariableKind::Tx, key, .. } = action else { continue };
                match key.literal() {
                    Some(key) => unknown(&|name| name.eq_ignore_ascii_case(&key)),
                    None => {
                        let start = key.beginning().to_ascii_lowercase();
                        unknown(&|name| name.starts_with(&start));
                    }
                }
            }
        }
    }
}

/// The way through the rules of one phase.
struct Walk<'a> {
    current: Option<Facts>,
    /// What is known where a jump leads.
    pending: BTreeMap<usize, Facts>,
    exits: &'a mut Option<Facts>,
    ends: &'a mut Option<Facts>,
    live: Bits,
    sets: Vec<(usize, Vec<Setting>)>,
    /// Whether the last rule that stays is the last of `sets`.
    is_setting: bool,
    /// Rules that only skip, with where to.
    gates: Vec<(usize, usize)>,
}

impl<'a> Walk<'a> {
    fn new(rules: usize, entry: Facts, exits: &'a mut Option<Facts>, ends: &'a mut Option<Facts>) -> Self {
        let (pending, live) = (BTreeMap::new(), Bits::new(rules));
        let (sets, gates) = (Vec::new(), Vec::new());
        Self { current: Some(entry), pending, exits, ends, live, sets, is_setting: false, gates }
    }

    /// Comes to a place; whether a jump leads there.
    fn arrive(&mut self, place: usize) -> bool {
        let mut is_target = false;
        while let Some(entry) = self.pending.first_entry().filter(|entry| *entry.key() <= place) {
            merge(&mut self.current, &entry.remove());
            is_target = true;
        }
        is_target
    }

    fn jump(&mut self, to: usize, facts: Facts) {
        match self.pending.get_mut(&to) {
            Some(known) => join(known, &facts),
            None => {
                self.pending.insert(to, facts);
            }
        }
    }

    /// A rule may end the phase or the exchange.
    fn leave(&mut self, rule: &Rule, facts: &Facts) {
        match rule.disruption {
            Disruption::Pass => {}
            Disruption::Allow(_) => merge(self.exits, facts),
            Disruption::Deny(_) | Disruption::Drop(_) | Disruption::Redirect(..) => merge(self.ends, facts),
        }
    }

    /// A rule stays as it is.
    fn stays(&mut self, place: usize) {
        self.live.insert(place);
        self.is_setting = false;
    }

    /// A rule only sets slots; it is one with the rule before it if that does too and nothing leads between them.
    fn set(&mut self, place: usize, is_target: bool, sets: Vec<Setting>) {
        match self.sets.last_mut() {
            Some((_, known)) if self.is_setting && !is_target => known.extend(sets),
            _ => {
                self.live.insert(place);
                self.sets.push((place, sets));
                self.is_setting = true;
            }
        }
    }

    /// A gate stays if a rule that stays is between it and where it leads: another way leads there.
    fn finish(mut self) -> FoldedPhase {
        for (place, to) in self.gates.iter().rev() {
            if self.live.next(place + 1).is_some_and(|next| next < *to) {
                self.live.insert(*place);
            }
        }
        FoldedPhase { live: self.live, sets: self.sets }
    }
}

/// What is set between two places.
fn changes(before: &[Fact], after: &[Fact]) -> Vec<Setting> {
    let changed = before.iter().zip(after).enumerate().filter(|(_, (before, after))| before != after);
    let sets = changed.filter_map(|(slot, (_, after))| match after {
        Fact::Known(text) => Some(Setting::Share(slot, *text)),
        Fact::Unknown => None,
    });
    sets.collect()
}

/// Whether so many names and rules that skip are followed.
fn fits(names: usize, skips: usize) -> bool {
    names <= NAMES && names.saturating_mul(skips) <= KNOWLEDGE
}

/// Keeps what both know.
fn join(facts: &mut Facts, other: &[Fact]) {
    for (fact, other) in facts.iter_mut().zip(other) {
        if fact != other {
            *fact = Fact::Unknown;
        }
    }
}

fn merge(facts: &mut Option<Facts>, other: &Facts) {
    match facts {
        Some(facts) => join(facts, other),
        None => *facts = Some(other.clone()),
    }
}

/// Whether a match of a rule shows nowhere but in what its actions do.
fn is_silent(rule: &Rule) -> bool {
    !rule.log
        && rule.audit.is_none()
        && rule.severity.is_none()
        && matches!(rule.disruption, Disruption::Pass)
}

/// The names of `TX` that a rule reads or writes by name.
fn names_of(rule: &Rule, name: &mut dyn FnMut(&[u8])) {
    for target in rule.links.iter().flat_map(|link| &link.targets) {
        if let (VariableKind::Tx, Selector::Exact(key)) = (target.variable, &target.selector) {
            name(key);
        }
    }
    for key in rule.macros().flat_map(|text| text.members_of(VariableKind::Tx)).flatten() {
        name(key);
    }
    for action in rule.links.iter().flat_map(|link| &link.actions) {
        if let Action::Set { collection: VariableKind::Tx, key, .. } = action
            && let Some(key) = key.literal()
        {
            name(&key);
        }
    }
}

/// The expressions that select names of `TX`.
fn selectors(engine: &Engine) -> Vec<Arc<Regex>> {
    let targets = engine.rules.iter().flat_map(|rule| &rule.links).flat_map(|link| &link.targets);
    let selector = |target: &Target| match (&target.selector, target.variable) {
        (Selector::Regex(regex), VariableKind::Tx) => Some(regex.clone()),
        _ => None,
    };
    targets.filter_map(selector).collect()
}

/// Whether a rule may read `MATCHED_VAR` before it has matched something itself.
fn reads_earlier_matches(rule: &Rule) -> bool {
    use VariableKind as V;
    let is_match = |variable: &V| matches!(variable, V::MatchedVar | V::MatchedVarName);
    let Some(first) = rule.links.first() else { return false };
    let asks = |link: &Link| {
        link.targets.iter().any(|target| is_match(&target.variable))
            || link.argument.variables().any(|variable| is_match(&variable))
    };
    if first.operator.is_some() {
        return asks(first);
    }
    rule.links.iter().any(asks)
        || rule.macros().flat_map(Macro::variables).any(|variable| is_match(&variable))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_is_bounded_in_names_and_in_jumps() {
        assert!(fits(NAMES - 1, 0) && fits(NAMES, 0) && !fits(NAMES + 1, 0));
        let skips = KNOWLEDGE / NAMES;
        assert!(fits(NAMES, skips - 1) && fits(NAMES, skips) && !fits(NAMES, skips + 1));
    }
}
