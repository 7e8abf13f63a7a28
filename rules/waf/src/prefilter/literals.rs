//! Regular expression → what every text it matches must hold.
//!
//! One pass over the syntax tree, from the leaves up. A node has the exact set of texts it matches while that set is
//! small, and clauses of which every match meets all. Promise: both are supersets of the truth, so a value that does
//! not meet them cannot match; anchors and word boundaries only make matches fewer and are ignored. Texts are in ASCII
//! lower case. The work is linear in the tree times the limits below.

use std::collections::BTreeSet;

use regex_syntax::hir::{Class, Hir, HirKind};

use super::needs::{ByteSet, Clause, Needs, best};

/// Texts of an exact set: CRS's longest alternations of words have some thousand.
const EXACT: usize = 4096;
/// Texts of a set that comes of joining two sets, unless one of them has one text.
const JOINED: usize = 256;
/// Bytes of a text in an exact set.
const EXACT_BYTES: usize = 64;
/// Bytes of a class that is taken as single texts.
const CLASS: usize = 8;
/// Repetitions that are written out.
const REPEATED: u32 = 4;

/// Texts, in lower case.
type Texts = BTreeSet<Vec<u8>>;

/// What is known of a node.
struct Node {
    /// Every match, in lower case, is one of these.
    exact: Option<Texts>,
    /// Every match meets all of these.
    clauses: Vec<Clause>,
}

/// What every value that the expression matches must meet.
pub(crate) fn needs(expression: &Hir) -> Needs {
    let node = analyse(expression);
    Needs::of(node.telling(), expression.properties().minimum_len().unwrap_or(0))
}

impl Node {
    fn exactly(texts: Texts) -> Self {
        Self { exact: Some(texts), clauses: Vec::new() }
    }

    /// Its clauses, with the one its exact set makes.
    fn telling(mut self) -> Vec<Clause> {
        self.clauses.extend(self.exact.as_ref().and_then(clause));
        best(self.clauses)
    }
}

fn clause(texts: &Texts) -> Option<Clause> {
    Clause::any_of(texts.iter().map(Vec::as_slice))
}

fn nothing() -> Texts {
    BTreeSet::from([Vec::new()])
}

fn analyse(expression: &Hir) -> Node {
    match expression.kind() {
        HirKind::Empty | HirKind::Look(_) => Node::exactly(nothing()),
        HirKind::Literal(literal) => Node::exactly(BTreeSet::from([literal.0.to_ascii_lowercase()])),
        HirKind::Class(class) => of_class(class),
        HirKind::Capture(capture) => analyse(&capture.sub),
        HirKind::Repetition(repetition) => {
            let sub = analyse(&repetition.sub);
            if repetition.min > 0 {
                return repeated(sub, repetition.min, repetition.max);
            }
            let exact = sub.exact.filter(|_| repetition.max == Some(1)).map(|mut texts| {
                texts.insert(Vec::new());
                texts
            });
            Node { exact, clauses: Vec::new() }
        }
        HirKind::Concat(parts) => joined(parts.iter().map(analyse)),
        HirKind::Alternation(parts) => either(parts.iter().map(analyse)),
    }
}

/// A class: one text a byte if it is small, and a clause of its bytes.
fn of_class(class: &Class) -> Node {
    let unknown = Node { exact: None, clauses: Vec::new() };
    let mut bytes = ByteSet::default();
    let mut count = 0_usize;
    let mut add = |from: u8, to: u8| {
        (from..=to).for_each(|byte| bytes.insert(byte));
        count += usize::from(to - from) + 1;
    };
    match class {
        Class::Bytes(class) => class.ranges().iter().for_each(|range| add(range.start(), range.end())),
        Class::Unicode(class) => {
            for range in class.ranges() {
                match (u8::try_from(range.start()), u8::try_from(range.end())) {
                    (Ok(from), Ok(to)) if to.is_ascii() => add(from, to),
                    _ => return unknown,
                }
            }
        }
    }
    let texts: Texts = bytes.iter().map(|byte| vec![byte.to_ascii_lowercase()]).collect();
    if texts.len() <= CLASS && count <= 2 * CLASS {
        return Node::exactly(texts);
    }
    Node { exact: None, clauses: vec![Clause::byte(bytes)] }
}

/// A node at least `min` times in a row.
fn repeated(sub: Node, min: u32, max: Option<u32>) -> Node {
    if (min, max) == (1, Some(1)) {
        return sub;
    }
    let mut clauses = sub.clauses;
    let Some(texts) = sub.exact else { return Node { exact: None, clauses } };
    let mut run = texts.clone();
    let mut times = 1;
    while times < min.min(REPEATED)
        && let Some(longer) = product(&run, &texts)
    {
        run = longer;
        times += 1;
    }
    if times == min && max == Some(min) {
        return Node { exact: Some(run), clauses };
    }
    clauses.extend(clause(&run));
    Node { exact: None, clauses: best(clauses) }
}

/// Nodes one after the other: exact sets are joined to longer ones as far as they stay small.
fn joined(parts: impl Iterator<Item = Node>) -> Node {
    let mut clauses = Vec::new();
    let (mut run, mut whole) = (nothing(), true);
    for part in parts {
        clauses.extend(part.clauses);
        let next = match &part.exact {
            Some(texts) => product(&run, texts).ok_or_else(|| texts.clone()),
            None => Err(nothing()),
        };
        run = match next {
            Ok(longer) => longer,
            Err(anew) => {
                whole = false;
                clauses.extend(clause(&run));
                anew
            }
        };
    }
    if whole {
        return Node { exact: Some(run), clauses: best(clauses) };
    }
    clauses.extend(clause(&run));
    Node { exact: None, clauses: best(clauses) }
}

/// Every text of the left followed by every text of the right; none if that becomes too much.
fn product(left: &Texts, right: &Texts) -> Option<Texts> {
    let count = left.len().checked_mul(right.len())?;
    let longest = |texts: &Texts| texts.iter().map(Vec::len).max().unwrap_or(0);
    let is_simple = left.len() <= 1 || right.len() <= 1;
    if count > if is_simple { EXACT } else { JOINED } || longest(left) + longest(right) > EXACT_BYTES {
        return None;
    }
    let join = |start: &Vec<u8>, end: &Vec<u8>| [start.as_slice(), end.as_slice()].concat();
    Some(left.iter().flat_map(|start| right.iter().map(move |end| join(start, end))).collect())
}

/// One node of several: a match meets one clause of the branch it takes.
fn either(branches: impl Iterator<Item = Node>) -> Node {
    let mut exact = Some(Texts::new());
    let mut told: Vec<Vec<Clause>> = Vec::new();
    for branch in branches {
        exact = match (exact, &branch.exact) {
            (Some(mut all), Some(texts)) if all.len() + texts.len() <= EXACT => {
                all.extend(texts.iter().cloned());
                Some(all)
            }
            _ => None,
        };
        told.push(branch.telling());
    }
    if exact.is_some() {
        return Node { exact, clauses: Vec::new() };
    }
    let most = told.iter().map(Vec::len).max().unwrap_or(0);
    let mut clauses = Vec::new();
    for rank in 0..most {
        // A branch with fewer clauses gives its best again.
        let chosen: Option<Vec<&Clause>> =
            told.iter().map(|clauses| clauses.get(rank).or_else(|| clauses.first())).collect();
        let literals = chosen.iter().flatten().flat_map(|clause| &clause.literals);
        let mut bytes = ByteSet::default();
        chosen.iter().flatten().for_each(|clause| bytes.extend(&clause.bytes));
        if chosen.is_some() && literals.clone().count() <= EXACT {
            let literals = Clause::any_of(literals.map(Vec::as_slice));
            clauses.extend(literals.map(|clause| clause.or(&Clause::byte(bytes))));
        }
    }
    Node { exact: None, clauses: best(clauses) }
}
