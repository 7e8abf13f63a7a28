//! What the engine cannot do is refused with its place; what is merely not its business is accepted.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout
)]

mod exchange;

use exchange::{compile, engine, get, policy};
use palisade_seclang::MAX_RULES;
use palisade_waf::limits::{ARGUMENTS, CHAIN_LINKS, MATCHED_VALUES, REGEX_BYTES};

fn refusal(rules: &str) -> String {
    match compile(rules, &policy()) {
        Ok(_) => panic!("compiled: {rules}"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn what_cannot_be_done_is_refused_with_file_line_and_column() {
    for (rules, place, word) in [
        ("SecRule ARGS \"@rx (?=x)\" \"id:1\"", "test.conf:1:19", "look-around"),
        ("\n\nSecRule GEO:COUNTRY_CODE \"@streq X\" \"id:1\"", "test.conf:3:9", "GEO"),
        ("SecRule ARGS \"@geoLookup\" \"id:1\"", "test.conf:1:", "geoLookup"),
        ("SecRule ARGS:/(/ \"@rx x\" \"id:1\"", "test.conf:1:9", ""),
        ("SecAction \"id:1,exec:/bin/true\"", "test.conf:1:", "exec"),
        ("SecAction \"id:1,deprecatevar:ip.x=1/60\"", "test.conf:1:", "deprecatevar"),
        ("SecAction \"id:1,msg:'%{GEO.X}'\"", "test.conf:1:", "GEO"),
        ("SecRuleScript /x.lua", "test.conf:1:1", "Lua"),
        ("SecRemoteRules key https://example.com", "test.conf:1:1", "SecRemoteRules"),
        ("SecAction \"id:1,pass,skipAfter:NOWHERE\"", "test.conf:1:", "NOWHERE"),
        ("SecRule NOPE \"@rx x\" \"id:1\"", "test.conf:1:9", "NOPE"),
        ("SecRule ARGS \"@pmFromDataset x\" \"id:1\"", "test.conf:1:16", "unknown operator"),
        ("SecRule ARGS \"@ipMatchFromDataset x\" \"id:1\"", "test.conf:1:16", "ipMatchFromDataset"),
        ("SecRule ARGS \"@restpath /a/{id}\" \"id:1\"", "test.conf:1:16", "unknown operator"),
        ("SecRule ARGS \"@validateNid cl x\" \"id:1\"", "test.conf:1:16", "unknown operator"),
        ("SecDataset a `b`", "test.conf:1:1", "unknown directive"),
        ("SecIgnoreRuleCompilationErrors On", "test.conf:1:1", "unknown directive"),
    ] {
        let refusal = refusal(rules);
        assert!(refusal.contains(place) && refusal.contains(word), "{rules}\n{refusal}");
    }
}

#[test]
fn every_problem_is_told_at_once() {
    let refusal =
        refusal("SecAction \"id:1,exec:/a\"\nSecRule ARGS \"@rx (\" \"id:2\"\nSecAction \"id:3,pause:1\"");
    for place in ["test.conf:1:", "test.conf:2:", "test.conf:3:"] {
        assert!(refusal.contains(place), "{refusal}");
    }
}

#[test]
fn directives_that_are_others_business_are_accepted() {
    let recommended = "SecRuleEngine On\nSecRequestBodyAccess On\nSecRequestBodyLimit 13107200\n\
        SecRequestBodyNoFilesLimit 131072\nSecRequestBodyLimitAction Reject\nSecRequestBodyJsonDepthLimit 512\n\
        SecArgumentsLimit 1000\nSecPcreMatchLimit 1000\nSecPcreMatchLimitRecursion 1000\nSecResponseBodyAccess On\n\
        SecResponseBodyMimeType text/plain text/html text/xml\nSecResponseBodyLimit 524288\n\
        SecResponseBodyLimitAction ProcessPartial\nSecTmpDir /tmp/\nSecDataDir /tmp/\nSecAuditEngine RelevantOnly\n\
        SecAuditLogRelevantStatus \"^(?:5|4(?!04))\"\nSecAuditLogParts ABIJDEFHZ\nSecAuditLogType Serial\n\
        SecAuditLog /var/log/audit.log\nSecArgumentSeparator &\nSecCookieFormat 0\nSecUnicodeMapFile unicode.mapping 20127\n\
        SecStatusEngine Off\n\
        SecRule REQBODY_ERROR \"!@eq 0\" \"id:200002,phase:2,t:none,log,deny,status:400,msg:'Failed to parse request body.',logdata:'%{reqbody_error_msg}',severity:2\"\n\
        SecRule MULTIPART_STRICT_ERROR \"!@eq 0\" \"id:200003,phase:2,t:none,log,deny,status:400,msg:'Multipart request body failed strict validation'\"\n\
        SecAction \"id:2,phase:1,pass,nolog,initcol:ip=%{REMOTE_ADDR},setsid:%{REQUEST_COOKIES.sid},sanitiseArg:password\"\n\
        SecRule SESSIONID \"@streq 42\" \"id:3,phase:1,pass\"";
    let outcome = get("/").header("Cookie", "sid=42").run(&engine(recommended));
    assert_eq!((outcome.ids(), outcome.interruption), (vec![3], None));
}

#[test]
fn rules_at_the_limit_compile_and_one_more_is_refused() {
    let rules = |count: usize| -> String {
        (1..=count).map(|id| format!("SecAction \"id:{id},phase:5,pass,nolog\"\n")).collect()
    };
    assert_eq!(compile(&rules(MAX_RULES), &policy()).unwrap().rule_count(), MAX_RULES, "at the limit");
    assert!(refusal(&rules(MAX_RULES + 1)).contains("more than 20000 rules"), "one over");
}

#[test]
fn chains_at_the_limit_compile_and_one_more_link_is_refused() {
    let chain = |links: usize| {
        let middle = "SecRule ARGS \"@rx x\" \"chain\"\n".repeat(links - 2);
        format!("SecRule ARGS \"@rx x\" \"id:1,pass,chain\"\n{middle}SecRule ARGS \"@rx x\"")
    };
    assert!(compile(&chain(CHAIN_LINKS - 1), &policy()).is_ok(), "one under");
    assert!(compile(&chain(CHAIN_LINKS), &policy()).is_ok(), "at the limit");
    assert!(refusal(&chain(CHAIN_LINKS + 1)).contains("links"), "one over");
}

#[test]
fn the_sum_of_regular_expressions_is_bounded() {
    // Equal patterns are compiled once but counted each time.
    let piece = 32 * 1024;
    let count = REGEX_BYTES / piece;
    let rules = |rest: usize| -> String {
        let rule = |id: usize, length: usize| {
            format!("SecRule ARGS \"@rx {}\" \"id:{id},phase:5,pass\"\n", "x".repeat(length))
        };
        (1..count).map(|id| rule(id, piece)).chain([rule(count, rest)]).collect()
    };
    assert!(compile(&rules(piece - 1), &policy()).is_ok(), "one under");
    assert!(compile(&rules(piece), &policy()).is_ok(), "at the limit");
    assert!(refusal(&rules(piece + 1)).contains("regular expressions"), "one over");
}

#[test]
fn arguments_at_the_limit_are_judged_and_one_more_is_refused() {
    let engine = engine("SecRule &ARGS \"@gt 0\" \"id:1,phase:2,pass\"");
    let of = |count: usize| vec!["a=1"; count].join("&");
    for (count, over) in [(ARGUMENTS - 1, false), (ARGUMENTS, false), (ARGUMENTS + 1, true)] {
        let query = get(&format!("/?{}", of(count))).run(&engine);
        assert_eq!(query.interruption.is_some(), over, "{count} in the query");
        let body = exchange::form("/", &of(count)).run(&engine);
        assert_eq!(body.interruption.is_some(), over, "{count} in the body");
        let both = exchange::form("/?b=1", &of(count - 1)).run(&engine);
        assert_eq!(both.interruption.is_some(), over, "{count} in both");
        let json = exchange::post("/", "application/json", &format!("[{}]", vec!["1"; count].join(",")));
        assert_eq!(json.run(&engine).interruption.is_some(), over, "{count} in JSON");
    }
    let refused = get(&format!("/?{}", of(ARGUMENTS + 1))).run(&engine).interruption.unwrap();
    assert_eq!(refused.kind, palisade_waf::InterruptionKind::WorkBudget);
}

#[test]
fn a_variable_that_doubles_itself_ends_the_transaction() {
    let rules = "SecAction \"id:1,phase:1,pass,nolog,setvar:tx.x=0123456789abcdef\"\n\
                 SecRule ARGS \"@rx .\" \"id:2,phase:2,pass,nolog,setvar:tx.x=%{tx.x}%{tx.x}\"";
    let doubled =
        |times: usize| get(&format!("/?{}", vec!["a=1"; times].join("&"))).run(&engine(rules)).interruption;
    // 16 bytes doubled 16 times are 1 MiB, the limit of an expansion.
    assert_eq!(doubled(15), None, "under");
    assert_eq!(doubled(16), None, "at the limit");
    let over = doubled(17).unwrap();
    assert_eq!((over.kind, over.status.as_u16()), (palisade_waf::InterruptionKind::WorkBudget, 503));
}

#[test]
fn a_chain_that_multiplies_what_it_matched_ends_the_transaction() {
    // Each link that looks at what matched doubles it: after four of them it is 16 times the arguments.
    let link = "SecRule MATCHED_VARS \"@rx .\" \"chain\"\n".repeat(3);
    let rules =
        format!("SecRule ARGS \"@rx .\" \"id:1,phase:1,pass,chain\"\n{link}SecRule MATCHED_VARS \"@rx .\"");
    let engine = engine(&rules);
    let arguments = MATCHED_VALUES / 16;
    let run = |count: usize| get(&format!("/?{}", vec!["a=1"; count].join("&"))).run(&engine).interruption;
    assert_eq!(arguments * 16, MATCHED_VALUES);
    assert_eq!(run(arguments - 1), None, "under");
    assert_eq!(run(arguments), None, "at the limit");
    let over = run(arguments + 1).unwrap();
    assert_eq!(over.kind, palisade_waf::InterruptionKind::WorkBudget);
}

#[test]
fn a_path_into_xml_that_would_select_nothing_is_refused() {
    for path in ["/*", "//@*"] {
        assert!(
            compile(&format!("SecRule XML:{path} \"@rx x\" \"id:1,phase:2\""), &policy()).is_ok(),
            "{path}"
        );
    }
    assert!(refusal("SecRule XML:/a/b/text() \"@rx x\" \"id:1,phase:2\"").contains("XPath"));
}
