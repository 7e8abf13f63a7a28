//! What rules mean, one small rule set a promise: rules, a request, the ids that match, what interrupts.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout
)]

mod exchange;

use exchange::{Exchange, engine, form, get, post};

/// A promise.
struct Profile {
    name: &'static str,
    rules: &'static str,
    exchange: Exchange,
    ids: &'static [u64],
    /// The rule that interrupts, and the phase.
    blocked: Option<(u64, u8)>,
}

fn check(profiles: Vec<Profile>) {
    for Profile { name, rules, exchange, ids, blocked } in profiles {
        let outcome = exchange.run(&engine(rules));
        assert_eq!(outcome.ids(), ids, "{name}");
        assert_eq!(outcome.blocked_by().zip(outcome.phase), blocked, "{name}");
    }
}

fn passes(name: &'static str, rules: &'static str, exchange: Exchange, ids: &'static [u64]) -> Profile {
    Profile { name, rules, exchange, ids, blocked: None }
}

fn blocks(
    name: &'static str,
    rules: &'static str,
    exchange: Exchange,
    ids: &'static [u64],
    blocked: (u64, u8),
) -> Profile {
    Profile { name, rules, exchange, ids, blocked: Some(blocked) }
}

#[test]
fn rules_run_in_their_phases_and_deny_in_each() {
    let each = "SecAction \"id:1,phase:1,pass\"\nSecAction \"id:2,phase:2,pass\"\nSecAction \"id:4,phase:4,pass\"\n\
                SecAction \"id:3,phase:3,pass\"\nSecAction \"id:5,phase:5,pass\"";
    check(vec![
        passes("phases in their order, not the text's", each, get("/"), &[1, 2, 3, 4, 5]),
        blocks(
            "phase 1",
            "SecAction \"id:1,phase:1,deny\"\nSecAction \"id:5,phase:5\"",
            get("/"),
            &[1, 5],
            (1, 1),
        ),
        blocks("phase 2", "SecAction \"id:1,phase:2,deny\"", get("/"), &[1], (1, 2)),
        blocks("phase 3", "SecAction \"id:1,phase:3,deny\"", get("/"), &[1], (1, 3)),
        blocks("phase 4", "SecAction \"id:1,phase:4,deny\"", get("/"), &[1], (1, 4)),
        passes("phase 5 cannot deny", "SecAction \"id:1,phase:5,deny\"", get("/"), &[1]),
        blocks(
            "the default phase is 2",
            "SecRule ARGS \"@rx .\" \"id:1,deny\"",
            form("/", "a=1"),
            &[1],
            (1, 2),
        ),
        blocks(
            "nothing runs after a deny",
            "SecAction \"id:1,deny\"\nSecAction \"id:2\"",
            get("/"),
            &[1],
            (1, 2),
        ),
    ]);
}

#[test]
fn disruptive_actions_and_their_inheritance() {
    check(vec![
        passes("pass goes on", "SecAction \"id:1,pass\"\nSecAction \"id:2,pass\"", get("/"), &[1, 2]),
        passes("block without a default passes", "SecAction \"id:1,block\"", get("/"), &[1]),
        blocks(
            "block takes the default of its phase",
            "SecDefaultAction \"phase:1,pass\"\nSecDefaultAction \"phase:2,deny,status:409\"\nSecAction \"id:1,phase:1,block\"\nSecAction \"id:2,phase:2,block\"",
            get("/"),
            &[1, 2],
            (2, 2),
        ),
        passes(
            "a default holds for rules after it",
            "SecAction \"id:1,block\"\nSecDefaultAction \"phase:2,deny\"",
            get("/"),
            &[1],
        ),
        blocks(
            "a rule without an action takes the default",
            "SecDefaultAction \"phase:2,deny\"\nSecAction \"id:1\"",
            get("/"),
            &[1],
            (1, 2),
        ),
        passes(
            "pass wins over the default",
            "SecDefaultAction \"phase:2,deny\"\nSecAction \"id:1,pass\"",
            get("/"),
            &[1],
        ),
        blocks("drop", "SecAction \"id:1,phase:1,drop\"", get("/"), &[1], (1, 1)),
        passes(
            "nolog is not recorded",
            "SecAction \"id:1,pass,nolog\"\nSecAction \"id:2,pass,log\"",
            get("/"),
            &[2],
        ),
        blocks("nolog still denies", "SecAction \"id:1,phase:1,deny,nolog\"", get("/"), &[], (1, 1)),
    ]);
    let status = |rules| get("/").run(&engine(rules)).interruption.unwrap().status.as_u16();
    assert_eq!(status("SecAction \"id:1,deny\""), 403);
    assert_eq!(status("SecAction \"id:1,deny,status:418\""), 418);
    assert_eq!(status("SecDefaultAction \"phase:2,deny,status:409\"\nSecAction \"id:1,block\""), 409);
    let redirected = get("/a")
        .run(&engine("SecAction \"id:1,phase:1,redirect:'https://example.com%{REQUEST_FILENAME}'\""));
    let interruption = redirected.interruption.unwrap();
    assert_eq!(interruption.redirect.as_deref(), Some(&b"https://example.com/a"[..]));
    assert_eq!(interruption.status.as_u16(), 302);
}

#[test]
fn allow_ends_a_phase_the_request_or_the_transaction() {
    let rules = |allow: &str| {
        format!(
            "SecAction \"id:1,phase:1,{allow}\"\nSecAction \"id:2,phase:1,pass\"\nSecAction \"id:3,phase:2,pass\"\n\
             SecAction \"id:4,phase:3,pass\"\nSecAction \"id:5,phase:5,pass\""
        )
    };
    let ids = |allow: &str| get("/").run(&engine(&rules(allow))).ids();
    assert_eq!(ids("allow:phase"), [1, 3, 4, 5]);
    assert_eq!(ids("allow:request"), [1, 4, 5]);
    assert_eq!(ids("allow"), [1, 5]);
    assert_eq!(ids("pass"), [1, 2, 3, 4, 5]);
}

#[test]
fn chains_match_as_a_whole_but_act_link_by_link() {
    let chain = "SecRule ARGS:a \"@streq 1\" \"id:1,deny,chain\"\nSecRule ARGS:b \"@streq 2\" \"t:none\"";
    let acts = "SecRule ARGS \"@rx ^x\" \"id:1,pass,nolog,chain,setvar:tx.n=+1\"\nSecRule ARGS:never \"@rx .\" \"t:none\"\n\
                SecRule TX:n \"@eq 3\" \"id:2,pass\"";
    let captures = "SecRule ARGS:a \"@rx ^(\\w+)-(\\w+)$\" \"id:1,pass,capture,chain\"\n\
                    SecRule ARGS:b \"@streq %{TX.2}\" \"t:none,setvar:tx.seen=%{tx.1}\"\nSecRule TX:seen \"@streq left\" \"id:2,pass\"";
    let three = "SecRule REQUEST_METHOD \"@streq GET\" \"id:1,pass,chain\"\nSecRule ARGS:a \"@rx 1\" \"chain\"\nSecRule ARGS:b \"@rx 2\" \"t:none\"";
    check(vec![
        blocks("both links match", chain, get("/?a=1&b=2"), &[1], (1, 2)),
        passes("the second does not", chain, get("/?a=1&b=3"), &[]),
        passes("the first does not", chain, get("/?a=0&b=2"), &[]),
        passes(
            "actions of a link run for each value, though the chain fails",
            acts,
            get("/?a=x1&b=x2&c=x3&d=y"),
            &[2],
        ),
        passes("captures reach the next link", captures, get("/?a=left-right&b=right"), &[1, 2]),
        passes("captures reach the next link and are compared", captures, get("/?a=left-right&b=left"), &[]),
        passes("three links", three, get("/?a=1&b=2"), &[1]),
        passes("three links, the last fails", three, get("/?a=1&b=1"), &[]),
    ]);
}

#[test]
fn captures_are_set_on_request_and_never_left_over() {
    let rules = "SecRule ARGS:a \"@rx (x)(y)?\" \"id:1,pass,nolog,capture\"\nSecRule ARGS:b \"@rx ^(b)\" \"id:2,pass,nolog\"\n\
                 SecRule TX:0 \"@streq xy\" \"id:10,pass\"\nSecRule TX:2 \"@streq y\" \"id:12,pass\"\n\
                 SecRule ARGS:c \"@rx (c)\" \"id:3,pass,nolog,capture\"\nSecRule &TX:2 \"@eq 0\" \"id:20,pass\"";
    check(vec![
        passes("groups are TX:0 to TX:9", rules, get("/?a=xy"), &[10, 12]),
        passes("without capture nothing is set", rules, get("/?b=b"), &[20]),
        passes("a new capture removes the groups of the last", rules, get("/?a=xy&c=c"), &[10, 12, 20]),
    ]);
}

#[test]
fn skips_and_markers() {
    check(vec![
        passes(
            "skipAfter a marker",
            "SecAction \"id:1,pass,skipAfter:END\"\nSecAction \"id:2,pass\"\nSecMarker END\nSecAction \"id:3,pass\"",
            get("/"),
            &[1, 3],
        ),
        passes(
            "skipAfter holds for its phase alone",
            "SecAction \"id:1,phase:1,pass,skipAfter:END\"\nSecAction \"id:2,phase:2,pass\"\nSecAction \"id:3,phase:1,pass\"\nSecMarker END",
            get("/"),
            &[1, 2],
        ),
        passes(
            "skipAfter needs a match",
            "SecRule ARGS \"@rx z\" \"id:1,pass,skipAfter:END\"\nSecAction \"id:2,pass\"\nSecMarker END",
            get("/?a=y"),
            &[2],
        ),
        passes(
            "the first marker of the name that follows",
            "SecMarker END\nSecAction \"id:1,pass,skipAfter:END\"\nSecAction \"id:2,pass\"\nSecMarker END\nSecAction \"id:3,pass\"\nSecMarker END",
            get("/"),
            &[1, 3],
        ),
        passes(
            "skip counts rules, a chain once",
            "SecAction \"id:1,pass,skip:2\"\nSecAction \"id:2,pass\"\nSecRule ARGS \"@rx .\" \"id:3,pass,chain\"\nSecRule ARGS \"@rx .\"\nSecAction \"id:4,pass\"",
            get("/?a=1"),
            &[1, 4],
        ),
    ]);
    let first = "SecAction \"id:1,pass,skipAfter:END\"\nSecAction \"id:2,pass\"";
    let second = "SecAction \"id:3,pass\"\nSecMarker END\nSecAction \"id:4,pass\"";
    let source = |name: &str, text: &str| palisade_model::documents::SourceFile {
        name: name.into(),
        text: text.into(),
    };
    let set = exchange::rule_set(vec![source("a.conf", first), source("b.conf", second)]);
    let engine = palisade_waf::Engine::compile(&set, &exchange::policy()).unwrap();
    assert_eq!(get("/").run(&std::sync::Arc::new(engine)).ids(), [1, 4], "a marker in another file");
}

#[test]
fn targets_select_count_and_exclude() {
    let rule = |targets: &str, operator: &str| format!("SecRule {targets} \"{operator}\" \"id:1,pass\"");
    let ids = |targets: &str, operator: &str, exchange: &Exchange| {
        exchange.run(&engine(&rule(targets, operator))).matches.first().map(|found| found.target.clone())
    };
    let request = form("/dir/page.php?q=one&Q=two&x_1=three", "q=four&y=five")
        .header("X-Test", "six")
        .header("Cookie", "sid=seven; theme=eight");
    for (targets, operator, expected) in [
        ("ARGS", "@streq four", Some("ARGS:q")),
        ("ARGS:Q", "@streq one", Some("ARGS:q")),
        ("ARGS:q", "@streq two", Some("ARGS:Q")),
        ("ARGS_GET", "@streq four", None),
        ("ARGS_POST:q", "@streq four", Some("ARGS_POST:q")),
        ("ARGS:/^x_/", "@streq three", Some("ARGS:x_1")),
        ("ARGS:/^z/", "@rx .", None),
        ("ARGS_NAMES", "@streq y", Some("ARGS_NAMES:y")),
        ("ARGS_GET_NAMES|ARGS_POST_NAMES", "@streq y", Some("ARGS_POST_NAMES:y")),
        ("&ARGS", "@eq 5", Some("&ARGS")),
        ("&ARGS:q", "@eq 3", Some("&ARGS:q")),
        ("&ARGS:/^x/", "@eq 1", Some("&ARGS")),
        ("&ARGS:none", "@eq 0", Some("&ARGS:none")),
        ("ARGS|!ARGS:q", "@rx ^(?:one|two|four)$", None),
        ("ARGS|!ARGS:/^x/", "@streq three", None),
        ("ARGS|!ARGS", "@rx .", None),
        ("REQUEST_HEADERS:x-test", "@streq six", Some("REQUEST_HEADERS:X-Test")),
        ("REQUEST_HEADERS_NAMES", "@streq X-Test", Some("REQUEST_HEADERS_NAMES:X-Test")),
        ("REQUEST_COOKIES:sid", "@streq seven", Some("REQUEST_COOKIES:sid")),
        ("REQUEST_COOKIES_NAMES", "@streq theme", Some("REQUEST_COOKIES_NAMES:theme")),
        ("REQUEST_FILENAME", "@streq /dir/page.php", Some("REQUEST_FILENAME")),
        ("REQUEST_BASENAME", "@streq page.php", Some("REQUEST_BASENAME")),
        ("REQUEST_URI", "@beginsWith /dir/page.php?q=one", Some("REQUEST_URI")),
        ("REQUEST_LINE", "@endsWith HTTP/1.1", Some("REQUEST_LINE")),
        ("REQUEST_METHOD", "@streq POST", Some("REQUEST_METHOD")),
        ("REQUEST_PROTOCOL", "@streq HTTP/1.1", Some("REQUEST_PROTOCOL")),
        ("QUERY_STRING", "@contains x_1=three", Some("QUERY_STRING")),
        ("REQUEST_BODY", "@streq q=four&y=five", Some("REQUEST_BODY")),
        ("REQUEST_BODY_LENGTH", "@eq 13", Some("REQUEST_BODY_LENGTH")),
        ("REQBODY_PROCESSOR", "@streq URLENCODED", Some("REQBODY_PROCESSOR")),
        ("ARGS_COMBINED_SIZE", "@eq 26", Some("ARGS_COMBINED_SIZE")),
        ("FULL_REQUEST", "@contains X-Test: six", Some("FULL_REQUEST")),
        ("REMOTE_ADDR", "@ipMatch 192.0.2.0/24", Some("REMOTE_ADDR")),
        ("SERVER_PORT", "@eq 8080", Some("SERVER_PORT")),
        ("UNIQUE_ID", "@streq 0123456789abcdef", Some("UNIQUE_ID")),
        ("TIME_YEAR", "@eq 2026", Some("TIME_YEAR")),
        ("HIGHEST_SEVERITY", "@eq 255", Some("HIGHEST_SEVERITY")),
        ("XML:/*", "@rx .", None),
        ("&FILES", "@eq 0", Some("&FILES")),
        ("&MULTIPART_PART_HEADERS", "@eq 0", Some("&MULTIPART_PART_HEADERS")),
        ("RULE:id", "@eq 1", Some("RULE:id")),
    ] {
        assert_eq!(ids(targets, operator, &request).as_deref(), expected, "{targets} {operator}");
    }
}

#[test]
fn tx_variables_are_set_changed_removed_and_selected() {
    let rules = "SecAction \"id:1,pass,nolog,setvar:tx.Score=5,setvar:tx.score=+2,setvar:tx.score=-1,setvar:tx.flag,setvar:tx.gone=1,setvar:!tx.gone\"\n\
                 SecRule TX:SCORE \"@eq 6\" \"id:2,pass\"\nSecRule TX:flag \"@streq 1\" \"id:3,pass\"\nSecRule &TX:gone \"@eq 0\" \"id:4,pass\"\n\
                 SecRule ARGS_NAMES \"@rx .\" \"id:5,pass,nolog,setvar:'tx.seen_%{MATCHED_VAR}=+1'\"\n\
                 SecRule TX:/^seen_/ \"@gt 1\" \"id:6,pass,chain\"\nSecRule MATCHED_VARS_NAMES \"@rx ^TX:seen_(.*)$\" \"capture,setvar:tx.name=%{tx.1}\"\n\
                 SecRule TX:name \"@streq b\" \"id:7,pass\"\n\
                 SecAction \"id:8,pass,nolog,setvar:tx.limit=2,setvar:ip.count=+3\"\nSecRule &ARGS \"@gt %{tx.limit}\" \"id:9,pass\"\nSecRule IP:count \"@eq 3\" \"id:10,pass\"";
    check(vec![passes("setvar", rules, get("/?a=1&b=2&b=3"), &[2, 3, 4, 6, 7, 9, 10])]);
}

#[test]
fn matched_variables_are_those_of_the_chain() {
    let rules = "SecRule ARGS \"@rx ^m\" \"id:1,pass,chain\"\nSecRule MATCHED_VARS \"@streq m2\" \"chain\"\nSecRule MATCHED_VAR_NAME \"@streq MATCHED_VARS:ARGS:b\" \"t:none\"\n\
                 SecRule ARGS:none \"@rx .\" \"id:2,pass,chain\"\nSecRule MATCHED_VARS \"@rx .\"\n\
                 SecRule ARGS:a \"@rx M\" \"id:3,pass,t:uppercase,chain\"\nSecRule MATCHED_VAR \"@streq M1\" \"t:none\"";
    check(vec![passes("matched variables", rules, get("/?a=m1&b=m2"), &[1, 3])]);
}

#[test]
fn transformations_are_inherited_cleared_and_tried_on_the_way() {
    check(vec![
        passes(
            "in their order",
            "SecRule ARGS:a \"@streq ab\" \"id:1,pass,t:removeWhitespace,t:lowercase\"",
            get("/?a=A+B"),
            &[1],
        ),
        passes(
            "none clears",
            "SecRule ARGS:a \"@streq A+B\" \"id:1,pass,t:lowercase,t:none,t:urlEncode\"",
            get("/?a=A+B"),
            &[1],
        ),
        passes(
            "from the default",
            "SecDefaultAction \"phase:2,pass,t:lowercase\"\nSecRule ARGS:a \"@streq a\" \"id:1,pass\"",
            get("/?a=A"),
            &[1],
        ),
        passes(
            "without multiMatch only the last",
            "SecRule ARGS:a \"@streq A B\" \"id:1,pass,t:lowercase\"",
            get("/?a=A+B"),
            &[],
        ),
        passes(
            "with multiMatch each different text, once",
            "SecRule ARGS:a \"@rx (?i)a b\" \"id:1,pass,nolog,multiMatch,t:lowercase,t:compressWhitespace,t:removeWhitespace,setvar:tx.n=+1\"\nSecRule TX:n \"@eq 2\" \"id:2,pass\"",
            get("/?a=A+B"),
            &[2],
        ),
    ]);
}

#[test]
fn ctl_changes_the_rest_of_the_transaction() {
    let removed = |ctl: &str| {
        format!(
            "SecRule ARGS:ctl \"@eq 1\" \"id:1,phase:1,pass,nolog,ctl:{ctl}\"\n\
             SecRule ARGS \"@rx bad\" \"id:10,pass,msg:'Bad thing',tag:'bad/one'\"\nSecRule ARGS:a|ARGS:b \"@rx bad\" \"id:11,pass,tag:'bad/two'\""
        )
    };
    let outcome = |ctl: &str, uri: &str| get(uri).run(&engine(&removed(ctl)));
    let with = "/?ctl=1&a=bad&b=fine";
    for (ctl, ids) in [
        ("ruleRemoveById=10", vec![11]),
        ("ruleRemoveById=9-10", vec![11]),
        ("ruleRemoveByTag=bad/two", vec![10]),
        ("ruleRemoveByTag=^bad/", vec![]),
        ("ruleRemoveByTag=bad", vec![10, 11]),
        ("ruleRemoveByMsg=Bad thing", vec![11]),
        ("ruleRemoveTargetById=10;ARGS:a", vec![11]),
        ("ruleRemoveTargetById=10-11;ARGS:a", vec![]),
        ("ruleRemoveTargetById=10;ARGS:/^A$/", vec![10, 11]),
        ("ruleRemoveTargetById=10;ARGS:/^a$/", vec![11]),
        ("ruleRemoveTargetById=10;ARGS", vec![11]),
        ("ruleRemoveTargetById=10;ARGS:b", vec![10, 11]),
        ("ruleRemoveTargetByTag=bad/two;ARGS:a", vec![10]),
        ("ruleRemoveTargetByMsg=Bad thing;ARGS:a", vec![11]),
        ("ruleEngine=Off", vec![]),
        ("auditEngine=Off", vec![10, 11]),
    ] {
        assert_eq!(outcome(ctl, with).ids(), ids, "{ctl}");
        assert_eq!(outcome(ctl, "/?a=bad").ids(), [10, 11], "{ctl} without its condition");
    }
    let detection =
        "SecAction \"id:1,phase:1,pass,nolog,ctl:ruleEngine=DetectionOnly\"\nSecAction \"id:2,deny\"";
    let found = get("/").run(&engine(detection));
    assert!(found.interruption.is_none() && found.matches[0].detect_only);
    let raised = "SecRuleEngine DetectionOnly\nSecAction \"id:1,phase:1,pass,nolog,ctl:ruleEngine=On\"\nSecAction \"id:2,deny\"";
    assert!(get("/").run(&engine(raised)).interruption.is_none(), "ctl cannot raise the mode");
}

#[test]
fn updates_and_removals_take_the_rules_before_them() {
    let rules = "SecRule ARGS \"@rx bad\" \"id:10,pass,msg:'Bad',tag:'t/one'\"\nSecRule ARGS \"@rx bad\" \"id:11,pass,tag:'t/two'\"\n";
    let ids = |update: &str| get("/?a=bad").run(&engine(&format!("{rules}{update}"))).ids();
    for (update, expected) in [
        ("", vec![10, 11]),
        ("SecRuleRemoveById 10", vec![11]),
        ("SecRuleRemoveById 1-10 12", vec![11]),
        ("SecRuleRemoveByTag t/two", vec![10]),
        ("SecRuleRemoveByTag ^t/", vec![]),
        ("SecRuleRemoveByMsg Bad", vec![11]),
        ("SecRuleUpdateTargetById 10 !ARGS:a", vec![11]),
        ("SecRuleUpdateTargetById 10 \"!ARGS:/^(?:a|b)$/\"", vec![11]),
        ("SecRuleUpdateTargetById 10 !ARGS:b", vec![10, 11]),
        ("SecRuleUpdateTargetByTag t/two !ARGS:/a/", vec![10]),
        ("SecRuleUpdateTargetByMsg Bad !ARGS:a", vec![11]),
        ("SecRuleUpdateTargetById 10 REQUEST_HEADERS ARGS", vec![11]),
        ("SecRuleUpdateActionById 10 nolog", vec![11]),
    ] {
        assert_eq!(ids(update), expected, "{update}");
    }
    let before = format!("SecRuleRemoveById 10\n{rules}");
    assert_eq!(
        get("/?a=bad").run(&engine(&before)).ids(),
        [10, 11],
        "a removal before its rule takes nothing"
    );
    let denies = format!("{rules}SecRuleUpdateActionById 11 \"deny,status:404\"");
    let outcome = get("/?a=bad").run(&engine(&denies));
    let interruption = outcome.interruption.unwrap();
    assert_eq!((interruption.rule, interruption.status.as_u16()), (11, 404));
}

#[test]
fn bodies_are_read_by_their_type() {
    let json = "{\"user\":{\"name\":\"bad\",\"tags\":[\"x\",\"y\"]}}";
    let rule = "SecRule ARGS:json.user.name \"@streq bad\" \"id:1,pass\"\nSecRule ARGS_POST:json.user.tags.1 \"@streq y\" \"id:2,pass\"\n\
                SecRule REQBODY_PROCESSOR \"@streq JSON\" \"id:3,phase:1,pass\"";
    let forced = "SecAction \"id:1,phase:1,nolog,pass,ctl:forceRequestBodyVariable=On\"\nSecRule REQUEST_BODY \"@streq raw text\" \"id:2,pass\"\nSecRule &ARGS_POST \"@eq 0\" \"id:3,pass\"";
    let chosen = "SecAction \"id:1,phase:1,nolog,pass,ctl:requestBodyProcessor=JSON\"\nSecRule ARGS:json.user.name \"@streq bad\" \"id:2,pass\"";
    let off = "SecAction \"id:1,phase:1,nolog,pass,ctl:requestBodyAccess=Off\"\nSecRule &ARGS_POST \"@eq 0\" \"id:2,pass\"";
    let cases = vec![
        passes("JSON", rule, post("/", "application/json; charset=utf-8", json), &[3, 1, 2]),
        passes("JSON by suffix", rule, post("/", "application/vnd.api+json", json), &[3, 1, 2]),
        passes("a forced body", forced, post("/", "text/plain", "raw text"), &[2, 3]),
        passes("a processor that a rule chose", chosen, post("/", "text/plain", json), &[2]),
        passes("access off", off, form("/", "a=1"), &[2]),
        passes(
            "access off for all",
            "SecRequestBodyAccess Off\nSecRule &ARGS_POST \"@eq 0\" \"id:2,pass\"",
            form("/", "a=1"),
            &[2],
        ),
        passes(
            "a type that no processor takes",
            "SecRule REQUEST_BODY \"@streq x\" \"id:1,pass\"\nSecRule &ARGS_POST \"@eq 0\" \"id:2,pass\"",
            post("/", "text/plain", "x"),
            &[1, 2],
        ),
        passes(
            "an empty JSON body is no error",
            "SecRule REQBODY_ERROR \"!@eq 0\" \"id:1,deny\"",
            post("/", "application/json", ""),
            &[],
        ),
        blocks(
            "malformed JSON is for the rule that judges it",
            "SecRule REQBODY_ERROR \"!@eq 0\" \"id:200002,deny\"",
            post("/", "application/json", "{\"a\":"),
            &[200002],
            (200002, 2),
        ),
        blocks(
            "and else for the engine",
            "SecAction \"id:1,pass,nolog\"",
            post("/", "application/json", "{\"a\":"),
            &[],
            (0, 2),
        ),
    ];
    check(cases);
    let outcome = post("/", "application/json", "{").run(&engine("SecAction \"id:1,pass,nolog\""));
    let interruption = outcome.interruption.unwrap();
    assert_eq!(interruption.kind, palisade_waf::InterruptionKind::BodyMalformed);
    assert_eq!(interruption.status.as_u16(), 400);
    let detecting = post("/", "application/json", "{").run(&engine("SecRuleEngine DetectionOnly"));
    assert_eq!(detecting.interruption, None, "detection only refuses nothing");
}

#[test]
fn a_form_that_servers_read_in_different_ways_is_for_the_rule_that_judges_it_and_else_for_the_engine() {
    let fine = "--B\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--B--\r\n";
    let odd = [
        ("LF", fine.replace("\r\n", "\n")),
        ("before", format!("text\r\n{fine}")),
        ("after", format!("{fine}text\r\n")),
    ];
    let nothing = engine("SecAction \"id:1,pass,nolog\"");
    let refused =
        |engine: &std::sync::Arc<palisade_waf::Engine>, body: &str| multipart(body).run(engine).interruption;
    assert_eq!(refused(&nothing, fine), None);
    assert_eq!(refused(&nothing, &format!("\r\n{fine}\r\n")), None, "empty lines of home-made clients");
    for (word, body) in &odd {
        let interruption = refused(&nothing, body).expect(word);
        assert_eq!(interruption.kind, palisade_waf::InterruptionKind::BodyMalformed);
        assert!(interruption.explanation.contains(word), "{}", interruption.explanation);
        assert_eq!(refused(&engine("SecRuleEngine DetectionOnly"), body), None, "{word}");
        assert_eq!(refused(&engine("SecAction \"id:1,phase:1,allow,nolog\""), body), None, "{word}");
    }
    for flag in ["STRICT_ERROR", "LF_LINE", "DATA_BEFORE", "DATA_AFTER"] {
        let judging = engine(&format!("SecRule MULTIPART_{flag} \"@eq 9\" \"id:1,phase:2,deny\""));
        for (word, body) in &odd {
            assert_eq!(refused(&judging, body), None, "{flag} {word}");
        }
    }
    let header = engine("SecRule MULTIPART_BOUNDARY_QUOTED \"@eq 9\" \"id:1,phase:2,deny\"");
    assert!(
        odd.iter().all(|(_, body)| refused(&header, body).is_some()),
        "another flag says nothing of these"
    );
}

fn multipart(body: &str) -> Exchange {
    post("/upload", "multipart/form-data; boundary=B", body)
}

#[test]
fn multipart_bodies_are_fields_and_files() {
    let body = "--B\r\nContent-Disposition: form-data; name=\"note\"\r\n\r\nbad\r\n\
                --B\r\nContent-Disposition: form-data; name=\"doc\"; filename=\"x.php\"\r\nContent-Type: text/plain\r\n\r\n12345\r\n--B--\r\n";
    let rules = "SecRule REQBODY_PROCESSOR \"@streq MULTIPART\" \"id:1,phase:1,pass\"\nSecRule ARGS:note \"@streq bad\" \"id:2,pass\"\n\
                 SecRule FILES:doc \"@streq x.php\" \"id:3,pass\"\nSecRule FILES_NAMES \"@streq doc\" \"id:4,pass\"\n\
                 SecRule FILES_SIZES:doc \"@eq 5\" \"id:5,pass\"\nSecRule FILES_COMBINED_SIZE \"@eq 5\" \"id:6,pass\"\n\
                 SecRule MULTIPART_PART_HEADERS:doc \"@beginsWith Content-Type:\" \"id:7,pass\"\nSecRule &ARGS \"@eq 1\" \"id:8,pass\"\n\
                 SecRule MULTIPART_STRICT_ERROR \"!@eq 0\" \"id:9,pass\"\nSecRule REQUEST_BODY \"@rx .\" \"id:10,pass\"";
    let strict = "SecRule MULTIPART_STRICT_ERROR \"!@eq 0\" \"id:200003,deny\"";
    check(vec![
        passes("fields and files", rules, multipart(body), &[1, 2, 3, 4, 5, 6, 7, 8]),
        passes("nothing is strict about a good one", strict, multipart(body), &[]),
        blocks("strict", strict, multipart(&body.replace("\r\n", "\n")), &[200003], (200003, 2)),
        blocks("without an end", "SecAction \"id:1,nolog\"", multipart("--B\r\n"), &[], (0, 2)),
    ]);
}

#[test]
fn responses_are_judged_by_head_and_body() {
    let leak = "SecRule RESPONSE_BODY \"@contains secret\" \"id:1,phase:4,deny\"";
    check(vec![
        blocks(
            "the status",
            "SecRule RESPONSE_STATUS \"@rx ^5\" \"id:1,phase:3,deny\"",
            get("/").answered(500, "text/html", ""),
            &[1],
            (1, 3),
        ),
        blocks(
            "a header",
            "SecRule RESPONSE_HEADERS:content-type \"@contains html\" \"id:1,phase:3,deny\"",
            get("/").answered(200, "text/html", ""),
            &[1],
            (1, 3),
        ),
        blocks(
            "the body",
            leak,
            get("/").answered(200, "text/html; charset=utf-8", "a secret"),
            &[1],
            (1, 4),
        ),
        passes("a type that is not inspected", leak, get("/").answered(200, "image/png", "a secret"), &[]),
        blocks(
            "a type that the rules name",
            "SecResponseBodyMimeType image/png\nSecRule RESPONSE_BODY \"@contains secret\" \"id:1,phase:4,deny\"",
            get("/").answered(200, "image/png", "a secret"),
            &[1],
            (1, 4),
        ),
        passes(
            "switched off",
            "SecAction \"id:2,phase:1,nolog,pass,ctl:responseBodyAccess=Off\"\nSecRule RESPONSE_BODY \"@contains secret\" \"id:1,phase:4,deny\"",
            get("/").answered(200, "text/html", "a secret"),
            &[],
        ),
    ]);
}

#[test]
fn the_engine_switch_of_the_rules_is_obeyed_downwards() {
    let denies = "SecAction \"id:1,deny\"";
    check(vec![
        blocks("On", "SecRuleEngine On\nSecAction \"id:1,deny\"", get("/"), &[1], (1, 2)),
        passes("Off", "SecRuleEngine Off\nSecAction \"id:1,deny\"", get("/"), &[]),
        passes(
            "DetectionOnly",
            "SecRuleEngine DetectionOnly\nSecAction \"id:1,deny\"\nSecAction \"id:2\"",
            get("/"),
            &[1, 2],
        ),
        blocks("no word", denies, get("/"), &[1], (1, 2)),
    ]);
}

#[test]
fn records_name_the_target_and_never_the_value() {
    let rules = "SecRule ARGS \"@rx s3cret\" \"id:7,phase:2,deny,capture,severity:CRITICAL,tag:'a/%{rule.id}',\
                 msg:'Found %{TX.0} or %{MATCHED_VAR} in %{MATCHED_VAR_NAME}, score %{tx.score}',setvar:tx.score=5\"";
    let outcome = get("/?token=s3cret").run(&engine(rules));
    let found = &outcome.matches[0];
    assert_eq!(found.message, "Found … or … in ARGS:token, score 5");
    assert_eq!((found.target.as_str(), found.severity.as_deref()), ("ARGS:token", Some("CRITICAL")));
    assert_eq!(found.tags, ["a/7"]);
    assert!(!found.detect_only);
    let explanation = outcome.interruption.unwrap().explanation;
    assert!(explanation.contains("ARGS:token") && !explanation.contains("s3cret"), "{explanation}");
}

#[test]
fn xml_bodies_are_text_and_attributes() {
    let rules = r#"
        SecRule XML:/* "@streq one<two" "id:1,phase:2,pass"
        SecRule XML://@* "@streq three" "id:2,phase:2,pass"
        SecRule &XML://@* "@eq 2" "id:3,phase:2,pass"
        SecRule ARGS|REQUEST_BODY "@rx ." "id:4,phase:2,pass"
        SecRule REQBODY_PROCESSOR "@streq XML" "id:5,phase:2,pass"
    "#;
    let xml = |body: &str| post("/soap", "text/xml", body);
    let body = "<a b='three'>one&lt;<c d='four'>two</c></a>";
    let entity = "<!DOCTYPE a [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><a>&x;</a>";
    check(vec![
        passes("text and attributes", rules, xml(body), &[1, 2, 3, 5]),
        passes("a form is not XML", rules, post("/", "application/x-www-form-urlencoded", body), &[4]),
        blocks("not well-formed", "SecAction \"id:1,nolog\"", xml("<a>"), &[], (0, 2)),
        blocks("a DTD", "SecAction \"id:1,nolog\"", xml(entity), &[], (0, 2)),
    ]);
}
