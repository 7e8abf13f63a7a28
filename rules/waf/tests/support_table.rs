//! What `docs/seclang-support.md` calls refused is refused by the engine, and nothing else is.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout
)]

mod exchange;

use palisade_model::documents::{Metadata, RuleSet, RuleSetSpec, SourceFile};
use palisade_seclang::parse_rule_set;
use palisade_waf::Engine;

const DOCUMENT: &str = include_str!("../../../docs/seclang-support.md");

/// Arguments of every shape that the grammar asks for somewhere.
const ARGUMENTS: [&str; 23] = [
    "", "1", "0", "On", "Off", "x", "&", ";", "Reject", "Serial", "JSON", "Abort", "ABC", "1 1", "d.data",
    "10.0.0.1", "5-9", "phase", "tx.a=1", "ip=1", "ip.a=1", "1;ARGS", "a=b",
];

/// (name, engine) of the rows of a section.
fn rows(section: &str) -> Vec<(&'static str, &'static str)> {
    let heading = format!("\n## {section}\n");
    let text = DOCUMENT.split(&heading).nth(1).unwrap().split("\n## ").next().unwrap();
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `"));
    rows.map(|row| {
        let mut cells = row.split(" | ");
        (cells.next().unwrap().trim_end_matches('`'), cells.next().unwrap())
    })
    .collect()
}

fn rule_set(text: &str) -> RuleSet {
    let source = SourceFile { name: "a.conf".into(), text: text.into() };
    let files =
        [("d.data", "10.0.0.1\n"), ("empty.inc", ""), ("unicode.mapping", "20127 (US-ASCII) 00a0:20")]
            .map(|(name, text)| (name.to_owned(), text.to_owned()));
    RuleSet {
        api_version: "palisade.dev/v1alpha1".into(),
        kind: "RuleSet".into(),
        metadata: Metadata { name: "r".into(), ..Metadata::default() },
        spec: RuleSetSpec { sources: vec![source], data: files.into() },
    }
}

/// Of the forms that the parser takes: how many the engine takes, how many it refuses, and of how many it says that they
/// change nothing.
fn tried(forms: impl Iterator<Item = String>) -> (usize, usize, usize) {
    let (mut taken, mut refused, mut noted) = (0, 0, 0);
    for text in forms {
        let rule_set = rule_set(&text);
        if parse_rule_set(&rule_set).is_err() {
            continue;
        }
        match Engine::compile(&rule_set, &exchange::policy()) {
            Ok(engine) => {
                taken += 1;
                noted += usize::from(!engine.notes().is_empty());
            }
            Err(error) => {
                assert!(error.to_string().starts_with("a.conf:"), "{text}\n{error}");
                refused += 1;
            }
        }
    }
    (taken, refused, noted)
}

fn check(section: &str, forms: impl Fn(&str, &str) -> String) {
    let rows = rows(section);
    assert!(rows.len() > 10, "{section}");
    for (name, engine) in rows {
        let (taken, refused, noted) = tried(ARGUMENTS.iter().map(|argument| forms(name, argument)));
        let holds = match engine {
            "refused" => taken == 0 && refused > 0,
            "one value" => taken > 0 && refused > 0,
            // An operator may refuse an argument that is none of its own.
            _ => taken > 0 && (refused == 0 || section == "Operators"),
        };
        // What audit logs hold is told by their own page.
        let is_audit = name.to_ascii_lowercase().contains("audit");
        let told = if ["no effect", "empty"].contains(&engine) { taken } else { 0 };
        assert!(
            is_audit || noted == told,
            "{section} {name} is {engine}: {noted} of {taken} forms are noted"
        );
        assert!(holds, "{section} {name} is {engine}: {taken} forms taken, {refused} refused");
    }
}

#[test]
fn what_the_table_calls_refused_is_refused_and_what_has_no_effect_is_told_and_nothing_else() {
    check("Directives", |name, argument| match name {
        "SecAction" => format!("SecAction id:{argument}"),
        "SecRule" => format!("SecRule ARGS {argument} id:1"),
        "SecDefaultAction" => "SecDefaultAction phase:2,pass".to_owned(),
        "SecRuleScript" => "SecRuleScript a.lua id:1".to_owned(),
        "SecRuleUpdateActionById" => "SecAction id:1\nSecRuleUpdateActionById 1 pass".to_owned(),
        "SecRuleUpdateTargetById" => "SecRule ARGS x id:1\nSecRuleUpdateTargetById 1 !ARGS:a".to_owned(),
        "SecRuleUpdateTargetByMsg" | "SecRuleUpdateTargetByTag" => format!("{name} a !ARGS:a"),
        "Include" => "Include empty.inc".to_owned(),
        "SecUnicodeMapFile" => "SecUnicodeMapFile unicode.mapping 20127".to_owned(),
        _ => format!("{name} {argument}"),
    });
    check("Operators", |name, argument| format!("SecRule ARGS \"@{name} {argument}\" id:1"));
    check("Transformations", |name, _| format!("SecRule ARGS x id:1,t:{name}"));
    check("Variables", |name, _| format!("SecRule {name} x id:1"));
    check("Actions", |name, argument| {
        let value = if argument.is_empty() { String::new() } else { format!(":{argument}") };
        match name {
            "id" => "SecAction id:7".to_owned(),
            "chain" => "SecAction id:1,chain\nSecAction nolog".to_owned(),
            "skipAfter" => "SecAction id:1,skipAfter:END\nSecMarker END".to_owned(),
            "ctl" => "SecAction id:1,ctl:ruleEngine=Off".to_owned(),
            "t" => "SecAction id:1,t:none".to_owned(),
            // Of TX nothing expires.
            "expirevar" => "SecAction id:1,expirevar:ip.a=1".to_owned(),
            "status" => "SecAction id:1,deny,status:403".to_owned(),
            _ => format!("SecAction \"id:1,{name}{value}\""),
        }
    });
    check("ctl", |name, argument| {
        let argument = if name == "requestBodyProcessor" { "JSON" } else { argument };
        format!("SecAction \"id:1,ctl:{name}={argument}\"")
    });
}
