//! Every construct of the grammar is read as ModSecurity reads it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use palisade_seclang::{
    ActionKind, ActionName, Allow, Ast, AuditEngineMode, BodyProcessor, Collection, Control, ControlName,
    DirectiveBody, DirectiveName, EngineMode, IdRange, LimitAction, MacroPart, MacroText, NoSources,
    OperatorKind, PartsChange, Phase, Rule, RuleSelection, Selector, SetVarOperation, Setting, Severity,
    Source, Transformation, Variable, VariableKind, parse,
};

fn source(text: &str) -> Source {
    Source { name: "t.conf".into(), text: text.into() }
}

fn read(text: &str) -> Ast {
    parse(&[source(text)], &NoSources).unwrap_or_else(|error| panic!("{text}\n{error}"))
}

fn is_refused(text: &str) -> bool {
    parse(&[source(text)], &NoSources).is_err()
}

fn one_rule(text: &str) -> Rule {
    let ast = read(text);
    assert_eq!(ast.directives.len(), 1, "{text}");
    ast.rules().next().unwrap().clone()
}

fn variables(text: &str) -> Vec<Variable> {
    one_rule(&format!("SecRule \"{text}\" \"@rx x\" \"id:1\"")).variables
}

fn actions(text: &str) -> Vec<ActionKind> {
    let rule = one_rule(&format!("SecAction \"id:1,{text}\""));
    rule.actions.into_iter().skip(1).map(|action| action.kind).collect()
}

fn action(text: &str) -> ActionKind {
    let mut actions = actions(text);
    assert_eq!(actions.len(), 1, "{text}");
    actions.remove(0)
}

fn text(text: &str) -> MacroText {
    MacroText::literal(text)
}

fn expansion(variable: VariableKind, key: &str) -> MacroPart {
    MacroPart::Expansion { variable, key: Some(key.into()) }
}

#[test]
fn every_name_is_found_in_every_spelling_and_case() {
    for name in VariableKind::ALL {
        assert_eq!(variables(&name.name().to_lowercase())[0].kind, *name);
    }
    for name in Transformation::ALL {
        assert_eq!(action(&format!("t:{}", name.name().to_uppercase())), ActionKind::Transformation(*name));
    }
    for name in OperatorKind::ALL.iter().filter(|name| !name.reads_files()) {
        let rule = one_rule(&format!("SecRule ARGS \"@{} 1\" \"id:1\"", name.name().to_uppercase()));
        assert_eq!(rule.operator.unwrap().kind, *name);
    }
    assert_eq!(action("t:normalisePathWin"), ActionKind::Transformation(Transformation::NormalizePathWin));
    assert_eq!(OperatorKind::find("pmf"), Some(OperatorKind::PmFromFile));
    assert_eq!(OperatorKind::find("ipMatchF"), Some(OperatorKind::IpMatchFromFile));
    assert_eq!(
        VariableKind::find("MULTIPART_SEMICOLON_MISSING"),
        Some(VariableKind::MultipartMissingSemicolon)
    );
    assert_eq!(ActionName::find("sanitizearg"), Some(ActionName::SanitiseArg));
    let ast = read("sECRULE args \"@RX x\" \"ID:1,PHASE:REQUEST,DENY\"");
    assert_eq!(ast.rules().next().unwrap().phase(), Phase::RequestBody);
}

#[test]
fn variables_have_counts_exclusions_and_selectors_of_four_kinds() {
    let read = variables(
        "ARGS|!ARGS:foo|&REQUEST_HEADERS:Host , TX:/^a_|b$/|ARGS:'/x|y/'|ARGS:'p|q'|XML:/*|XML://@*|XML",
    );
    let shown: Vec<String> = read.iter().map(ToString::to_string).collect();
    assert_eq!(
        shown,
        [
            "ARGS",
            "!ARGS:foo",
            "&REQUEST_HEADERS:Host",
            "TX:/^a_|b$/",
            "ARGS:/x|y/",
            "ARGS:p|q",
            "XML:/*",
            "XML://@*",
            "XML"
        ]
    );
    assert!(read[1].exclude && !read[1].count && read[2].count && !read[2].exclude);
    assert_eq!(read[3].selector, Selector::Regex("^a_|b$".into()));
    assert_eq!(read[4].selector, Selector::Regex("x|y".into()));
    assert_eq!(read[5].selector, Selector::Exact("p|q".into()));
    assert_eq!(read[6].selector, Selector::XPath("/*".into()));
    assert_eq!(read[7].selector, Selector::XPath("//@*".into()));
    assert_eq!(variables("REQUEST_COOKIES:/a\\/b/|ARGS")[0].selector, Selector::Regex("a\\/b".into()));
    assert_eq!(variables("ARGS:a b.c-d[0]")[0].selector, Selector::Exact("a b.c-d[0]".into()));
    for text in [
        "",
        "ARGS|",
        "|ARGS",
        "ARGS:",
        "!&ARGS",
        "ARGS:/a",
        "ARGS:'a",
        "REQUEST_URI:a",
        "ARGS ARGS",
        "!ARGS",
        "ARGS:/a/b",
    ] {
        assert!(is_refused(&format!("SecRule \"{text}\" \"@rx x\" \"id:1\"")), "{text}");
    }
}

#[test]
fn the_operator_has_a_negation_a_name_and_an_argument_as_written() {
    let operator = |text: &str| one_rule(&format!("SecRule ARGS \"{text}\" \"id:1\"")).operator.unwrap();
    for (written, kind, negated, argument) in [
        ("@rx ^a\\\"b\\\\d$", OperatorKind::Rx, false, "^a\"b\\\\d$"),
        ("!@rx  a ", OperatorKind::Rx, true, "a "),
        ("^foo", OperatorKind::Rx, false, "^foo"),
        ("!foo", OperatorKind::Rx, true, "foo"),
        ("! @streq a b ", OperatorKind::StrEq, true, "a b "),
        ("@eq 0 ", OperatorKind::Eq, false, "0"),
        ("@detectSQLi", OperatorKind::DetectSqli, false, ""),
        ("!@validateUtf8Encoding ", OperatorKind::ValidateUtf8Encoding, true, ""),
        ("@rx %{a}[%{2}]%{", OperatorKind::Rx, false, "%{a}[%{2}]%{"),
    ] {
        let read = operator(written);
        assert_eq!((read.kind, read.negated), (kind, negated), "{written}");
        assert_eq!(read.argument.as_literal(), Some(argument), "{written}");
    }
    let within = operator("@within %{tx.allowed} x%{REQUEST_HEADERS:Host}").argument;
    let expected = [
        expansion(VariableKind::Tx, "allowed"),
        MacroPart::Literal(" x".into()),
        expansion(VariableKind::RequestHeaders, "Host"),
    ];
    assert_eq!(within.parts, expected);
    assert_eq!(within.to_string(), "%{TX.allowed} x%{REQUEST_HEADERS.Host}");
    for text in ["", " ", "@", "@rx", "@streq ", "@within %{nothing}", "@rxx a"] {
        assert!(is_refused(&format!("SecRule ARGS \"{text}\" \"id:1\"")), "{text:?}");
    }
}

#[test]
fn an_action_list_has_quotes_commas_and_blanks_where_modsecurity_allows_them() {
    assert_eq!(
        actions(" t:none ,t:lowercase,, msg:'a, \\'b\\' %{TX.0}', tag: plain text ,\\\n   nolog,"),
        [
            ActionKind::Transformation(Transformation::None),
            ActionKind::Transformation(Transformation::Lowercase),
            ActionKind::Msg(MacroText {
                parts: vec![MacroPart::Literal("a, 'b' ".into()), expansion(VariableKind::Tx, "0")],
            }),
            ActionKind::Tag(text("plain text")),
            ActionKind::NoLog,
        ]
    );
    assert_eq!(action("msg:''"), ActionKind::Msg(MacroText::default()));
    assert_eq!(action("msg:'50%{ off'"), ActionKind::Msg(text("50%{ off")), "never closed");
    let unquoted = one_rule("SecAction phase:1,id:7,nolog,pass");
    assert_eq!((unquoted.id(), unquoted.phase()), (Some(7), Phase::RequestHeaders));
    let single = one_rule("SecRule ARGS '@rx \"x\"' 'id:1,msg:a'");
    assert_eq!(single.operator.unwrap().argument, text("\"x\""));
    for text in ["msg:'a' b", "msg:'a", "msg", "deny:x", ":x", "msg:%{nothing}", "t:", "block nolog"] {
        assert!(is_refused(&format!("SecAction \"id:1,{text}\"")), "{text}");
    }
}

#[test]
fn every_action_is_read_into_its_typed_form_and_knows_its_name() {
    let tx = Collection::Tx;
    let cases: Vec<(&str, ActionKind)> = vec![
        ("accuracy:9", ActionKind::Accuracy(9)),
        ("allow", ActionKind::Allow(Allow::Transaction)),
        ("allow:phase", ActionKind::Allow(Allow::Phase)),
        ("allow:'request'", ActionKind::Allow(Allow::Request)),
        ("append:x", ActionKind::Append(text("x"))),
        ("auditlog", ActionKind::AuditLog),
        ("block", ActionKind::Block),
        ("capture", ActionKind::Capture),
        ("ctl:ruleEngine=Off", ActionKind::Ctl(Control::RuleEngine(EngineMode::Off))),
        ("deny", ActionKind::Deny),
        ("deprecatevar:session.score=60/300", ActionKind::DeprecateVar("session.score=60/300".into())),
        ("drop", ActionKind::Drop),
        ("exec:/bin/x", ActionKind::Exec("/bin/x".into())),
        (
            "expirevar:ip.blocked=60",
            ActionKind::ExpireVar { collection: Collection::Ip, key: text("blocked"), seconds: text("60") },
        ),
        ("initcol:global=g", ActionKind::InitCol { collection: Collection::Global, key: text("g") }),
        ("log", ActionKind::Log),
        ("logdata:'x'", ActionKind::LogData(text("x"))),
        ("maturity:1", ActionKind::Maturity(1)),
        ("msg:x", ActionKind::Msg(text("x"))),
        ("multiMatch", ActionKind::MultiMatch),
        ("noauditlog", ActionKind::NoAuditLog),
        ("nolog", ActionKind::NoLog),
        ("pass", ActionKind::Pass),
        ("pause:100", ActionKind::Pause(text("100"))),
        ("phase:'4'", ActionKind::Phase(Phase::ResponseBody)),
        ("phase:logging", ActionKind::Phase(Phase::Logging)),
        ("prepend:x", ActionKind::Prepend(text("x"))),
        ("proxy:http://x/", ActionKind::Proxy(text("http://x/"))),
        ("redirect:http://x/?a=b", ActionKind::Redirect(text("http://x/?a=b"))),
        ("rev:'2'", ActionKind::Rev("2".into())),
        ("sanitiseArg:p", ActionKind::SanitiseArg("p".into())),
        ("sanitiseMatched", ActionKind::SanitiseMatched),
        ("sanitiseMatchedBytes", ActionKind::SanitiseMatchedBytes(None)),
        ("sanitiseMatchedBytes:1/4", ActionKind::SanitiseMatchedBytes(Some("1/4".into()))),
        ("sanitiseRequestHeader:A", ActionKind::SanitiseRequestHeader("A".into())),
        ("sanitiseResponseHeader:A", ActionKind::SanitiseResponseHeader("A".into())),
        ("setrsc:r", ActionKind::SetRsc(text("r"))),
        ("setsid:s", ActionKind::SetSid(text("s"))),
        ("setuid:u", ActionKind::SetUid(text("u"))),
        ("severity:'CRITICAL'", ActionKind::Severity(Severity::Critical)),
        ("severity:7", ActionKind::Severity(Severity::Debug)),
        ("skip:3", ActionKind::Skip(3)),
        ("status:503", ActionKind::Status(503)),
        ("t:none", ActionKind::Transformation(Transformation::None)),
        ("tag:'a/b'", ActionKind::Tag(text("a/b"))),
        ("ver:'c'", ActionKind::Ver("c".into())),
        ("xmlns:soap=http://s/", ActionKind::Xmlns { prefix: "soap".into(), uri: "http://s/".into() }),
    ];
    let mut seen: Vec<ActionName> = cases.iter().map(|(_, kind)| kind.name()).collect();
    for (written, expected) in cases {
        let read = action(written);
        assert_eq!(read, expected, "{written}");
        let name = written.split(':').next().unwrap();
        assert_eq!(ActionName::find(name), Some(read.name()), "{written}");
    }
    let elsewhere =
        [ActionName::Id, ActionName::Chain, ActionName::SkipAfter, ActionName::SetVar, ActionName::SetEnv];
    seen.extend(elsewhere);
    let missing: Vec<&ActionName> = ActionName::ALL.iter().filter(|name| !seen.contains(name)).collect();
    assert!(missing.is_empty(), "{missing:?}");
    for (written, collection, operation) in [
        ("setvar:tx.a", tx, SetVarOperation::Set(text("1"))),
        ("setvar:'tx.a=b c'", tx, SetVarOperation::Set(text("b c"))),
        ("setvar:IP:a=+5", Collection::Ip, SetVarOperation::Increment(text("5"))),
        ("setvar:session.a=-1", Collection::Session, SetVarOperation::Decrement(text("1"))),
        ("setvar:!user.a", Collection::User, SetVarOperation::Unset),
    ] {
        let ActionKind::SetVar(read) = action(written) else { panic!("{written}") };
        assert_eq!(
            (read.collection, read.key, read.operation),
            (collection, text("a"), operation),
            "{written}"
        );
    }
    let ActionKind::SetVar(read) = action("setvar:'tx.n_%{MATCHED_VAR_NAME}=+%{tx.a=b}'") else { panic!() };
    assert_eq!(read.key.parts.len(), 2);
    assert_eq!(
        read.operation,
        SetVarOperation::Increment(MacroText { parts: vec![expansion(VariableKind::Tx, "a=b")] })
    );
    let ActionKind::SetEnv(read) = action("setenv:a=b") else { panic!() };
    assert_eq!((read.name, read.value), (text("a"), Some(text("b"))));
    let ActionKind::SetEnv(read) = action("setenv:!a") else { panic!() };
    assert_eq!(read.value, None);
}

#[test]
fn values_out_of_range_are_refused() {
    for text in [
        "id:0",
        "id:-1",
        "id:x",
        "phase:0",
        "phase:6",
        "severity:8",
        "severity:BAD",
        "status:99",
        "status:600",
        "accuracy:0",
        "accuracy:10",
        "maturity:x",
        "skip:-1",
        "skip:99999999999",
        "allow:all",
        "setvar:a",
        "setvar:tx.",
        "setvar:args.a=1",
        "setvar:!tx.a=1",
        "expirevar:ip.a",
        "expirevar:ip.a=soon",
        "initcol:ip",
        "initcol:ip=",
        "xmlns:a",
        "id:2",
        "deny,drop",
        "phase:1,phase:2",
        "t:lower",
        "skipAfter:NOWHERE",
    ] {
        assert!(is_refused(&format!("SecAction \"id:1,{text}\"")), "{text}");
    }
}

#[test]
fn every_ctl_option_is_read_into_its_typed_form() {
    let range = |first, last| IdRange { first, last };
    let args = |text: &str| variables(text).into_iter().map(|v| v.to_string()).collect::<Vec<_>>();
    let mut seen = Vec::new();
    for (written, expected) in [
        ("auditEngine=RelevantOnly", Some(Control::AuditEngine(AuditEngineMode::RelevantOnly))),
        ("debugLogLevel=9", Some(Control::DebugLogLevel(9))),
        ("forceRequestBodyVariable=On", Some(Control::ForceRequestBodyVariable(true))),
        ("hashEnforcement=Off", Some(Control::HashEnforcement(false))),
        ("hashEngine=Off", Some(Control::HashEngine(false))),
        ("requestBodyAccess=off", Some(Control::RequestBodyAccess(false))),
        ("requestBodyLimit=1000", Some(Control::RequestBodyLimit(1000))),
        ("requestBodyProcessor=json", Some(Control::RequestBodyProcessor(BodyProcessor::Json))),
        ("responseBodyAccess=On", Some(Control::ResponseBodyAccess(true))),
        ("responseBodyLimit=1", Some(Control::ResponseBodyLimit(1))),
        ("ruleEngine=DetectionOnly", Some(Control::RuleEngine(EngineMode::DetectionOnly))),
        ("ruleRemoveById=1-9", Some(Control::RuleRemoveById(vec![range(1, 9)]))),
        ("ruleRemoveByMsg=a", Some(Control::RuleRemoveByMsg("a".into()))),
        ("ruleRemoveByTag=attack-.*", Some(Control::RuleRemoveByTag("attack-.*".into()))),
        ("auditLogParts=+E", None),
        ("ruleRemoveTargetById=1;ARGS:a", None),
        ("ruleRemoveTargetByMsg=m;ARGS", None),
        ("ruleRemoveTargetByTag=t;ARGS:'/a,b/'", None),
    ] {
        let ActionKind::Ctl(read) = action(&format!("ctl:{written}")) else { panic!("{written}") };
        seen.push(read.name());
        if let Some(expected) = expected {
            assert_eq!(read, expected, "{written}");
            continue;
        }
        match read {
            Control::AuditLogParts(change, parts) => {
                assert_eq!((change, parts.0.as_str()), (PartsChange::Add, "E"));
            }
            Control::RuleRemoveTargetById(ids, targets) => {
                assert_eq!(ids, [range(1, 1)]);
                assert_eq!([targets[0].to_string()].to_vec(), args("ARGS:a"));
            }
            Control::RuleRemoveTargetByMsg(msg, targets) => {
                assert_eq!((msg.as_str(), targets[0].kind), ("m", VariableKind::Args));
            }
            Control::RuleRemoveTargetByTag(tag, targets) => {
                assert_eq!((tag.as_str(), &targets[0].selector), ("t", &Selector::Regex("a,b".into())));
            }
            other => panic!("{other:?}"),
        }
    }
    seen.sort();
    assert_eq!(seen, ControlName::ALL);
    for text in [
        "ruleEngine",
        "ruleEngine=",
        "x=1",
        "requestBodyLimit=-1",
        "debugLogLevel=10",
        "auditLogParts=XY",
        "ruleRemoveById=a",
        "ruleRemoveById=9-1",
        "ruleRemoveTargetById=1",
        "ruleRemoveTargetById=;ARGS",
    ] {
        assert!(is_refused(&format!("SecAction \"id:1,ctl:{text}\"")), "{text}");
    }
}

#[test]
fn chains_hang_below_their_starter_and_obey_its_rules() {
    let ast = read(
        "SecRule ARGS a \"id:1,chain,deny\"\n# between\n  SecRule ARGS b \"t:none,chain\"\n  SecRule ARGS c\nSecAction \"id:2,chain\"\nSecAction nolog",
    );
    let links: Vec<usize> = ast.rules().map(|rule| rule.links.len()).collect();
    assert_eq!(links, [2, 1]);
    for text in [
        "SecRule ARGS a \"id:1,chain\"",
        "SecRule ARGS a \"id:1,chain\"\nSecMarker x\nSecRule ARGS b \"t:none\"",
        "SecRule ARGS a \"id:1,chain\"\nSecRule ARGS b \"id:2\"",
        "SecRule ARGS a \"id:1,chain\"\nSecRule ARGS b \"deny\"",
        "SecRule ARGS a \"id:1,chain\"\nSecRule ARGS b \"phase:1\"",
        "SecRule ARGS a \"id:1,chain\"\nSecRule ARGS b \"skip:1\"",
        "SecRule ARGS a \"deny\"",
        "SecRule ARGS a",
        "SecAction \"id:1\"\nSecAction \"id:1\"",
    ] {
        assert!(is_refused(text), "{text}");
    }
}

#[test]
fn a_jump_goes_forward_to_a_marker_or_a_rule() {
    read("SecAction \"id:1,skipAfter:END\"\nSecMarker END");
    read("SecAction \"id:1,skipAfter:2\"\nSecAction \"id:2\"");
    assert!(is_refused("SecMarker END\nSecAction \"id:1,skipAfter:END\""));
    assert!(is_refused("SecAction \"id:1,skipAfter:1\""));
}

#[test]
fn directives_that_change_rules_are_read() {
    let body = |text: &str| read(text).directives.remove(0).body;
    let range = |first, last| IdRange { first, last };
    assert_eq!(
        body("SecRuleRemoveById 1 \"2-3,4\""),
        DirectiveBody::RemoveById(vec![range(1, 1), range(2, 3), range(4, 4)])
    );
    assert_eq!(body("SecRuleRemoveByTag a.*"), DirectiveBody::RemoveByTag("a.*".into()));
    assert_eq!(body("SecRuleRemoveByMsg \"a b\""), DirectiveBody::RemoveByMsg("a b".into()));
    let DirectiveBody::UpdateTarget(update) = body("SecRuleUpdateTargetById 1 \"!ARGS:a,!ARGS:b\" ARGS")
    else {
        panic!()
    };
    assert_eq!((update.rules, update.variables.len()), (RuleSelection::Ids(vec![range(1, 1)]), 2));
    assert_eq!(update.replaced.unwrap()[0].kind, VariableKind::Args);
    let DirectiveBody::UpdateTarget(update) = body("SecRuleUpdateTargetByTag \"x\" \"!ARGS:/^a b$/\"") else {
        panic!()
    };
    assert_eq!(update.rules, RuleSelection::Tag("x".into()));
    let DirectiveBody::UpdateAction { id, link, actions } =
        body("SecRuleUpdateActionById 7:2 \"t:none,pass\"")
    else {
        panic!()
    };
    assert_eq!((id, link, actions.len()), (7, 2, 2));
    let DirectiveBody::DefaultAction { phase, actions } = body("SecDefaultAction \"phase:3,log,pass\"")
    else {
        panic!()
    };
    assert_eq!((phase, actions.len()), (Phase::ResponseHeaders, 3));
    let DirectiveBody::Script { path, actions } = body("SecRuleScript a.lua \"id:1\"") else { panic!() };
    assert_eq!((path.as_str(), actions.len()), ("a.lua", 1));
    for text in [
        "SecRuleRemoveById",
        "SecRuleRemoveById a",
        "SecRuleRemoveByTag \"\"",
        "SecRuleUpdateTargetById 1",
        "SecRuleUpdateActionById 1 \"id:2\"",
        "SecRuleUpdateActionById x \"pass\"",
        "SecDefaultAction \"log,pass\"",
        "SecDefaultAction \"phase:2,log\"",
        "SecDefaultAction \"phase:2,pass,id:1\"",
        "SecDefaultAction \"phase:2,block\"",
        "SecDefaultAction \"phase:2,pass\"\nSecDefaultAction \"phase:2,deny\"",
        "SecMarker",
        "SecAction",
        "SecRule ARGS",
        "SecRule ARGS a \"id:1\" more",
        "Include",
    ] {
        assert!(is_refused(text), "{text}");
    }
}

#[test]
fn settings_have_typed_values_and_refuse_others() {
    let setting = |text: &str| match read(text).directives.remove(0).body {
        DirectiveBody::Setting(setting) => setting,
        other => panic!("{other:?}"),
    };
    for (text, expected) in [
        ("SecRuleEngine DetectionOnly", Setting::SecRuleEngine(EngineMode::DetectionOnly)),
        ("SecRequestBodyAccess on", Setting::SecRequestBodyAccess(true)),
        ("SecRequestBodyLimit \"131072\"", Setting::SecRequestBodyLimit(131_072)),
        (
            "SecRequestBodyLimitAction ProcessPartial",
            Setting::SecRequestBodyLimitAction(LimitAction::ProcessPartial),
        ),
        (
            "SecResponseBodyMimeType a/b c/d",
            Setting::SecResponseBodyMimeType(vec!["a/b".into(), "c/d".into()]),
        ),
        ("SecResponseBodyMimeTypesClear", Setting::SecResponseBodyMimeTypesClear(())),
        ("SecComponentSignature \"x y\"", Setting::SecComponentSignature("x y".into())),
        (
            "SecAuditLogRelevantStatus \"^(?:5|4(?!04))\"",
            Setting::SecAuditLogRelevantStatus("^(?:5|4(?!04))".into()),
        ),
    ] {
        assert_eq!(setting(text), expected, "{text}");
    }
    let unicode = setting("SecUnicodeMapFile unicode.mapping 20127");
    assert_eq!(unicode.name(), DirectiveName::SecUnicodeMapFile);
    for text in [
        "SecRuleEngine Maybe",
        "SecRuleEngine",
        "SecRuleEngine On Off",
        "SecRequestBodyLimit many",
        "SecRequestBodyLimit 99999999999999999999",
        "SecRequestBodyLimit +1",
        "SecResponseBodyMimeType",
        "SecResponseBodyMimeTypesClear x",
        "SecAuditLogParts XY",
        "SecUnicodeMapFile a b c",
        "SecUnicodeMapFile a",
        "SecArgumentSeparator ;;",
        "SecArgumentSeparator \"\"",
        "SecArgumentSeparator \u{e9}",
    ] {
        assert!(is_refused(text), "{text}");
    }
}
