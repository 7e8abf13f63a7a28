//! Directives: their names, the typed forms they are read into, and the reading of those that act on rules.

mod rules;
mod settings;

pub(crate) use rules::{Read, read};
pub use settings::{
    ArgumentSeparator, AuditLogFormat, AuditLogType, DirectiveName, FailAction, LimitAction, Setting,
    TemporaryFiles, UnicodeMap, UploadKeepFiles,
};

use crate::actions::{Action, ActionKind, Phase};
use crate::diagnostics::Report;
use crate::operators::Operator;
use crate::span::Span;
use crate::text::Slice;
use crate::variables::Variable;

/// One directive with its place. `Include` is expanded and does not appear.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directive {
    /// Which.
    pub name: DirectiveName,
    /// What it says.
    pub body: DirectiveBody,
    /// Where it stands; a chain reaches from its starter to its last link.
    pub span: Span,
}

/// What a directive says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DirectiveBody {
    /// `SecRule` and `SecAction`, with the links of its chain.
    Rule(Box<Rule>),
    /// `SecMarker`
    Marker(String),
    /// `SecDefaultAction`: the actions of rules of a phase that do not say otherwise.
    DefaultAction {
        /// The phase.
        phase: Phase,
        /// The actions, `phase` among them.
        actions: Vec<Action>,
    },
    /// `SecRuleRemoveById`
    RemoveById(Vec<IdRange>),
    /// `SecRuleRemoveByTag`: an expression
    RemoveByTag(String),
    /// `SecRuleRemoveByMsg`: an expression
    RemoveByMsg(String),
    /// `SecRuleUpdateTargetById`, `…ByTag`, `…ByMsg`
    UpdateTarget(UpdateTarget),
    /// `SecRuleUpdateActionById`
    UpdateAction {
        /// The rule.
        id: u64,
        /// The link of its chain, from `id:link`; 0 is the starter.
        link: u32,
        /// The actions that replace its own of the same name, or are added.
        actions: Vec<Action>,
    },
    /// `SecRuleScript`: a Lua script as a rule.
    Script {
        /// Its file.
        path: String,
        /// Its actions.
        actions: Vec<Action>,
    },
    /// Everything that sets an option.
    Setting(Setting),
}

/// Adds targets to rules, or takes them away with `!`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpdateTarget {
    /// Which rules.
    pub rules: RuleSelection,
    /// The targets.
    pub variables: Vec<Variable>,
    /// With a third argument: the targets that the new ones replace.
    pub replaced: Option<Vec<Variable>>,
}

/// Which rules a directive changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RuleSelection {
    /// Ids.
    Ids(Vec<IdRange>),
    /// An expression that a tag must match.
    Tag(String),
    /// An expression that the message must match.
    Msg(String),
}

/// Ids from first to last, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdRange {
    /// First.
    pub first: u64,
    /// Last.
    pub last: u64,
}

impl IdRange {
    /// Whether an id is in it.
    pub fn contains(self, id: u64) -> bool {
        (self.first..=self.last).contains(&id)
    }
}

/// `SecRule` or `SecAction`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// What it looks at; empty for `SecAction`.
    pub variables: Vec<Variable>,
    /// What it looks for; `None` for `SecAction`, which always matches.
    pub operator: Option<Operator>,
    /// Its actions in their order.
    pub actions: Vec<Action>,
    /// The links of the chain it starts, in their order. Their own `links` are empty.
    pub links: Vec<Rule>,
    /// Where it stands, without its links.
    pub span: Span,
}

impl Rule {
    /// Its id. Every starter has one (it is an error not to), no link has.
    pub fn id(&self) -> Option<u64> {
        self.actions.iter().find_map(|action| match action.kind {
            ActionKind::Id(id) => Some(id),
            _ => None,
        })
    }

    /// Its phase, 2 if it names none. The phase of a link is its starter's.
    pub fn phase(&self) -> Phase {
        let mut phases = self.actions.iter().filter_map(|action| match action.kind {
            ActionKind::Phase(phase) => Some(phase),
            _ => None,
        });
        phases.next_back().unwrap_or(Phase::RequestBody)
    }

    /// Whether it says `chain`.
    pub fn is_chained(&self) -> bool {
        self.actions.iter().any(|action| action.kind == ActionKind::Chain)
    }
}

/// Reads ids and ranges separated by blanks or commas: `1,2 10-20`.
pub(crate) fn id_ranges(text: Slice<'_>, report: &mut Report) -> Option<Vec<IdRange>> {
    let parts = text.split_all(&[' ', '\t', ',']);
    if parts.is_empty() {
        report.error(text.span(), "an id or a range of ids is expected");
        return None;
    }
    parts.into_iter().map(|part| id_range(part, report)).collect()
}

fn id_range(part: Slice<'_>, report: &mut Report) -> Option<IdRange> {
    let read =
        |text: &str| text.parse::<u64>().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()));
    let (first, last) = part.text().split_once('-').unwrap_or((part.text(), part.text()));
    match (read(first), read(last)) {
        (Some(first), Some(last)) if first <= last => Some(IdRange { first, last }),
        _ => {
            report.error(part.span(), "an id or a range of ids is expected, e.g. 942100 or 942000-942999");
            None
        }
    }
}

/// Reads ids and ranges, e.g. those of a WafPolicy: `942100` or `942000-942999`.
pub fn parse_ids(text: &str) -> Result<Vec<IdRange>, crate::Diagnostics> {
    let mut report = Report::default();
    let mut owner = crate::text::Text::new(0);
    owner.push(text, 0);
    match id_ranges(owner.all(), &mut report) {
        Some(ranges) if report.is_empty() => Ok(ranges),
        _ => Err(report.finish(&[crate::File::new("ids", text)])),
    }
}
