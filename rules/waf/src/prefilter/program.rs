//! What the links of rules are compiled to: which values they look at, through which transformations, and what a
//! text must hold so that they can match.
//!
//! Immutable and shared like the engine. Equal target lists, chains and needs are one. The literals of requests and of
//! responses are in two scanners, so that a request is not searched for what only responses hold.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use palisade_seclang::{Phase, Transformation, VariableKind};

use super::bytes::{Kinds, Rows};
use super::fold::Folded;
use super::needs::{ByteSet, Clause, Needs};
use super::scanner::{self, Effort};
use crate::collection::Names;
use crate::engine::{Engine, Link, Rule};
use crate::state::{State, is_settable};
use crate::transformations::UnicodeMap;
use crate::values::{Selector, Target};

/// Literals of one scanner; what does not fit any more is always tried. CRS's two have some 9,000 and 4,000.
const LITERALS: usize = 64 * 1024;

/// Transformations of one chain; CRS's longest has 8. A longer one is evaluated straightforwardly.
const CHAIN: usize = 64;

/// The compiled links.
#[derive(Debug)]
pub(crate) struct Program {
    /// By the index of the rule, a plan for each link.
    plans: Vec<Vec<Plan>>,
    pub(super) folded: Folded,
    pub(super) views: Vec<View>,
    pub(super) groups: Vec<Group>,
    /// Lists of groups that views look at: many views differ in their chains alone.
    pub(super) clusters: Vec<Vec<usize>>,
    /// The views of one phase with one cluster.
    pub(super) siblings: Vec<Vec<usize>>,
    pub(super) parts: Vec<Part>,
    pub(super) chains: Vec<Chain>,
    /// Every transformation of the chains.
    pub(super) kinds: Vec<Transformation>,
    predicates: Vec<Predicate>,
    pub(super) scanners: [Scanner; 2],
    /// The rule set's, for `urlDecodeUni`.
    pub(super) unicode_map: Option<Arc<UnicodeMap>>,
}

/// How a link is judged.
#[derive(Debug)]
pub(super) enum Plan {
    /// As written.
    Straightforward,
    /// On a view.
    View {
        view: usize,
        /// What a text must meet; none: anything may match.
        predicate: Option<usize>,
        negated: bool,
    },
    /// One member of a collection that rules set, or whether it is there, against a literal.
    Member(Member),
    /// How many values the only target has, against this literal.
    Count(Bytes),
}

/// One member of a collection that rules set, against a literal.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) variable: VariableKind,
    /// Its name as the rule writes it.
    pub(super) key: Bytes,
    /// Its name as the collection keeps it.
    pub(super) stored: Bytes,
    /// Its place in `TX`, if it has one.
    pub(super) slot: Option<usize>,
    /// Whether the question is if it is there.
    pub(super) count: bool,
    pub(super) argument: Bytes,
}

impl Member {
    /// The value that is judged; none if there is none.
    pub(super) fn value(&self, state: &State) -> Option<Bytes> {
        let found = match self.slot {
            Some(slot) => state.tx.slot(slot),
            None => state.store(self.variable)?.get(&self.stored),
        };
        if self.count {
            return Some(Bytes::from_static(if found.is_some() { b"1" } else { b"0" }));
        }
        found.cloned()
    }
}

/// Values through a chain of transformations, in one phase.
#[derive(Debug)]
pub(super) struct View {
    /// In the order of the targets.
    pub(super) parts: Vec<usize>,
    /// The groups of the parts.
    pub(super) cluster: usize,
    /// The place of its siblings, which it is one of.
    pub(super) siblings: usize,
    /// The chain of every part.
    pub(super) chain: usize,
    /// The rules that look at it.
    pub(super) rules: Vec<Sifted>,
}

/// The values of one target through a chain.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Part {
    pub(super) group: usize,
    pub(super) chain: usize,
    /// Whether every different text on the way is looked at.
    pub(super) multi_match: bool,
}

/// One target with the exclusions that concern it.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) target: Target,
    pub(super) exclusions: Vec<Target>,
    /// How many rules of each phase look at its values first of all.
    pub(super) rules: [u32; 5],
}

/// Transformations one after the other.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Chain {
    /// By their places.
    pub(super) steps: Vec<u8>,
    /// All of them.
    pub(super) kinds: Kinds,
}

/// A rule of a view.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sifted {
    /// Its place in the phase.
    pub(super) place: usize,
    pub(super) predicate: Option<usize>,
    pub(super) negated: bool,
}

/// Needs: the fewest bytes, and the words and bits of clauses in the scanners' results.
#[derive(Clone, Debug)]
struct Predicate {
    bytes: usize,
    clauses: Vec<(usize, u64)>,
}

/// The same with the numbers of clauses of a side.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Wanted {
    side: usize,
    bytes: usize,
    clauses: Vec<usize>,
}

/// What the texts of one side are searched for.
#[derive(Debug)]
pub(super) struct Scanner {
    /// The clauses that each literal meets.
    literals: scanner::Scanner,
    /// What each byte says.
    rows: Rows,
    /// Clauses.
    bits: usize,
}

impl Scanner {
    /// Words of a result.
    pub(super) fn words(&self) -> usize {
        self.bits.div_ceil(64)
    }

    /// Sets the bits of the clauses whose literals are in a text, or all if that would take too long.
    pub(super) fn scan(&self, text: &[u8], hits: &mut [u64]) -> Effort {
        self.literals.scan(text, hits)
    }

    /// The same for at most so many looks, of which those that it took are taken.
    pub(super) fn scan_within(&self, text: &[u8], hits: &mut [u64], looks: &mut usize) -> Effort {
        self.literals.scan_within(text, hits, looks)
    }
}

/// What is known of a text, or of several together.
#[derive(Clone, Copy, Debug)]
pub(super) struct Findings<'a> {
    /// The longest.
    pub(super) bytes: usize,
    /// The clauses that are met.
    pub(super) hits: &'a [u64],
}

impl Program {
    /// Compiles an engine's rules; none if a scanner cannot be built, and then there is no fast path.
    pub(crate) fn of(engine: &Engine) -> Option<Self> {
        let program = Self::build(&engine.rules, &engine.phases, Folded::of(engine))?;
        Some(Self { unicode_map: engine.settings.unicode_map.clone(), ..program })
    }

    pub(super) fn build(rules: &[Rule], phases: &[Vec<usize>; 5], folded: Folded) -> Option<Self> {
        let mut builder = Builder::default();
        let mut plans = Vec::new();
        plans.resize_with(rules.len(), Vec::new);
        for (indices, phase) in phases.iter().zip(&folded.phases) {
            for (place, index) in indices.iter().enumerate() {
                // What does not stay has no literals; if it runs after all, it runs straightforwardly.
                if phase.live.contains(place)
                    && phase.sets(place).is_none()
                    && let (Some(rule), Some(plan)) = (rules.get(*index), plans.get_mut(*index))
                {
                    *plan = builder.plans(rule, place, &folded);
                }
            }
        }
        let [requests, responses] = builder.literals;
        let orders = [requests.order(), responses.order()];
        let kinds = builder.kinds.items;
        let predicate = |wanted: &Wanted| {
            let order = orders.get(wanted.side);
            let bit = |clause: &usize| order.and_then(|order| order.get(*clause)).copied();
            let clauses = wanted.clauses.iter().filter_map(bit).map(|bit| (bit / 64, 1 << (bit % 64)));
            Predicate { bytes: wanted.bytes, clauses: clauses.collect() }
        };
        let predicates = builder.predicates.items.iter().map(predicate).collect();
        let [in_requests, in_responses] = &orders;
        Some(Self {
            plans,
            folded,
            views: builder.views,
            groups: builder.groups,
            clusters: builder.clusters.items,
            siblings: builder.siblings,
            parts: builder.parts.items,
            chains: builder.chains.items,
            predicates,
            scanners: [requests.build(in_requests, &kinds)?, responses.build(in_responses, &kinds)?],
            kinds,
            unicode_map: None,
        })
    }

    /// The names of `TX` that have slots.
    pub(crate) fn names(&self) -> Arc<Names> {
        self.folded.names.clone()
    }

    /// How a link of a rule is judged.
    pub(super) fn plan(&self, rule: usize, link: usize) -> &Plan {
        self.plans.get(rule).and_then(|plans| plans.get(link)).unwrap_or(&Plan::Straightforward)
    }

    /// Whether texts that this is known of may match.
    pub(super) fn may_match(&self, predicate: Option<usize>, findings: Findings<'_>) -> bool {
        let Some(predicate) = predicate.and_then(|index| self.predicates.get(index)) else { return true };
        let is_met = |(word, bit): &(usize, u64)| findings.hits.get(*word).is_none_or(|hits| hits & bit != 0);
        findings.bytes >= predicate.bytes && predicate.clauses.iter().all(is_met)
    }

    /// Words of hits of a side.
    pub(super) fn words(&self, side: usize) -> usize {
        self.scanners.get(side).map_or(0, Scanner::words)
    }

    /// Sets the clauses whose literals are in a text, or all if that would take too long.
    pub(super) fn scan(&self, side: usize, text: &[u8], hits: &mut [u64]) -> Effort {
        self.scanners.get(side).map_or(Effort::Ordinary, |scanner| scanner.scan(text, hits))
    }

    /// The same for at most so many looks, of which those that it took are taken.
    pub(super) fn scan_within(
        &self,
        side: usize,
        text: &[u8],
        hits: &mut [u64],
        looks: &mut usize,
    ) -> Effort {
        let scanner = self.scanners.get(side);
        scanner.map_or(Effort::Ordinary, |scanner| scanner.scan_within(text, hits, looks))
    }

    /// Sets the clauses that one of these bytes meets. Gives the transformations that may change a text of these bytes.
    pub(super) fn mark(&self, side: usize, present: &ByteSet, hits: &mut [u64]) -> Kinds {
        self.scanners.get(side).map_or(Kinds::MAX, |scanner| scanner.rows.mark(present, hits))
    }
}

/// Which scanner a phase uses.
pub(super) fn side(phase: Phase) -> usize {
    usize::from(phase > Phase::RequestBody)
}

#[derive(Default)]
struct Builder {
    views: Vec<View>,
    view_keys: Interned<(usize, Vec<usize>)>,
    groups: Vec<Group>,
    group_keys: Interned<String>,
    clusters: Interned<Vec<usize>>,
    siblings: Vec<Vec<usize>>,
    sibling_keys: Interned<(usize, usize)>,
    parts: Interned<Part>,
    chains: Interned<Chain>,
    kinds: Interned<Transformation>,
    predicates: Interned<Wanted>,
    literals: [Literals; 2],
}

impl Builder {
    fn plans(&mut self, rule: &Rule, place: usize, folded: &Folded) -> Vec<Plan> {
        let mut plans: Vec<Plan> =
            rule.links.iter().map(|link| self.plan(link, rule.phase, folded)).collect();
        // Rules are passed over for their first link.
        if let Some(Plan::View { view, predicate, negated }) = plans.first_mut()
            && let Some(view) = self.views.get_mut(*view)
        {
            view.rules.push(Sifted { place, predicate: *predicate, negated: *negated });
            for part in &view.parts {
                let group = self.parts.items.get(*part).and_then(|part| self.groups.get_mut(part.group));
                if let Some(count) = group.and_then(|group| group.rules.get_mut(rule.phase as usize - 1)) {
                    *count += 1;
                }
            }
        }
        plans
    }

    fn plan(&mut self, link: &Link, phase: Phase, folded: &Folded) -> Plan {
        let Some(operator) = &link.operator else { return Plan::Straightforward };
        if let Some(plan) = member(link, folded) {
            return plan;
        }
        if let Some(plan) = count(link) {
            return plan;
        }
        if link.transformations.len() > CHAIN
            || link.targets.is_empty()
            || !link.targets.iter().all(|target| is_fixed(target.variable))
        {
            return Plan::Straightforward;
        }
        let predicate = operator.needs().and_then(|needs| self.predicate(needs, side(phase)));
        Plan::View { view: self.view(link, phase), predicate, negated: link.negated }
    }

    fn view(&mut self, link: &Link, phase: Phase) -> usize {
        let steps: Vec<u8> = link
            .transformations
            .iter()
            .map(|kind| u8::try_from(self.kinds.place(*kind)).unwrap_or(63))
            .collect();
        let kinds = steps.iter().fold(0, |kinds, step| kinds | 1 << (step % 64));
        let chain = self.chains.place(Chain { steps, kinds });
        let multi_match = link.multi_match;
        let (mut parts, mut groups) = (Vec::new(), Vec::new());
        for target in &link.targets {
            let group = self.group(target, &link.exclusions);
            parts.push(self.parts.place(Part { group, chain, multi_match }));
            groups.push(group);
        }
        let view = self.view_keys.place((phase as usize, parts.clone()));
        if view == self.views.len() {
            let cluster = self.clusters.place(groups);
            let siblings = self.sibling_keys.place((phase as usize, cluster));
            match self.siblings.get_mut(siblings) {
                Some(known) => known.push(view),
                None => self.siblings.push(vec![view]),
            }
            self.views.push(View { parts, cluster, siblings, chain, rules: Vec::new() });
        }
        view
    }

    fn group(&mut self, target: &Target, exclusions: &[Target]) -> usize {
        let concerns = |exclusion: &&Target| exclusion.variable == target.variable && !target.count;
        let exclusions: Vec<Target> = exclusions.iter().filter(concerns).cloned().collect();
        let key = format!("{} !{}", key(std::slice::from_ref(target)), key(&exclusions));
        let group = self.group_keys.place(key);
        if group == self.groups.len() {
            self.groups.push(Group { target: target.clone(), exclusions, rules: [0; 5] });
        }
        group
    }

    fn predicate(&mut self, needs: &Needs, side: usize) -> Option<usize> {
        let literals = self.literals.get_mut(side)?;
        let clauses = needs.clauses.iter().filter_map(|clause| literals.place(clause)).collect();
        let wanted = Wanted { side, bytes: needs.bytes, clauses };
        (!needs.is_empty()).then(|| self.predicates.place(wanted))
    }
}

/// The literals of one side, by the clauses they meet.
#[derive(Default)]
struct Literals {
    clauses: BTreeMap<Clause, usize>,
    /// The bytes of each clause.
    bytes: Vec<ByteSet>,
    meets: BTreeMap<Vec<u8>, Vec<usize>>,
}

impl Literals {
    /// The place of a clause; none if its literals do not fit any more.
    fn place(&mut self, clause: &Clause) -> Option<usize> {
        if let Some(known) = self.clauses.get(clause) {
            return Some(*known);
        }
        if self.meets.len() + clause.literals.len() > LITERALS {
            return None;
        }
        let bit = self.clauses.len();
        for literal in &clause.literals {
            self.meets.entry(literal.clone()).or_default().push(bit);
        }
        self.clauses.insert(clause.clone(), bit);
        self.bytes.push(clause.bytes);
        Some(bit)
    }

    /// The bit of each clause: first those that single bytes can meet, so that the rows of bytes are short.
    fn order(&self) -> Vec<usize> {
        let mut clauses: Vec<usize> = (0..self.bytes.len()).collect();
        clauses.sort_by_key(|clause| self.bytes.get(*clause) == Some(&ByteSet::NONE));
        let mut order = vec![0; clauses.len()];
        for (bit, clause) in clauses.into_iter().enumerate() {
            if let Some(place) = order.get_mut(clause) {
                *place = bit;
            }
        }
        order
    }

    /// None if the scanner cannot be built.
    fn build(mut self, order: &[usize], kinds: &[Transformation]) -> Option<Scanner> {
        let bits = self.clauses.len();
        for clause in self.meets.values_mut().flatten() {
            *clause = *order.get(*clause)?;
        }
        let clauses: Vec<(usize, ByteSet)> = order.iter().copied().zip(self.bytes).collect();
        let rows = Rows::of(&clauses, kinds);
        Some(Scanner { literals: scanner::Scanner::build(&self.meets)?, rows, bits })
    }
}

/// Equal items are one.
struct Interned<T> {
    items: Vec<T>,
    places: HashMap<T, usize>,
}

impl<T> Default for Interned<T> {
    fn default() -> Self {
        Self { items: Vec::new(), places: HashMap::new() }
    }
}

impl<T: Clone + Eq + std::hash::Hash> Interned<T> {
    fn place(&mut self, item: T) -> usize {
        *self.places.entry(item).or_insert_with_key(|item| {
            self.items.push(item.clone());
            self.items.len() - 1
        })
    }
}

/// Equal keys: the same values. Equal expressions of one engine are one, so their addresses tell them apart.
fn key(targets: &[Target]) -> String {
    let one = |target: &Target| {
        let selector = match &target.selector {
            Selector::All => String::new(),
            Selector::Exact(key) => format!(":{key:?}"),
            Selector::Beginning(start) => format!(":^{start:?}"),
            Selector::Regex(regex) => format!("/{:p}/", std::sync::Arc::as_ptr(regex)),
        };
        format!("{}{}{selector}", if target.count { "&" } else { "" }, target.variable)
    };
    targets.iter().map(one).collect::<Vec<_>>().join("|")
}

/// A test of one member of a collection that rules set.
fn member(link: &Link, folded: &Folded) -> Option<Plan> {
    let [target] = link.targets.as_slice() else { return None };
    let Selector::Exact(key) = &target.selector else { return None };
    let is_plain = link.exclusions.is_empty() && link.transformations.is_empty();
    if !is_plain || !is_settable(target.variable) {
        return None;
    }
    let argument = link.argument.literal()?;
    Some(Plan::Member(Member {
        variable: target.variable,
        key: key.clone(),
        slot: (target.variable == VariableKind::Tx).then(|| folded.names.find(key)).flatten(),
        stored: key.to_ascii_lowercase().into(),
        count: target.count,
        argument,
    }))
}

/// A test of how many values a target has.
fn count(link: &Link) -> Option<Plan> {
    let [target] = link.targets.as_slice() else { return None };
    let is_plain = target.count && link.transformations.is_empty() && is_fixed(target.variable);
    if is_plain { link.argument.literal().map(Plan::Count) } else { None }
}

/// Whether a variable is the same for all rules of a phase. Only what is known to be is listed.
fn is_fixed(variable: VariableKind) -> bool {
    use VariableKind as V;
    matches!(
        variable,
        V::Args
            | V::ArgsNames
            | V::ArgsGet
            | V::ArgsGetNames
            | V::ArgsPost
            | V::ArgsPostNames
            | V::ArgsCombinedSize
            | V::RequestHeaders
            | V::RequestHeadersNames
            | V::RequestCookies
            | V::RequestCookiesNames
            | V::RequestLine
            | V::RequestMethod
            | V::RequestUri
            | V::RequestUriRaw
            | V::RequestFilename
            | V::RequestBasename
            | V::RequestProtocol
            | V::QueryString
            | V::RequestBody
            | V::RequestBodyLength
            | V::ReqbodyError
            | V::MultipartStrictError
            | V::MultipartPartHeaders
            | V::MultipartFilename
            | V::MultipartName
            | V::Files
            | V::FilesNames
            | V::FilesSizes
            | V::FilesCombinedSize
            | V::Xml
            | V::RemoteAddr
            | V::UniqueId
            | V::ResponseHeaders
            | V::ResponseHeadersNames
            | V::ResponseBody
            | V::ResponseStatus
            | V::ResponseContentType
            | V::ResponseContentLength
    )
}
