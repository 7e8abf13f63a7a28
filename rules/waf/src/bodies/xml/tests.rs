//! What is read, what is refused, and the limits.

use proptest::prelude::*;

use super::*;
use crate::bodies::ARGUMENTS_LIMIT;

fn read(text: &str) -> Document {
    parse(text.as_bytes(), ARGUMENTS_LIMIT)
}

fn pairs(expected: &[(&str, &str)]) -> Vec<Pair> {
    expected.iter().map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec())).collect()
}

/// A document, its text, its attributes.
type Case = (&'static str, &'static str, &'static [(&'static str, &'static str)]);

#[test]
fn text_and_attributes_are_read() {
    let cases: &[Case] = &[
        ("<a/>", "", &[]),
        ("<a>x</a>", "x", &[]),
        (
            "<?xml version=\"1.0\"?>\n<a b=\"1\">x<c d='2' e = \"3\" />y</a >\n",
            "xy",
            &[("b", "1"), ("d", "2"), ("e", "3")],
        ),
        ("<?xml version='1.0' encoding='UTF-8'?><a/>", "", &[]),
        ("\u{feff}<a>\u{e9}</a>", "\u{e9}", &[]),
        ("<a>&lt;script&gt;&amp;&quot;&apos;&#65;&#x42;</a>", "<script>&\"'AB", &[]),
        ("<a b='&lt;&#x3e;\"'/>", "", &[("b", "<>\"")]),
        ("<a><![CDATA[<b>&amp;]]>c</a>", "<b>&amp;c", &[]),
        ("<!-- x --><a>1<!-- <b> -->2<?pi x?>3</a><!-- y -->", "123", &[]),
        ("<n:a xmlns:n='u'>x</n:a>", "x", &[("xmlns:n", "u")]),
        ("<a>\n <b> x </b>\n</a>", "\n  x \n", &[]),
    ];
    for (input, text, attributes) in cases {
        let document = read(input);
        assert_eq!(document.error, None, "{input}");
        assert_eq!(String::from_utf8_lossy(&document.text), *text, "{input}");
        assert_eq!(document.attributes, pairs(attributes), "{input}");
    }
}

#[test]
fn what_is_not_well_formed_is_refused() {
    for (input, reason) in [
        ("", "too early"),
        ("x", "outside"),
        ("<a>", "too early"),
        ("<a></b>", "did not begin"),
        ("</a>", "did not begin"),
        ("<a/><b/>", "second root"),
        ("<a/>x", "outside"),
        ("<a/><![CDATA[x]]>", "outside"),
        ("<>", "name"),
        ("< a/>", "name"),
        ("<1/>", "name"),
        ("<a", "malformed"),
        ("<a b", "no value"),
        ("<a b=1/>", "quotes"),
        ("<a b='1/>", "no end"),
        ("<a b='<'/>", "attribute"),
        ("<a b='1'c='2'/>", "malformed"),
        ("<a></a b>", "malformed"),
        ("<a>&x;</a>", "unknown entity"),
        ("<a>&lt</a>", "no end"),
        ("<a>&#xd800;</a>", "unknown entity"),
        ("<a>&#+1;</a>", "unknown entity"),
        ("<a b='&x;'/>", "unknown entity"),
        ("<!-- ", "comment"),
        ("<a><![CDATA[", "CDATA"),
        ("<a><?x", "processing"),
        ("<!DOCTYPE a [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><a>&x;</a>", "declaration"),
        ("<?xml version='1.0' encoding='utf-16'?><a/>", "encoding"),
        ("<?xml version='1.0' encoding='utf-7'?><a/>", "encoding"),
    ] {
        let error = read(input).error.unwrap_or_else(|| panic!("{input} is read"));
        assert!(error.reason.contains(reason) && error.offset <= input.len(), "{input}: {error}");
    }
    assert_eq!(parse(b"<a>\xff</a>", 1).error.map(|error| error.offset), Some(3));
}

#[test]
fn what_stands_before_an_error_is_kept() {
    let document = read("<a b='evil'>worse</c>");
    assert_eq!((document.text, document.attributes), (b"worse".to_vec(), pairs(&[("b", "evil")])));
    assert!(document.error.is_some());
}

#[test]
fn limits_hold_at_and_over() {
    let nested = |depth: usize| format!("{}{}", "<a>".repeat(depth), "</a>".repeat(depth));
    for (depth, refused) in [(DEPTH_LIMIT - 1, false), (DEPTH_LIMIT, false), (DEPTH_LIMIT + 1, true)] {
        assert_eq!(read(&nested(depth)).error.is_some(), refused, "{depth}");
    }
    for (count, over) in [(ARGUMENTS_LIMIT - 1, false), (ARGUMENTS_LIMIT, false), (ARGUMENTS_LIMIT + 1, true)]
    {
        let document = read(&format!("<a{}/>", " b='1'".repeat(count)));
        assert_eq!((document.attributes.len(), document.over_limit), (count.min(ARGUMENTS_LIMIT), over));
    }
}

proptest! {
    #[test]
    fn escaped_text_comes_back(text in "[ -~\u{e9}\n]{0,20}", value in "[ -~\u{e9}]{0,20}") {
        let escape = |text: &str| text.chars().map(|one| format!("&#{};", u32::from(one))).collect::<String>();
        let document = read(&format!("<a b='{}'>{}</a>", escape(&value), escape(&text)));
        prop_assert_eq!(document.error, None);
        prop_assert_eq!(document.text, text.into_bytes());
        prop_assert_eq!(&document.attributes[0].1, value.as_bytes());
    }

    #[test]
    fn any_text_is_read_or_refused(text in "(<a>|</a>|<|>|/|=|'|\"|&lt;|&|;|<!--|-->|<!\\[CDATA\\[|\\]\\]>|<\\?|\\?>|[ab !]){0,20}") {
        let document = parse(text.as_bytes(), 3);
        prop_assert!(document.attributes.len() <= 3);
        prop_assert!(document.text.len() <= text.len());
    }
}
