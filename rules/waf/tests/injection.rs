//! The injection detectors: a list of attacks and of ordinary values, the port of libinjection as an oracle, and the
//! cost of hostile values. The fingerprints of the list are those of libinjection itself.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout
)]

#[path = "injection/differences.rs"]
mod differences;

use std::time::{Duration, Instant};

use palisade_waf::injection::{sqli, xss};
use proptest::prelude::*;

/// Values with their fingerprints; none: not SQL.
const SQL: &[(&str, &str)] = &[
    ("1' OR '1'='1", "s&sos"),
    ("' or 1=1--", "s&1c"),
    ("' or 1=1#", "s&1c"),
    ("admin'--", "sc"),
    ("admin' #", ""),
    ("1 UNION SELECT 1,2,3", "1UE1"),
    ("1 union all select null,null--", "1UEvc"),
    ("-1 UNION SELECT password FROM users", "1UEnk"),
    ("1; DROP TABLE users", "1;Tnn"),
    ("1;shutdown--", ""),
    ("' AND 1=0 UNION ALL SELECT '', '81dc9bdb52d04dc20036dbd8313ed055", "s&1UE"),
    ("1 AND SLEEP(5)", "1&f(1"),
    ("1 and (select 1 from(select count(*),concat(0x3a,floor(rand(0)*2))x)y)", "1&(E1"),
    ("' waitfor delay '0:0:5'--", "sEsc"),
    ("1 or pg_sleep(5)--", "1&f(1"),
    ("\" or \"\"=\"", "s&sos"),
    ("\" or 1=1 -- ", "s&1c"),
    ("1/**/OR/**/1=1", "1&1"),
    ("1/*!50000union*/select 1", "X"),
    ("1 or 1.e(1)=1", "1&(1)"),
    ("' || (select 1) || '", "s&(E1"),
    ("x' and email is null; --", "s&nov"),
    ("1) or (1=1", "1)&(1"),
    ("a' in ('a')--", "so(s)"),
    ("1 into outfile '/tmp/x'", "1ks"),
    ("1 having 1=1", "1B1"),
    ("1 group by 2", "1B1"),
    ("1 order by 3--", "1B1c"),
    ("1 procedure analyse()", ""),
    ("exec xp_cmdshell 'dir'", ""),
    ("1' and extractvalue(1,concat(0x7e,version()))--", "s&f(1"),
    ("select * from t", ""),
    ("{`` .id}", "X"),
    ("1--sp_password", "1c"),
    ("foo' + 'bar", "sos"),
    ("1 like 1 or 1", "1&1"),
    ("", ""),
    ("0", ""),
    ("42", ""),
    ("-17", ""),
    ("3.14", ""),
    ("1e5", ""),
    ("2026-11-22T10:00:00Z", ""),
    ("550e8400-e29b-41d4-a716-446655440000", ""),
    ("hello", ""),
    ("hello world", ""),
    ("the quick brown fox jumps over the lazy dog", ""),
    ("O'Brien", ""),
    ("it's a dog's life", ""),
    ("rock 'n' roll", ""),
    ("a+b=c", ""),
    ("50% off", ""),
    ("john@example.com", ""),
    ("+44 20 7946 0958", ""),
    ("192.168.0.1", ""),
    ("Select a colour", ""),
    ("We union workers met", ""),
    ("sexy and 17", ""),
    ("1 union", ""),
    ("drop me a line", ""),
    ("https://example.com/a?b=c&d=e", ""),
    ("C:\\Windows\\System32", ""),
    ("[1,2,3]", ""),
    ("{\"a\": 1}", ""),
    ("x = y", ""),
    ("a--b", ""),
    ("1-2-3", ""),
    ("(555) 123-4567", ""),
    ("$1,000.00", ""),
    ("@user", ""),
    ("#hashtag", ""),
    ("1234-ABCDEFEhfhihwuefi--", "1c"),
    ("Müller & Söhne", ""),
    ("日本語テキスト", ""),
    ("not in stock", ""),
    ("order by phone", ""),
    ("group of people", ""),
    ("null", ""),
    ("true", ""),
    ("like it or not", ""),
];

const SCRIPTS: &[&str] = &[
    "<script>alert(1)</script>",
    "<SCRIPT SRC=//x>",
    "<img src=x onerror=alert(1)>",
    "<svg/onload=alert(1)>",
    "<svg>",
    "<a href=javascript:alert(1)>",
    "<a href=\"jav&#x61;script:alert(1)\">",
    "<a href=' \t java\nscript:x'>",
    "<iframe src=x>",
    "<body onload=x>",
    "' onmouseover=alert(1) x='",
    "\" onfocus=alert(1) autofocus x=\"",
    "` onclick=x",
    "onclick=alert(1)",
    "<!doctype html>",
    "<!--`-->",
    "<!--[if IE]>x<![endif]-->",
    "<?xml version='1.0'?>",
    "<?import x>",
    "<!entity x>",
    "<xss>",
    "<style>x</style>",
    "<div style=x:expression(1)>",
    "<a xlink:href='data:x'>",
    "<set attributename=onload to=x>",
    "<a href=vbscript:x>",
    "<form action=java:x>",
    "<x onclicked=1>",
    "<object data=x>",
    "<meta http-equiv=refresh>",
    "<a href=&#x14A;ava:x>",
    "<%`%>",
];

const NO_SCRIPTS: &[&str] = &[
    "",
    "hello",
    "a < b",
    "a<b",
    "1 < 2 and 3 > 2",
    "x=y",
    "a=b&c=d",
    "<b>bold</b>",
    "<p class=x>text</p>",
    "<a href='https://example.com/'>x</a>",
    "<img src=/logo.png alt=logo>",
    "i <3 you",
    "on=1",
    "one=1",
    "onx=1",
    "title=on",
    "<a title=\"javascript:x\">",
    "<!-- a comment -->",
    "email <a@b.example>",
    "<table><tr><td>1</td></tr></table>",
    "Content-Type: text/html; charset=utf-8",
    "</b>",
    "<>",
    "<",
    "=",
];

/// The fingerprint as text, empty if there is none.
fn fingerprint(value: &[u8]) -> String {
    sqli(value).map(|found| String::from_utf8(found.as_bytes().to_vec()).unwrap()).unwrap_or_default()
}

#[test]
fn known_values_have_their_fingerprints() {
    for (value, expected) in SQL {
        assert_eq!(fingerprint(value.as_bytes()), *expected, "{value}");
    }
}

#[test]
fn known_scripts_are_found_and_ordinary_markup_is_not() {
    for value in SCRIPTS {
        assert!(xss(value.as_bytes()), "{value}");
    }
    for value in NO_SCRIPTS {
        assert!(!xss(value.as_bytes()), "{value}");
    }
}

#[test]
fn where_the_oracle_differs_libinjection_is_followed() {
    for (value, ours) in [
        ("1 into outfile '/tmp/x'", "1ks"),
        ("1 or 1.e(1)=1", "1&(1)"),
        ("is distinct union@#abc", "nUvc"),
        ("1 or @user()", "1&f()"),
        ("LOCK \\IN}5@#", "n1vc"),
    ] {
        assert!(differences::of_sqli(value.as_bytes()), "{value} is listed");
        assert_eq!(fingerprint(value.as_bytes()), ours, "{value}");
        let theirs = libinjectionrs::detect_sqli(value.as_bytes());
        let theirs = theirs.fingerprint.clone().filter(|_| theirs.is_injection());
        assert_ne!(theirs.as_deref().unwrap_or_default(), ours, "{value}: no difference any more");
    }
    for value in ["<x onclicked=1>", "<a href=&#x14A;ava:x>"] {
        assert!(differences::of_xss(value.as_bytes()) && xss(value.as_bytes()), "{value}");
        assert!(
            !libinjectionrs::detect_xss(value.as_bytes()).is_injection(),
            "{value}: no difference any more"
        );
    }
}

#[test]
fn event_handlers_that_are_newer_than_libinjection_are_found() {
    for handler in differences::newer_events::NEWER_EVENTS {
        for value in [
            format!("<x on{}=alert(1)>", handler.to_ascii_lowercase()),
            format!("' ON{handler} = 1 x='"),
            format!("<set attributename=on{handler} to=x>"),
        ] {
            assert!(xss(value.as_bytes()), "{value}");
            assert!(differences::of_xss(value.as_bytes()), "{value} is a listed difference");
            let theirs = libinjectionrs::detect_xss(value.as_bytes());
            assert!(!theirs.is_injection(), "{value}: no difference any more");
        }
    }
    for value in ["<x onbeforetoggl=1>", "<x oncomman=1>", "<x ononbegin=1>", "onbegin", "on begin=1"] {
        assert!(!xss(value.as_bytes()), "{value}");
    }
}

#[test]
fn only_listed_values_may_differ_from_the_oracle() {
    for value in ["<x onclick=1>", "<x onclick>", "<a href=javascript:x>", "one=1", "on=1", "<script>"] {
        assert!(!differences::of_xss(value.as_bytes()), "{value}");
    }
}

/// Texts that are put together from what means something.
fn telling(pieces: &'static [&'static str]) -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        20 => prop::sample::select(pieces).prop_map(|text| text.as_bytes().to_vec()),
        1 => any::<u8>().prop_map(|byte| vec![byte]),
    ];
    prop::collection::vec(piece, 0..14).prop_map(|pieces| pieces.concat())
}

const SQL_PIECES: &[&str] = &[
    "'",
    "\"",
    "`",
    " ",
    " ",
    " ",
    "--",
    "-- ",
    "#",
    "/*",
    "*/",
    "/*!",
    "(",
    ")",
    ",",
    ";",
    "1",
    "1",
    "0x1f",
    "1e5",
    ".",
    "=",
    "<=>",
    "||",
    "&&",
    "|",
    "&",
    "!",
    "!!",
    "~",
    "+",
    "-",
    "*",
    "/",
    "%",
    "^",
    ":",
    "::",
    "@",
    "@@",
    "$",
    "$$",
    "$a$",
    "[",
    "]",
    "{",
    "}",
    "\\",
    "\\N",
    "?",
    "\n",
    "é",
    "b'",
    "x'",
    "e'",
    "n'",
    "q'(",
    "nq'<",
    "u&'",
    "union",
    "UNION ALL",
    "select",
    "or",
    "and",
    "xor",
    "not",
    "in",
    "is",
    "like",
    "user",
    "password",
    "if",
    "collate",
    "utf8_bin",
    "int",
    "_utf8",
    "foo",
    "null",
    "true",
    "having",
    "group by",
    "order",
    "by",
    "limit",
    "case",
    "insert",
    "create",
    "drop",
    "exec",
    "sleep(",
    "count(",
    "from",
    "table",
    "where",
    "\\'",
    "''",
    "1f",
    "u",
    "abc.def",
    "select.",
    "select`",
    "1,000.00",
    "=:",
    ":=",
    "begin",
    "declare",
    "waitfor delay",
];

const HTML_PIECES: &[&str] = &[
    "<",
    "<",
    ">",
    "/",
    "=",
    "=",
    "'",
    "\"",
    "`",
    " ",
    " ",
    "\u{b}",
    "!",
    "<!--",
    "-->",
    "-!>",
    "--",
    "<!doctype",
    "<![CDATA[",
    "]]>",
    "<%",
    "%>",
    "<?",
    "[if",
    "xml",
    "import",
    "entity",
    "script",
    "svg",
    "xsl",
    "a",
    "onclick",
    "ONLOAD",
    "onbeforetoggle",
    "on",
    "href",
    "src",
    "style",
    "javascript:",
    "java",
    "data",
    "view-source",
    "vbscript",
    "&#",
    "&#x",
    "106",
    "6a",
    ";",
    "xmlns",
    "xlink:href",
    "attributename",
    "to",
    "by",
    "filter",
    "\n",
    "é",
    "</",
    "</a ",
    "x",
    "iframe",
    "&",
    "0",
];

/// Whether both see the same, where they are not known to differ.
fn agree(value: &[u8]) -> Result<(), TestCaseError> {
    let theirs = libinjectionrs::detect_sqli(value);
    let theirs = theirs.fingerprint.clone().filter(|_| theirs.is_injection());
    if !differences::of_sqli(value) {
        prop_assert_eq!(fingerprint(value), theirs.as_deref().unwrap_or_default());
    }
    let (ours, theirs) = (xss(value), libinjectionrs::detect_xss(value).is_injection());
    let may_differ = value.contains(&0) || ours && differences::of_xss(value);
    prop_assert!(ours == theirs || may_differ, "ours {ours}, the oracle's {theirs}");
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn sql_is_seen_as_the_oracle_sees_it(value in telling(SQL_PIECES)) {
        agree(&value)?;
    }

    #[test]
    fn scripts_are_seen_as_the_oracle_sees_them(value in telling(HTML_PIECES)) {
        agree(&value)?;
    }
}

#[test]
fn the_cost_of_a_hostile_value_is_linear_in_its_bytes() {
    let unit = [
        "!",
        "'",
        "\"",
        "`",
        "\\'",
        "''",
        "\\",
        "/*",
        "/*/",
        "*/",
        "--",
        "--a\n",
        "#",
        "#\n",
        "$",
        "$a",
        "$a$",
        "$$",
        "q'",
        "x'0",
        "b'1",
        "[",
        "{",
        "(",
        ")",
        "((",
        "1,",
        "1+",
        "a.",
        "a`",
        "@",
        "1.e",
        ";",
        "union ",
        "a b ",
        "not ",
        "in ",
        "\u{0}",
        " ",
        "'+",
        "'a'",
        "<",
        "<a",
        "<a ",
        "<!--",
        "-",
        "-\u{0}",
        "<!",
        "<%",
        "%",
        "</",
        "a=",
        "on",
        "onx=",
        "href=&#0;",
        "&#0",
        "&#",
        "x=y ",
        "<![CDATA[",
        "]",
        "<x/",
        "/",
        "=",
        "a",
        "1",
        "é",
        "\u{0}=<",
    ];
    for unit in unit {
        for before in ["", "1' ", "<a href="] {
            let mut value = before.as_bytes().to_vec();
            while value.len() < BYTES {
                value.extend(unit.as_bytes());
            }
            let start = Instant::now();
            let _ = (sqli(&value), xss(&value));
            let took = start.elapsed();
            assert!(took < CEILING, "{unit:?} after {before:?}: {took:?}");
        }
    }
}

/// Bytes of a hostile value: eight times what is inspected of a body.
const BYTES: usize = 1 << 20;
/// A generous ceiling for these bytes on a busy machine without optimisation: 4 µs a byte. Quadratic work on a megabyte
/// takes minutes.
const CEILING: Duration = Duration::from_secs(4);
