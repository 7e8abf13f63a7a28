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
use super::hits::{Hits, Row};
use super::list::List;
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
/// Rules for each of which a long text, with all that is made of it, may be looked at once a byte while it is scanned:
/// what few rules look at through many chains is tried for less than it takes to know what it holds.
const RULES: usize = 6;
/// Bytes that a text takes beside its own: itself, its place and an edge.
const TEXT_BYTES: usize = size_of::<Entry>() + size_of::<Edge>() + 4;

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
    /// What was found in them.
    hits: Hits,
    /// What transformations made of texts.
    edges: List<Edge>,
    /// Whether something was not kept for want of room, since what was made was forgotten.
    is_full: bool,
    /// Whether anything was not kept for want of room.
    has_overflowed: bool,
    /// Work since it was last asked for.
    work: Work,
    /// The looks that are left for long texts that came in and what is made of them, by their places.
    looks: Vec<(u16, usize)>,
}

/// Bytes that were really read.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Work {
    pub(super) transformed: u64,
    pub(super) scanned: u64,
}

/// Texts, one after the other.
#[derive(Debug, Default)]
struct Shelf {
    texts: List<Entry>,
    /// Bytes of the texts.
    bytes: usize,
}

/// A text.
#[derive(Debug)]
struct Entry {
    bytes: Bytes,
    /// The transformations that may change it.
    may: Kinds,
    /// What was found in it.
    hits: Row,
    scan: Scan,
    /// The place of the text that came in from which it was made; its own. There are fewer than [`CAME`].
    root: u16,
    /// The next text of the same root.
    next: TextId,
    /// Its first edge.
    edge: u32,
}

/// What a transformation made of a text. One that changes nothing leaves no edge: it is taken from those that may.
#[derive(Clone, Copy, Debug)]
struct Edge {
    kind: u8,
    to: TextId,
    /// The next edge of the same text.
    next: u32,
}

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

/// What is known of a text before it is scanned.
#[derive(Clone, Copy, Debug)]
enum Known {
    Nothing,
    /// The hits of a text with the same letters.
    Hits(Row),
    /// It is not scanned.
    Unread(Scan),
}

/// No edge has this place.
const NO_EDGE: u32 = u32::MAX;

impl Shelf {
    fn clear(&mut self) {
        self.texts.clear();
        self.bytes = 0;
    }

    fn keep(&mut self, entry: Entry) {
        self.bytes += entry.bytes.len();
        self.texts.push(entry);
    }

    /// Bytes that its texts count for.
    fn cost(&self) -> usize {
        self.texts.len() * TEXT_BYTES
    }

    fn room(&self) -> usize {
        self.texts.room()
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

    /// Gets ready for a program; what is known was found by the same.
    pub(super) fn get_ready(&mut self, program: &Program) {
        let words = program.words(self.side);
        if self.hits.words() != words {
            self.hits.clear(words);
        }
    }

    /// Forgets everything and keeps the room.
    pub(super) fn clear(&mut self) {
        self.came.clear();
        self.made.clear();
        self.places.clear();
        self.edges.clear();
        self.hits.clear(0);
        self.looks.clear();
        (self.is_full, self.has_overflowed) = (false, false);
        (self.side, self.work) = (0, Work::default());
    }

    /// Bytes of the room.
    pub(super) fn room(&self) -> usize {
        let texts = self.came.room() + self.made.room() + self.edges.room();
        texts + self.places.room() + self.hits.room()
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
    pub(super) fn findings(&self, text: TextId) -> Findings<'_> {
        match self.entry(text) {
            Some(text) => Findings { bytes: text.bytes.len(), hits: self.hits.row(text.hits) },
            None => Findings { bytes: usize::MAX, hits: &[] },
        }
    }

    /// What was found in a text, or in several together.
    pub(super) fn row(&self, row: Row) -> &[u64] {
        self.hits.row(row)
    }

    /// What was found in texts, to be joined.
    pub(super) fn hits(&mut self) -> &mut Hits {
        &mut self.hits
    }

    /// Joins a text with others. Gives its bytes, and the transformations that may change it.
    pub(super) fn join(&mut self, text: TextId) -> (usize, Kinds) {
        let Some(entry) = self.entry(text) else { return (usize::MAX, Kinds::MAX) };
        let (bytes, may, row) = (entry.bytes.len(), entry.may, entry.hits);
        self.hits.add(row);
        (bytes, may)
    }

    /// Scans a text that is made of another, and not kept, and joins it with others; of an unread one it is not scanned.
    pub(super) fn join_loose(&mut self, program: &Program, bytes: &[u8], of: TextId) {
        let (side, is_unread) = (self.side, self.is_unread(of));
        let mut no_limit = usize::MAX;
        let looks = self.entry(of).map(|text| text.root).and_then(|root| looks(&mut self.looks, root));
        let looks = looks.unwrap_or(&mut no_limit);
        self.work.scanned += if is_unread { 0 } else { bytes.len() as u64 };
        self.hits.add_text(|hits| {
            if is_unread {
                hits.fill(u64::MAX);
            } else {
                program.scan_within(side, bytes, hits, looks);
                program.mark(side, &ByteSet::of(bytes), hits);
            }
        });
    }

    /// A text that is to be kept, scanned if it has to be.
    fn read(&mut self, program: &Program, bytes: &Bytes, root: u16, known: Known) -> Entry {
        let (side, mut read) = (self.side, 0);
        let alike = if let Known::Hits(alike) = known { Some(alike) } else { None };
        let mut no_limit = usize::MAX;
        let looks = looks(&mut self.looks, root).unwrap_or(&mut no_limit);
        let (hits, (scan, may)) = self.hits.keep(alike, |hits| {
            let scan = match known {
                Known::Nothing => {
                    read = bytes.len() as u64;
                    match program.scan_within(side, bytes, hits, looks) {
                        Effort::Ordinary => Scan::Done,
                        Effort::Much => Scan::Long,
                        Effort::TooMuch if *looks == 0 => Scan::Later,
                        Effort::TooMuch => Scan::Dense,
                    }
                }
                Known::Hits(_) => Scan::Done,
                Known::Unread(scan) => {
                    hits.fill(u64::MAX);
                    scan
                }
            };
            (scan, program.mark(side, &ByteSet::of(bytes), hits))
        });
        self.work.scanned += read;
        Entry { bytes: bytes.clone(), may, hits, scan, root, next: TextId::NONE, edge: NO_EDGE }
    }

    /// The place of a text that came in, and that so many more rules look at; none if there are too many texts.
    pub(super) fn came(&mut self, program: &Program, bytes: &Bytes, rules: u32) -> Option<TextId> {
        let texts = &self.came.texts;
        let is_it = |place: u32| {
            texts.get(place as usize).is_some_and(|text| {
                std::ptr::eq(text.bytes.as_ptr(), bytes.as_ptr()) && text.bytes.len() == bytes.len()
            })
        };
        let known = self.places.find(bytes, is_it);
        let root = u16::try_from(known.map_or(texts.len(), |place| place as usize)).ok()?;
        let waits = self.is_first && bytes.len() > LATER;
        if !waits && bytes.len() > LATER {
            self.allow(root, bytes.len().saturating_mul(rules as usize) / RULES);
        }
        if let Some(known) = known {
            if !self.is_first {
                self.make_up(program, TextId(known));
            }
            return Some(TextId(known));
        }
        let place = u32::from(root);
        if usize::from(root) >= CAME {
            return None;
        }
        let texts = &self.came.texts;
        self.places.insert(bytes, |place| texts.get(place as usize).map(|text| text.bytes.as_ref()));
        let known = if waits { Known::Unread(Scan::Later) } else { Known::Nothing };
        // The text holds the bytes in their place.
        let entry = self.read(program, bytes, root, known);
        self.came.keep(entry);
        Some(TextId(place))
    }

    /// Allows more looks for a long text that came in and for what is made of it.
    fn allow(&mut self, root: u16, more: usize) {
        match self.looks.binary_search_by_key(&root, |(root, _)| *root) {
            Ok(at) => {
                if let Some((_, looks)) = self.looks.get_mut(at) {
                    *looks = looks.saturating_add(more);
                }
            }
            Err(at) => self.looks.insert(at, (root, more)),
        }
    }

    /// Scans a text that was left for later.
    fn make_up(&mut self, program: &Program, text: TextId) {
        let Some(entry) = self.entry(text).filter(|entry| entry.scan == Scan::Later) else { return };
        let (bytes, root) = (entry.bytes.clone(), entry.root);
        let Entry { hits, scan, .. } = self.read(program, &bytes, root, Known::Nothing);
        if let Some(entry) = self.entry_mut(text) {
            (entry.hits, entry.scan) = (hits, scan);
            if scan != Scan::Later {
                // What was made of it is as unread as it was.
                (entry.next, entry.edge) = (TextId::NONE, NO_EDGE);
            }
        }
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
                    return Some(Text::Known(edge.to));
                }
                (*id, &entry.bytes)
            }
        };
        let read = bytes.len() as u64;
        let made = apply(program, transformation, bytes, arena);
        self.work.transformed += read;
        let Some(made) = made else {
            let entry = self.entry_mut(id)?;
            entry.may &= !(1 << kind);
            return None;
        };
        if !keeps {
            return Some(Text::Loose(made));
        }
        match self.made(program, id, &made) {
            Some(to) => {
                self.connect(id, kind, to);
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

    fn connect(&mut self, from: TextId, kind: u8, to: TextId) {
        let Ok(place) = u32::try_from(self.edges.len()) else { return };
        if let Some(entry) = self.entry_mut(from) {
            let next = std::mem::replace(&mut entry.edge, place);
            self.edges.push(Edge { kind, to, next });
        }
    }

    /// The place of a text that was made of another; the same texts of one root are one. None if there is no room.
    fn made(&mut self, program: &Program, of: TextId, bytes: &Bytes) -> Option<TextId> {
        let root = self.entry(of)?.root;
        let (mut at, mut alike) = (TextId(root.into()), None);
        loop {
            let text = self.entry(at)?;
            if text.bytes == bytes {
                return Some(at);
            }
            // Literals are looked for in any case.
            if alike.is_none() && text.bytes.len() == bytes.len() && text.bytes.eq_ignore_ascii_case(bytes) {
                alike = Some(text.hits);
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
        let known = match alike {
            _ if self.is_unread(of) => Known::Unread(Scan::Dense),
            Some(alike) => Known::Hits(alike),
            None => Known::Nothing,
        };
        let entry = self.read(program, bytes, root, known);
        self.made.keep(entry);
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
        for text in self.came.texts.iter_mut() {
            (text.next, text.edge) = (TextId::NONE, NO_EDGE);
        }
    }
}

/// The looks that are left for a long text that came in; none: it is not long.
fn looks(all: &mut [(u16, usize)], root: u16) -> Option<&mut usize> {
    let at = all.binary_search_by_key(&root, |(root, _)| *root).ok()?;
    all.get_mut(at).map(|(_, looks)| looks)
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

    /// Rules that look at a text for which it is worth to be scanned.
    const MANY: u32 = 100;

    fn program() -> Program {
        Program::build(&[], &Default::default(), Folded::default()).unwrap()
    }

    #[test]
    fn what_is_made_is_kept_up_to_its_limit() {
        let program = program();
        let keeps = |bytes: usize| {
            let mut texts = Texts::default();
            let text = texts.came(&program, &Bytes::from_static(b"x"), MANY).unwrap();
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
        let known = all.iter().filter_map(|bytes| texts.came(&program, bytes, MANY)).count();
        assert_eq!(known, CAME);
        assert_eq!(texts.came(&program, all.first().unwrap(), MANY), Some(TextId(0)), "still known");
        assert_eq!(texts.room_for_made(), MADE_BYTES, "and what is made has its least room");
    }

    #[test]
    fn equal_texts_of_one_root_are_one() {
        let program = program();
        let mut texts = Texts::default();
        let text = texts.came(&program, &Bytes::from_static(b"AB"), MANY).unwrap();
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
                last = texts.came(&program, &text, MANY);
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
    fn a_long_text_is_scanned_for_as_many_looks_as_its_rules_allow() {
        let program = program();
        // Nothing is looked for: all that counts is what passes, two bytes a look.
        let least = u32::try_from(RULES / 2).unwrap();
        let (long, short) = (Bytes::from(vec![b'y'; 4 * LATER]), Bytes::from_static(b"short"));
        let is_read = |rules: &[u32]| {
            let (mut texts, mut last) = (Texts::default(), None);
            for rules in rules {
                last = texts.came(&program, &long, *rules);
            }
            let other = texts.came(&program, &short, 1).unwrap();
            assert!(!texts.is_unread(other), "short ones always are");
            !texts.is_unread(last.unwrap())
        };
        assert!(!is_read(&[least - 1]), "one under");
        assert!(!is_read(&[least]), "at the limit nothing is left to look at what passes");
        assert!(is_read(&[least + 1]), "one over");
        assert!(!is_read(&[least, least]), "looks that were spent in vain do not come back");
        assert!(is_read(&[least, least + 1]), "more rules may look at it");
        assert!(is_read(&[least + 1, 0]), "what was read stays so");
    }

    #[test]
    fn what_is_made_of_a_long_text_shares_its_looks() {
        let program = program();
        let (mut texts, bytes) = (Texts::default(), Bytes::from(vec![b'Y'; 4 * LATER]));
        let rules = u32::try_from(RULES).unwrap() + 1;
        let text = texts.came(&program, &bytes, rules).unwrap();
        let mut made = |byte: u8| {
            let made = texts.made(&program, text, &Bytes::from(vec![byte; 4 * LATER])).unwrap();
            !texts.is_unread(made)
        };
        assert!(made(b'a'), "half of them for each");
        assert!(!made(b'b'), "nothing is left");
    }

    #[test]
    fn what_is_made_of_an_unread_text_is_forgotten_when_it_is_read() {
        let program = program();
        let mut texts = Texts::default();
        texts.turn_to(0, true);
        let text = texts.came(&program, &Bytes::from(vec![b'Y'; LATER + 1]), MANY).unwrap();
        let made = texts.made(&program, text, &Bytes::from_static(b"y")).unwrap();
        assert!(texts.is_unread(made));
        texts.turn_to(0, false);
        assert!(texts.entry(made).is_none());
    }
}
