//! Whatever text a policy holds, what is rendered is read back as it was; and no text makes the reader panic.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::path::Path;

use palisade_loader::policy_file::{parse, render};
use palisade_loader::{documents, version_of};
use palisade_model::documents::{Metadata, RuleSet, RuleSetSpec, SourceFile};
use palisade_model::{Policy, WorkloadId};
use proptest::prelude::*;

/// Text of what YAML gives a meaning to.
fn awkward() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        3 => "[ \t\n\r:#'\"\\\\|>&*!%@`{}\\[\\],?~-]{1,4}",
        2 => "[a-z0-9 .]{1,6}",
        1 => prop::sample::select(vec![
            "---", "...", "null", "true", "no", "0x1f", "1e3", "012", "<<", "=", "\u{85}", "\u{2028}", "\u{feff}", "\u{7f}", "\0",
            "\u{1b}", "é", "\u{1f600}", "\r\n", "\n\n", "\n ", " \n", "2001-01-01", ".inf", "1_000", "0o7", "!!str x",
        ]).prop_map(str::to_owned),
        1 => any::<char>().prop_map(String::from),
    ];
    prop::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

fn policy(name: String, key: String, texts: Vec<String>) -> Policy {
    let mut policy = Policy::empty(WorkloadId::local("shop", &name));
    let mut texts = texts.into_iter();
    let mut next = || texts.next().unwrap_or_default();
    let mut metadata = Metadata { name: next(), namespace: next(), ..Metadata::default() };
    metadata.labels.insert(key.clone(), next());
    policy.rule_sets.push(RuleSet {
        api_version: "palisade.dev/v1alpha1".into(),
        kind: "RuleSet".into(),
        metadata,
        spec: RuleSetSpec {
            sources: vec![SourceFile { name: next(), text: next() }],
            data: [(key, next())].into(),
        },
    });
    policy
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    #[test]
    fn every_text_survives_rendering(
        name in awkward(),
        key in awkward(),
        texts in prop::collection::vec(awkward(), 6),
    ) {
        let policy = policy(name, key, texts);
        let text = render(&policy).unwrap();
        let file = parse("p.yaml", &text, Path::new("")).map_err(|error| TestCaseError::fail(format!("{error}\n{text}")))?;
        prop_assert_eq!(&file.policy, &policy, "{}", text);
        prop_assert_eq!(file.version, version_of(&policy));
        let json = serde_json::to_string(&policy.rule_sets[0]).unwrap();
        let read = documents::parse("d.json", &json).unwrap();
        prop_assert_eq!(serde_json::to_string(&read[0]).unwrap(), json);
    }

    #[test]
    fn no_text_makes_the_reader_panic(text in awkward(), before in prop::sample::select(vec![
        "", "kind: RuleSet\n", "apiVersion: palisade.dev/v1alpha1\nkind: RuleSet\nmetadata: {name: ", "{\"kind\": ", "a: &a [*a, ",
    ])) {
        let text = format!("{before}{text}");
        if let Err(error) = documents::parse("f.yaml", &text) {
            let shown = error.to_string();
            prop_assert!(shown.starts_with("f.yaml"), "{}", shown);
            prop_assert!(shown.chars().all(|letter| !letter.is_control()), "{:?}", shown);
        }
        _ = parse("f.yaml", &text, Path::new("/nowhere"));
    }
}
