//! What holds for every exchange: no panic, the same outcome each time, however the body is cut; an exclusion is the
//! same as the absence of what it excludes.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout
)]

mod exchange;

use std::sync::{Arc, OnceLock};

use exchange::{Exchange, connection, engine, form, get, post};
use palisade_seclang::VariableKind;
use palisade_waf::{Engine, Transaction};
use proptest::prelude::*;

/// A rule on every variable, counted and not, in every phase, with captures and macros.
fn every_variable() -> Arc<Engine> {
    static ENGINE: OnceLock<Arc<Engine>> = OnceLock::new();
    let built = ENGINE.get_or_init(|| {
        let mut rules = String::from("SecAction \"id:1,phase:1,pass,nolog,ctl:forceRequestBodyVariable=On\"\n");
        let mut id = 10;
        for variable in VariableKind::ALL {
            if matches!(variable, VariableKind::Geo | VariableKind::WebserverErrorLog) {
                continue;
            }
            let name = variable.name();
            for phase in 1..=5 {
                id += 1;
                let count = if variable.is_collection() { format!("|&{name}") } else { String::new() };
                rules.push_str(&format!(
                    "SecRule {name}{count} \"@rx (?i)([a-m]+)(.?)$\" \"id:{id},phase:{phase},pass,capture,multiMatch,\
                     t:urlDecodeUni,t:lowercase,msg:'%{{MATCHED_VAR}} %{{TX.1}}',setvar:'tx.%{{MATCHED_VAR_NAME}}=%{{{name}}}'\"\n"
                ));
            }
        }
        engine(&rules)
    });
    built.clone()
}

/// The outcome with the body cut at these places.
fn run_cut(engine: &Arc<Engine>, exchange: &Exchange, cuts: &[usize]) -> String {
    let mut transaction =
        Transaction::begin(engine.clone(), &connection(), &exchange.head(), 1_767_225_600_000, "id");
    let first = transaction.request_headers();
    let mut rest = exchange.body.as_slice();
    for cut in cuts {
        let (piece, after) = rest.split_at((*cut).min(rest.len()));
        transaction.request_body_feed(piece);
        rest = after;
    }
    transaction.request_body_feed(rest);
    let second = transaction.request_body(true);
    transaction.logging();
    format!("{first:?} {second:?} {:?}", transaction.matches())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_comes_is_judged_the_same_however_the_body_is_cut(
        path in "/[ -~]{0,12}", query in "[ -~]{0,40}", header in "[!-~]{0,30}",
        kind in prop::sample::select(vec![
            "application/x-www-form-urlencoded", "application/json", "text/plain", "text/xml",
            "multipart/form-data; boundary=B", "multipart/form-data", "", "a/b;;=,",
        ]),
        body in prop_oneof![
            any::<Vec<u8>>(),
            "[{}\\[\\]\",:a1]{0,30}".prop_map(String::into_bytes),
            "(a=%[0-9a-f]{2}&?){0,6}".prop_map(String::into_bytes),
            "(--B\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nx\r\n){0,3}(--B--)?".prop_map(String::into_bytes),
            "(<a b='c'>|</a>|d){0,8}".prop_map(String::into_bytes),
        ],
        cuts in prop::collection::vec(0_usize..20, 0..5),
    ) {
        let mut exchange = post(&format!("{path}?{query}"), kind, "").header("X-A", &header).header("Cookie", &header);
        exchange.body = body;
        let engine = every_variable();
        let whole = run_cut(&engine, &exchange, &[]);
        prop_assert_eq!(run_cut(&engine, &exchange, &cuts), whole);
    }

    #[test]
    fn an_excluded_argument_is_as_if_it_were_absent(
        arguments in prop::collection::vec(("[abX]{1,2}", "[xy]{0,3}"), 0..6), excluded in "[ab]",
    ) {
        let uri = |arguments: &[(String, String)]| {
            let pairs: Vec<String> = arguments.iter().map(|(name, value)| format!("{name}={value}")).collect();
            format!("/?{}", pairs.join("&"))
        };
        let without: Vec<_> =
            arguments.iter().filter(|(name, _)| !name.eq_ignore_ascii_case(&excluded)).cloned().collect();
        let rule = |targets: &str| format!("SecRule {targets} \"@rx x\" \"id:2,pass\"");
        let expected = get(&uri(&without)).run(&engine(&rule("ARGS"))).matches;
        let request = get(&uri(&arguments));
        let in_the_rule = rule(&format!("ARGS|!ARGS:{excluded}"));
        let updated = format!("{}\nSecRuleUpdateTargetById 2 !ARGS:{excluded}", rule("ARGS"));
        let at_run_time =
            format!("SecAction \"id:1,phase:1,pass,nolog,ctl:ruleRemoveTargetById=2;ARGS:{excluded}\"\n{}", rule("ARGS"));
        for rules in [in_the_rule, updated, at_run_time] {
            prop_assert_eq!(&request.run(&engine(&rules)).matches, &expected, "{}", rules);
        }
    }
}

#[test]
fn the_rules_of_these_properties_do_match() {
    let found = form("/abc", "a=b").header("Cookie", "a=b").run(&every_variable()).ids().len();
    assert!(found > 60, "{found}");
}
