//! OTLP attribute values and JSON values, one the other.
//!
//! Promises: reading is bounded in depth, number and text; what has no JSON form (bytes, not-a-number) is an error.

use opentelemetry_proto::tonic::common::v1::any_value::Value as Otlp;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue, KeyValueList};
use serde_json::{Map, Value};

use crate::limits::{TEXT_BYTES, VALUE_DEPTH, VALUE_ITEMS};

/// An attribute.
pub(crate) fn attribute(key: &str, value: Otlp) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

/// A text attribute.
pub(crate) fn text(key: &str, value: &str) -> KeyValue {
    attribute(key, Otlp::StringValue(cut(value).to_owned()))
}

/// A whole number; what is over 2^63 is said as 2^63-1, since OTLP has no unsigned numbers.
pub(crate) fn number(key: &str, value: u64) -> KeyValue {
    attribute(key, Otlp::IntValue(i64::try_from(value).unwrap_or(i64::MAX)))
}

/// At most [`TEXT_BYTES`] of a text, cut at a character.
pub(crate) fn cut(value: &str) -> &str {
    if value.len() <= TEXT_BYTES {
        return value;
    }
    let end = (0..=TEXT_BYTES).rev().find(|end| value.is_char_boundary(*end)).unwrap_or(0);
    value.get(..end).unwrap_or_default()
}

/// JSON as an attribute value; null is a value that is not set.
pub(crate) fn from_json(value: Value) -> AnyValue {
    let value = match value {
        Value::Null => None,
        Value::Bool(value) => Some(Otlp::BoolValue(value)),
        Value::String(value) => Some(Otlp::StringValue(cut(&value).to_owned())),
        Value::Array(values) => {
            let values = values.into_iter().map(from_json).collect();
            Some(Otlp::ArrayValue(ArrayValue { values }))
        }
        Value::Object(fields) => Some(Otlp::KvlistValue(KeyValueList {
            values: fields
                .into_iter()
                .map(|(key, value)| KeyValue { key, value: Some(from_json(value)), ..KeyValue::default() })
                .collect(),
        })),
        Value::Number(number) => Some(match (number.as_i64(), number.as_u64()) {
            (Some(value), _) => Otlp::IntValue(value),
            (None, Some(_)) => Otlp::IntValue(i64::MAX),
            (None, None) => Otlp::DoubleValue(number.as_f64().unwrap_or_default()),
        }),
    };
    AnyValue { value }
}

/// Why a value is not read.
pub(crate) type Unreadable = &'static str;

/// Values that may still be read of one attribute.
pub(crate) struct Budget(usize);

impl Default for Budget {
    fn default() -> Self {
        Self(VALUE_ITEMS)
    }
}

/// An attribute value as JSON.
pub(crate) fn to_json(value: &AnyValue, depth: usize, budget: &mut Budget) -> Result<Value, Unreadable> {
    if depth > VALUE_DEPTH {
        return Err("is nested too deeply");
    }
    budget.0 = budget.0.checked_sub(1).ok_or("holds too many values")?;
    Ok(match &value.value {
        None => Value::Null,
        Some(Otlp::BoolValue(value)) => Value::Bool(*value),
        Some(Otlp::IntValue(value)) => Value::from(*value),
        Some(Otlp::DoubleValue(value)) => {
            Value::Number(serde_json::Number::from_f64(*value).ok_or("is not a number")?)
        }
        Some(Otlp::StringValue(value)) if value.len() > TEXT_BYTES => return Err("is too long"),
        Some(Otlp::StringValue(value)) => Value::String(value.clone()),
        Some(Otlp::ArrayValue(array)) => {
            let values = array.values.iter().map(|value| to_json(value, depth + 1, budget));
            Value::Array(values.collect::<Result<_, _>>()?)
        }
        Some(Otlp::KvlistValue(list)) => {
            let mut fields = Map::new();
            for KeyValue { key, value, .. } in &list.values {
                let value = value.as_ref().ok_or("holds a field without a value")?;
                if key.len() > TEXT_BYTES {
                    return Err("holds a name that is too long");
                }
                if fields.insert(key.clone(), to_json(value, depth + 1, budget)?).is_some() {
                    return Err("holds a field twice");
                }
            }
            Value::Object(fields)
        }
        Some(_) => return Err("is of a kind that is not read"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nested(depth: usize) -> AnyValue {
        (0..depth).fold(from_json(Value::Bool(true)), |inner, _| AnyValue {
            value: Some(Otlp::ArrayValue(ArrayValue { values: vec![inner] })),
        })
    }

    fn read(value: &AnyValue) -> Result<Value, Unreadable> {
        to_json(value, 0, &mut Budget::default())
    }

    #[test]
    fn depth_number_and_text_are_bounded_at_under_and_over() {
        assert!(read(&nested(VALUE_DEPTH - 1)).is_ok());
        assert!(read(&nested(VALUE_DEPTH)).is_ok());
        assert!(read(&nested(VALUE_DEPTH + 1)).is_err());
        let many = |count: usize| from_json(Value::Array(vec![Value::Bool(true); count]));
        assert!(read(&many(VALUE_ITEMS - 2)).is_ok());
        assert!(read(&many(VALUE_ITEMS - 1)).is_ok(), "the array itself is one");
        assert!(read(&many(VALUE_ITEMS)).is_err());
        let long = |bytes: usize| AnyValue { value: Some(Otlp::StringValue("x".repeat(bytes))) };
        assert!(read(&long(TEXT_BYTES - 1)).is_ok());
        assert!(read(&long(TEXT_BYTES)).is_ok());
        assert!(read(&long(TEXT_BYTES + 1)).is_err());
        assert_eq!(cut(&"x".repeat(TEXT_BYTES + 1)).len(), TEXT_BYTES);
        assert_eq!(cut(&"x".repeat(TEXT_BYTES)).len(), TEXT_BYTES);
        let two_byte = format!("x{}", "ü".repeat(TEXT_BYTES));
        assert_eq!(cut(&two_byte).len(), TEXT_BYTES - 1, "cut at a character");
    }

    #[test]
    fn what_json_cannot_say_is_refused() {
        for value in [Otlp::BytesValue(vec![1]), Otlp::DoubleValue(f64::NAN)] {
            assert!(read(&AnyValue { value: Some(value) }).is_err());
        }
    }
}
