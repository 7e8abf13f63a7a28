//! Needs are necessary: what an operator matches meets them, for patterns of every construct.

use std::fmt::Write as _;

use proptest::prelude::*;
use proptest::string::bytes_regex;

use super::Needs;
use super::needs::ByteSet;
use crate::operators::{Interner, Operator, OperatorKind};

fn rx(pattern: &str) -> Operator {
    Operator::compile(OperatorKind::Rx, Some(pattern), &[], &mut Interner::default()).unwrap()
}

/// What the scanner and the byte set decide, spelled out.
fn meets(needs: &Needs, value: &[u8]) -> bool {
    let folded = value.to_ascii_lowercase();
    let holds = |literal: &Vec<u8>| folded.windows(literal.len()).any(|window| window == literal.as_slice());
    value.len() >= needs.bytes
        && needs
            .clauses
            .iter()
            .all(|clause| clause.bytes.meets(&ByteSet::of(value)) || clause.literals.iter().any(holds))
}

fn literals(pattern: &str) -> Vec<String> {
    let operator = rx(pattern);
    let clauses = operator.needs().map(|needs| needs.clauses.clone()).unwrap_or_default();
    clauses
        .iter()
        .map(|clause| {
            let mut shown = String::new();
            for byte in clause.bytes.iter() {
                write!(shown, "{}", char::from(byte)).unwrap();
            }
            let texts = clause.literals.iter().map(|text| String::from_utf8_lossy(text).into_owned());
            texts.chain((!shown.is_empty()).then(|| format!("[{shown}]"))).collect::<Vec<_>>().join(" ")
        })
        .collect()
}

#[test]
fn an_expression_needs_its_most_telling_texts() {
    for (pattern, expected) in [
        (
            "(?i)union\\s+select",
            vec![
                "\tselect \nselect \u{b}select \u{c}select \rselect  select",
                "union\t union\n union\u{b} union\u{c} union\r union ",
                "[\t\n\u{b}\u{c}\r ]",
            ],
        ),
        ("^(?:foo|bar)?baz$", vec!["baz"]),
        ("a(?:b|c)d", vec!["abd acd"]),
        ("select|[';]x?", vec!["select [';]"]),
        ("x{3}y", vec!["xxxy"]),
        ("(?:ab){2,}", vec!["abab"]),
        ("a*", vec![]),
        ("[^a]|", vec![]),
        ("(?i)[ ;]on[a-z]{3,9}=", vec![" on ;on", "[=]"]),
        ("[.]{2}/|%2e", vec!["%2e ../"]),
        // How a part without an exact set begins and ends makes the texts beside it longer.
        ("xy[ab]+cdd", vec!["acdd bcdd", "xya xyb", "[ABab]"]),
        ("(?:ab.*cd){2,}", vec!["cdab", "cd", "ab"]),
        // Of two branches, the best of one with what else the other has.
        ("ab.*;|cd.*!", vec!["ab cd", "ab [!]", "cd [;]", "[!;]"]),
    ] {
        assert_eq!(literals(pattern), expected, "{pattern}");
    }
}

/// Patterns with every construct, and values that are often matches of them.
fn pattern() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        "[a-dA-D]{1,3}",
        Just("[a-c]".to_owned()),
        Just("[^ab]".to_owned()),
        Just("[0-9;']".to_owned()),
        Just("\\s".to_owned()),
        Just("\\b".to_owned()),
        Just("^".to_owned()),
        Just("$".to_owned()),
        Just(".".to_owned()),
        Just("(?i:aB)".to_owned()),
        Just("\\xff".to_owned()),
        Just("".to_owned()),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 1..4).prop_map(|parts| parts.concat()),
            prop::collection::vec(inner.clone(), 1..4).prop_map(|parts| format!("(?:{})", parts.join("|"))),
            (inner.clone(), prop::sample::select(vec!["*", "+", "?", "{2}", "{1,3}", "{0,2}", "{5,}", "*?"]))
                .prop_map(|(part, times)| format!("(?:{part}){times}")),
            inner.prop_map(|part| format!("({part})")),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_value_that_an_expression_matches_meets_its_needs(
        pattern in pattern(), values in prop::collection::vec("[a-dA-D0;' \n]{0,12}", 24), raw in any::<Vec<u8>>(),
    ) {
        let operator = rx(&pattern);
        if let Some(needs) = operator.needs() {
            for value in values.iter().map(String::as_bytes).chain([raw.as_slice(), b"", b"\xff"]) {
                if operator.matches(value, b"", None) {
                    prop_assert!(meets(needs, value), "{} on {:?}: {:?}", pattern, value, needs);
                }
            }
        }
    }

    #[test]
    fn a_match_of_an_expression_of_words_meets_its_needs(
        (pattern, value) in prop::sample::select(vec![
            "(?i)(?:union[ \\n]{1,3}(?:all )?select|insert into|[a-z]{2,4}='[^']+')",
            "(?i)<(?:script|img|svg)[^>]{0,5}(?:on(?:load|error)|src)=",
            "[/x5c](?:etc/(?:passwd|shadow)|\\.\\./){1,3}",
            "(?:a|bc|def){3,5}x",
        ]).prop_flat_map(|pattern| (Just(pattern), bytes_regex(pattern).unwrap())),
    ) {
        let operator = rx(pattern);
        prop_assume!(operator.matches(&value, b"", None));
        let needs = operator.needs().unwrap();
        prop_assert!(!needs.clauses.is_empty());
        prop_assert!(meets(needs, &value), "{} on {:?}: {:?}", pattern, value, needs);
    }

    #[test]
    fn a_value_that_holds_a_phrase_meets_its_needs(
        phrases in prop::collection::vec("[aAbB;]{1,20}", 1..6), value in "[abAB;]{0,30}",
    ) {
        let argument = phrases.join(" ");
        let operator =
            Operator::compile(OperatorKind::Pm, Some(&argument), &[], &mut Interner::default()).unwrap();
        if operator.matches(value.as_bytes(), b"", None) {
            prop_assert!(meets(operator.needs().unwrap(), value.as_bytes()), "{} on {}", argument, value);
        }
    }
}
