//! The OWASP Core Rule Set is read without an error, and everything in it is counted once.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr
)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use palisade_model::documents::{Metadata, RuleSet, RuleSetSpec, SourceFile};
use palisade_seclang::{
    ActionKind, Ast, DirectiveBody, MacroPart, OperatorKind, Rule, Selector, VariableKind, parse_rule_set,
};

/// Where the Core Rule Set is, if it is there.
fn crs() -> Option<PathBuf> {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/crs");
    let directory = std::env::var_os("PALISADE_CRS").map_or_else(|| PathBuf::from(beside), PathBuf::from);
    if directory.join("rules").is_dir() {
        return Some(directory);
    }
    println!("skipped: no Core Rule Set at {} (set PALISADE_CRS)", directory.display());
    None
}

fn rule_set(directory: &Path) -> RuleSet {
    let setup = directory.join("crs-setup.conf.example");
    let mut sources = vec![source("crs-setup.conf.example", &setup)];
    let mut data = BTreeMap::new();
    let mut paths: Vec<PathBuf> =
        fs::read_dir(directory.join("rules")).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    for path in paths {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("conf") => sources.push(source(&name, &path)),
            Some("data") => _ = data.insert(name, fs::read_to_string(&path).unwrap()),
            _ => {}
        }
    }
    RuleSet {
        api_version: "palisade.dev/v1alpha1".into(),
        kind: "RuleSet".into(),
        metadata: Metadata { name: "crs".into(), ..Metadata::default() },
        spec: RuleSetSpec { sources, data },
    }
}

fn source(name: &str, path: &Path) -> SourceFile {
    SourceFile { name: name.into(), text: fs::read_to_string(path).unwrap() }
}

fn read() -> Option<Ast> {
    let directory = crs()?;
    match parse_rule_set(&rule_set(&directory)) {
        Ok(ast) => Some(ast),
        Err(diagnostics) => panic!("{diagnostics}"),
    }
}

/// Starters and links alike.
fn all_rules(ast: &Ast) -> Vec<&Rule> {
    ast.rules().flat_map(|rule| std::iter::once(rule).chain(&rule.links)).collect()
}

#[test]
fn the_core_rule_set_is_read_without_an_error_and_counted_in_full() {
    let Some(ast) = read() else { return };
    let rules = all_rules(&ast);
    let (with_operator, without): (Vec<&Rule>, Vec<&Rule>) =
        rules.iter().partition(|rule| rule.operator.is_some());
    assert_eq!((with_operator.len(), without.len()), (695, 8), "SecRule, SecAction");
    assert_eq!(ast.rules().count(), 630, "ids");
    let chains: Vec<usize> = ast.rules().map(|rule| rule.links.len()).filter(|links| *links > 0).collect();
    assert_eq!((chains.len(), chains.iter().sum::<usize>()), (55, 73), "chains, links");

    let mut bodies: BTreeMap<&str, usize> = BTreeMap::new();
    for directive in &ast.directives {
        *bodies.entry(directive.name.name()).or_default() += 1;
    }
    assert_eq!(bodies["SecMarker"], 30);
    assert_eq!(bodies["SecDefaultAction"], 5);
    assert_eq!(bodies["SecComponentSignature"], 1);
    assert_eq!(bodies["SecRuleUpdateTargetById"], 55);
    assert_eq!(ast.data.len(), 19, "21 operators name 19 files; each is read once");
    assert_eq!(ast.files.len(), 28);
}

#[test]
fn operators_variables_and_actions_of_the_core_rule_set_are_those_of_its_inventory() {
    let Some(ast) = read() else { return };
    let rules = all_rules(&ast);
    let operators = || rules.iter().filter_map(|rule| rule.operator.as_ref());
    let count = |kind: OperatorKind| operators().filter(|operator| operator.kind == kind).count();
    assert_eq!(count(OperatorKind::Rx), 318);
    assert_eq!(count(OperatorKind::Lt), 190);
    assert_eq!(count(OperatorKind::PmFromFile), 21);
    assert_eq!(operators().filter(|operator| operator.negated).count(), 42);
    let files = operators().filter(|operator| operator.kind.reads_files());
    assert!(files.into_iter().all(|operator| operator.data_texts(&ast).all(|text| !text.is_empty())));
    let plain = |kind| matches!(kind, OperatorKind::Rx | OperatorKind::Pm);
    assert!(operators().filter(|o| plain(o.kind)).all(|o| o.argument.as_literal().is_some()));
    let with_expansion = operators().filter(|operator| operator.argument.as_literal().is_none()).count();
    assert_eq!(with_expansion, 30);

    let variables = || rules.iter().flat_map(|rule| &rule.variables);
    assert_eq!(variables().count(), 1_749);
    assert_eq!(variables().filter(|variable| variable.count).count(), 50);
    assert_eq!(variables().filter(|variable| variable.exclude).count(), 28);
    let xpath = |path: &str| variables().filter(|v| v.selector == Selector::XPath(path.into())).count();
    assert_eq!((xpath("/*"), xpath("//@*")), (176, 175));
    let regexes =
        |kind| variables().filter(|v| v.kind == kind && matches!(v.selector, Selector::Regex(_))).count();
    assert_eq!(regexes(VariableKind::Tx), 5);
    assert_eq!(regexes(VariableKind::RequestCookies), 1);

    let actions = || rules.iter().flat_map(|rule| &rule.actions);
    let named = |name: &str| actions().filter(|action| action.kind.name().name() == name).count();
    for (name, expected) in [
        ("tag", 3_089),
        ("t", 840),
        ("setvar", 684),
        ("id", 630),
        ("phase", 630),
        ("ver", 630),
        ("msg", 355),
        ("severity", 346),
        ("block", 345),
        ("logdata", 331),
        ("pass", 279),
        ("capture", 279),
        ("skipAfter", 206),
        ("chain", 73),
        ("ctl", 10),
    ] {
        assert_eq!(named(name), expected, "{name}");
    }
    let dynamic_keys = actions().filter(|action| match &action.kind {
        ActionKind::SetVar(set) => {
            set.key.parts.iter().any(|part| matches!(part, MacroPart::Expansion { .. }))
        }
        _ => false,
    });
    assert_eq!(dynamic_keys.count(), 5);
}

#[test]
fn a_span_leads_back_to_the_text_it_was_read_from() {
    let Some(ast) = read() else { return };
    for directive in &ast.directives {
        let DirectiveBody::Rule(rule) = &directive.body else { continue };
        let text = &ast.files[rule.span.file as usize].text;
        let of = |span: palisade_seclang::Span| &text[span.start as usize..span.end as usize];
        assert!(of(rule.span).starts_with("Sec"), "{}", of(rule.span));
        let id = rule.actions.iter().find(|action| matches!(action.kind, ActionKind::Id(_))).unwrap();
        assert_eq!(of(id.span), format!("id:{}", rule.id().unwrap()));
        if let Some(operator) = &rule.operator {
            let start = of(operator.span).trim_start_matches('!');
            assert!(start.starts_with(&format!("@{}", operator.kind)), "{}", of(operator.span));
        }
    }
}
