//! Whatever is read: no panic, no error without a place, and the same text gives the same tree.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use palisade_seclang::{
    Ast, Diagnostics, DirectiveBody, NoSources, Source, VariableKind, matches_glob, parse, parse_ids,
    parse_target, resolve,
};
use proptest::prelude::*;

/// Rules that together use every part of the grammar.
const SEED: &str = "\u{feff}# comment \\\n# more\nSecComponentSignature \"x/1\"\r\nSecDefaultAction \"phase:2,log,pass\"\n\
SecRule ARGS|!ARGS:/a|b/|&TX:'/c,d/'|XML:/* \"!@rx \\\"(?i)%{tx.a}\\\\x\" \\\n    \"id:1,\\\n    phase:2,t:none,t:lowercase,\\\n    msg:'it\\'s %{MATCHED_VAR}',\\\n\
    setvar:'tx.%{rule.id}=+%{tx.s}',ctl:ruleRemoveTargetById=5-9;ARGS:'/q,r/',chain\"\n  SecRule REQUEST_HEADERS:Host \"@within %{tx.h}\" \"t:none\"\n\
SecAction 'id:2,skipAfter:END,nolog'\nSecRuleUpdateTargetById 1,3-4 \"!ARGS:foo\"\nSecRequestBodyLimit 1000\nSecMarker END\n";

fn read(text: &str) -> Result<Ast, Diagnostics> {
    parse(&[Source { name: "p.conf".into(), text: text.into() }], &NoSources)
}

/// Every span is inside the text and on character boundaries; every error has a line of the text.
fn check(text: &str) {
    match read(text) {
        Ok(ast) => {
            for directive in &ast.directives {
                let spans = match &directive.body {
                    DirectiveBody::Rule(rule) => {
                        let actions = rule.actions.iter().map(|action| action.span);
                        let variables = rule.variables.iter().map(|variable| variable.span);
                        let operator = rule.operator.iter().map(|operator| operator.span);
                        actions.chain(variables).chain(operator).chain([rule.span, directive.span]).collect()
                    }
                    _ => vec![directive.span],
                };
                for span in spans {
                    assert!(text.get(span.start as usize..span.end as usize).is_some(), "{span:?} {text:?}");
                }
            }
        }
        Err(diagnostics) => {
            assert!(!diagnostics.list.is_empty());
            let lines = text.split('\n').count() as u32;
            for one in &diagnostics.list {
                assert!((1..=lines).contains(&one.line) && one.column >= 1, "{one:?}");
            }
            let shown = diagnostics.to_string();
            assert!(shown.chars().all(|letter| letter == '\n' || !letter.is_control()), "{shown:?}");
        }
    }
}

#[test]
fn the_seed_is_valid() {
    let ast = read(SEED).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(ast.rules().count(), 2);
    check(SEED);
}

#[test]
fn texts_made_to_be_slow_are_not() {
    let long = 120_000;
    for piece in [
        "=", "%{", "%{=", "'", "\\", "\"", ",", "a:'", "a,", "/|", "ARGS|", "t:none,", "x:", "!", "&", "{}",
        "=',", ":',",
    ] {
        let filler = piece.repeat(long / piece.len());
        for (before, after) in [
            ("SecAction \"id:1,setvar:tx.a%{", "\""),
            ("SecAction \"id:1,", "\""),
            ("SecAction \"id:1,msg:'", "'\""),
            ("SecRule \"ARGS:/", "\" x id:1"),
            ("SecRule \"ARGS|", "\" x id:1"),
            ("SecRule ARGS \"@within ", "\" id:1"),
            ("SecRule ARGS ", ""),
            ("SecRuleRemoveById ", ""),
            ("#", "\\\n"),
            ("", ""),
        ] {
            _ = read(&format!("{before}{filler}{after}"));
        }
    }
    _ = read(&"\\\n".repeat(1_000_000));
    _ = read(&"SecRule \\\n".repeat(100_000));
    _ = read(&"# \\\n".repeat(1_000_000));
    _ = read(&"Sec\n".repeat(1_000_000));
}

fn mutated() -> impl Strategy<Value = String> {
    let edit = (any::<prop::sample::Index>(), 0usize..6, "\\PC{0,4}|[\"'\\\\,:|!&/%{}=\n\r\t ]{0,3}");
    prop::collection::vec(edit, 1..6).prop_map(|edits| {
        let mut letters: Vec<char> = SEED.chars().collect();
        for (at, removed, inserted) in edits {
            let at = at.index(letters.len() + 1);
            let end = (at + removed).min(letters.len());
            letters.splice(at..end, inserted.chars());
        }
        letters.into_iter().collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    #[test]
    fn arbitrary_text_never_panics(text in any::<String>()) {
        check(&text);
        check(&format!("SecRule {text}"));
        check(&format!("SecAction \"id:1,{text}\""));
        _ = parse_target(&text);
        _ = parse_ids(&text);
        _ = resolve("a/b", &text);
    }

    #[test]
    fn changed_rules_never_panic(text in mutated()) {
        check(&text);
    }

    #[test]
    fn a_resolved_name_never_leaves_the_root(from in "[a-z./]{0,12}", name in "[a-z./]{0,12}") {
        if let Ok(resolved) = resolve(&from, &name) {
            prop_assert!(!resolved.starts_with('/'));
            prop_assert!(resolved.split('/').all(|part| part != ".." && part != "."));
        }
    }

    #[test]
    fn a_pattern_without_wildcards_takes_itself_alone(name in "[a-z/.]{0,8}", other in "[a-z/.]{0,8}") {
        prop_assert!(matches_glob(&name, &name));
        prop_assert_eq!(matches_glob(&name, &other), name == other);
    }

    #[test]
    fn what_is_printed_is_read_back(
        kind in prop::sample::select(VariableKind::ALL),
        key in "[a-zA-Z0-9_.-]{1,8}",
        form in 0usize..4,
        prefix in prop::sample::select(vec!["", "&"]),
        argument in "[a-z0-9 %_]{0,6}[a-z]",
    ) {
        let text = match form {
            _ if !kind.is_collection() => kind.name().to_owned(),
            0 => kind.name().to_owned(),
            1 => format!("{kind}:/^{key}$/"),
            _ => format!("{kind}:{key}"),
        };
        let macro_text = format!("{argument}%{{{kind}.{key}}}{argument}");
        let rule = format!("SecRule {prefix}{text} \"@within {macro_text}\" \"id:1\"");
        let ast = read(&rule).unwrap();
        let read = ast.rules().next().unwrap();
        prop_assert_eq!(read.variables[0].to_string(), format!("{prefix}{text}"));
        let operator = read.operator.as_ref().unwrap();
        prop_assert_eq!(operator.argument.to_string(), macro_text.trim_start());
    }
}
