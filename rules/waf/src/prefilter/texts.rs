//! What a transaction knows of its texts: each text scanned once, and transformed once by each transformation.
//!
//! A text that came in is known by the place of its bytes, which are held, so that the place cannot be taken by others. A
//! transformation that cannot change a text, by its bytes, is not tried. Promises: bounded by [`TEXTS_BYTES`]; when that
//! is reached, what transformations made is forgotten and made again where it is asked for, and texts beyond
//! [`CAME`] are not known at all. What is known stays from phase to phase of one side.

use std::borrow::Cow;

use bytes::Bytes;
use palisade_seclang::Transformation;

use super::bytes::Kinds;
use super::needs::ByteSet;
use super::places::Places;
use super::program::{Findings, Part, Program};
use super::scanner::Effort;
use crate::scratch::Arena;
use crate::transformations;

/// Bytes of all that is known of the texts of one transaction: what a request may cost beside its body and its facts.
pub(crate) const TEXTS_BYTES: usize = 208 * 1024;
/// Texts that came in, of one side: a thousand arguments with their names, and as many others.
pub(crate) const CAME: usize = 4 * 1024;
/// Bytes of what transformations made that are kept, however many texts came in.
const MADE_BYTES: usize = 48 * 1024;
/// Bytes of a text that the first phase does not scan: its few rules cost less than the scan would, where a request ends
/// with them or for what its body is.
const LATER: usize = 2 * 1024;
/// Bytes that a text takes beside its own, with its hits and its edges, roughly.
const TEXT_BYTES: usize = 96;

/// The place of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TextId(u32);

impl TextId {
    const NONE: Self = Self(u32::MAX);
    /// Set in the places of texts that transformations made.
    const MADE: u32 = 1 << 31;
}

/// A text on its way through a chain.
#[derive(Clone, Debug)]
pub(super) enum Text {
    /// One that is known.
    Known(TextId),
    /// One that is not kept.
    Loose(Bytes),
}

/// Texts with what is known of them.
#[derive(Debug, Default)]
pub(super) struct Texts {
    side: usize,
    /// Whether the first phase runs.
    is_first: bool,
    came: Shelf,
    made: Shelf,
    places: Places,
    /// What transformations made of texts.
    edges: Vec<Edge>,
    /// Whether something was not kept for want of room, since what was made was forgotten.
    is_full: bool,
    /// Whether anything was not kept for want of room.
    has_overflowed: bool,
    /// Work since it was last asked for.
    work: Work,
}

/// Bytes that were really read.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Work {
    pub(super) transformed: u64,
    pub(super) scanned: u64,
}

/// Texts, and the hits of each, one after the other.
#[derive(Debug, Default)]
struct Shelf {
    texts: Vec<Entry>,
    hits: Vec<u64>,
    /// Bytes of the texts.
    bytes: usize,
}

/// A text.
#[derive(Debug)]
struct Entry {
    bytes: Bytes,
    /// The transformations that may change it.
    may: Kinds,
    scan: Scan,
    /// The text that came in from which it was made; itself.
    root: TextId,
    /// The next text of the same root.
    next: TextId,
    /// Its first edge.
    edge: u32,
}

/// What a transformation made of a text.
#[derive(Clone, Copy, Debug)]
struct Edge {
    kind: u8,
    /// Whether it changed something.
    changed: bool,
    to: TextId,
    /// The next edge of the same text.
    next: u32,
}

/// Words of hits that are copied from a text with the same letters; where there are more it is scanned again.
const HITS: usize = 32;

/// How a text's hits were found. But for the first two, it is taken to hold everything, and so is what is made of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scan {
    Done,
    /// The same, and it took long, as that of what is made of it would.
    Long,
    /// It would take too long.
    Dense,
    /// It is long, and there may be no second phase.
    Later,
}

/// The hits of a text with the same letters.
type Hits = Option<[u64; HITS]>;

/// No edge has this place.
const NO_EDGE: u32 = u32::MAX;

impl Shelf {
    fn clear(&mut self) {
        self.texts.clear();
        self.hits.clear();
        self.bytes = 0;
    }

    /// Keeps a text and scans it, unless its hits are known or it is not to be read. Gives the bytes that were scanned.
    fn keep(
        &mut self,
        (program, side): (&Program, usize),
        bytes: Bytes,
        root: TextId,
        (unread, known): (Option<Scan>, Hits),
    ) -> u64 {
        let from = self.hits.len();
        self.hits.resize(from + program.words(side), 0);
        let present = ByteSet::of(&bytes);
        let hits = self.hits.get_mut(from..).unwrap_or_default();
        let length = bytes.len();
        let (scan, scanned) = match (unread, known) {
            (Some(scan), _) => {
                hits.fill(u64::MAX);
                (scan, 0)
            }
            (None, Some(known)) => {
                hits.iter_mut().zip(known).for_each(|(hits, known)| *hits = known);
                (Scan::Done, 0)
            }
            (None, None) => (scanned(program, side, &bytes, hits), length),
        };
        let may = program.mark(side, &present, hits);
        self.bytes += length;
        self.texts.push(Entry { bytes, may, scan, root, next: TextId::NONE, edge: NO_EDGE });
        scanned as u64
    }

    /// Scans a text that was left for later. Gives the bytes that were scanned.
    fn make_up(&mut self, (program, side): (&Program, usize), place: u32) -> u64 {
        let (place, words) = (place as usize, program.words(side));
        let Some(entry) = self.texts.get_mut(place).filter(|entry| entry.scan == Scan::Later) else {
            return 0;
        };
        let hits = self.hits.get_mut(place * words..(place + 1) * words).unwrap_or_default();
        hits.fill(0);
        entry.scan = scanned(program, side, &entry.bytes, hits);
        program.mark(side, &ByteSet::of(&entry.bytes), hits);
        entry.bytes.len() as u64
    }

    /// Bytes that its texts count for.
    fn cost(&self) -> usize {
        self.texts.len() * TEXT_BYTES
    }

    fn room(&self) -> usize {
        self.texts.capacity() * size_of::<Entry>() + self.hits.capacity() * size_of::<u64>()
    }
}

impl Texts {
    /// Goes over to another phase: what is known of another side is forgotten.
    pub(super) fn turn_to(&mut self, side: usize, is_first: bool) {
        if side != self.side {
            self.clear();
            self.side = side;
        }
        if self.is_first && !is_first && self.came.texts.iter().any(|text| text.scan == Scan::Later) {
            // What was made of them is as unread as they are.
            self.forget_made();
        }
        self.is_first = is_first;
    }

    /// Forgets everything and keeps the room.
    pub(super) fn clear(&mut self) {
        self.came.clear();
        self.made.clear();
        self.places.clear();
        self.edges.clear();
        (self.is_full, self.has_overflowed) = (false, false);
        (self.side, self.work) = (0, Work::default());
    }

    /// Words of hits.
    pub(super) fn words(&self, program: &Program) -> usize {
        program.words(self.side)
    }

    /// Bytes of the room.
    pub(super) fn room(&self) -> usize {
        self.came.room() + self.made.room() + self.places.room() + self.edges.capacity() * size_of::<Edge>()
    }

    /// The work since it was last asked for.
    pub(super) fn take_work(&mut self) -> Work {
        std::mem::take(&mut self.work)
    }

    fn shelf(&self, text: TextId) -> (&Shelf, usize) {
        let shelf = if text.0 & TextId::MADE == 0 { &self.came } else { &self.made };
        (shelf, (text.0 & !TextId::MADE) as usize)
    }

    fn entry(&self, text: TextId) -> Option<&Entry> {
        let (shelf, place) = self.shelf(text);
        shelf.texts.get(place)
    }

    fn entry_mut(&mut self, text: TextId) -> Option<&mut Entry> {
        let shelf = if text.0 & TextId::MADE == 0 { &mut self.came } else { &mut self.made };
        shelf.texts.get_mut((text.0 & !TextId::MADE) as usize)
    }

    /// A text.
    pub(super) fn bytes(&self, text: TextId) -> &[u8] {
        self.entry(text).map(|text| text.bytes.as_ref()).unwrap_or_default()
    }

    /// A text to keep.
    pub(super) fn shared(&self, text: &Text) -> Bytes {
        match text {
            Text::Known(text) => self.entry(*text).map(|text| text.bytes.clone()).unwrap_or_default(),
            Text::Loose(bytes) => bytes.clone(),
        }
    }

    /// The transformations that may change a text.
    pub(super) fn may(&self, text: TextId) -> Kinds {
        self.entry(text).map_or(0, |text| text.may)
    }

    /// What is known of a text.
    pub(super) fn findings(&self, program: &Program, text: TextId) -> Findings<'_> {
        let words = program.words(self.side);
        let (shelf, place) = self.shelf(text);
        let hits = shelf.hits.get(place * words..(place + 1) * words).unwrap_or_default();
        Findings { bytes: shelf.texts.get(place).map_or(usize::MAX, |text| text.bytes.len()), hits }
    }

    /// The place of a text that came in; none if there are too many.
    pub(super) fn came(&mut self, program: &Program, bytes: &Bytes) -> Option<TextId> {
        let texts = &self.came.texts;
        let is_it = |place: u32| {
            texts.get(place as usize).is_some_and(|text| {
                std::ptr::eq(text.bytes.as_ptr(), bytes.as_ptr()) && text.bytes.len() == bytes.len()
            })
        };
        if let Some(known) = self.places.find(bytes, is_it) {
            if !self.is_first {
                self.work.scanned += self.came.make_up((program, self.side), known);
            }
            return Some(TextId(known));
        }
        let place = u32::try_from(texts.len()).ok().filter(|_| texts.len() < CAME)?;
        self.places.insert(bytes, place);
        let waits = self.is_first && bytes.len() > LATER;
        let known = (waits.then_some(Scan::Later), None);
        // The text holds the bytes in their place.
        self.work.scanned += self.came.keep((program, self.side), bytes.clone(), TextId(place), known);
        Some(TextId(place))
    }

    /// The hits of a text, to be copied; none if there are too many.
    fn hits(&self, program: &Program, text: TextId) -> Hits {
        let words = program.words(self.side);
        let (shelf, place) = self.shelf(text);
        let mut copy = [0; HITS];
        let hits = shelf.hits.get(place * words..(place + 1) * words).unwrap_or_default();
        copy.iter_mut().zip(hits).for_each(|(copy, hits)| *copy = *hits);
        (words <= HITS).then_some(copy)
    }

    /// Whether a text, and what is made of it, is taken to hold everything.
    pub(super) fn is_unread(&self, text: TextId) -> bool {
        self.entry(text).is_some_and(|text| matches!(text.scan, Scan::Dense | Scan::Later))
    }

    /// Whether scanning a text took long, or would take too long.
    pub(super) fn is_long_to_read(&self, text: TextId) -> bool {
        self.entry(text).is_some_and(|text| text.scan != Scan::Done)
    }

    /// Whether anything that was made of this side's texts was not kept for want of room.
    pub(super) fn has_overflowed(&self) -> bool {
        self.has_overflowed
    }

    /// Scans a text that is not kept.
    pub(super) fn scan(&mut self, program: &Program, bytes: &[u8], hits: &mut [u64]) {
        self.work.scanned += bytes.len() as u64;
        program.scan(self.side, bytes, hits);
        program.mark(self.side, &ByteSet::of(bytes), hits);
    }

    /// Follows a text that came in through a part's chain: the texts that the part looks at come to `way`. If `keeps`,
    /// what is made is kept as long as there is room. Gives the bytes that all transformations on the way read.
    pub(super) fn follow(
        &mut self,
        program: &Program,
        arena: &mut Arena,
        (text, part): (TextId, &Part),
        keeps: bool,
        way: &mut Vec<Text>,
    ) -> u64 {
        way.clear();
        if keeps && self.is_full {
            self.forget_made();
        }
        let Some(chain) = program.chains.get(part.chain) else { return 0 };
        let (mut current, mut charge) = (Text::Known(text), 0);
        for kind in &chain.steps {
            charge += match &current {
                Text::Known(text) => self.bytes(*text).len() as u64,
                Text::Loose(bytes) => bytes.len() as u64,
            };
            let Some(next) = self.step(program, arena, &current, *kind, keeps) else { continue };
            let before = std::mem::replace(&mut current, next);
            if part.multi_match {
                way.push(before);
            }
        }
        way.push(current);
        charge
    }

    /// What a transformation makes of a text; none if it changes nothing.
    fn step(
        &mut self,
        program: &Program,
        arena: &mut Arena,
        text: &Text,
        kind: u8,
        keeps: bool,
    ) -> Option<Text> {
        let transformation = *program.kinds.get(usize::from(kind))?;
        let (id, bytes) = match text {
            Text::Loose(bytes) => {
                self.work.transformed += bytes.len() as u64;
                return apply(program, transformation, bytes, arena).map(Text::Loose);
            }
            Text::Known(id) => {
                let entry = self.entry(*id)?;
                if entry.may >> kind & 1 == 0 {
                    return None;
                }
                if let Some(edge) = self.edge(entry.edge, kind) {
                    return edge.changed.then_some(Text::Known(edge.to));
                }
                (*id, &entry.bytes)
            }
        };
        let read = bytes.len() as u64;
        let made = apply(program, transformation, bytes, arena);
        self.work.transformed += read;
        if !keeps {
            return made.map(Text::Loose);
        }
        let Some(made) = made else {
            self.connect(id, kind, id, false);
            return None;
        };
        match self.made(program, id, &made) {
            Some(to) => {
                self.connect(id, kind, to, true);
                Some(Text::Known(to))
            }
            None => {
                (self.is_full, self.has_overflowed) = (true, true);
                Some(Text::Loose(made))
            }
        }
    }

    fn edge(&self, mut at: u32, kind: u8) -> Option<Edge> {
        while let Some(edge) = self.edges.get(at as usize) {
            if edge.kind == kind {
                return Some(*edge);
            }
            at = edge.next;
        }
        None
    }

    fn connect(&mut self, from: TextId, kind: u8, to: TextId, changed: bool) {
        let Ok(place) = u32::try_from(self.edges.len()) else { return };
        if let Some(entry) = self.entry_mut(from) {
            let next = std::mem::replace(&mut entry.edge, place);
            self.edges.push(Edge { kind, changed, to, next });
        }
    }

    /// The place of a text that was made of another; the same texts of one root are one. None if there is no room.
    fn made(&mut self, program: &Program, of: TextId, bytes: &Bytes) -> Option<TextId> {
        let root = self.entry(of)?.root;
        let (mut at, mut alike) = (root, None);
        loop {
            let text = self.entry(at)?;
            if text.bytes == bytes {
                return Some(at);
            }
            // Literals are looked for in any case.
            if alike.is_none() && text.bytes.len() == bytes.len() && text.bytes.eq_ignore_ascii_case(bytes) {
                alike = Some(at);
            }
            if text.next == TextId::NONE {
                break;
            }
            at = text.next;
        }
        if self.made.cost() + TEXT_BYTES + self.made.bytes + bytes.len() > self.room_for_made() {
            return None;
        }
        let place = TextId(u32::try_from(self.made.texts.len()).ok()? | TextId::MADE);
        let known = match self.is_unread(of) {
            true => (Some(Scan::Dense), None),
            false => (None, alike.and_then(|alike| self.hits(program, alike))),
        };
        self.work.scanned += self.made.keep((program, self.side), bytes.clone(), root, known);
        self.entry_mut(at)?.next = place;
        Some(place)
    }

    fn room_for_made(&self) -> usize {
        TEXTS_BYTES.saturating_sub(self.came.cost()).max(MADE_BYTES)
    }

    /// Forgets what transformations made.
    fn forget_made(&mut self) {
        self.made.clear();
        self.edges.clear();
        self.is_full = false;
        for text in &mut self.came.texts {
            (text.next, text.edge) = (TextId::NONE, NO_EDGE);
        }
    }
}

/// Scans a text.
fn scanned(program: &Program, side: usize, bytes: &[u8], hits: &mut [u64]) -> Scan {
    match program.scan(side, bytes, hits) {
        Effort::Ordinary => Scan::Done,
        Effort::Much => Scan::Long,
        Effort::TooMuch => Scan::Dense,
    }
}

/// What a transformation makes of a text; none if it changes nothing.
fn apply(
    program: &Program,
    transformation: Transformation,
    text: &Bytes,
    arena: &mut Arena,
) -> Option<Bytes> {
    match transformations::apply_with(program.unicode_map.as_deref(), transformation, text) {
        Cow::Borrowed(same) if same.len() == text.len() => None,
        Cow::Borrowed(part) => Some(text.slice_ref(part)),
        Cow::Owned(changed) => Some(arena.take(changed)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::fold::Folded;
    use super::*;

    fn program() -> Program {
        Program::build(&[], &Default::default(), Folded::default()).unwrap()
    }

    #[test]
    fn what_is_made_is_kept_up_to_its_limit() {
        let program = program();
        let keeps = |bytes: usize| {
            let mut texts = Texts::default();
            let text = texts.came(&program, &Bytes::from_static(b"x")).unwrap();
            texts.made(&program, text, &Bytes::from(vec![b'y'; bytes])).is_some()
        };
        // Two texts: the one that came in, and this one.
        let most = TEXTS_BYTES - 2 * TEXT_BYTES;
        assert!(keeps(most - 1), "one under");
        assert!(keeps(most), "at the limit");
        assert!(!keeps(most + 1), "one over");
    }

    #[test]
    fn what_came_in_is_known_up_to_its_limit() {
        let program = program();
        let mut texts = Texts::default();
        let all: Vec<_> = (0..=CAME).map(|number| Bytes::from(number.to_string())).collect();
        let known = all.iter().filter_map(|bytes| texts.came(&program, bytes)).count();
        assert_eq!(known, CAME);
        assert_eq!(texts.came(&program, all.first().unwrap()), Some(TextId(0)), "still known");
        assert_eq!(texts.room_for_made(), MADE_BYTES, "and what is made has its least room");
    }

    #[test]
    fn equal_texts_of_one_root_are_one() {
        let program = program();
        let mut texts = Texts::default();
        let text = texts.came(&program, &Bytes::from_static(b"AB")).unwrap();
        let lower = texts.made(&program, text, &Bytes::from_static(b"ab"));
        assert!(lower.is_some());
        assert_eq!(texts.made(&program, text, &Bytes::from(b"ab".to_vec())), lower);
        assert_eq!(texts.made(&program, text, &Bytes::from_static(b"AB")), Some(text));
        assert_ne!(texts.made(&program, text, &Bytes::from_static(b"b")), lower);
        texts.forget_made();
        assert_eq!(texts.made(&program, text, &Bytes::from_static(b"b")), lower, "the room is free again");
    }
    #[test]
    fn long_texts_are_read_in_the_second_phase() {
        let program = program();
        let is_read = |bytes: usize, phases: &[bool]| {
            let (mut texts, text) = (Texts::default(), Bytes::from(vec![b'y'; bytes]));
            let mut last = None;
            for is_first in phases {
                texts.turn_to(0, *is_first);
                last = texts.came(&program, &text);
            }
            !texts.is_unread(last.unwrap())
        };
        assert!(is_read(LATER - 1, &[true]), "one under");
        assert!(is_read(LATER, &[true]), "at the limit");
        assert!(!is_read(LATER + 1, &[true]), "one over");
        assert!(is_read(LATER + 1, &[true, false]), "when the body is known");
        assert!(is_read(LATER + 1, &[false]));
    }

    #[test]
    fn what_is_made_of_an_unread_text_is_forgotten_when_it_is_read() {
        let program = program();
        let mut texts = Texts::default();
        texts.turn_to(0, true);
        let text = texts.came(&program, &Bytes::from(vec![b'Y'; LATER + 1])).unwrap();
        let made = texts.made(&program, text, &Bytes::from_static(b"y")).unwrap();
        assert!(texts.is_unread(made));
        texts.turn_to(0, false);
        assert!(texts.entry(made).is_none());
    }
}
