//! Each operator through its face.

use proptest::prelude::*;

use super::*;

fn compile(kind: OperatorKind, argument: &str, data: &[&str]) -> Result<Operator, String> {
    Operator::compile(kind, Some(argument), data, &mut Interner::default())
}

/// A table of (argument, value, whether it matches).
fn check(kind: OperatorKind, cases: &[(&str, &[u8], bool)]) {
    for (argument, value, expected) in cases {
        let operator = compile(kind, argument, &[]).unwrap();
        let found = operator.matches(value, argument.as_bytes(), None);
        let shown = String::from_utf8_lossy(value);
        assert_eq!(found, *expected, "{shown:?} @{} {argument:?}", kind.name());
        let mut captures = Captures::default();
        let captured = operator.matches(value, argument.as_bytes(), Some(&mut captures));
        assert_eq!(captured, found, "capturing does not change the answer: {shown:?} {argument:?}");
        assert!(found || captures.is_empty(), "nothing is captured without a match");
    }
}

fn captured(kind: OperatorKind, argument: &str, value: &[u8]) -> Vec<Option<String>> {
    let mut captures = Captures::default();
    let operator = compile(kind, argument, &[]).unwrap();
    assert!(operator.matches(value, argument.as_bytes(), Some(&mut captures)));
    captures.iter().map(|(_, value)| value.map(|bytes| String::from_utf8_lossy(bytes).into_owned())).collect()
}

fn texts(values: &[Option<&str>]) -> Vec<Option<String>> {
    let mut all: Vec<_> = values.iter().map(|value| value.map(str::to_owned)).collect();
    all.resize(CAPTURES, None);
    all
}

#[test]
fn texts_are_compared_byte_by_byte() {
    use OperatorKind as K;
    check(
        K::BeginsWith,
        &[
            ("ab", b"abc", true),
            ("ab", b"ab", true),
            ("ab", b"a", false),
            ("ab", b"Abc", false),
            ("", b"x", true),
        ],
    );
    check(K::EndsWith, &[("bc", b"abc", true), ("bc", b"c", false), ("bc", b"abC", false), ("", b"x", true)]);
    check(
        K::Contains,
        &[
            ("b", b"abc", true),
            ("B", b"abc", false),
            ("", b"", true),
            ("b", b"", false),
            ("\u{e9}", b"\xc3\xa9", true),
        ],
    );
    check(K::StrMatch, &[("b", b"abc", true), ("x", b"abc", false)]);
    check(K::StrEq, &[("a", b"a", true), ("a", b"A", false), ("", b"", true), ("a", b"a ", false)]);
    check(
        K::Within,
        &[
            ("GET POST", b"GET", true),
            ("GET POST", b"PUT", false),
            ("GET", b"", true),
            ("GET", b"GET POST", false),
        ],
    );
    check(
        K::ContainsWord,
        &[
            ("select", b"select", true),
            ("select", b"a select b", true),
            ("select", b"select1", true),
            ("select", b"selected", false),
            ("select", b"preselect", false),
            ("select", b"selected select", true),
            ("aa", b"aaa aa", true),
            ("select", b"", false),
            ("", b"", true),
        ],
    );
}

#[test]
fn numbers_are_read_as_atoi_reads_them() {
    use OperatorKind as K;
    check(
        K::Eq,
        &[
            ("1", b"1", true),
            ("1", b"01", true),
            ("1", b" \t+1x", true),
            ("0", b"", true),
            ("0", b"abc", true),
            ("-5", b"-5", true),
            ("1", b"2", false),
            ("0", b"- 5", true),
            ("9223372036854775807", b"99999999999999999999999999", true),
            ("-9223372036854775808", b"-99999999999999999999999999", true),
        ],
    );
    check(K::Lt, &[("2", b"1", true), ("1", b"1", false), ("1", b"2", false), ("0", b"-1", true)]);
    check(K::Le, &[("2", b"1", true), ("1", b"1", true), ("1", b"2", false)]);
    check(K::Gt, &[("1", b"2", true), ("1", b"1", false), ("2", b"1", false), ("9", b"10", true)]);
    check(K::Ge, &[("1", b"2", true), ("1", b"1", true), ("2", b"1", false)]);
}

#[test]
fn an_argument_with_macros_is_compared_as_it_is_at_run_time() {
    let operator = Operator::compile(OperatorKind::Within, None, &[], &mut Interner::default()).unwrap();
    assert!(operator.matches(b"GET", b"GET HEAD", None));
    assert!(!operator.matches(b"GET", b"POST", None));
}

#[test]
fn an_argument_that_must_be_compiled_cannot_hold_macros() {
    use OperatorKind as K;
    for kind in [K::Rx, K::RxGlobal, K::Pm, K::IpMatch, K::ValidateByteRange, K::VerifyCc] {
        let error = Operator::compile(kind, None, &[], &mut Interner::default()).unwrap_err();
        assert!(error.contains(kind.name()) && error.contains("macros"), "{error}");
    }
}

#[test]
fn what_is_not_supported_is_refused_by_name() {
    use OperatorKind as K;
    let mut refused = 0;
    for kind in [
        K::FuzzyHash,
        K::GeoLookup,
        K::GsbLookup,
        K::InspectFile,
        K::Rbl,
        K::Rsub,
        K::ValidateDtd,
        K::ValidateHash,
        K::ValidateSchema,
    ] {
        let error = compile(kind, "x", &["x"]).unwrap_err();
        assert!(error.contains(kind.name()), "{error}");
        refused += 1;
    }
    let others = K::ALL.iter().filter(|kind| {
        let argument = if **kind == K::IpMatch { "::1" } else { "1" };
        compile(**kind, argument, &["::1"]).is_ok()
    });
    assert_eq!(others.count(), K::ALL.len() - refused);
}

#[test]
fn an_expression_captures_its_groups() {
    use OperatorKind as K;
    assert_eq!(captured(K::Rx, "b.", b"abcd"), texts(&[Some("bc")]));
    assert_eq!(captured(K::Rx, "(a)(x)?(c)?", b"ab"), texts(&[Some("a"), Some("a")]));
    assert_eq!(captured(K::Rx, "(a)(x)?(c)", b"ac"), texts(&[Some("ac"), Some("a"), None, Some("c")]));
    let many = captured(K::Rx, "(a)(b)(c)(d)(e)(f)(g)(h)(i)(j)", b"abcdefghij");
    assert_eq!((many.len(), many[9].as_deref()), (CAPTURES, Some("i")));
    assert_eq!(captured(K::RxGlobal, r"(\d)=(\w)", b"1=a 2=b"), texts(&[Some("2=b"), Some("2"), Some("b")]));
    check(
        K::Rx,
        &[("", b"", true), ("^$", b"", true), ("^$", b"\n", false), ("(?i)SELECT", b"select", true)],
    );
    check(K::RxGlobal, &[("a", b"bab", true), ("a", b"b", false)]);
}

#[test]
fn a_pattern_at_a_limit_compiles_and_one_over_it_names_the_limit() {
    let long = "a".repeat(PATTERN_BYTES);
    assert!(compile_regex(&long[1..]).is_ok());
    assert!(compile_regex(&long).is_ok());
    let error = compile_regex(&format!("{long}a")).unwrap_err();
    assert!(error.contains(&PATTERN_BYTES.to_string()), "{error}");

    let nested = |depth: usize| format!("{}a{}", "(?:a".repeat(depth), ")".repeat(depth));
    assert!(compile_regex(&nested(20)).is_ok());
    let error = compile_regex(&nested(NEST_LIMIT as usize + 1)).unwrap_err();
    assert!(error.contains(&NEST_LIMIT.to_string()), "{error}");

    assert!(compile_regex("(?:a{100}){100}").is_ok());
    let error = compile_regex("(?:(?:a{100}){100}){100}").unwrap_err();
    assert!(error.contains(&NFA_BYTES.to_string()), "{error}");
}

#[test]
fn equal_patterns_and_phrase_lists_are_compiled_once() {
    let mut interner = Interner::default();
    let first = interner.pattern("a+").unwrap();
    let second = interner.pattern("a+").unwrap();
    assert!(Arc::ptr_eq(&first, &second));
    assert!(!Arc::ptr_eq(&first, &interner.pattern("a").unwrap()));
    assert_eq!(interner.patterns_compiled(), 2);
    let phrases = |text: &str| pm::phrases(text).unwrap();
    let first = interner.phrases(phrases("a B")).unwrap();
    assert!(Arc::ptr_eq(&first, &interner.phrases(phrases("A  b")).unwrap()));
    assert!(!Arc::ptr_eq(&first, &interner.phrases(phrases("a b c")).unwrap()));
}

#[test]
fn a_phrase_is_found_without_regard_to_case_and_captured_as_it_stands() {
    use OperatorKind as K;
    check(
        K::Pm,
        &[
            ("gzip br", b"x-GZip", true),
            ("gzip br", b"deflate", false),
            ("( )", b"f(x)", true),
            ("a|42 43|d x", b"zABCDz", true),
            ("a|20|b", b"a b", true),
            ("|00|", b"a\0", true),
            ("  a  ", b"a", true),
        ],
    );
    assert_eq!(captured(K::Pm, "she HERS he", b"usHErs"), texts(&[Some("sHE")]));
    for (argument, reason) in
        [("", "no phrase"), ("a|b", "partner"), ("|4|", "hexadecimal"), ("|zz|", "hexadecimal")]
    {
        let error = compile(K::Pm, argument, &[]).unwrap_err();
        assert!(error.contains(reason), "{argument}: {error}");
    }
}

#[test]
fn phrase_files_have_one_phrase_a_line() {
    let file = "# comment\n\nselect from\r\n  .git/config \n#union\n";
    let operator = compile(OperatorKind::PmFromFile, "a.data b.data", &[file, "other"]).unwrap();
    for (value, expected) in [
        ("SELECT FROM x", true),
        ("select", false),
        ("/.git/configs", true),
        ("union", false),
        ("comment", false),
        ("another", true),
    ] {
        assert_eq!(operator.matches(value.as_bytes(), b"", None), expected, "{value}");
    }
    assert!(compile(OperatorKind::PmFromFile, "a.data", &["# nothing\n"]).is_err());
    assert!(compile(OperatorKind::PmFromFile, "a.data", &[]).is_err());
}

#[test]
fn addresses_match_by_network() {
    use OperatorKind as K;
    check(
        K::IpMatch,
        &[
            ("127.0.0.1,::1", b"127.0.0.1", true),
            ("127.0.0.1, ::1", b"::1", true),
            ("127.0.0.1,::1", b"0:0:0:0:0:0:0:1", true),
            ("10.0.0.0/8", b"10.255.1.2", true),
            ("10.1.2.3/8", b"10.255.1.2", true),
            ("10.0.0.0/8", b"11.0.0.0", false),
            ("10.0.0.0/8", b"::ffff:10.0.0.1", true),
            ("2001:db8::/32", b"2001:db8:1::", true),
            ("2001:db8::/32", b"10.0.0.1", false),
            ("10.0.0.0/8", b"10.0.0", false),
            ("10.0.0.0/8", b"", false),
            ("10.0.0.0/8", b"\xff", false),
        ],
    );
    for argument in ["", "localhost", "10.0.0.0/33", "10.0.0.1,x"] {
        assert!(compile(K::IpMatch, argument, &[]).is_err(), "{argument}");
    }
    let operator = compile(K::IpMatchFromFile, "f", &["# c\n10.0.0.0/8 # ours\n\n::1\r\n"]).unwrap();
    assert!(operator.matches(b"10.1.1.1", b"", None) && operator.matches(b"::1", b"", None));
    assert!(!operator.matches(b"192.0.2.1", b"", None));
    assert!(compile(K::IpMatchFromFile, "f", &["10.0.0.0/8\nx"]).is_err());
}

#[test]
fn injections_are_detected_and_prose_is_not() {
    use OperatorKind as K;
    check(
        K::DetectSqli,
        &[
            ("", b"1' OR '1'='1", true),
            ("", b"-1 UNION ALL SELECT 1,2,3", true),
            ("", b"1; DROP TABLE users--", true),
            ("", b"hello world", false),
            ("", b"O'Brien", false),
            ("", b"", false),
        ],
    );
    check(
        K::DetectXss,
        &[
            ("", b"<script>alert(1)</script>", true),
            ("", b"<img src=x onerror=alert(1)>", true),
            ("", b"\" onmouseover=\"alert(1)", true),
            ("", b"hello world", false),
            ("", b"1 < 2", false),
            ("", b"", false),
        ],
    );
    assert_eq!(captured(K::DetectSqli, "", b"1' OR '1'='1")[0].as_deref(), Some("s&sos"));
    assert_eq!(captured(K::DetectXss, "", b"<script>")[0].as_deref(), Some("<script>"));
}

#[test]
fn a_byte_outside_the_range_matches() {
    use OperatorKind as K;
    check(
        K::ValidateByteRange,
        &[
            ("1-255", b"a\xff", false),
            ("1-255", b"a\0", true),
            ("9,10,13,32-126,128-255", b"a\n\xe9", false),
            ("9,10,13,32-126,128-255", b"\x7f", true),
            ("65", b"A", false),
            ("65", b"B", true),
            ("65", b"", false),
            (" 65 , 66 - 67 ", b"ABC", false),
        ],
    );
    for argument in ["", "256", "a", "10-5", "1-2-3", "1,,2", "-1"] {
        assert!(compile(K::ValidateByteRange, argument, &[]).is_err(), "{argument}");
    }
}

#[test]
fn an_invalid_encoding_matches() {
    use OperatorKind as K;
    check(
        K::ValidateUrlEncoding,
        &[
            ("", b"", false),
            ("", b"a%20b+c", false),
            ("", b"%", true),
            ("", b"%4", true),
            ("", b"%4g", true),
            ("", b"%%41", true),
            ("", b"%41%", true),
            ("", b"%u0041", true),
        ],
    );
    check(
        K::ValidateUtf8Encoding,
        &[
            ("", b"", false),
            ("", b"abc\xc3\xa9\xf0\x9f\x98\x80\0", false),
            ("", b"\xc0\xaf", true),
            ("", b"\xed\xa0\x80", true),
            ("", b"\xf4\x90\x80\x80", true),
            ("", b"\xc3", true),
            ("", b"\xff", true),
        ],
    );
}

#[test]
fn overlapping_candidates_are_tried_up_to_the_limit_and_then_one_behind_the_other() {
    // Sixteen ones are no number of a card; with a seven at the end they are. The first candidate has no step before it.
    for (steps, found) in [(63, true), (64, true), (65, false)] {
        let value = format!("{}7{}", "1".repeat(steps + 15), "1".repeat(40));
        check(OperatorKind::VerifyCc, &[(r"\d{16}", value.as_bytes(), found)]);
    }
}

#[test]
fn numbers_of_people_and_cards_are_verified() {
    use OperatorKind as K;
    check(
        K::VerifyCc,
        &[
            (r"\d{13,16}", b"card 4111111111111111.", true),
            (r"\b\d{16}\b", b"card 4111111111111112.", false),
            (r"\d{16}", b"94111111111111111", true),
            (r"(?:\d{4}-?){4}", b"4111-1111-1111-1111", true),
            (r"\d{13,16}", b"", false),
        ],
    );
    check(
        K::VerifyCpf,
        &[
            (r"[\d.-]{11,14}", b"529.982.247-25", true),
            (r"[\d.-]{11,14}", b"529.982.247-26", false),
            (r"\d{11}", b"11111111111", false),
            (r"\d{11}", b"11144477735", true),
        ],
    );
    check(
        K::VerifySsn,
        &[
            (r"\d{3}-?\d{2}-?\d{4}", b"ssn 123-45-6780", true),
            (r"\d{3}-?\d{2}-?\d{4}", b"123-45-6789", false),
            (r"\d{3}-?\d{2}-?\d{4}", b"666-45-6780", false),
            (r"\d{3}-?\d{2}-?\d{4}", b"000-45-6780", false),
            (r"\d{3}-?\d{2}-?\d{4}", b"123-00-6780", false),
            (r"\d{3}-?\d{2}-?\d{4}", b"123-45-0000", false),
            (r"\d{3}-?\d{2}-?\d{4}", b"111-11-1111", false),
            (r"\d{3}-?\d{2}-?\d{4}", b"900-45-6780", false),
            (r"\d+", b"12", false),
        ],
    );
    check(
        K::VerifySvnr,
        &[
            (r"\d{4} ?\d{6}", b"1237 010180", true),
            (r"\d{4} ?\d{6}", b"1238 010180", false),
            (r"\d{10}", b"0000000000", false),
            (r"\d", b"1", false),
        ],
    );
    assert_eq!(captured(K::VerifyCc, r"\d{16}", b"x4111111111111111y"), texts(&[Some("4111111111111111")]));
}

#[test]
fn numbers_that_are_too_short_too_long_or_none_are_no_numbers_of_people() {
    use OperatorKind as K;
    // A pattern that takes anything: candidates of every length, from nothing on.
    let any: &[(&str, &[u8])] =
        &[(r".*", b""), (r"\d*", b""), (r".*", b"---"), (r".*", b"\xff\0"), (r"\D*", b"12")];
    for kind in [K::VerifyCc, K::VerifyCpf, K::VerifySsn, K::VerifySvnr] {
        for (pattern, value) in any {
            check(kind, &[(pattern, value, false)]);
        }
    }
    // Valid, one digit short, and one digit long. A sum that a digit short is subtracted from would be under zero.
    for (kind, valid) in
        [(K::VerifyCpf, "52998224725"), (K::VerifySsn, "123456780"), (K::VerifySvnr, "1237010180")]
    {
        let whole = format!("^\\d{{0,{}}}$", valid.len() + 1);
        check(kind, &[(&whole, valid.as_bytes(), true)]);
        for shorter in 0..valid.len() {
            check(kind, &[(&format!("^{}$", &valid[..shorter]), &valid.as_bytes()[..shorter], false)]);
        }
        check(kind, &[(&whole, format!("{valid}0").as_bytes(), false)]);
    }
    // One zero has the check digit of a card; nothing has none.
    check(K::VerifyCc, &[("^0$", b"0", true), ("^1$", b"1", false), ("^x*$", b"x", false)]);
    for digit in 0..10 {
        let equal = digit.to_string();
        check(K::VerifyCpf, &[(r"\d{11}", equal.repeat(11).as_bytes(), false)]);
        check(K::VerifySsn, &[(r"\d{9}", equal.repeat(9).as_bytes(), false)]);
        check(K::VerifySvnr, &[(r"\d{10}", equal.repeat(10).as_bytes(), false)]);
    }
    let long = "9".repeat(10_000);
    for kind in [K::VerifyCpf, K::VerifySsn, K::VerifySvnr] {
        check(kind, &[(r"^\d+$", long.as_bytes(), false)]);
    }
    // Areas and steps at the ends of their ranges.
    for (ssn, valid) in [
        ("899456780", true),
        ("999999998", false),
        ("001010001", true),
        ("665010001", true),
        ("667010001", true),
        ("012345678", false),
        ("987654321", false),
        ("876543210", true),
    ] {
        check(K::VerifySsn, &[(r"^\d{9}$", ssn.as_bytes(), valid)]);
    }
}

#[test]
fn many_candidates_are_still_searched_to_the_end() {
    let mut value = b"1234567890123 ".repeat(500);
    value.extend_from_slice(b"4111111111111111");
    check(OperatorKind::VerifyCc, &[(r"\d{13,16}", value.as_slice(), true)]);
    check(OperatorKind::VerifyCc, &[(r"\d*", b"79", false)]);
}

#[test]
fn constants_do_not_look_at_the_value() {
    check(OperatorKind::UnconditionalMatch, &[("", b"", true), ("", b"x", true)]);
    check(OperatorKind::NoMatch, &[("", b"", false), ("", b"x", false)]);
}

proptest! {
    #[test]
    fn every_value_is_judged(value in prop::collection::vec(any::<u8>(), 0..60), tail in "['\"<>=;()/*a-z0-9 #-]{0,30}") {
        let mut interner = Interner::default();
        let value = [value, tail.into_bytes()].concat();
        for kind in OperatorKind::ALL {
            let argument = if *kind == OperatorKind::IpMatch { "::1" } else { "1" };
            if let Ok(operator) = Operator::compile(*kind, Some(argument), &["::1"], &mut interner) {
                let mut captures = Captures::default();
                let plain = operator.matches(&value, argument.as_bytes(), None);
                prop_assert_eq!(plain, operator.matches(&value, argument.as_bytes(), Some(&mut captures)));
            }
        }
    }

    #[test]
    fn the_detectors_do_not_panic(value in "['\"<>=;()/*a-zA-Z0-9 #@`|&%\\\\x00\\n\u{e9}!+-]{0,60}") {
        prop_assert!(std::panic::catch_unwind(|| libinjectionrs::detect_sqli(value.as_bytes())).is_ok());
        prop_assert!(std::panic::catch_unwind(|| libinjectionrs::detect_xss(value.as_bytes())).is_ok());
    }
}
