//! What directives change in how a request is read: the separator of arguments, the map of `urlDecodeUni`, the limit of
//! files. Each holds on the fast path as on the slow one.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout
)]

mod exchange;

use std::sync::Arc;

use exchange::{Exchange, Outcome, form, get, policy, post, rule_set};
use palisade_model::documents::SourceFile;
use palisade_waf::Engine;

const MAP: &str = "1250 (ANSI) 2039:21\n20127 (US-ASCII)\n2039:3c 203a:3e\n28591 (ISO) 2039:28\n";

/// An engine with `unicode.mapping` among its files, fast and slow.
fn engines(rules: &str) -> [Arc<Engine>; 2] {
    let mut set = rule_set(vec![SourceFile { name: "test.conf".into(), text: rules.into() }]);
    set.spec.data = [("unicode.mapping".to_owned(), MAP.to_owned())].into();
    let fast = Engine::compile(&set, &policy()).unwrap_or_else(|error| panic!("{error}"));
    [Arc::new(fast), Arc::new(Engine::compile_slow(&set, &policy()).unwrap())]
}

/// What both say.
fn run(rules: &str, exchange: &Exchange) -> Outcome {
    let [fast, slow] = engines(rules);
    let (found, truth) = (exchange.run(&fast), exchange.run(&slow));
    found.assert_same_as(&truth, exchange);
    found
}

fn ids(rules: &str, exchange: &Exchange) -> Vec<u64> {
    run(rules, exchange).ids()
}

#[test]
fn arguments_are_separated_by_what_the_rule_set_says() {
    let rules = "SecRule &ARGS \"@eq 3\" \"id:3,phase:2,pass\"\nSecRule ARGS:b \"@streq 2&c=3\" \"id:2,phase:2,pass\"";
    let semicolon = format!("SecArgumentSeparator ;\n{rules}");
    for exchange in [get("/?a=1;b=2&c=3;d=4"), form("/", "a=1;b=2&c=3;d=4")] {
        assert_eq!(ids(&semicolon, &exchange), [3, 2]);
        assert_eq!(ids(rules, &exchange), Vec::<u64>::new(), "a and c");
    }
    let quoted = format!("SecArgumentSeparator \"&\"\n{rules}");
    assert_eq!(ids(&quoted, &get("/?a=1&b=2&c=3")), [3], "the default said");
}

#[test]
fn url_decode_uni_uses_the_map_of_the_chosen_code_page() {
    let rule = "SecRule ARGS \"@streq <script>\" \"id:1,phase:2,pass,t:none,t:urlDecodeUni\"\n\
                SecRule ARGS \"@streq 9script:\" \"id:2,phase:2,pass,t:none,t:urlDecodeUni\"\n\
                SecRule ARGS \"@streq <script>\" \"id:3,phase:2,pass,t:none,t:lowercase,t:urlDecodeUni\"";
    let attack = get("/?a=%25u2039script%25u203A");
    let with = |page: u32| format!("SecUnicodeMapFile unicode.mapping {page}\n{rule}");
    assert_eq!(ids(rule, &attack), [2], "the low bytes");
    assert_eq!(ids(&with(20127), &attack), [1, 3]);
    assert_eq!(ids(&with(1250), &get("/?a=%25u2039")), Vec::<u64>::new());
    assert_eq!(ids(&with(28591), &attack), Vec::<u64>::new(), "another page has another byte");
    let twice = format!("SecUnicodeMapFile unicode.mapping 1250\n{}", with(20127));
    assert_eq!(ids(&twice, &attack), [1, 3], "the last one counts");
}

#[test]
fn a_map_that_is_not_there_is_told_and_one_without_the_code_page_is_refused_at_its_place() {
    let [engine, _] = engines("SecAction id:1,pass\nSecUnicodeMapFile /etc/unicode.mapping 20127");
    let notes = engine.notes();
    assert_eq!(notes.len(), 1, "{notes:?}");
    assert!(
        notes[0].starts_with("test.conf:2:1: note: SecUnicodeMapFile: the rule set has no such file"),
        "{notes:?}"
    );
    let mut set = rule_set(vec![SourceFile {
        name: "test.conf".into(),
        text: "SecAction id:1,pass\nSecUnicodeMapFile unicode.mapping 932".into(),
    }]);
    set.spec.data = [("unicode.mapping".to_owned(), MAP.to_owned())].into();
    let error = Engine::compile(&set, &policy()).unwrap_err().to_string();
    assert!(error.contains("test.conf:2:1") && error.contains("no code page 932"), "{error}");
}

/// A form with so many files.
fn files(count: usize) -> Exchange {
    let file = "--b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"a\"\r\n\r\n12345\r\n";
    post("/", "multipart/form-data; boundary=b", &format!("{}--b--\r\n", file.repeat(count)))
}

#[test]
fn files_are_counted_under_at_and_over_the_limit_of_the_rule_set() {
    let rules = "SecRule MULTIPART_FILE_LIMIT_EXCEEDED \"@eq 1\" \"id:1,phase:2,pass\"\n\
                 SecRule MULTIPART_STRICT_ERROR \"@eq 1\" \"id:2,phase:2,pass\"\n\
                 SecRule FILES_COMBINED_SIZE \"@eq 15\" \"id:3,phase:2,pass\"";
    let limited = format!("SecUploadFileLimit 2\n{rules}");
    assert_eq!(ids(&limited, &files(1)), Vec::<u64>::new());
    assert_eq!(ids(&limited, &files(2)), Vec::<u64>::new());
    assert_eq!(ids(&limited, &files(3)), [1, 2, 3], "they are read all the same");
    assert_eq!(ids(rules, &files(3)), [3], "no limit was set");
}

#[test]
fn parts_without_a_name_and_odd_folding_have_their_variables() {
    let rules = "SecRule MULTIPART_INVALID_PART \"@eq 1\" \"id:1,phase:2,pass\"\n\
                 SecRule MULTIPART_INVALID_HEADER_FOLDING \"@eq 1\" \"id:2,phase:2,pass\"\n\
                 SecRule MULTIPART_HEADER_FOLDING \"@eq 1\" \"id:3,phase:2,pass\"\n\
                 SecRule MULTIPART_STRICT_ERROR \"@eq 1\" \"id:4,phase:2,pass\"\n\
                 SecRule REQBODY_ERROR \"@eq 1\" \"id:5,phase:2,pass\"";
    let part = |disposition: &str| {
        let body = format!("--b\r\nContent-Disposition: form-data{disposition}\r\n\r\n1\r\n--b--\r\n");
        ids(rules, &post("/", "multipart/form-data; boundary=b", &body))
    };
    assert_eq!(part("; name=a"), Vec::<u64>::new());
    assert_eq!(part("; name=\"\""), [1, 4]);
    assert_eq!(part(""), [1, 4, 5]);
    assert_eq!(part(";\r\n name=a"), [3, 4]);
    assert_eq!(part(";\r\n\u{b}name=a"), [2, 3, 4, 5]);
}
