//! A report for people: aligned, and in colour only if it is asked for.

use std::fmt::Write as _;

use palisade_control_plane::waf_test::{Options, Report, RuleReport, ValueReport, Verdict};

/// Characters of one value that are shown; `--json` has all.
const SHOWN_LETTERS: usize = 2_000;
/// Values of one rule that are shown; `--json` has all.
const SHOWN_VALUES: usize = 20;

struct Paint(bool);

impl Paint {
    fn with(&self, code: &str, text: &str) -> String {
        if self.0 { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

/// The report as text. `all`: also rules without a log entry, and chains that did not complete.
pub(super) fn report(report: &Report, options: Options, all: bool, colour: bool) -> String {
    let paint = Paint(colour);
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = write(&mut text, report, options, all, &paint);
    text
}

fn write(text: &mut String, report: &Report, options: Options, all: bool, paint: &Paint) -> std::fmt::Result {
    let version = report.rule_set_version.as_deref().unwrap_or("rules without a version");
    writeln!(text, "{}", paint.with("1", &clipped(&report.request)))?;
    writeln!(text, "{version}, {} rules in force", report.rules_in_force)?;
    let is_told =
        |rule: &&RuleReport| all || rule.complete && rule.logged || options.watched == Some(rule.id);
    let mut matched = 0;
    for rule in report.rules.iter().filter(is_told) {
        matched += usize::from(rule.complete && rule.logged);
        self::rule(text, rule, paint)?;
    }
    writeln!(text)?;
    if matched == 0 && !matches!(report.verdict, Verdict::Malformed { .. }) {
        writeln!(text, "no rule with a log entry matched")?;
        for line in report.why_nothing(options) {
            writeln!(text, "  {line}")?;
        }
    }
    if !report.scores.is_empty() {
        let width = report.scores.keys().map(String::len).max().unwrap_or_default();
        writeln!(text, "scores and thresholds")?;
        for (name, value) in &report.scores {
            writeln!(text, "  tx.{name:<width$}  {value}")?;
        }
    }
    for note in &report.notes {
        writeln!(text, "note: {note}")?;
    }
    for note in &report.rule_set_notes {
        writeln!(text, "{note}")?;
    }
    if !report.fast_path_agrees {
        let line = "the fast path and the straightforward evaluation disagree: a defect of the engine, please report it";
        writeln!(text, "{}", paint.with("31;1", line))?;
    }
    let (colour, verdict) = match &report.verdict {
        Verdict::Malformed { cause, place } => ("31", format!("refused before any rule: {cause} in {place}")),
        Verdict::Denied { rule: 0, status, explanation, .. } => {
            ("31", format!("denied with {status} by the engine: {explanation}"))
        }
        Verdict::Denied { rule, phase, status, explanation } => {
            ("31", format!("denied with {status} by rule {rule} in phase {phase}: {explanation}"))
        }
        Verdict::Passes { would_be_denied_by: Some(rule) } => {
            ("33", format!("passes; in block mode rule {rule} would deny it"))
        }
        Verdict::Passes { would_be_denied_by: None } => ("32", "passes".to_owned()),
    };
    writeln!(text, "verdict: {}", paint.with(colour, &verdict))
}

fn rule(text: &mut String, rule: &RuleReport, paint: &Paint) -> std::fmt::Result {
    let state = match rule.complete {
        true => "",
        false if rule.values.iter().any(|value| value.matched) => "  (the chain did not complete)",
        false => "  (did not match)",
    };
    let severity = rule.severity.unwrap_or("-");
    let id = paint.with("1", &rule.id.to_string());
    writeln!(text, "\n{id}  phase {}  {severity}  {}{state}", rule.phase, clipped(&rule.message))?;
    writeln!(text, "  at         {}", rule.place)?;
    if rule.effect != "pass" {
        writeln!(text, "  effect     {}", rule.effect)?;
    }
    if rule.values.is_empty() {
        writeln!(
            text,
            "  it had nothing to look at: none of its targets is in this request, or it did not run"
        )?;
    }
    let mut last = None;
    for value in rule.values.iter().take(SHOWN_VALUES) {
        if last != Some(value.link) {
            last = Some(value.link);
            let link = if rule.links > 1 { format!("link {}: ", value.link + 1) } else { String::new() };
            writeln!(text, "  operator   {link}{}", clipped(&value.operator))?;
        }
        self::value(text, value, paint)?;
    }
    let more = rule.values.len().saturating_sub(SHOWN_VALUES);
    if more > 0 {
        writeln!(text, "  and {more} more values (--json shows all)")?;
    }
    Ok(())
}

fn value(text: &mut String, value: &ValueReport, paint: &Paint) -> std::fmt::Result {
    if !value.target.is_empty() {
        let target = paint.with("36", &clipped(&value.target));
        writeln!(text, "  target     {target}{}", if value.matched { "" } else { "  (no match)" })?;
        writeln!(text, "    value      {}", clipped(&value.value))?;
        if let Some(transformed) = &value.transformed {
            writeln!(text, "    seen as    {}", paint.with("33", &clipped(transformed)))?;
        }
        if !value.transformations.is_empty() {
            writeln!(text, "    through    {}", value.transformations.join(", "))?;
        }
        writeln!(text, "    prefilter  {}", value.prefilter)?;
    }
    for (name, before, after) in &value.changes {
        let shown = |value: &Option<String>| value.as_deref().map_or("nothing".to_owned(), clipped);
        writeln!(text, "    sets       tx.{name}: {} -> {}", shown(before), shown(after))?;
    }
    Ok(())
}

fn clipped(text: &str) -> String {
    match text.char_indices().nth(SHOWN_LETTERS) {
        Some((end, _)) => {
            let shown = text.get(..end).unwrap_or_default();
            format!("{shown}… ({} more bytes)", text.len() - end)
        }
        None => text.to_owned(),
    }
}
