//! A trace says what a transaction did, and changes nothing of it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout
)]

mod exchange;

use std::sync::Arc;

use exchange::{connection, form, get, policy};
use palisade_model::documents::{RuleSet, SourceFile};
use palisade_waf::trace::{Admission, TRACED_VALUES, Trace, TracedRule};
use palisade_waf::{Engine, Transaction};

fn rule_set(text: &str) -> RuleSet {
    exchange::rule_set(vec![SourceFile { name: "test.conf".into(), text: text.into() }])
}

fn engine(text: &str) -> Arc<Engine> {
    Arc::new(Engine::compile_slow(&rule_set(text), &policy()).unwrap())
}

fn fast(text: &str) -> Arc<Engine> {
    Arc::new(Engine::compile(&rule_set(text), &policy()).unwrap())
}

fn trace(text: &str, exchange: &exchange::Exchange, watched: Option<u64>) -> Trace {
    let mut transaction =
        Transaction::begin(engine(text), &connection(), &exchange.head(), 1_767_225_600_000, "id");
    transaction.keep_trace(fast(text), watched);
    if transaction.request_headers().is_none() {
        transaction.request_body_feed(&exchange.body);
        transaction.request_body(true);
    }
    transaction.logging();
    transaction.take_trace().unwrap()
}

fn rule(trace: &Trace, id: u64) -> &TracedRule {
    trace.rules.iter().find(|rule| rule.id == id).unwrap_or_else(|| panic!("no rule {id}: {trace:?}"))
}

const RULES: &str = r#"
SecAction "id:1,phase:1,nolog,pass,setvar:tx.score=0"
SecRule ARGS "@rx union\s+select" "id:2,phase:2,t:none,t:urlDecodeUni,t:lowercase,block,msg:'found %{MATCHED_VAR}',severity:CRITICAL,setvar:'tx.score=+5'"
SecRule TX:score "@ge 5" "id:3,phase:2,deny,status:403,msg:'over'"
SecRule ARGS "@rx nothing" "id:4,phase:2,pass"
"#;

#[test]
fn a_match_shows_its_target_its_bytes_before_and_after_its_score_and_what_admitted_it() {
    let found = trace(RULES, &form("/", "q=1%2520UNION%2520SELECT"), None);
    let ids: Vec<u64> = found.rules.iter().map(|rule| rule.id).collect();
    assert_eq!(ids, [1, 2, 3]);
    let hit = rule(&found, 2);
    assert!(hit.complete && hit.phase == 2 && hit.severity == Some("CRITICAL"), "{hit:?}");
    assert_eq!(hit.message, "found 1 union select");
    let value = &hit.values[0];
    assert_eq!(value.target, "ARGS:q");
    assert_eq!((&value.original[..], &value.bytes[..]), (&b"1%20UNION%20SELECT"[..], &b"1 union select"[..]));
    assert_eq!(value.transformations, ["urlDecodeUni", "lowercase"]);
    let Admission::Holds(held) = &value.admission else { panic!("{value:?}") };
    assert!(held.contains(&"literal \" select\"".to_owned()), "{held:?}");
    let change = &value.changes[0];
    assert_eq!((change.name.as_str(), change.before.as_deref()), ("score", Some("0")));
    assert_eq!(change.after.as_deref(), Some("5"));
    assert_eq!(rule(&found, 3).effect, "deny 403");
    assert_eq!(rule(&found, 3).values[0].admission, Admission::Always("rules set this variable"));
    assert_eq!(found.tried, [1, 2, 0, 0, 0], "rule 4 was not reached");
}

#[test]
fn a_count_is_always_compared() {
    let rules = "SecRule &ARGS \"@ge 2\" \"id:1,phase:1,pass\"";
    assert!(trace(rules, &get("/?a=1"), None).rules.is_empty());
    let found = trace(rules, &get("/?a=1&b=2"), None);
    assert_eq!(rule(&found, 1).values[0].admission, Admission::Always("the number of values is compared"));
}

#[test]
fn a_watched_rule_shows_what_it_was_tried_on_and_what_it_lacks() {
    let found = trace(RULES, &get("/?a=plain"), Some(2));
    let watched = rule(&found, 2);
    assert!(!watched.complete && !watched.values[0].matched, "{watched:?}");
    assert!(matches!(&watched.values[0].admission, Admission::Lacks(_)), "{watched:?}");
    assert!(!trace(RULES, &get("/?a=plain"), None).rules.iter().any(|rule| rule.id == 2));
    // Nothing to look at is told too.
    assert!(rule(&trace(RULES, &get("/"), Some(2)), 2).values.is_empty());
}

#[test]
fn a_chain_that_does_not_complete_is_shown_as_far_as_it_came() {
    let rules = "SecRule ARGS:a \"@streq x\" \"id:1,phase:1,deny,chain\"\nSecRule ARGS:b \"@streq y\"";
    let found = trace(rules, &get("/?a=x&b=z"), None);
    let chain = rule(&found, 1);
    assert_eq!((chain.complete, chain.links, chain.values.len()), (false, 2, 1));
    let found = trace(rules, &get("/?a=x&b=y"), None);
    let links: Vec<usize> = rule(&found, 1).values.iter().map(|value| value.link).collect();
    assert_eq!(links, [0, 1]);
    assert_eq!(rule(&found, 1).values[1].admission, Admission::Always("the link before it matched"));
}

#[test]
fn a_trace_changes_neither_verdict_nor_matches() {
    for exchange in [form("/", "q=union select"), form("/", "q=x"), get("/?a=x&a=y")] {
        let plain = exchange.run(&engine(RULES));
        let mut transaction = Transaction::begin(
            engine(RULES),
            &connection(),
            &exchange.head(),
            1_767_225_600_000,
            "0123456789abcdef",
        );
        transaction.keep_trace(fast(RULES), Some(2));
        let mut ended = transaction.request_headers();
        if ended.is_none() {
            transaction.request_body_feed(&exchange.body);
            ended = transaction.request_body(true);
        }
        transaction.logging();
        assert_eq!(ended, plain.interruption);
        assert_eq!(transaction.matches(), plain.matches);
    }
}

#[test]
fn a_trace_is_bounded() {
    // 100 arguments under so many rules come to the limit exactly, and one more action is over it.
    let rules = |count: usize| -> String {
        (1..=count).map(|id| format!("SecRule ARGS \"@rx .\" \"id:{id},phase:1,pass\"\n")).collect()
    };
    let query = vec!["a=b"; 100].join("&");
    let at_limit = trace(&rules(TRACED_VALUES / 100), &get(&format!("/?{query}")), None);
    assert!(!at_limit.truncated);
    let over = format!("{}SecAction \"id:9999,phase:1,pass\"", rules(TRACED_VALUES / 100));
    let over = trace(&over, &get(&format!("/?{query}")), None);
    assert!(over.truncated);
    assert_eq!(over.rules.iter().map(|rule| rule.values.len()).sum::<usize>(), TRACED_VALUES);
}

#[test]
fn a_rule_is_found_where_it_is_written() {
    let written = palisade_waf::trace::written(&rule_set(RULES)).unwrap();
    assert!(written[&2].place.ends_with(":3:1"), "{:?}", written[&2]);
    assert_eq!(written[&2].operators, ["@rx union\\s+select"]);
    assert_eq!(written[&1].operators, ["SecAction"]);
}

#[test]
fn what_admits_a_value_is_what_the_fast_path_says_of_it() {
    let rules = r#"
SecAction "id:1,phase:1,nolog,pass,setvar:tx.level=2"
SecRule TX:level "@ge 3" "id:2,phase:2,pass"
SecRule ARGS "@rx ." "id:3,phase:2,pass"
SecRule ARGS "!@contains union" "id:4,phase:2,pass"
SecRule ARGS "@contains select" "id:5,phase:2,pass,setvar:tx.found=%{MATCHED_VAR}"
SecRule TX:found "@contains select" "id:6,phase:2,pass"
SecRule HIGHEST_SEVERITY "@contains 2" "id:7,phase:2,pass"
SecRule ARGS "@rx ^[a-z]{20,}$" "id:8,phase:2,pass"
SecRule ARGS "@streq select" "id:9,phase:2,pass"
SecRule TX:level "@ge 2" "id:10,phase:2,pass"
"#;
    let admission = |id: u64, value: &str| {
        let found = trace(rules, &get(&format!("/?a={value}")), Some(id));
        rule(&found, id).values[0].admission.clone()
    };
    let always = |why: &'static str| Admission::Always(why);
    assert_eq!(admission(2, "x"), always("its outcome is known when the rule set is loaded"));
    assert_eq!(admission(10, "x"), always("rules set this variable"));
    assert_eq!(admission(3, "x"), Admission::Holds(vec!["at least 1 bytes".to_owned()]));
    assert_eq!(admission(4, "x"), always("the operator is negated"));
    assert_eq!(admission(5, "select"), Admission::Holds(vec!["literal \"select\"".to_owned()]));
    assert!(matches!(admission(5, "nothing"), Admission::Lacks(what) if what.contains("select")));
    assert_eq!(admission(6, "select"), always("rules set this variable"));
    assert_eq!(admission(7, "select"), always("the rule is not prefiltered"));
    assert!(matches!(admission(8, "abc"), Admission::Lacks(_)));
    assert!(matches!(admission(9, "select"), Admission::Holds(_)));
}

#[test]
fn nothing_that_matched_is_said_to_be_passed_over() {
    let Some(directory) = exchange::crs_directory() else { return };
    let set = exchange::crs(&directory, "", "");
    let mut policy = policy();
    policy.paranoia_level = Some(4);
    let slow = Arc::new(Engine::compile_slow(&set, &policy).unwrap());
    let fast = Arc::new(Engine::compile(&set, &policy).unwrap());
    let (mut values, mut held) = (0, 0);
    for query in [
        "a=1'%20OR%20'1'='1&b=%3Cscript%3Ealert(1)%3C/script%3E",
        "file=../../etc/passwd&c=;cat%20/etc/passwd",
        "x=$%7Bjndi:ldap://a/b%7D&y=%3C?php%20system($_GET%5B'a'%5D)",
        "plain=text&number=42",
    ] {
        let exchange = get(&format!("/index.php?{query}")).header("User-Agent", "sqlmap/1.7");
        let mut transaction = Transaction::begin(slow.clone(), &connection(), &exchange.head(), 0, "id");
        transaction.keep_trace(fast.clone(), None);
        transaction.request_headers();
        transaction.request_body(true);
        transaction.logging();
        let trace = transaction.take_trace().unwrap();
        for value in trace.rules.iter().flat_map(|rule| &rule.values).filter(|value| value.matched) {
            assert!(!matches!(value.admission, Admission::Lacks(_)), "{value:?}");
            values += 1;
            held += usize::from(matches!(value.admission, Admission::Holds(_)));
        }
    }
    assert!(values > 200 && held > 20, "{held} of {values}");
}
