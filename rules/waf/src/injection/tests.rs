//! The gates: what a value must hold, proven against the detectors without them.

use proptest::prelude::*;

use super::generated::words::WORDS;
use super::sqli::{judge, may_part, sqli};
use super::xss::{is_script, may_script, xss};

#[test]
fn numbers_and_one_word_are_no_attack() {
    let numbers =
        ["", "1", "42", "0x1f", "0b1", "0b12", "0b120b1", "1e5", "1d", "1f", "0b10b10b12", "1e50x1"];
    let mut seen = 0;
    for (word, _) in WORDS.iter().filter(|(word, _)| !word.bytes().any(may_part)) {
        for number in numbers {
            for value in [format!("{number}{word}"), format!("{number}{}é", word.to_lowercase())] {
                assert_eq!(judge(value.as_bytes()), None, "{value}");
                seen += 1;
            }
        }
    }
    assert!(seen > 10_000, "{seen} values");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn a_value_without_the_bytes_that_part_words_is_no_sql(
        value in prop::collection::vec(any::<u8>().prop_filter("no word", |byte| !may_part(*byte)), 0..24),
        figures in "[0-9bBxXeEdDfFuU_]{0,12}",
    ) {
        prop_assert_eq!(judge(&value), None);
        prop_assert_eq!(judge(figures.as_bytes()), None);
        prop_assert_eq!(judge(&[figures.as_bytes(), &value].concat()), None);
    }

    #[test]
    fn a_value_without_a_bracket_or_an_equals_sign_is_no_script(
        value in "(?s)([ /'\"`>!-]|on|onclick|href|java|script|doctype|[^<=]){0,24}",
    ) {
        prop_assert!(!value.bytes().any(may_script));
        prop_assert!(!is_script(value.as_bytes()));
    }

    #[test]
    fn the_gates_change_no_verdict(value in prop::collection::vec(any::<u8>(), 0..48)) {
        prop_assert_eq!(sqli(&value), judge(&value));
        prop_assert_eq!(xss(&value), is_script(&value));
    }
}
