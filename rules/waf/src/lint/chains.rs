//! Tests that are never true.

use std::collections::BTreeMap;

use palisade_seclang::{ActionKind, Operator, OperatorKind, Rule, Selector, Transformation, Variable};

use super::{Entry, Report, shown};

/// What a number must be for all tests so far.
struct Interval {
    low: i64,
    high: i64,
    not: Vec<i64>,
}

impl Interval {
    fn is_empty(&self) -> bool {
        self.low > self.high || self.low == self.high && self.not.contains(&self.low)
    }

    /// Takes in one more test.
    fn narrow(&mut self, kind: OperatorKind, number: i64, negated: bool) {
        use OperatorKind as O;
        match (kind, negated) {
            (O::Eq, false) => {
                self.low = self.low.max(number);
                self.high = self.high.min(number);
            }
            (O::Eq, true) => self.not.push(number),
            (O::Lt, false) | (O::Ge, true) => self.high = self.high.min(number.saturating_sub(1)),
            (O::Le, false) | (O::Gt, true) => self.high = self.high.min(number),
            (O::Gt, false) | (O::Le, true) => self.low = self.low.max(number.saturating_add(1)),
            (O::Ge, false) | (O::Lt, true) => self.low = self.low.max(number),
            _ => {}
        }
    }
}

pub(super) fn check(entry: &Entry<'_>, report: &mut Report<'_>) {
    let mut intervals: BTreeMap<String, Interval> = BTreeMap::new();
    let mut texts: BTreeMap<String, &str> = BTreeMap::new();
    for link in entry.links() {
        let Some(operator) = &link.operator else { continue };
        if operator.kind == OperatorKind::NoMatch && !operator.negated
            || operator.kind == OperatorKind::UnconditionalMatch && operator.negated
        {
            report.add("W020", operator.span, Some(entry.id), format!("@{} is never true", operator.kind));
        }
        let Some(argument) = operator.argument.as_literal() else { continue };
        cannot_come_out(entry, link, operator, argument, report);
        let Some(variable) = one_value(entry, link) else { continue };
        let name = shown(variable);
        if is_comparison(operator.kind) {
            let Ok(number) = argument.trim().parse::<i64>() else {
                let text = format!("compares with {argument:?}, which counts as 0");
                report.add("W022", operator.argument_span, Some(entry.id), text);
                continue;
            };
            let low = if variable.count { 0 } else { i64::MIN };
            let interval = intervals.entry(name.clone()).or_insert_with(|| Interval {
                low,
                high: i64::MAX,
                not: Vec::new(),
            });
            let was_empty = interval.is_empty();
            interval.narrow(operator.kind, number, operator.negated);
            if interval.is_empty() && !was_empty {
                let text = format!("is never true: no number passes every test of {name}");
                report.add("W020", operator.span, Some(entry.id), text);
            }
        } else if operator.kind == OperatorKind::StrEq && !operator.negated {
            let key = format!("{name} {:?}", entry.transformations(link));
            match texts.get(&key) {
                Some(other) if *other != argument => {
                    let text = format!("is never true: {name} is also to be {other:?}");
                    report.add("W020", operator.span, Some(entry.id), text);
                }
                _ => {
                    texts.insert(key, argument);
                }
            }
        }
    }
}

fn is_comparison(kind: OperatorKind) -> bool {
    use OperatorKind as O;
    matches!(kind, O::Eq | O::Ge | O::Gt | O::Le | O::Lt)
}

/// The target of a link, if it has one value for as long as the chain is tried.
fn one_value<'a>(entry: &Entry<'_>, link: &'a Rule) -> Option<&'a Variable> {
    use palisade_seclang::VariableKind as V;
    let [variable] = link.variables.as_slice() else { return None };
    let is_set =
        entry.actions().any(|action| matches!(action.kind, ActionKind::SetVar(_) | ActionKind::Capture));
    let changes =
        matches!(variable.kind, V::MatchedVar | V::MatchedVarName | V::MatchedVars | V::MatchedVarsNames)
            || variable.kind.is_collection() && is_set;
    let is_single = variable.count
        || !variable.kind.is_collection()
        || variable.kind == V::Tx && matches!(variable.selector, Selector::Exact(_));
    (is_single && !changes && !variable.exclude).then_some(variable)
}

/// Upper case letters behind `t:lowercase`, and the like.
fn cannot_come_out(
    entry: &Entry<'_>,
    link: &Rule,
    operator: &Operator,
    argument: &str,
    report: &mut Report<'_>,
) {
    use OperatorKind as O;
    let is_text = matches!(operator.kind, O::StrEq | O::Contains | O::BeginsWith | O::EndsWith | O::StrMatch);
    let is_multi = link.actions.iter().any(|action| action.kind == ActionKind::MultiMatch);
    if !is_text || operator.negated || is_multi {
        return;
    }
    let steps = entry.transformations(link);
    let found = match steps.last() {
        Some(Transformation::Lowercase) if argument.bytes().any(|byte| byte.is_ascii_uppercase()) => {
            "it has upper case letters behind t:lowercase"
        }
        Some(Transformation::Uppercase) if argument.bytes().any(|byte| byte.is_ascii_lowercase()) => {
            "it has lower case letters behind t:uppercase"
        }
        Some(Transformation::RemoveWhitespace) if argument.bytes().any(|byte| byte.is_ascii_whitespace()) => {
            "it has blanks behind t:removeWhitespace"
        }
        Some(Transformation::RemoveNulls) if argument.contains('\0') => "it has a NUL behind t:removeNulls",
        _ => return,
    };
    report.add("W021", operator.argument_span, Some(entry.id), format!("is never true: {found}"));
}
