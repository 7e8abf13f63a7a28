//! Exclusions of every kind, and a plugin in the layout of the Core Rule Set: configuration, before, rules, after.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout
)]

mod exchange;

use exchange::{engine, get};

/// Three rules that all match `bad` in any argument.
const RULES: &str = "
    SecRule ARGS \"@contains bad\" \"id:10,phase:2,pass,msg:'First of all',tag:'attack-a',tag:'app/x'\"
    SecRule ARGS|REQUEST_COOKIES \"@contains bad\" \"id:20,phase:2,pass,msg:'Second one',tag:'attack-b',severity:2,rev:'1'\"
    SecRule ARGS \"@contains bad\" \"id:30,phase:2,deny,status:409,msg:'Third one',tag:'attack-b',chain\"
    SecRule ARGS \"@contains worse\"
";

/// The ids that match when `note=bad` comes with something worse.
fn ids(before: &str, after: &str) -> Vec<u64> {
    let outcome = get("/app?note=bad&other=worse").run(&engine(&format!("{before}\n{RULES}\n{after}")));
    outcome.ids()
}

#[test]
fn directives_remove_the_rules_before_them() {
    assert_eq!(ids("", ""), [10, 20, 30]);
    for (directive, left) in [
        ("SecRuleRemoveById 10", vec![20, 30]),
        ("SecRuleRemoveById 10 30", vec![20]),
        ("SecRuleRemoveById \"5-15\" 30", vec![20]),
        ("SecRuleRemoveById 10,20", vec![30]),
        ("SecRuleRemoveByTag attack-b", vec![10]),
        ("SecRuleRemoveByTag ^attack-", vec![]),
        ("SecRuleRemoveByTag attack", vec![10, 20, 30]),
        ("SecRuleRemoveByMsg \"one$\"", vec![10]),
        ("SecRuleRemoveByMsg \"First of all\"", vec![20, 30]),
    ] {
        assert_eq!(ids("", directive), left, "{directive}");
        assert_eq!(ids(directive, ""), [10, 20, 30], "{directive} in front of the rules");
    }
}

#[test]
fn directives_take_targets_away_add_and_replace_them() {
    for (directive, left) in [
        ("SecRuleUpdateTargetById 10 !ARGS:note", vec![20, 30]),
        ("SecRuleUpdateTargetById 10-20 \"!ARGS:note\"", vec![30]),
        ("SecRuleUpdateTargetById 10,20 !ARGS:/^NO/", vec![10, 20, 30]),
        ("SecRuleUpdateTargetById 10,20 !ARGS:/^no/", vec![30]),
        ("SecRuleUpdateTargetById 30 !ARGS:note", vec![10, 20]),
        ("SecRuleUpdateTargetByTag attack-b !ARGS:note", vec![10]),
        ("SecRuleUpdateTargetByTag ^app/ \"!ARGS:/te$/\"", vec![20, 30]),
        ("SecRuleUpdateTargetByMsg \"Second one\" !ARGS:note", vec![10, 30]),
        ("SecRuleUpdateTargetByMsg \"one$\" !ARGS:/./", vec![10]),
        ("SecRuleUpdateTargetById 10 REQUEST_FILENAME ARGS", vec![20, 30]),
    ] {
        assert_eq!(ids("", directive), left, "{directive}");
    }
    let added = engine(&format!("{RULES}\nSecRuleUpdateTargetById 10 REQUEST_FILENAME"));
    assert_eq!(get("/bad").run(&added).ids(), [10]);
}

#[test]
fn an_updated_action_takes_the_place_of_its_kind_and_metadata_stays() {
    let updated = format!("{RULES}\nSecRuleUpdateActionById 20 \"deny,status:418,msg:'Changed',tag:'more'\"");
    let outcome = get("/?note=bad").run(&engine(&updated));
    let interruption = outcome.interruption.unwrap();
    assert_eq!((interruption.rule, interruption.status.as_u16()), (20, 418));
    let found = outcome.matches.iter().find(|found| found.id == 20).unwrap();
    assert_eq!(found.message, "Changed");
    assert_eq!(found.tags, ["attack-b", "more"], "tags are added");
    assert_eq!(found.severity.as_deref(), Some("CRITICAL"), "what is not named stays");
    let outcome =
        get("/?note=bad&other=worse").run(&engine(&format!("{RULES}\nSecRuleUpdateActionById 30 pass")));
    assert_eq!((outcome.ids(), outcome.interruption), (vec![10, 20, 30], None));
}

#[test]
fn ctl_takes_rules_and_targets_away_for_one_transaction() {
    for (control, left) in [
        ("ruleRemoveById=10", vec![20, 30]),
        ("ruleRemoveById=15-35", vec![10]),
        ("ruleRemoveByTag=attack-b", vec![10]),
        ("ruleRemoveByMsg=one$", vec![10]),
        ("ruleRemoveTargetById=10;ARGS:note", vec![20, 30]),
        ("ruleRemoveTargetById=10-30;ARGS", vec![]),
        ("ruleRemoveTargetByTag=attack-b;ARGS:/^no/", vec![10]),
        ("ruleRemoveTargetByTag=^attack-;ARGS:note", vec![]),
        ("ruleRemoveTargetByMsg=Second one;ARGS:note", vec![10, 30]),
        ("ruleRemoveTargetByMsg=one$;ARGS:other", vec![10, 20, 30]),
        ("ruleEngine=Off", vec![]),
    ] {
        let rules = format!(
            "SecRule REQUEST_FILENAME \"@streq /app\" \"id:1,phase:1,pass,nolog,ctl:'{control}'\"\n{RULES}"
        );
        assert_eq!(ids(&rules.replace(RULES, ""), ""), left, "{control}");
        let elsewhere = get("/other?note=bad&other=worse").run(&engine(&rules));
        assert_eq!(elsewhere.ids(), [10, 20, 30], "{control}: the next transaction has them again");
    }
}

#[test]
fn a_plugin_is_configured_runs_before_and_after_the_rules_and_can_be_turned_off() {
    let config = "SecAction \"id:9500010,phase:1,nolog,pass,t:none,setvar:'tx.wiki-plugin_enabled=1'\"";
    let before = "
        SecRule TX:wiki-plugin_enabled \"@eq 0\" \"id:9500099,phase:1,pass,nolog,ctl:ruleRemoveById=9500100-9500999\"
        SecRule REQUEST_FILENAME \"@beginsWith /wiki\" \"id:9500100,phase:1,pass,nolog,t:none,\\
            ctl:ruleRemoveTargetByTag=attack-b;ARGS:/^text/,ctl:ruleRemoveById=10\"";
    let after = "
        SecRule TX:seen \"@eq 1\" \"id:9500200,phase:2,pass,msg:'The rules ran before'\"
        SecRuleUpdateTargetById 20 \"!ARGS:comment\"";
    let rules = format!("{RULES}\nSecAction \"id:40,phase:2,pass,nolog,setvar:tx.seen=1\"");
    let on = engine(&format!("{config}\n{before}\n{rules}\n{after}"));
    assert_eq!(get("/wiki?text=bad").run(&on).ids(), [9_500_200]);
    assert_eq!(get("/wiki?other=bad").run(&on).ids(), [20, 9_500_200]);
    assert_eq!(get("/wiki?comment=bad").run(&on).ids(), [9_500_200]);
    assert_eq!(get("/shop?text=bad").run(&on).ids(), [10, 20, 9_500_200]);
    let off = engine(&format!("{}\n{before}\n{rules}\n{after}", config.replace("=1'", "=0'")));
    assert_eq!(get("/wiki?text=bad").run(&off).ids(), [10, 20], "the after hook is removed too");
}
