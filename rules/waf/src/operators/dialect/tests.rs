//! What PCRE means, and what is refused instead of being taken for something else.

use proptest::prelude::*;

use crate::operators::compile_regex;

/// A pattern, values that match and values that do not.
type Case = (&'static str, &'static [&'static [u8]], &'static [&'static [u8]]);

#[test]
fn a_pattern_means_what_pcre_makes_of_it_on_bytes() {
    let cases: &[Case] = &[
        (r"^\x{c2}\x{A0}$", &[b"\xc2\xa0"], &[b"\xc3\x82\xc2\xa0"]),
        (r"^[\x{c2}-\x{c4}]$", &[b"\xc2", b"\xc4"], &[b"\xc5", b"\xc3\x82"]),
        (r"^\x4$", &[b"\x04"], &[b"4"]),
        (r"^\x$", &[b"\0"], &[b"x"]),
        (r"^\0\012$", &[b"\0\n"], &[b"\x0012"]),
        (r"^\cA\e$", &[b"\x01\x1b"], &[b"A"]),
        (r"^[\b]$", &[b"\x08"], &[b"b"]),
        (r"^a\b b$", &[b"a b"], &[b"ab"]),
        (r"^\h\v$", &[b"\t\n", b" \r", b"\xa0\x85"], &[b"\n\t"]),
        (r"^[\s\v]$", &[b" ", b"\x0b", b"\x85"], &[b"v"]),
        (r"^\<a\>$", &[b"<a>"], &[b"a"]),
        (r"^\Qa.b\E.$", &[b"a.bc"], &[b"axbc"]),
        (r"^\Q[(*$", &[b"[(*$"], &[b"["]),
        (r"^[[a]$", &[b"[", b"a"], &[b"[a"]),
        (r"^[]a]$", &[b"]", b"a"], &[b"b"]),
        (r"^[^]a]$", &[b"b"], &[b"]", b"a"]),
        (r"^[a&&b]$", &[b"a", b"&", b"b"], &[b"c"]),
        (r"^[~~]$", &[b"~"], &[b"-"]),
        (r"^[-a]$", &[b"-", b"a"], &[b"b"]),
        (r"^[a-]$", &[b"-", b"a"], &[b"b"]),
        (r"^[+--]$", &[b"+", b",", b"-"], &[b"."]),
        (r"^[[:alpha:]_]$", &[b"a", b"_"], &[b"1"]),
        (r"^[[:^alpha:]_]$", &[b"1", b"_"], &[b"a"]),
        (r"^[b[:]_]$", &[b"b_]", b"[_]", b":_]"], &[b"b", b"_"]),
        (r"^[[:a]$", &[b"[", b":", b"a"], &[b"b"]),
        (r"^[[.a]$", &[b"[", b".", b"a"], &[b"b"]),
        (r"^[\]\[]$", &[b"[", b"]"], &[b"a"]),
        (r"^a{2}$", &[b"aa"], &[b"a{2}"]),
        (r"^a{2,}b{1,2}$", &[b"aaabb"], &[b"ab"]),
        (r"^a{x}$", &[b"a{x}"], &[b"a"]),
        (r"^{a,b}$", &[b"{a,b}"], &[b"a"]),
        (r"^a{,}$", &[b"a{,}"], &[b"a"]),
        (r"^a{1 2}$", &[b"a{1 2}"], &[b"a"]),
        (r"^a\{,2}$", &[b"a{,2}"], &[b"aa"]),
        (r"^[{,2}]$", &[b","], &[b"aa"]),
        (r"^%{x}$", &[b"%{x}"], &[b"%"]),
        (r"^.$", &[b"\n", b"\xff", b"\0"], &[b"", b"\xc3\xa9"]),
        ("^\u{e9}$", &[b"\xc3\xa9"], &[b"\xe9"]),
        ("^[\u{e9}]$", &[b"\xc3", b"\xa9"], &[b"\xe9"]),
        (r"a$", &[b"ba"], &[b"a\n", b"a\nb"]),
        (r"(?i)^\xe9k$", &[b"\xe9K"], &[b"\xc9k", b"\xe9\xe2\x84\xaa"]),
        (r"^(?#comment [)a$", &[b"a"], &[b"#"]),
        (r"^(?:a|b)+?c$", &[b"abc"], &[b"c"]),
        (r"^(?<name>a)(?P<other>b)$", &[b"ab"], &[b"name"]),
        (r"(?m)^b$", &[b"a\nb"], &[b"ab"]),
        (r#"^[\"'\-\/]$"#, &[b"\"", b"'", b"-", b"/"], &[b"\\"]),
    ];
    for (pattern, matching, others) in cases {
        let regex = compile_regex(pattern).unwrap_or_else(|error| panic!("{pattern}: {error}"));
        for value in *matching {
            assert!(regex.is_match(*value), "{pattern} matches {value:?}");
        }
        for value in *others {
            assert!(!regex.is_match(*value), "{pattern} does not match {value:?}");
        }
    }
}

/// Everything that is looked at ahead, whatever the reader then does with it.
#[test]
fn what_is_looked_at_ahead_is_linear_in_the_pattern() {
    for piece in [
        "[:",
        "[[:",
        "[[:a",
        "[:\\\\",
        "[:]",
        "[",
        ":",
        "[:a:",
        "[:[.[=",
        "[.x[:",
        "{",
        "a{1",
        "{1,",
        "{1,2",
        "{11111111",
    ] {
        let pattern = piece.repeat(1_000);
        let ahead = |found: super::Looked| found.unwrap_or_else(|looked| looked);
        let looked: usize = pattern
            .char_indices()
            .map(|(at, character)| match character {
                '[' => ahead(super::posix(&pattern[at + 1..])),
                '{' => ahead(super::quantifier(&pattern[at + 1..])),
                _ => 0,
            })
            .sum();
        assert!(looked <= 4 * pattern.len(), "{piece}: {looked} bytes of {}", pattern.len());
    }
}

#[test]
fn what_would_mean_something_else_is_refused() {
    for (pattern, reason) in [
        ("a++", "possessive"),
        ("a{2}+", "possessive"),
        ("a{2}{3}", "quantifier after a quantifier"),
        ("a{,2}", "{0,n}"),
        ("a{ 1,2}", "{0,n}"),
        ("a{1 }", "{0,n}"),
        ("a{1, 2}", "{0,n}"),
        ("a{\t,2 }", "{0,n}"),
        ("(?>a)", ""),
        ("(?=a)", "look-around"),
        ("(?<!a)b", "look-around"),
        (r"(a)\1", "backreference"),
        ("(?R)", "'R'"),
        ("(?u)a", "'u'"),
        ("(?x) a", "'x'"),
        ("(*UTF8)a", "verbs"),
        (r"\x{100}", "not a byte"),
        (r"\x{+1}", "not a byte"),
        (r"\x{1", "without its end"),
        (r"\u0041", "not supported"),
        (r"a\", "backslash"),
        (r"a\Z", ""),
        (r"\p{L}", ""),
        ("[a", "without its end"),
        ("[[:alhpa:]]", "not known"),
        ("[[::]]", "not known"),
        (r"[[:a\]:]", "not known"),
        ("[[.a.]]", "not known"),
        ("[[=a=]]", "not known"),
        ("(a", ""),
        ("a)", ""),
        ("*a", ""),
        ("(?#a", "without its end"),
    ] {
        let error = compile_regex(pattern).expect_err(pattern);
        assert!(error.contains(reason), "{pattern}: {error}");
    }
}

proptest! {
    #[test]
    fn any_text_is_translated_or_refused(pattern in r"[\\\[\](){}?*+|^$.xQEcbhv0a1&~é:#,<>-]{0,16}") {
        let _ = compile_regex(&pattern);
    }

    #[test]
    fn an_escaped_text_matches_itself(text in "[ -~\\n]{1,12}") {
        let escaped: String = text.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_string() } else { format!("\\{c}") }).collect();
        let regex = compile_regex(&format!("^{escaped}$")).unwrap();
        prop_assert!(regex.is_match(text.as_bytes()));
    }
}
