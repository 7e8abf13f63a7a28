//! What the values of a view hold together, known before any of its parts is opened.
//!
//! Many views look at the same values, each through a chain of its own, and most chains can change none of them. What the
//! values hold is joined once for all these views; only what a chain may change is looked at for the view alone. It is a
//! little more than what the view's texts hold: values stay in it that the chain changes.

use super::{Charge, Memo, Sum, UNKNOWN};
use crate::limits::EVALUATION_UNITS;
use crate::prefilter::hits::add;
use crate::prefilter::program::{Findings, Program, View};
use crate::scratch::{Arena, push};
use crate::state::State;

/// One in so many rules of a view awake is many: to know what is made of hostile texts takes as long as trying five rules.
const AWAKE: usize = 6;

/// What a view holds at most.
#[derive(Clone, Copy, Debug)]
pub(in crate::prefilter) struct Glance {
    /// Whether it has texts.
    any: bool,
    longest: usize,
    /// The sum that has its hits; none: the memo's `together` has them.
    sum: Option<usize>,
}

/// What it costs to try some texts as they are written.
fn evaluations(sum: &Sum) -> u64 {
    sum.total + u64::from(sum.texts) * EVALUATION_UNITS
}

impl Memo {
    /// Whether the values of a view are not gathered yet.
    pub(in crate::prefilter) fn is_new(&self, view: &View) -> bool {
        self.clusters.get(view.cluster).is_none_or(|place| *place == UNKNOWN)
    }

    /// Glances at a view, and keeps what it costs; none if there are too many texts to know them.
    pub(in crate::prefilter) fn glance(
        &mut self,
        program: &Program,
        state: &State,
        arena: &mut Arena,
        (number, view): (usize, &View),
    ) -> Option<Glance> {
        if self.views.is_empty() {
            self.texts.get_ready(program);
            self.views.resize(program.views.len(), None);
            self.parts.resize(program.parts.len(), UNKNOWN);
            self.groups.resize(program.groups.len(), UNKNOWN);
            self.clusters.resize(program.clusters.len(), UNKNOWN);
        }
        self.cluster(program, state, view.cluster)?;
        if let Some(glance) = self.glance_at_values(program, (number, view)) {
            return Some(glance);
        }
        let chain = program.chains.get(view.chain)?;
        let steps = chain.steps.len() as u64;
        let all = self.sums.get(*self.clusters.get(view.cluster)? as usize)?;
        let mut glance = Glance { any: all.texts > 0, longest: all.longest, sum: None };
        let mut charge = Charge { transformations: all.total * steps, evaluations: evaluations(all) };
        let is_awake = self.texts.has_overflowed() && self.is_awake(program, view, all);
        self.together.clear();
        self.together.extend_from_slice(self.texts.row(all.hits));
        for part in &view.parts {
            let values = self.sums.get(*self.groups.get(program.parts.get(*part)?.group)? as usize)?;
            if values.may & chain.kinds == 0 {
                continue;
            }
            charge.transformations -= values.total * steps;
            charge.evaluations -= evaluations(values);
            let place = self.part(program, state, arena, *part, is_awake)?;
            let sum = self.sums.get(place)?;
            charge.transformations += sum.transformed;
            charge.evaluations += evaluations(sum);
            glance.longest = glance.longest.max(sum.longest);
            add(&mut self.together, self.texts.row(sum.hits));
        }
        *self.views.get_mut(number)? = Some(charge);
        Some(glance)
    }

    /// Whether so many rules of a view may match its values as they are that little is to be won by knowing more.
    fn is_awake(&self, program: &Program, view: &View, values: &Sum) -> bool {
        let findings = Findings { bytes: values.longest, hits: self.texts.row(values.hits) };
        let awake =
            view.rules.iter().filter(|rule| rule.negated || program.may_match(rule.predicate, findings));
        awake.count() * AWAKE >= view.rules.len()
    }

    /// The same for a view whose values were gathered, if its chain can change none of them.
    pub(in crate::prefilter) fn glance_at_values(
        &mut self,
        program: &Program,
        (number, view): (usize, &View),
    ) -> Option<Glance> {
        let chain = program.chains.get(view.chain)?;
        let place = *self.clusters.get(view.cluster)? as usize;
        let all = self.sums.get(place)?;
        if all.may & chain.kinds != 0 {
            return None;
        }
        let transformations = all.total * chain.steps.len() as u64;
        *self.views.get_mut(number)? = Some(Charge { transformations, evaluations: evaluations(all) });
        Some(Glance { any: all.texts > 0, longest: all.longest, sum: Some(place) })
    }

    /// What the texts of a view hold at most; none if it has none.
    pub(in crate::prefilter) fn findings_of(&self, glance: &Glance) -> Option<Findings<'_>> {
        let hits = match glance.sum {
            Some(place) => self.texts.row(self.sums.get(place)?.hits),
            None => &self.together,
        };
        glance.any.then_some(Findings { bytes: glance.longest, hits })
    }

    /// Joins what the values of some groups hold; none if there are too many texts.
    fn cluster(&mut self, program: &Program, state: &State, number: usize) -> Option<usize> {
        let known = *self.clusters.get(number)?;
        if known != UNKNOWN {
            return Some(known as usize);
        }
        let groups = program.clusters.get(number)?;
        let place = if let [group] = groups.as_slice() {
            self.group(program, state, *group)?
        } else {
            for group in groups {
                self.group(program, state, *group)?;
            }
            let mut sum = Sum::of(0..0);
            self.texts.hits().join();
            for group in groups {
                let values = self.sums.get(*self.groups.get(*group)? as usize)?;
                if values.texts > 0 {
                    sum.texts += values.texts;
                    sum.longest = sum.longest.max(values.longest);
                    sum.total += values.total;
                    sum.may |= values.may;
                    self.texts.hits().add(values.hits);
                }
            }
            sum.hits = self.texts.hits().joined(None);
            push(&mut self.sums, sum);
            self.sums.len() - 1
        };
        *self.clusters.get_mut(number)? = u32::try_from(place).ok()?;
        Some(place)
    }
}
