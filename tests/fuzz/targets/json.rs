//! Promise: no JSON body makes the reader panic or pass its limits; what serde_json accepts is accepted with the same
//! values, and what it refuses is refused.
#![no_main]

use libfuzzer_sys::fuzz_target;
use palisade_waf::bodies::json::{DEPTH_LIMIT, Document, NAME_BYTES, parse};
use serde_json::Value;

/// Names and values as the reader gives them.
fn flatten(name: &str, value: &Value, found: &mut Vec<(Vec<u8>, Option<Vec<u8>>)>) {
    let text = match value {
        Value::Object(members) => {
            return members.iter().for_each(|(key, value)| flatten(&format!("{name}.{key}"), value, found));
        }
        Value::Array(items) => {
            let items = items.iter().enumerate();
            return items.for_each(|(index, value)| flatten(&format!("{name}.{index}"), value, found));
        }
        // A number is given as it is written, which serde_json does not keep.
        Value::Number(_) => None,
        Value::String(text) => Some(text.clone().into_bytes()),
        Value::Bool(value) => Some(value.to_string().into_bytes()),
        Value::Null => Some(Vec::new()),
    };
    found.push((name.as_bytes().to_vec(), text));
}

fn same(read: &Document, value: &Value) {
    let mut expected = Vec::new();
    flatten("json", value, &mut expected);
    // Of keys that are there twice serde_json keeps the last one; we keep all.
    for (name, text) in expected {
        let found = read
            .pairs
            .iter()
            .any(|(key, value)| *key == name && text.as_ref().is_none_or(|text| text == value));
        assert!(found, "{} is missing", name.escape_ascii());
    }
}

fuzz_target!(|data: &[u8]| {
    for (limit, depth) in [(20, 10), (usize::MAX, DEPTH_LIMIT)] {
        let read = parse(data, limit, depth);
        assert!(read.pairs.len() <= limit);
        assert!(read.pairs.iter().map(|(name, _)| name.len()).sum::<usize>() <= NAME_BYTES);
        assert!(read.pairs.iter().map(|(_, value)| value.len()).sum::<usize>() <= data.len());
        assert!(read.pairs.iter().all(|(_, value)| std::str::from_utf8(value).is_ok()));
        assert!(read.error.is_none_or(|error| error.offset <= data.len()));
        let over = read.over_limit || read.error.is_some_and(|error| error.reason.ends_with("the limit"));
        match serde_json::from_slice::<Value>(data) {
            _ if over => {}
            Ok(value) => {
                assert_eq!(read.error, None);
                same(&read, &value);
            }
            // A number that no f64 holds is still JSON.
            Err(error) => assert!(
                read.error.is_some() || error.to_string().starts_with("number out of range"),
                "{error}"
            ),
        }
    }
});
