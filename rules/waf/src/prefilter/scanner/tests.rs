//! The scanner finds exactly what an automaton of the same literals finds, and no text makes it compare more than it says.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use aho_corasick::AhoCorasick;
use proptest::prelude::*;

use super::entry::LONGEST;
use super::*;
use crate::operators::{Interner, Operator, OperatorKind};

thread_local! {
    /// Literals that were compared with a text.
    pub(super) static COMPARISONS: Cell<usize> = const { Cell::new(0) };
    /// Entries whose windows were looked at.
    pub(super) static WINDOWS: Cell<usize> = const { Cell::new(0) };
}

type Literals = BTreeMap<Vec<u8>, Vec<usize>>;

const HITS: usize = 8;

/// What an automaton finds.
struct Truth {
    automaton: AhoCorasick,
    meets: Vec<Vec<usize>>,
}

impl Truth {
    fn of(literals: &Literals) -> Self {
        let automaton = AhoCorasick::builder().ascii_case_insensitive(true).build(literals.keys()).unwrap();
        Self { automaton, meets: literals.values().cloned().collect() }
    }

    fn scan(&self, text: &[u8]) -> Vec<u64> {
        let mut hits = vec![0; HITS];
        for found in self.automaton.find_overlapping_iter(text) {
            for bit in &self.meets[found.pattern().as_usize()] {
                hits[bit / 64] |= 1 << (bit % 64);
            }
        }
        hits
    }
}

/// What the scanner finds, however long it takes.
fn scan(scanner: &Scanner, text: &[u8]) -> Vec<u64> {
    let mut hits = vec![0; HITS];
    scanner.search(text, &mut hits, &mut Patience(usize::MAX)).unwrap();
    hits
}

/// Each literal with a bit of its own, as far as there are bits.
fn numbered(literals: impl IntoIterator<Item = Vec<u8>>) -> Literals {
    let distinct: BTreeSet<Vec<u8>> = literals.into_iter().collect();
    distinct.into_iter().enumerate().map(|(bit, literal)| (literal, vec![bit % (HITS * 64)])).collect()
}

/// Literals enough for tables, and these.
fn with_many(literals: &[&[u8]]) -> Literals {
    let many = (0..FEW).map(|number| format!("#{number:03}#").into_bytes());
    numbered(many.chain(literals.iter().map(|literal| literal.to_vec())))
}

fn tables(literals: &Literals) -> Tables {
    Scanner::build(literals).unwrap().tables.unwrap()
}

/// Bytes that are easily taken for others.
fn byte() -> impl Strategy<Value = u8> {
    prop_oneof![
        4 => prop::sample::select(b"abcde".as_slice()),
        2 => prop::sample::select(b"@`[{\\|]}^~_\x7f".as_slice()),
        1 => prop::sample::select(b"\0 \x80\xa0\xc1\xe1\xff".as_slice()),
        1 => any::<u8>(),
    ]
}

fn literals() -> impl Strategy<Value = Literals> {
    let literal = prop_oneof![
        prop::collection::vec(byte(), 2..=4),
        prop::collection::vec(byte(), 2..=LONGEST + 1),
        prop::collection::vec(prop::sample::select(b"ab@`".as_slice()), 2..=8),
    ];
    let literal = literal.prop_map(|literal| literal.to_ascii_lowercase());
    prop::collection::btree_map(literal, prop::collection::btree_set(0..HITS * 64, 1..4), 1..3 * FEW)
        .prop_map(|literals| {
            literals.into_iter().map(|(literal, bits)| (literal, bits.into_iter().collect())).collect()
        })
}

/// Pieces of texts: a literal by its number with a mask of what is changed, or other bytes.
fn pieces() -> impl Strategy<Value = Vec<(usize, u32, Vec<u8>)>> {
    let mask = prop_oneof![Just(0), Just(u32::MAX), any::<u32>()];
    prop::collection::vec((any::<usize>(), mask, prop::collection::vec(byte(), 0..5)), 0..12)
}

/// Literals with the bit that tells cases apart changed in some of their bytes, letters or not, among other bytes.
fn text(literals: &Literals, pieces: &[(usize, u32, Vec<u8>)]) -> Vec<u8> {
    let mut text = Vec::new();
    for (number, mask, other) in pieces {
        let literal = literals.keys().nth(number % literals.len()).unwrap();
        let changed = literal.iter().enumerate().map(|(place, byte)| {
            let change = mask >> (place % 32) & 1 == 1;
            if change { byte ^ 0x20 } else { *byte }
        });
        text.extend(changed);
        text.extend(other);
    }
    text
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 120, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn exactly_the_literals_that_are_in_a_text_are_found(
        literals in literals(), texts in prop::collection::vec(pieces(), 1..12),
    ) {
        let (scanner, truth) = (Scanner::build(&literals).unwrap(), Truth::of(&literals));
        for pieces in &texts {
            let text = text(&literals, pieces);
            prop_assert_eq!(scan(&scanner, &text), truth.scan(&text), "{:?} in {:?}", literals, text);
            // Every length, so that literals end where texts, blocks and windows do.
            for to in 0..text.len().min(3 * BLOCK) {
                let part = &text[..to];
                prop_assert_eq!(scan(&scanner, part), truth.scan(part), "{:?} in {:?}", literals, part);
            }
        }
    }

    #[test]
    fn a_long_text_is_searched_like_a_short_one(
        literals in literals(), pieces in pieces(), more in 0..3 * BLOCK,
    ) {
        let (scanner, truth) = (Scanner::build(&literals).unwrap(), Truth::of(&literals));
        let text = text(&literals, &pieces);
        prop_assume!(!text.is_empty());
        for len in [LONG - 1, LONG, LONG + 1, LONG + more] {
            let text: Vec<u8> = text.iter().copied().cycle().take(len).collect();
            prop_assert_eq!(scan(&scanner, &text), truth.scan(&text), "{:?} in {:?}", literals, text);
        }
    }
}

#[test]
fn what_only_looks_like_a_letter_is_not_one() {
    let literals = with_many(&[b"`a", b"@b", b"[ab", b"{ab", b"^abc", b"~abc", b"\x80abcd", b"abcdefgh_"]);
    let scanner = Scanner::build(&literals).unwrap();
    let truth = Truth::of(&literals);
    for (text, found) in [
        (b"`A".as_slice(), 1),
        (b"@A", 0),
        (b"@B", 1),
        (b"`b", 0),
        (b"[AB", 1),
        (b"{aB", 1),
        (b";ab", 0),
        (b"^AbC", 1),
        (b">ABC", 0),
        (b"\xa0abcd", 0),
        (b"\x80ABCD", 1),
        (b"ABCDEFGH_", 1),
        (b"ABCDEFGH\x7f", 0),
        (b"", 0),
        (b"a", 0),
    ] {
        let hits = scan(&scanner, text);
        assert_eq!(hits, truth.scan(text), "{text:?}");
        assert_eq!(hits.iter().map(|word| word.count_ones()).sum::<u32>(), found, "{text:?}");
    }
}

#[test]
fn few_literals_take_the_automaton_alone() {
    let of = |count: usize| (0..count).map(|number| format!("{number:04}").into_bytes());
    for (count, expected) in [(0, false), (FEW - 1, false), (FEW, true), (FEW + 1, true)] {
        let scanner = Scanner::build(&numbered(of(count))).unwrap();
        assert_eq!((scanner.tables.is_some(), scanner.rest.is_none()), (expected, expected || count == 0));
    }
}

#[test]
fn what_has_no_place_in_the_tables_is_found_all_the_same() {
    let same = |count: usize| (0..count).map(|more| vec![b'a'; 4 + more]).collect::<Vec<_>>();
    let crowd = |count: usize| (0..count).map(|last| vec![b'x', b'y', b'z', 0x80 + last as u8]).collect();
    let pairs =
        |count: usize| (0..count).map(|pair| vec![b' ' + (pair / 10) as u8, b'0' + (pair % 10) as u8]);
    let long = |len: usize| vec![vec![b'q'; len]];
    for (name, at, over) in [
        ("windows that are the same", same(SAME), same(SAME + 1)),
        ("windows of one word", crowd(CROWD), crowd(CROWD + 1)),
        ("marks", pairs(MARKS - 1).collect(), pairs(MARKS).collect()),
        ("bytes", long(LONGEST), long(LONGEST + 1)),
        ("bytes at least", long(2), long(1)),
        ("lower case", vec![b"ab".to_vec()], vec![b"aB".to_vec()]),
    ] {
        for (list, fits) in [(at, true), (over, false)] {
            let list: Vec<&[u8]> = list.iter().map(Vec::as_slice).collect();
            let literals = with_many(&list);
            let scanner = Scanner::build(&literals).unwrap();
            assert_eq!(scanner.rest.is_none(), fits, "{name}");
            let text = list.join(b" ".as_slice());
            assert_eq!(scan(&scanner, &text), Truth::of(&literals).scan(&text), "{name}");
        }
    }
}

#[test]
fn no_text_makes_it_compare_more_than_it_says() {
    // Words and marks that are as full as they get, of windows of three and of four bytes.
    let mut list: Vec<Vec<u8>> = (0..8).map(|more| vec![b'a'; 3 + more]).collect();
    list.extend((0..8).map(|more| [b"a@".repeat(2), vec![b'a'; more]].concat()));
    list.extend((0..20_u8).map(|last| vec![b'a', b'a', b'a', b'b' + last]));
    list.extend([b"@@@".to_vec(), b"`@`".to_vec(), b"``@".to_vec(), b"```".to_vec()]);
    list.extend((0..4_u8).map(|last| vec![b'`', b'`', b'`', b'@', b'0' + last]));
    let list: Vec<&[u8]> = list.iter().map(Vec::as_slice).collect();
    let mut most = 0;
    for literals in std::iter::once(with_many(&list)).chain(core_rules()) {
        let tables = tables(&literals);
        for entries in tables.starts.windows(2) {
            assert!(usize::from(entries[1] - entries[0]) <= CROWD);
        }
        for entry in &tables.entries {
            // Windows over and over, with the upper case that folds to the same.
            let window = entry.window().to_le_bytes();
            for window in [window, window.map(|byte| byte & !0x20), [window[0]; 4]] {
                let text: Vec<u8> = window.iter().copied().cycle().take(256).collect();
                let (windows, comparisons) = counted(&tables, &text);
                most = most.max(comparisons);
                assert!(windows <= CROWD * text.len(), "{window:?}: {windows}");
                assert!(comparisons <= 2 * SAME * text.len(), "{window:?}: {comparisons}");
            }
        }
    }
    assert!(most > 256, "{most}: the texts are not as bad as they could be");
}

/// The windows that were looked at and the literals that were compared.
fn counted(tables: &Tables, text: &[u8]) -> (usize, usize) {
    COMPARISONS.set(0);
    WINDOWS.set(0);
    tables.scan(text, &mut [0; HITS], &mut Patience(usize::MAX)).unwrap();
    (WINDOWS.get(), COMPARISONS.get())
}

#[test]
fn a_text_that_would_take_too_long_is_taken_to_hold_everything() {
    // Every window of the first part of the text has these entries, which are never in it. The rarest window is the first.
    let list: Vec<Vec<u8>> = (0..8_u8).map(|last| vec![1, 1, 1, 1, b'a' + last]).collect();
    let list: Vec<&[u8]> = list.iter().map(Vec::as_slice).collect();
    let literals = with_many(&list);
    let scanner = Scanner::build(&literals).unwrap();
    for bytes in [BLOCK * 8, LONG, LONG * 4] {
        // So many blocks are full of windows that the looks come to this many.
        let at = |looks: usize| {
            let mut text = vec![b' '; bytes];
            text.iter_mut().take(looks / list.len() + 3).for_each(|byte| *byte = 1);
            let mut hits = vec![0; HITS];
            (scanner.scan(&text, &mut hits), hits, Truth::of(&literals).scan(&text))
        };
        let most = (FIRST_LOOKS + LOOKS * bytes) / list.len() * list.len();
        assert_eq!(at(most / 2).0, Effort::Ordinary);
        assert_eq!(at(most / 2 + list.len()).0, Effort::Much);
        let (effort, hits, truth) = at(most - list.len());
        assert_eq!(effort, Effort::Much, "under");
        assert_eq!(hits, truth);
        let (effort, hits, _) = at(most);
        assert_eq!(effort, Effort::TooMuch, "at the limit nothing is left");
        assert_eq!(hits, vec![u64::MAX; HITS]);
        assert_eq!(at(most + list.len()).0, Effort::TooMuch, "over");
    }
}

#[test]
fn no_text_is_looked_at_for_longer_than_it_says() {
    for literals in std::iter::once(with_many(&[b"aaaa0", b"aaaa1"])).chain(core_rules()) {
        let scanner = Scanner::build(&literals).unwrap();
        for entry in &scanner.tables.as_ref().unwrap().entries {
            for bytes in [BLOCK, 256, 2 * LONG] {
                let window = entry.window().to_le_bytes();
                let text: Vec<u8> = window.iter().copied().cycle().take(bytes).collect();
                WINDOWS.set(0);
                scanner.scan(&text, &mut [0; HITS]);
                let most = FIRST_LOOKS + LOOKS * bytes + 2 * BLOCK * CROWD;
                assert!(WINDOWS.get() <= most, "{window:?}: {} of {most}", WINDOWS.get());
            }
        }
    }
}

#[test]
fn in_a_long_text_what_is_known_is_not_looked_at_again() {
    let tables = tables(&with_many(&[b"select", b"abc"]));
    let (windows, comparisons) = counted(&tables, &b"SELECT abc ".repeat(LONG));
    // What is known in the block where it is first, and at the end, which has no filter of its own.
    assert!((2..20).contains(&comparisons), "{comparisons}");
    assert!(windows < 3 * BLOCK, "{windows}");
}

#[test]
fn in_a_long_text_what_is_known_does_not_hide_what_is_not() {
    // Of one word, and the first two of one window.
    let list: [&[u8]; 7] = [b"abcde", b"abcdef", b"abc", b"abc0", b"abc1", b"abc{", b"abcq"];
    let literals = with_many(&list);
    let (scanner, truth) = (Scanner::build(&literals).unwrap(), Truth::of(&literals));
    for first in 0..list.len() {
        for second in 0..list.len() {
            let mut text = [list[first], b" "].concat().repeat(BLOCK);
            text.extend(list[second]);
            text.resize(LONG, b' ');
            assert_eq!(scan(&scanner, &text), truth.scan(&text), "{first} {second}");
        }
    }
}

/// The directory of CRS, if it is there.
fn core_rules_directory() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/crs");
    let found = std::env::var_os("PALISADE_CRS").map(PathBuf::from).unwrap_or(beside);
    if found.join("rules").is_dir() {
        return Some(found);
    }
    println!("skipped: no Core Rule Set in {} (set PALISADE_CRS)", found.display());
    None
}

/// The files of a directory that end so, with those below it.
fn files(directory: &Path, end: &str) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let below = paths.iter().filter(|path| path.is_dir()).flat_map(|path| files(path, end));
    let here = paths.iter().filter(|path| path.to_string_lossy().ends_with(end)).cloned();
    here.chain(below).collect()
}

/// The literals that CRS's expressions and phrase files need, each clause with a bit as far as there are bits.
fn core_rules() -> Option<Literals> {
    let directory = core_rules_directory()?.join("rules");
    let mut interner = Interner::default();
    let mut literals = Literals::new();
    let mut clauses = BTreeSet::new();
    for path in files(&directory, ".conf").into_iter().chain(files(&directory, ".data")) {
        let text = std::fs::read_to_string(&path).unwrap();
        let mut add = |kind, argument: &str| {
            let Ok(operator) = Operator::compile(kind, Some(argument), &[], &mut interner) else { return };
            for clause in operator.needs().map(|needs| needs.clauses.as_slice()).unwrap_or_default() {
                if clauses.insert(clause.clone()) {
                    for literal in &clause.literals {
                        literals.entry(literal.clone()).or_default().push(clauses.len() % (HITS * 64));
                    }
                }
            }
        };
        if path.extension().is_some_and(|end| end == "data") {
            // A file's phrases in one clause: lines are as good as spaces where there are none.
            let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
            add(OperatorKind::Pm, &lines.filter(|line| !line.contains(' ')).collect::<Vec<_>>().join(" "));
        }
        for argument in text.split("\"@rx ").skip(1).filter_map(|rest| rest.split("\" \\").next()) {
            add(OperatorKind::Rx, argument);
        }
    }
    Some(literals)
}

#[test]
fn the_core_rules_literals_are_found_in_their_own_tests_and_have_a_place_each() {
    let Some((literals, directory)) = core_rules().zip(core_rules_directory()) else { return };
    assert!(literals.len() > 6000, "{}", literals.len());
    let (scanner, truth) = (Scanner::build(&literals).unwrap(), Truth::of(&literals));
    assert!(scanner.rest.is_none());
    let (mut lines, mut found, mut dense) = (0, 0, 0);
    for path in files(&directory, ".yaml").into_iter().chain(files(&directory, ".data")) {
        let text = std::fs::read(&path).unwrap();
        for part in text.split(|byte| *byte == b'\n').chain([text.as_slice()]) {
            let hits = scan(&scanner, part);
            assert_eq!(hits, truth.scan(part), "{}: {}", path.display(), String::from_utf8_lossy(part));
            lines += 1;
            dense += usize::from(scanner.scan(part, &mut [0; HITS]) == Effort::TooMuch);
            found += hits.iter().map(|word| word.count_ones() as usize).sum::<usize>();
        }
    }
    println!(
        "{} literals, {lines} texts, {found} clauses met, {dense} taken to hold everything",
        literals.len()
    );
    assert!(dense * 100 < lines, "{dense} of {lines} texts took too long");
    assert!(lines > 10_000 && found > lines, "{lines} {found}");
}
