//! What a transaction knows of the values that rules look at: a view is some parts, a part is a group of values through
//! a chain of transformations.
//!
//! Of a part only what all its texts together hold is kept, and of a group the places of its texts: a view costs the
//! same however many rules look at it, and little more for many values that its chain cannot change. Bounded by what
//! [`super::texts`] keeps. What is known of texts is kept from phase to phase of one side; parts are not.

mod glance;

use std::ops::Range;

use bytes::Bytes;
use palisade_seclang::Phase;

use super::hits::Row;
use super::program::{Findings, Part, Program, side};
use super::texts::{Text, TextId, Texts, Work};
use crate::scratch::{Arena, push};
use crate::state::State;
pub(super) use glance::Glance;

/// What is known.
#[derive(Debug, Default)]
pub(crate) struct Memo {
    texts: Texts,
    /// The texts of all groups.
    members: Vec<TextId>,
    /// Where in `sums` each group is, each part and each cluster; [`UNKNOWN`] until it is opened.
    groups: Vec<u32>,
    /// See `groups`.
    parts: Vec<u32>,
    /// See `groups`.
    clusters: Vec<u32>,
    sums: Vec<Sum>,
    /// What each view costs those who try it as it is written.
    views: Vec<Option<Charge>>,
    /// The hits of a view that is glanced at, where its chain changes something.
    together: Vec<u64>,
    /// Texts on the way through a chain.
    way: Vec<Text>,
    /// Work units that making texts again may be charged for the rule that is judged.
    allowance: Option<u64>,
    /// The number of the phase that runs.
    phase: usize,
}

/// Nothing has this place.
const UNKNOWN: u32 = u32::MAX;

/// Work units of trying every text of a view.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Charge {
    /// Of its transformations.
    pub(super) transformations: u64,
    /// Of its operator.
    pub(super) evaluations: u64,
}

/// What all texts of a group or of a part hold together.
#[derive(Clone, Debug)]
struct Sum {
    /// The texts that the group's values are.
    members: Range<u32>,
    /// How many texts the part looks at.
    texts: u32,
    longest: usize,
    /// The bytes of all texts.
    total: u64,
    /// The transformations that may change one of the values.
    may: u64,
    /// Bytes that all transformations read.
    transformed: u64,
    /// Of which texts it is not known, nor counted, what its chain makes.
    blind: Blind,
    hits: Row,
}

impl Sum {
    /// Of texts whose hits are not joined yet.
    fn of(members: Range<u32>) -> Self {
        Self {
            members,
            texts: 0,
            longest: 0,
            total: 0,
            may: 0,
            transformed: 0,
            blind: Blind::None,
            hits: Row::default(),
        }
    }

    fn add(&mut self, bytes: usize) {
        self.texts += 1;
        self.longest = self.longest.max(bytes);
        self.total += bytes as u64;
    }
}

/// Of which texts what transformations make is not looked at in advance: what would be made to know that it may hold
/// anything, and finds no room, would be made again for every rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Blind {
    /// Of none, as long as there is room.
    None,
    /// Of those that are long to read.
    Long,
    /// Of all, where much of what looks at them is awake already.
    All,
}

impl Memo {
    /// A phase begins: rules have not run yet, but what came in may have changed.
    pub(crate) fn begin(&mut self, phase: Phase) {
        self.texts.turn_to(side(phase), phase == Phase::RequestHeaders);
        self.forget_parts();
        self.phase = phase as usize - 1;
    }

    fn forget_parts(&mut self) {
        self.members.clear();
        self.groups.clear();
        self.parts.clear();
        self.clusters.clear();
        self.sums.clear();
        self.views.clear();
        self.allowance = None;
    }

    /// Forgets everything and keeps the room.
    pub(crate) fn clear(&mut self) {
        self.texts.clear();
        self.way.clear();
        self.forget_parts();
    }

    /// Bytes of the room that is kept when it is cleared.
    pub(crate) fn room(&self) -> usize {
        let places = self.groups.capacity() + self.parts.capacity() + self.clusters.capacity();
        self.texts.room()
            + self.members.capacity() * size_of::<TextId>()
            + self.sums.capacity() * size_of::<Sum>()
            + self.views.capacity() * size_of::<Option<Charge>>()
            + places * size_of::<u32>()
    }

    /// One with room.
    #[cfg(test)]
    pub(crate) fn with_room(bytes: usize) -> Self {
        Self { groups: Vec::with_capacity(bytes / size_of::<u32>()), ..Self::default() }
    }

    /// The work since it was last asked for.
    pub(super) fn take_work(&mut self) -> Work {
        self.texts.take_work()
    }

    /// The charge of a view that was glanced at.
    pub(super) fn opened(&self, view: usize) -> Option<Charge> {
        *self.views.get(view)?
    }

    /// Sets what making texts again may cost the rule that is judged next.
    pub(super) fn allow(&mut self, units: u64) {
        self.allowance = Some(units);
    }

    /// What making texts again may cost the rule that is judged on a view.
    pub(super) fn take_allowance(&mut self, view: usize) -> u64 {
        let whole = self.opened(view).map_or(0, |charge| charge.transformations);
        self.allowance.take().unwrap_or(whole)
    }

    /// Opens a part; none if there are too many texts to know them.
    pub(super) fn open(
        &mut self,
        program: &Program,
        state: &State,
        arena: &mut Arena,
        part: usize,
    ) -> Option<()> {
        self.part(program, state, arena, part, false).map(|_| ())
    }

    /// What all texts of a part that was opened hold together; none if it has none.
    pub(super) fn findings_of_part(&self, part: usize) -> Option<Findings<'_>> {
        let sum = self.sums.get(*self.parts.get(part)? as usize)?;
        (sum.texts > 0).then(|| Findings { bytes: sum.longest, hits: self.texts.row(sum.hits) })
    }

    /// The values of a part that was opened, by their numbers.
    pub(super) fn members(&self, part: usize) -> Range<usize> {
        let sum = self.parts.get(part).and_then(|place| self.sums.get(*place as usize));
        sum.map_or(0..0, |sum| sum.members.start as usize..sum.members.end as usize)
    }

    /// Whether what a part's chain makes of one of its values was not counted when the part was opened.
    pub(super) fn is_uncounted(&self, part: usize, member: usize) -> bool {
        let sum = self.parts.get(part).and_then(|place| self.sums.get(*place as usize));
        match sum.map_or(Blind::None, |sum| sum.blind) {
            Blind::None => false,
            Blind::Long => self.members.get(member).is_some_and(|text| self.texts.is_long_to_read(*text)),
            Blind::All => true,
        }
    }

    /// The texts that a part looks at for one of its values, with what is known of each.
    pub(super) fn way(
        &mut self,
        program: &Program,
        arena: &mut Arena,
        part: &Part,
        member: usize,
    ) -> Vec<Text> {
        let mut way = std::mem::take(&mut self.way);
        way.clear();
        if let Some(text) = self.members.get(member) {
            if self.is_unchanged(program, part, *text) {
                way.push(Text::Known(*text));
            } else {
                self.texts.follow(program, arena, (*text, part), false, &mut way);
            }
        }
        way
    }

    /// Takes back the room of a way; its texts are not needed any more.
    pub(super) fn leave(&mut self, mut way: Vec<Text>) {
        way.clear();
        self.way = way;
    }

    /// What is known of a text; none: nothing.
    pub(super) fn findings(&self, text: &Text) -> Option<Findings<'_>> {
        match text {
            Text::Known(text) => Some(self.texts.findings(*text)),
            Text::Loose(_) => None,
        }
    }

    /// A text.
    pub(super) fn bytes<'a>(&'a self, text: &'a Text) -> &'a [u8] {
        match text {
            Text::Known(text) => self.texts.bytes(*text),
            Text::Loose(bytes) => bytes,
        }
    }

    /// A text to keep.
    pub(super) fn shared(&self, text: &Text) -> Bytes {
        self.texts.shared(text)
    }

    fn is_unchanged(&self, program: &Program, part: &Part, text: TextId) -> bool {
        program.chains.get(part.chain).is_some_and(|chain| self.texts.may(text) & chain.kinds == 0)
    }

    /// Opens a part of a view much of which may be awake; none if there are too many texts.
    fn part(
        &mut self,
        program: &Program,
        state: &State,
        arena: &mut Arena,
        number: usize,
        is_awake: bool,
    ) -> Option<usize> {
        let known = *self.parts.get(number)?;
        if known != UNKNOWN {
            return Some(known as usize);
        }
        let part = program.parts.get(number)?;
        let chain = program.chains.get(part.chain)?;
        let group = self.group(program, state, part.group)?;
        let values = self.sums.get(group)?;
        let sum = if values.may & chain.kinds == 0 {
            // Every text is its value.
            Sum { transformed: values.total * chain.steps.len() as u64, ..values.clone() }
        } else {
            let blind = match (self.texts.has_overflowed(), is_awake) {
                (false, _) => Blind::None,
                (true, false) => Blind::Long,
                (true, true) => Blind::All,
            };
            let (members, hits) = (values.members.clone(), values.hits);
            self.sum(program, arena, part, members, (hits, blind))?
        };
        *self.parts.get_mut(number)? = u32::try_from(self.sums.len()).ok()?;
        push(&mut self.sums, sum);
        Some(self.sums.len() - 1)
    }

    /// What the texts of a part hold that its chain may change, where `values` is what its values hold.
    fn sum(
        &mut self,
        program: &Program,
        arena: &mut Arena,
        part: &Part,
        members: Range<u32>,
        (values, blind): (Row, Blind),
    ) -> Option<Sum> {
        let chain = program.chains.get(part.chain)?;
        let mut sum = Sum::of(members.clone());
        sum.blind = blind;
        self.texts.hits().join();
        let mut way = std::mem::take(&mut self.way);
        for member in members {
            let text = *self.members.get(member as usize)?;
            if self.is_unchanged(program, part, text) {
                let (bytes, _) = self.texts.join(text);
                sum.add(bytes);
                sum.transformed += (bytes * chain.steps.len()) as u64;
                continue;
            }
            if blind == Blind::All || blind == Blind::Long && self.texts.is_long_to_read(text) {
                self.texts.hits().add_text(|hits| hits.fill(u64::MAX));
                sum.texts += 1;
                sum.longest = usize::MAX;
                continue;
            }
            sum.transformed += self.texts.follow(program, arena, (text, part), true, &mut way);
            for made in way.drain(..) {
                sum.add(match made {
                    Text::Known(made) => self.texts.join(made).0,
                    Text::Loose(bytes) => {
                        self.texts.join_loose(program, &bytes, text);
                        bytes.len()
                    }
                });
            }
        }
        self.way = way;
        sum.hits = self.texts.hits().joined(Some(values));
        Some(sum)
    }

    /// Gathers the values of a group; none if there are too many texts.
    fn group(&mut self, program: &Program, state: &State, number: usize) -> Option<usize> {
        let known = *self.groups.get(number)?;
        if known != UNKNOWN {
            return Some(known as usize);
        }
        let group = program.groups.get(number)?;
        let (from, mut is_whole) = (self.members.len(), true);
        let rules = group.rules.get(self.phase).copied().unwrap_or_default();
        state.each(
            &group.target,
            &group.exclusions,
            &mut |bytes| match self.texts.came(program, bytes, rules) {
                Some(text) => push(&mut self.members, text),
                None => is_whole = false,
            },
        );
        if !is_whole {
            self.members.truncate(from);
            return None;
        }
        let mut sum = Sum::of(u32::try_from(from).ok()?..u32::try_from(self.members.len()).ok()?);
        self.texts.hits().join();
        for text in self.members.get(from..)? {
            let (bytes, may) = self.texts.join(*text);
            sum.add(bytes);
            sum.may |= may;
        }
        sum.hits = self.texts.hits().joined(None);
        push(&mut self.sums, sum);
        let place = self.sums.len() - 1;
        *self.groups.get_mut(number)? = u32::try_from(place).ok()?;
        Some(place)
    }
}
