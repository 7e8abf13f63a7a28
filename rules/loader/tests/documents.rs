//! Documents: what is accepted, and that what is refused is refused with its place.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use palisade_loader::LoadError;
use palisade_loader::documents::parse;
use palisade_loader::limits::{
    MAX_ANCHORS, MAX_DEPTH, MAX_DOCUMENTS, MAX_FILE_BYTES, MAX_NODES, MAX_REPLAYED_NODES,
};
use palisade_model::documents::Document;

const ALLOW: &str = "\
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata:
  name: allow-shop
  namespace: payments
spec:
  action: ALLOW
  rules:
  - from:
    - source:
        principals: [cluster.local/ns/shop/sa/web]
";

const RULES: &str = "\
apiVersion: palisade.dev/v1alpha1
kind: RuleSet
metadata: {name: small}
spec:
  sources:
  - name: a.conf
    text: |
      SecRule ARGS \"@rx x\" \"id:1\"
      --- is text here, since it is indented
";

fn refused(text: &str) -> String {
    parse("f.yaml", text).unwrap_err().to_string()
}

/// (line, column, path, the rest)
fn place(text: &str) -> (usize, usize, String, String) {
    match parse("f.yaml", text).unwrap_err() {
        LoadError::Document(place) => (place.line, place.column, place.path, place.problem),
        other => panic!("{other}"),
    }
}

#[test]
fn documents_are_read_one_after_the_other_and_empty_ones_are_left_out() {
    let text = format!("# head\n---\n{ALLOW}---\n# nothing\n\n--- # next\r\n{RULES}...\n---\n");
    let documents = parse("f.yaml", &text).unwrap();
    let kinds: Vec<&str> = documents.iter().map(Document::kind).collect();
    assert_eq!(kinds, ["AuthorizationPolicy", "RuleSet"]);
    let Document::RuleSet(rule_set) = &documents[1] else { panic!() };
    assert!(rule_set.spec.sources[0].text.ends_with("since it is indented\n"));
    assert_eq!(rule_set.metadata.namespace, "default");
    assert_eq!(parse("f.yaml", "").unwrap(), []);
    assert_eq!(parse("f.yaml", "\u{feff}# only\n---\n...\n").unwrap(), []);
}

#[test]
fn json_is_read_with_the_escapes_of_json() {
    let text = r#"{"apiVersion":"palisade.dev/v1alpha1","kind":"RuleSet","metadata":{"name":"a\/b"},
        "spec":{"sources":[{"name":"\ud83d\ude00","text":"SecRule ARGS \"x\" \"id:1\"\n"}]}}"#;
    let documents = parse("f.json", text).unwrap();
    let Document::RuleSet(rule_set) = &documents[0] else { panic!() };
    assert_eq!((rule_set.metadata.name.as_str(), rule_set.spec.sources[0].name.as_str()), ("a/b", "😀"));
    let (line, column, path, problem) = place(&text.replace("\"sources\"", "\"source\""));
    assert_eq!((line, path.as_str()), (2, "spec.source"));
    assert!(column > 1 && problem.contains("unknown field"), "{column} {problem}");
    let (line, _, _, problem) = place("{\"apiVersion\": \"v1\",\n \"kind\": }");
    assert_eq!(line, 2, "{problem}");
    let (line, column, path, _) = place(&text.replace("RuleSet", "RuleSets"));
    assert_eq!((line, path.as_str()), (1, "kind"), "{column}");
}

#[test]
fn malformed_yaml_an_unknown_field_and_a_wrong_value_are_refused_with_line_column_and_field() {
    let second = |text: &str| format!("{RULES}---\n{text}");
    let before = RULES.lines().count() + 1;

    let (line, column, path, problem) = place(&second(&ALLOW.replace("action: ALLOW", "acton: ALLOW")));
    assert_eq!((line, column, path.as_str()), (before + 7, 3, "spec.acton"), "{problem}");
    assert!(problem.contains("unknown field") && problem.contains("acton"), "{problem}");

    let (line, column, path, problem) = place(&second(&ALLOW.replace("ALLOW", "PERHAPS")));
    assert_eq!((line, column, path.as_str()), (before + 7, 11, "spec.action"), "{problem}");

    let (line, _, path, _) = place(&second(&ALLOW.replace("[cluster.local/ns/shop/sa/web]", "7")));
    assert_eq!((line, path.as_str()), (before + 11, "spec.rules[0].from[0].source.principals"));

    let (line, _, _, problem) = place(&second(&ALLOW.replace("  action: ALLOW", "  action: [")));
    assert!(line > before + 6, "{line} {problem}");

    let (line, _, path, problem) =
        place(&second(&ALLOW.replace("  action: ALLOW", "  action: ALLOW\n  action: DENY")));
    assert_eq!(line, before + 8, "{path} {problem}");
}

#[test]
fn an_unknown_kind_and_a_wrong_version_are_refused_by_name_with_what_is_accepted() {
    let (line, column, path, problem) =
        place(&ALLOW.replace("kind: AuthorizationPolicy", "kind: VirtualService"));
    assert_eq!((line, column, path.as_str()), (2, 7, "kind"));
    for part in [
        "VirtualService",
        "AuthorizationPolicy",
        "RuleSet",
        "WafPolicy",
        "Gateway",
        "HTTPRoute",
        "ServiceEntry",
    ] {
        assert!(problem.contains(part), "{problem}");
    }
    let (line, column, path, problem) = place(&ALLOW.replace("istio.io/v1", "istio.io/v1beta1"));
    assert_eq!((line, column, path.as_str()), (1, 13, "apiVersion"));
    assert!(
        problem.contains("security.istio.io/v1beta1") && problem.contains("security.istio.io/v1 "),
        "{problem}"
    );
    assert!(refused("kind: RuleSet\n").contains("apiVersion: missing"));
    assert!(refused("apiVersion: v1\n").contains("kind: missing"));
    assert!(refused("- a\n- b\n").starts_with("f.yaml:1:1: "));
    assert!(refused("just text").starts_with("f.yaml:1:1: "));
}

#[test]
fn a_file_at_the_limit_is_read_and_one_byte_over_is_refused() {
    let fill = |length: usize| {
        let filler = "x".repeat(length - RULES.len() - "#\n---\n".len());
        format!("#{filler}\n---\n{RULES}")
    };
    assert_eq!(parse("f.yaml", &fill(MAX_FILE_BYTES - 1)).unwrap().len(), 1);
    assert_eq!(parse("f.yaml", &fill(MAX_FILE_BYTES)).unwrap().len(), 1);
    assert!(refused(&fill(MAX_FILE_BYTES + 1)).starts_with("f.yaml: 16777217 bytes"));
}

#[test]
fn as_many_documents_as_are_allowed_are_read_and_one_more_is_refused() {
    let many = |count: usize| {
        "---\n{apiVersion: palisade.dev/v1alpha1, kind: RuleSet, metadata: {name: a}, spec: {sources: []}}\n"
            .repeat(count)
    };
    assert_eq!(parse("f.yaml", &many(MAX_DOCUMENTS)).unwrap().len(), MAX_DOCUMENTS);
    assert!(refused(&many(MAX_DOCUMENTS + 1)).contains("10001 documents"));
}

/// The header alone decides, so that the limits of depth and size are met in a field of no kind.
fn with_extra(extra: &str) -> String {
    format!(
        "apiVersion: palisade.dev/v1alpha1\nkind: RuleSet\nmetadata: {{name: a}}\nspec: {{sources: []}}\nextra: {extra}\n"
    )
}

fn is_budget(problem: &str) -> bool {
    !problem.contains("unknown field")
}

#[test]
fn a_document_is_refused_for_its_depth_only_past_the_limit() {
    // The map of the document is one level.
    let nested = |depth: usize| with_extra(&format!("{}{}", "[".repeat(depth), "]".repeat(depth)));
    for depth in [MAX_DEPTH - 2, MAX_DEPTH - 1] {
        assert!(!is_budget(&refused(&nested(depth))), "{depth}: {}", refused(&nested(depth)));
    }
    assert!(is_budget(&refused(&nested(MAX_DEPTH))), "{}", refused(&nested(MAX_DEPTH)));
    assert!(is_budget(&refused(&nested(100_000))));
}

#[test]
fn a_document_of_too_many_values_is_refused() {
    // At and under the limit: the tests of the reader, which need not read so many.
    let over = refused(&with_extra(&format!("[{}]", "1,".repeat(MAX_NODES))));
    assert!(is_budget(&over), "{over}");
}

#[test]
fn aliases_stand_for_as_many_values_as_are_allowed_and_no_more() {
    // Eight aliases of a list; its start and end count.
    let text = |values: usize| {
        let list = vec!["x"; values / 8 - 2].join(",");
        with_extra(&format!("[&a [{list}], {}]", ["*a"; 8].join(",")))
    };
    assert_eq!(MAX_REPLAYED_NODES % 8, 0);
    assert!(!is_budget(&refused(&text(MAX_REPLAYED_NODES - 8))));
    assert!(!is_budget(&refused(&text(MAX_REPLAYED_NODES))));
    let over = refused(&text(MAX_REPLAYED_NODES + 8));
    assert!(is_budget(&over), "{over}");
}

#[test]
fn anchors_repeat_a_few_lines_but_never_explode() {
    let labels =
        RULES.replace("metadata: {name: small}", "metadata:\n  name: &n small\n  labels: {a: *n, b: *n}");
    let documents = parse("f.yaml", &labels).unwrap();
    assert_eq!(documents[0].metadata().labels["b"], "small");

    let bomb = |levels: usize, width: usize| {
        let mut text = String::from("{a0: &a0 [x]");
        for level in 1..levels {
            let aliases = vec![format!("*a{}", level - 1); width].join(",");
            text.push_str(&format!(", a{level}: &a{level} [{aliases}]"));
        }
        text + "}"
    };
    assert!(!is_budget(&refused(&with_extra(&bomb(3, 3)))), "{}", refused(&with_extra(&bomb(3, 3))));
    assert!(is_budget(&refused(&with_extra(&bomb(10, 9)))));
    assert!(is_budget(&refused(&with_extra(&bomb(15, 2)))), "few aliases, 16,384 values");

    let anchors = |count: usize| {
        let list: Vec<String> = (0..count).map(|index| format!("&a{index} x")).collect();
        with_extra(&format!("[{}]", list.join(",")))
    };
    assert!(!is_budget(&refused(&anchors(MAX_ANCHORS - 1))));
    assert!(!is_budget(&refused(&anchors(MAX_ANCHORS))));
    assert!(is_budget(&refused(&anchors(MAX_ANCHORS + 1))));
    assert!(
        refused(&ALLOW.replace("spec:\n", "x: &x {action: DENY}\nspec:\n  <<: *x\n")).contains("f.yaml:")
    );
}

#[test]
fn a_control_character_in_a_value_does_not_reach_the_message() {
    let message = refused(&ALLOW.replace("ALLOW", "\"\\u001b[2J\""));
    assert!(message.chars().all(|letter| !letter.is_control()), "{message:?}");
}
