//! Regular expression → what every text it matches must hold.
//!
//! One pass over the syntax tree, from the leaves up. A node has the exact set of texts it matches while that set is
//! small, and clauses of which every match meets all. Promise: both are supersets of the truth, so a value that does
//! not meet them cannot match; anchors and word boundaries only make matches fewer and are ignored. Texts are in ASCII
//! lower case. Where a node has no exact set it may still be known how its matches begin and end, which makes the texts
//! beside it longer. The work is linear in the tree times the limits below.

use std::collections::BTreeSet;

use regex_syntax::hir::{Class, Hir, HirKind};

use super::needs::{ByteSet, Clause, Needs, best, likelihood};

/// Texts of an exact set: CRS's longest alternations of words have some thousand.
const EXACT: usize = 4096;
/// Texts of a set that comes of joining two sets, unless one of them has one text.
const JOINED: usize = 256;
/// Bytes of a text in an exact set.
const EXACT_BYTES: usize = 64;
/// Bytes of a class that is taken as single texts.
const CLASS: usize = 8;
/// The same for a class of bytes that are rarer together than [`RARE`]: separators, digits.
const WIDE_CLASS: usize = 32;
/// Of a class that is more likely than this, joining it to other texts tells little.
const RARE: f64 = 0.5;
/// Texts that joining a class of more than [`CLASS`] bytes may come to: hexadecimal digits would come to hundreds.
const JOINED_CLASS: usize = 64;
/// Branches of which one at a time may give another clause than its best.
const VARIED: usize = 8;
/// Repetitions that are written out.
const REPEATED: u32 = 4;

/// Texts, in lower case.
type Texts = BTreeSet<Vec<u8>>;

/// What is known of a node.
struct Node {
    /// Every match, in lower case, is one of these.
    exact: Option<Texts>,
    /// Every match, in lower case, begins with one of these; where the set is not exact.
    begins: Texts,
    /// Every match, in lower case, ends with one of these; where the set is not exact.
    ends: Texts,
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
        Self { exact: Some(texts), begins: nothing(), ends: nothing(), clauses: Vec::new() }
    }

    fn meeting(clauses: Vec<Clause>) -> Self {
        Self { exact: None, begins: nothing(), ends: nothing(), clauses }
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
            Node { exact, ..Node::meeting(Vec::new()) }
        }
        HirKind::Concat(parts) => joined(parts.iter().map(analyse)),
        HirKind::Alternation(parts) => either(parts.iter().map(analyse)),
    }
}

/// A class: one text a byte if it is small, and a clause of its bytes.
fn of_class(class: &Class) -> Node {
    let unknown = Node::meeting(Vec::new());
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
    let is_small = texts.len() <= CLASS && count <= 2 * CLASS;
    if is_small || texts.len() <= WIDE_CLASS && likelihood(&texts) <= RARE {
        return Node::exactly(texts);
    }
    Node::meeting(vec![Clause::byte(bytes)])
}

/// A node at least `min` times in a row.
fn repeated(sub: Node, min: u32, max: Option<u32>) -> Node {
    if (min, max) == (1, Some(1)) {
        return sub;
    }
    let mut clauses = sub.clauses;
    let Some(texts) = sub.exact else {
        if min > 1 {
            clauses.extend(product(&sub.ends, &sub.begins).as_ref().and_then(clause));
        }
        return Node { exact: None, begins: sub.begins, ends: sub.ends, clauses: best(clauses) };
    };
    let mut run = texts.clone();
    let mut times = 1;
    while times < min.min(REPEATED)
        && let Some(longer) = product(&run, &texts)
    {
        run = longer;
        times += 1;
    }
    if times == min && max == Some(min) {
        return Node { clauses, ..Node::exactly(run) };
    }
    let begins = if times < min { longest(&run, &texts) } else { run.clone() };
    clauses.extend(clause(&begins));
    Node { exact: None, begins: first_of(begins), ends: last_of(run), clauses: best(clauses) }
}

/// Nodes one after the other: exact sets are joined to longer ones as far as they stay small.
fn joined(parts: impl Iterator<Item = Node>) -> Node {
    let mut clauses = Vec::new();
    let (mut run, mut begins) = (nothing(), None);
    for part in parts {
        clauses.extend(part.clauses);
        let (texts, ends) = match part.exact {
            Some(texts) => (texts, None),
            None => (part.begins, Some(part.ends)),
        };
        if ends.is_none()
            && let Some(longer) = product(&run, &texts)
        {
            run = longer;
            continue;
        }
        let longest = longest(&run, &texts);
        clauses.extend(clause(&longest));
        begins.get_or_insert_with(|| first_of(longest));
        run = ends.unwrap_or(texts);
    }
    let Some(begins) = begins else { return Node { clauses: best(clauses), ..Node::exactly(run) } };
    clauses.extend(clause(&run));
    Node { exact: None, begins, ends: last_of(run), clauses: best(clauses) }
}

/// The longest texts of which one is where some text of the left is followed by one of the right.
fn longest(left: &Texts, right: &Texts) -> Texts {
    let firsts = || right.iter().map(|text| text.get(..1).map(<[u8]>::to_vec)).collect::<Option<Texts>>();
    product(left, right).or_else(|| product(left, &firsts()?)).unwrap_or_else(|| left.clone())
}

/// Texts that begin what these begin: those that another one begins are left out.
fn first_of(texts: Texts) -> Texts {
    shortest(&texts, |text, bytes| text.get(..bytes))
}

/// Texts that end what these end.
fn last_of(texts: Texts) -> Texts {
    shortest(&texts, |text, bytes| text.get(text.len().checked_sub(bytes)?..))
}

fn shortest(texts: &Texts, part: impl Fn(&[u8], usize) -> Option<&[u8]>) -> Texts {
    let is_held = |text: &Vec<u8>| {
        (0..text.len()).any(|bytes| part(text, bytes).is_some_and(|part| texts.contains(part)))
    };
    texts.iter().filter(|text| !is_held(text)).cloned().collect()
}

/// Every text of the left followed by every text of the right; none if that becomes too much.
fn product(left: &Texts, right: &Texts) -> Option<Texts> {
    let count = left.len().checked_mul(right.len())?;
    let longest = |texts: &Texts| texts.iter().map(Vec::len).max().unwrap_or(0);
    let is_wide = |texts: &Texts| texts.len() > CLASS && texts.iter().all(|text| text.len() == 1);
    let most = match (left.len(), right.len()) {
        (0 | 1, _) | (_, 0 | 1) => EXACT,
        _ if is_wide(left) || is_wide(right) => JOINED_CLASS,
        _ => JOINED,
    };
    if count > most || longest(left) + longest(right) > EXACT_BYTES {
        return None;
    }
    let join = |start: &Vec<u8>, end: &Vec<u8>| [start.as_slice(), end.as_slice()].concat();
    Some(left.iter().flat_map(|start| right.iter().map(move |end| join(start, end))).collect())
}

/// One node of several: a match meets one clause of the branch it takes.
fn either(branches: impl Iterator<Item = Node>) -> Node {
    let mut exact = Some(Texts::new());
    let (mut begins, mut ends) = (Some(Texts::new()), Some(Texts::new()));
    let mut told: Vec<Vec<Clause>> = Vec::new();
    for branch in branches {
        exact = exact.zip(branch.exact.as_ref()).and_then(|(all, texts)| union(all, texts, EXACT));
        begins = begins.and_then(|all| union(all, branch.exact.as_ref().unwrap_or(&branch.begins), JOINED));
        ends = ends.and_then(|all| union(all, branch.exact.as_ref().unwrap_or(&branch.ends), JOINED));
        told.push(branch.telling());
    }
    if let Some(exact) = exact {
        return Node::exactly(exact);
    }
    let clauses = best(choices(&told).iter().filter_map(|choice| any(choice)).collect());
    let (begins, ends) = (begins.map_or_else(nothing, first_of), ends.map_or_else(nothing, last_of));
    Node { exact: None, begins, ends, clauses }
}

/// Both sets, if that is not too much.
fn union(mut all: Texts, more: &Texts, most: usize) -> Option<Texts> {
    if all.len() + more.len() > most {
        return None;
    }
    all.extend(more.iter().cloned());
    Some(all)
}

/// Ways to choose one clause of each branch; none if one has none.
fn choices(told: &[Vec<Clause>]) -> Vec<Vec<&Clause>> {
    let choose = |rank_of: &dyn Fn(usize) -> usize| -> Option<Vec<&Clause>> {
        let ranked = told.iter().enumerate();
        // A branch with fewer clauses gives its best again.
        ranked.map(|(at, clauses)| clauses.get(rank_of(at)).or_else(|| clauses.first())).collect()
    };
    let most = told.iter().map(Vec::len).max().unwrap_or(0);
    let mut chosen: Vec<_> = (0..most).filter_map(|rank| choose(&|_| rank)).collect();
    if told.len() <= VARIED {
        for at in 0..told.len() {
            for rank in 1..told.get(at).map_or(0, Vec::len) {
                chosen.extend(choose(&|branch| if branch == at { rank } else { 0 }));
            }
        }
    }
    chosen
}

/// What holds if one of these does; none if that is too much.
fn any(clauses: &[&Clause]) -> Option<Clause> {
    let literals = clauses.iter().flat_map(|clause| &clause.literals);
    if literals.clone().count() > EXACT {
        return None;
    }
    let mut bytes = ByteSet::default();
    clauses.iter().for_each(|clause| bytes.extend(&clause.bytes));
    Some(Clause::any_of(literals.map(Vec::as_slice))?.or(&Clause::byte(bytes)))
}
