//! What the WafPolicy says of each rule: exclusions, and the mode of its group.
//!
//! The last group that takes a rule decides. A rule set's own machinery (rules without a message that never disrupt,
//! such as CRS's set-up and paranoia gates, and rules tagged `anomaly-evaluation`, which act on the sum of others)
//! is not meant when a policy speaks of attacks by tag: only a group of ids, or that tag itself, takes it. Otherwise it
//! has the strictest mode of the policy, so that one group in block mode can block.

use palisade_model::documents::{Exclusion, Mode, WafPolicySpec};
use palisade_seclang::{ActionKind, IdRange, Variable, parse_ids, parse_target};

use super::CompileError;
use super::draft::{Draft, in_ranges};

/// CRS's tag of rules that act on the anomaly score.
const EVALUATION: &str = "anomaly-evaluation";

/// Groups, and exclusions, of one WafPolicy: each is compared with every rule.
pub const POLICY_ENTRIES: usize = 1_000;

/// The modes and exclusions of a policy.
pub(super) struct Modes {
    default: Mode,
    groups: Vec<(Group, Mode)>,
    exclusions: Vec<(Group, Option<Variable>)>,
    /// Whether anything blocks.
    pub(super) blocks: bool,
}

/// Rules by tag, by ids, or by both.
struct Group {
    tag: Option<String>,
    ids: Option<Vec<IdRange>>,
}

impl Group {
    fn new(field: &str, tag: Option<&String>, ids: Option<&String>) -> Result<Self, CompileError> {
        if tag.is_none() && ids.is_none() {
            return Err(CompileError(format!("{field}: a tag or ids are expected")));
        }
        let ids = ids
            .map(|ids| parse_ids(ids).map_err(|problem| CompileError(format!("{field}.ids: {problem}"))))
            .transpose()?;
        Ok(Self { tag: tag.cloned(), ids })
    }

    fn takes(&self, draft: &Draft) -> bool {
        let tag = self.tag.as_ref().is_none_or(|tag| draft.tags().any(|found| found == *tag));
        tag && self.ids.as_ref().is_none_or(|ids| in_ranges(ids, draft.id()))
    }
}

impl Modes {
    /// Reads a policy.
    pub(super) fn of(policy: &WafPolicySpec) -> Result<Self, CompileError> {
        if let Some(level) = policy.paranoia_level
            && !(1..=4).contains(&level)
        {
            return Err(CompileError(format!("paranoiaLevel: {level} is not one of 1 to 4")));
        }
        for (field, entries) in [("groups", policy.groups.len()), ("exclusions", policy.exclusions.len())] {
            if entries > POLICY_ENTRIES {
                let problem = format!("{field}: {entries} entries; {POLICY_ENTRIES} are allowed");
                return Err(CompileError(problem));
            }
        }
        let mut groups = Vec::new();
        for (number, group) in policy.groups.iter().enumerate() {
            let field = format!("groups[{number}]");
            groups.push((Group::new(&field, group.tag.as_ref(), group.ids.as_ref())?, group.mode));
        }
        let mut exclusions = Vec::new();
        for (number, Exclusion { ids, tag, target }) in policy.exclusions.iter().enumerate() {
            let field = format!("exclusions[{number}]");
            let target = target
                .as_ref()
                .map(|text| {
                    parse_target(text).map_err(|problem| CompileError(format!("{field}.target: {problem}")))
                })
                .transpose()?;
            exclusions.push((Group::new(&field, tag.as_ref(), ids.as_ref())?, target));
        }
        let blocks = policy.mode == Mode::Block || groups.iter().any(|(_, mode)| *mode == Mode::Block);
        Ok(Self { default: policy.mode, groups, exclusions, blocks })
    }

    /// Takes away what is off or excluded, and marks what only detects.
    pub(super) fn apply(&self, drafts: &mut Vec<Draft>) {
        drafts.retain_mut(|draft| {
            for (group, target) in &self.exclusions {
                match target {
                    _ if !group.takes(draft) => {}
                    None => return false,
                    Some(target) => draft.rule.variables.push(Variable { exclude: true, ..target.clone() }),
                }
            }
            let mode = self.mode(draft);
            // If nothing blocks, the engine as a whole only detects, and scores are kept so that it shows what would
            // be blocked.
            draft.detect_only = mode == Mode::Detect && self.blocks;
            mode != Mode::Off
        });
    }

    fn mode(&self, draft: &Draft) -> Mode {
        let is_machinery = is_machinery(draft);
        let takes = |group: &Group| {
            let means_it = group.ids.is_some() || group.tag.as_deref() == Some(EVALUATION);
            (!is_machinery || means_it) && group.takes(draft)
        };
        match self.groups.iter().rev().find(|(group, _)| takes(group)) {
            Some((_, mode)) => *mode,
            None if !is_machinery => self.default,
            None if self.blocks => Mode::Block,
            None => Mode::Detect,
        }
    }
}

fn is_machinery(draft: &Draft) -> bool {
    let mut disrupts = false;
    let mut says_nothing = draft.message().is_none();
    for action in &draft.rule.actions {
        match action.kind {
            ActionKind::NoLog => says_nothing = true,
            ActionKind::Pass => {}
            _ => disrupts |= action.kind.name().is_disruptive(),
        }
    }
    (says_nothing && !disrupts) || draft.tags().any(|tag| tag == EVALUATION)
}
