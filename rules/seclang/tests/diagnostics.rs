//! What is wrong is told with file, line, column and a caret below the place.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use palisade_seclang::{Diagnostics, MAX_DIAGNOSTICS, NoSources, Source, Span, parse};

fn errors(text: &str) -> Diagnostics {
    parse(&[Source { name: "r.conf".into(), text: text.into() }], &NoSources).unwrap_err()
}

#[test]
fn every_kind_of_mistake_points_at_its_place() {
    for (text, expected) in [
        (
            "SecRul ARGS x id:1",
            "r.conf:1:1: error: unknown directive \"SecRul\"
    SecRul ARGS x id:1
    ^^^^^^
    help: did you mean \"SecRule\"?",
        ),
        (
            "SecRule REQUEST_HEADER:Host x id:1",
            "r.conf:1:9: error: unknown variable \"REQUEST_HEADER\"
    SecRule REQUEST_HEADER:Host x id:1
            ^^^^^^^^^^^^^^
    help: did you mean \"REQUEST_HEADERS\"?",
        ),
        (
            "SecRule ARGS \"!@containsWord1 x\" id:1",
            "r.conf:1:17: error: unknown operator \"containsWord1\"
    SecRule ARGS \"!@containsWord1 x\" id:1
                    ^^^^^^^^^^^^^
    help: did you mean \"containsWord\"?",
        ),
        (
            "SecRule ARGS x \\\n  \"id:1,\\\n  t:lowercaes,\\\n  pass\"\n",
            "r.conf:3:5: error: unknown transformation \"lowercaes\"
      t:lowercaes,\\
        ^^^^^^^^^
    help: did you mean \"lowercase\"?",
        ),
        (
            "\n\tSecAction \"id:1,setvr:tx.a=1\"",
            "r.conf:2:18: error: unknown action \"setvr\"
     SecAction \"id:1,setvr:tx.a=1\"
                     ^^^^^
    help: did you mean \"setvar\"?",
        ),
        (
            "SecAction \"id:1,msg:'%{REMOTE_ADR}'\"",
            "r.conf:1:22: error: unknown variable in an expansion \"REMOTE_ADR\"
    SecAction \"id:1,msg:'%{REMOTE_ADR}'\"
                         ^^^^^^^^^^^^^
    help: did you mean \"REMOTE_ADDR\"?",
        ),
        (
            "SecAction \"id:1,ctl:ruleRemoveByID2=3\"",
            "r.conf:1:21: error: unknown ctl option \"ruleRemoveByID2\"
    SecAction \"id:1,ctl:ruleRemoveByID2=3\"
                        ^^^^^^^^^^^^^^^
    help: did you mean \"ruleRemoveById\"?",
        ),
        (
            "SecAction \"id:1,severity:CRITICL\"",
            "r.conf:1:26: error: unknown severity \"CRITICL\"
    SecAction \"id:1,severity:CRITICL\"
                             ^^^^^^^
    help: did you mean \"CRITICAL\"?",
        ),
        (
            "SecRuleEngine Onn",
            "r.conf:1:15: error: one of On, Off, DetectionOnly is expected
    SecRuleEngine Onn
                  ^^^",
        ),
        (
            "SecRule ARGS \"x id:1",
            "r.conf:1:14: error: this \" is never closed
    SecRule ARGS \"x id:1
                 ^
    help: a line goes on only if the backslash is its very last character",
        ),
        (
            "# é\nSecAction \"pass\"",
            "r.conf:2:1: error: this rule needs an id, e.g. id:1000
    SecAction \"pass\"
    ^",
        ),
        (
            "Include other.conf",
            "r.conf:1:9: error: \"other.conf\" cannot be read: this rule text has no files beside it
    Include other.conf
            ^^^^^^^^^^",
        ),
        (
            "SecAction \"id:1\"\nSecAction \"pass,id:1\"",
            "r.conf:2:17: error: the id 1 is already taken by another rule
    SecAction \"pass,id:1\"
                    ^^^^",
        ),
    ] {
        assert_eq!(errors(text).to_string(), expected);
    }
}

#[test]
fn nothing_is_suggested_that_is_not_near() {
    let shown = errors("FooBarBazQux x").to_string();
    assert!(!shown.contains("help"), "{shown}");
}

#[test]
fn all_problems_are_told_in_the_order_of_the_text() {
    let found = errors("SecRule ARGZ \"@rxx a\" \"id:x,t:b\"\nSecFoo\nSecRule ARGS x \"id:1,bar\"\n");
    let places: Vec<(u32, u32)> = found.list.iter().map(|one| (one.line, one.column)).collect();
    assert_eq!(places, [(1, 9), (1, 16), (1, 27), (1, 31), (2, 1), (3, 22)]);
}

#[test]
fn problems_past_the_limit_are_counted() {
    for (count, kept, more) in [
        (MAX_DIAGNOSTICS, MAX_DIAGNOSTICS, 0),
        (MAX_DIAGNOSTICS + 1, MAX_DIAGNOSTICS, 1),
        (500, MAX_DIAGNOSTICS, 436),
    ] {
        let found = errors(&"SecFoo\n".repeat(count));
        assert_eq!((found.list.len(), found.more), (kept, more));
    }
    assert!(errors(&"SecFoo\n".repeat(500)).to_string().ends_with("\nand 436 more"));
}

#[test]
fn a_long_line_is_shown_around_its_caret_and_control_characters_are_not() {
    let text =
        format!("SecAction \"id:1,msg:'{}\u{1b}[2J',foo,msg:'{}'\"", "ä".repeat(5_000), "b".repeat(5_000));
    let shown = errors(&text).to_string();
    assert!(shown.lines().all(|line| line.chars().count() < 200), "{shown}");
    assert!(!shown.contains('\u{1b}'));
    let lines: Vec<Vec<char>> = shown.lines().map(|line| line.chars().collect()).collect();
    let caret = lines[2].iter().position(|letter| *letter == '^').unwrap();
    assert_eq!(lines[1][caret..caret + 3], ['f', 'o', 'o'], "{shown}");
    assert!(shown.starts_with("r.conf:1:5028: error: unknown action \"foo\""), "{shown}");
}

#[test]
fn an_error_of_the_compiler_is_shown_like_one_of_the_parser() {
    let text = "SecRule ARGS \"@rx (\" \"id:1\"\n";
    let ast = parse(&[Source { name: "r.conf".into(), text: text.into() }], &NoSources).unwrap();
    let span = ast.rules().next().unwrap().operator.as_ref().unwrap().argument_span;
    let expected =
        "r.conf:1:19: error: unclosed group\n    SecRule ARGS \"@rx (\" \"id:1\"\n                      ^";
    assert_eq!(ast.diagnostic(span, "unclosed group").to_string(), expected);
    assert_eq!(ast.place(span).map(|(name, place)| (name, place.line)), Some(("r.conf", 1)));
    let nowhere = ast.diagnostic(Span { file: 9, start: 5, end: 7 }, "lost");
    assert!(nowhere.to_string().contains("lost"));
}
