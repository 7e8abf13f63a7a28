//! Flattening, its limits, and its agreement with another reader.

use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::bodies::ARGUMENTS_LIMIT;

fn flat(input: &str) -> Document {
    parse(input.as_bytes(), ARGUMENTS_LIMIT, DEPTH_LIMIT)
}

fn pairs(expected: &[(&str, &str)]) -> Vec<Pair> {
    expected.iter().map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec())).collect()
}

#[test]
fn every_scalar_becomes_an_argument() {
    let cases: &[(&str, &[(&str, &str)])] = &[
        (r#"{"a":1}"#, &[("json.a", "1")]),
        (r#"{"a":[{"b":"x"},2]}"#, &[("json.a.0.b", "x"), ("json.a.1", "2")]),
        (r#" [ true , false , null ] "#, &[("json.0", "true"), ("json.1", "false"), ("json.2", "")]),
        (r#""x""#, &[("json", "x")]),
        ("-0.5e+10", &[("json", "-0.5e+10")]),
        ("1E5", &[("json", "1E5")]),
        (r#"{"a":1,"a":2}"#, &[("json.a", "1"), ("json.a", "2")]),
        (r#"{"a":{"b":{}},"c":[]}"#, &[]),
        (r#"{"a":{"b":1},"c":2}"#, &[("json.a.b", "1"), ("json.c", "2")]),
        (r#"[[1,2],[3]]"#, &[("json.0.0", "1"), ("json.0.1", "2"), ("json.1.0", "3")]),
        (r#"{"":{"":0}}"#, &[("json..", "0")]),
        (r#"{"a.b":0}"#, &[("json.a.b", "0")]),
        (
            r#"{"\u0061\n":"\"\\\/\b\f\n\r\t\u0000\u00e9\ud83d\ude00"}"#,
            &[("json.a\n", "\"\\/\u{8}\u{c}\n\r\t\0é😀")],
        ),
        (r#"{"é":"é"}"#, &[("json.é", "é")]),
    ];
    for (input, expected) in cases {
        let document = flat(input);
        assert_eq!(document.error, None, "{input}");
        assert_eq!(document.pairs, pairs(expected), "{input}");
    }
}

#[test]
fn what_is_not_json_is_refused_with_the_offset() {
    for (input, offset, reason) in [
        ("", 0, "too early"),
        ("  ", 2, "too early"),
        ("{", 1, "key"),
        (r#"{"a"}"#, 4, "colon"),
        (r#"{"a":}"#, 5, "value"),
        (r#"{"a":1,}"#, 7, "key"),
        (r#"{"a":1"#, 6, "too early"),
        (r#"{"a":1]"#, 6, "comma"),
        ("[1,]", 3, "value"),
        ("[1 2]", 3, "comma"),
        ("[1}", 2, "comma"),
        ("[,1]", 1, "value"),
        ("]", 0, "value"),
        ("1 1", 2, "follows"),
        ("{}x", 2, "follows"),
        ("tru", 0, "value"),
        ("True", 0, "value"),
        ("NaN", 0, "value"),
        ("01", 2, "zero"),
        ("-", 1, "digit"),
        ("-x", 1, "digit"),
        ("1.", 2, "digit"),
        (".5", 0, "value"),
        ("1e", 2, "digit"),
        ("+1", 0, "value"),
        ("'a'", 0, "value"),
        ("\u{feff}1", 0, "value"),
        ("/* c */ 1", 0, "value"),
        (r#""a"#, 2, "no end"),
        ("\"a\nb\"", 2, "control"),
        (r#""\x41""#, 1, "escape"),
        (r#""\"#, 2, "no end"),
        (r#""\u00g0""#, 1, "hexadecimal"),
        (r#""\u00""#, 1, "hexadecimal"),
        (r#""\ud83d""#, 1, "surrogate"),
        (r#""\ud83dx""#, 1, "surrogate"),
        (r#""\ud83d\u0041""#, 1, "surrogate"),
        (r#""\ude00""#, 1, "surrogate"),
    ] {
        let error = flat(input).error.unwrap_or_else(|| panic!("{input} is read"));
        assert_eq!(error.offset, offset, "{input}: {error}");
        assert!(error.reason.contains(reason), "{input}: {error}");
    }
    let error = parse(b"\"a\xff\"", 10, 10).error.unwrap();
    assert_eq!((error.offset, error.reason), (2, "a string is not UTF-8"));
}

#[test]
fn what_stands_before_an_error_is_kept() {
    let document = flat(r#"{"a":"<script>","b":"#);
    assert_eq!(document.pairs, pairs(&[("json.a", "<script>")]));
    assert!(document.error.is_some());
}

#[test]
fn depth_at_the_limit_is_read_and_over_it_is_refused() {
    let nested = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
    for depth in [DEPTH_LIMIT - 1, DEPTH_LIMIT] {
        assert_eq!(flat(&nested(depth)).error, None);
    }
    let document = flat(&nested(DEPTH_LIMIT + 1));
    assert_eq!(document.error.map(|error| error.offset), Some(DEPTH_LIMIT));
    assert!(flat(&"[".repeat(1_000_000)).error.is_some());
}

#[test]
fn arguments_at_the_limit_are_read_and_those_over_it_are_flagged() {
    for (count, over) in [(ARGUMENTS_LIMIT - 1, false), (ARGUMENTS_LIMIT, false), (ARGUMENTS_LIMIT + 1, true)]
    {
        let document = flat(&format!("[{}]", vec!["1"; count].join(",")));
        assert_eq!((document.pairs.len(), document.over_limit), (count.min(ARGUMENTS_LIMIT), over));
        assert_eq!(document.error, None);
    }
}

#[test]
fn names_at_the_limit_are_kept_and_longer_ones_are_refused() {
    let single = |length: usize| format!(r#"{{"{}":1}}"#, "k".repeat(length - ROOT.len() - 1));
    for (length, read) in [(NAME_BYTES - 1, true), (NAME_BYTES, true), (NAME_BYTES + 1, false)] {
        assert_eq!(flat(&single(length)).error.is_none(), read, "{length}");
    }
    let key = "k".repeat(NAME_BYTES / 100);
    let many = |values: usize| format!(r#"{{"{key}":[{}]}}"#, vec!["1"; values].join(","));
    assert_eq!(flat(&many(90)).error, None);
    let document = flat(&many(110));
    assert!(document.error.unwrap().reason.contains("names") && document.pairs.len() < 100);
}

/// The same reading of a value that serde_json has read. It does not keep duplicate keys.
fn reference(name: String, value: &Value, pairs: &mut Vec<Pair>) {
    let text = match value {
        Value::Object(members) => {
            members.iter().for_each(|(key, value)| reference(format!("{name}.{key}"), value, pairs));
            return;
        }
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(at, value)| reference(format!("{name}.{at}"), value, pairs));
            return;
        }
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    };
    pairs.push((name.into_bytes(), text.into_bytes()));
}

fn values() -> impl Strategy<Value = Value> {
    let scalar = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    scalar.prop_recursive(5, 48, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map("[a-c.\"\\\\\u{e9}]{0,3}", inner, 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn flattening_agrees_with_serde_json(value in values(), pretty in any::<bool>()) {
        let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
        let mut expected = Vec::new();
        reference("json".into(), &value, &mut expected);
        let document = flat(&text);
        prop_assert_eq!(document.error, None);
        prop_assert_eq!(document.pairs, expected);
    }

    #[test]
    fn both_readers_accept_the_same_texts(text in r#"[\[\]{},:"\\ut0-9a-fnrls.+ -]{0,14}"#) {
        let document = flat(&text);
        let theirs = serde_json::from_str::<Value>(&text);
        // A number beyond f64 is theirs alone to refuse.
        let out_of_range = theirs.as_ref().is_err_and(|error| error.to_string().contains("out of range"));
        prop_assert!(out_of_range || document.error.is_none() == theirs.is_ok(), "{}: {:?}, {:?}", text, document.error, theirs);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
        let document = parse(&bytes, 5, 5);
        prop_assert!(document.pairs.len() <= 5);
        prop_assert!(document.error.is_none_or(|error| error.offset <= bytes.len()));
    }
}
