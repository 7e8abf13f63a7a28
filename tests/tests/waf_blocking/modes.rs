//! Modes of policies and of groups of rules, and exclusions, in policies and in rules.

use palisade_tests::origin::Reply;
use serde_json::{Value, json};

use crate::stage::{SQLI, Stage, XSS, block};

fn with(field: &str, value: Value) -> Value {
    let mut spec = block();
    spec[field] = value;
    spec
}

#[test]
fn groups_of_crs_are_off_detect_or_block_and_exclusions_take_rules_and_targets_out() {
    let before = "SecRule REQUEST_FILENAME \"@streq /wiki\" \
                  \"id:1,phase:1,pass,nolog,ctl:ruleRemoveTargetByTag=OWASP_CRS;ARGS:q\"\n\
                  SecRule REQUEST_FILENAME \"@streq /raw\" \"id:2,phase:1,pass,nolog,ctl:ruleRemoveByTag=OWASP_CRS\"\n\
                  SecRule REQUEST_FILENAME \"@streq /off\" \"id:3,phase:1,pass,nolog,ctl:ruleEngine=Off\"\n\
                  SecRule REQUEST_FILENAME \"@streq /watch\" \"id:4,phase:1,pass,nolog,ctl:ruleEngine=DetectionOnly\"";
    let after = "SecRuleUpdateTargetByTag attack-sqli !ARGS:comment\nSecRuleUpdateTargetById 941100-941999 !ARGS:html";
    let groups = |mode: &str| with("groups", json!([{"tag": "attack-sqli", "mode": mode}]));
    let Some(mut stage) = Stage::with_crs(before, after, groups("detect"), |_| Reply::empty()) else {
        return;
    };
    let (sqli, xss) = (format!("/?{SQLI}"), format!("/?{XSS}"));

    // detect: told, not counted. Other groups block.
    let seen = stage.get(&sqli);
    seen.passes();
    let matches = seen.record["matches"].as_array().unwrap();
    let found = matches.iter().find(|found| found["id"] == 942100).expect("it is told");
    assert_eq!(found["detectOnly"], true);
    stage.get(&xss).is_refused_by(949110);

    // off: not even told.
    stage.swap(groups("off"));
    let seen = stage.get(&sqli);
    seen.passes();
    assert!(!seen.ids().iter().any(|id| (942_000..943_000).contains(id)), "{:?}", seen.ids());

    // Only one group blocks, the rest detects.
    let mut spec = groups("block");
    spec["mode"] = "detect".into();
    stage.swap(spec);
    stage.get(&sqli).is_refused_by(949110);
    let seen = stage.get(&xss);
    seen.passes();
    assert!(seen.ids().contains(&941100), "{:?}", seen.ids());

    // The policy detects only: everything is told, scores included, nothing is refused.
    stage.swap(with("mode", "detect".into()));
    let seen = stage.get(&sqli);
    seen.passes();
    assert!(seen.ids().contains(&942100) && seen.ids().contains(&949110), "{:?}", seen.ids());

    // The policy is off.
    stage.swap(with("mode", "off".into()));
    let seen = stage.get(&sqli);
    seen.passes();
    assert_eq!(seen.ids(), Vec::<u64>::new());

    // Exclusions of the rules (ctl and SecRuleUpdateTarget*) take out what they name and nothing else.
    stage.swap(block());
    for (target, refused) in [
        (format!("/wiki?{SQLI}"), false),
        (format!("/wiki?{}", SQLI.replace("q=", "other=")), true),
        (format!("/raw?{SQLI}"), false),
        (format!("/off?{SQLI}"), false),
        (format!("/watch?{SQLI}"), false),
        (format!("/?{}", SQLI.replace("q=", "comment=")), false),
        (format!("/?{}", SQLI.replace("q=", "comments=")), true),
        (format!("/?{}", XSS.replace("q=", "html=")), false),
        (format!("/?{}", XSS.replace("q=", "htmls=")), true),
        // A path that only looks like the one that is excluded is not excluded; nor is one that leaves it again.
        (format!("/wiki/../?{SQLI}"), true),
        (format!("/Wiki?{SQLI}"), true),
    ] {
        let seen = stage.get(&target);
        assert_eq!(seen.status() == 403, refused, "{target}: {:?}", seen.ids());
    }
    let watched = stage.get(&format!("/watch?{SQLI}"));
    assert!(watched.ids().contains(&942100), "{:?}", watched.ids());

    // Exclusions of the policy: a rule, a range, a tag, a target.
    stage.swap(with(
        "exclusions",
        json!([{"tag": "attack-sqli", "target": "ARGS:q"}, {"ids": "941000-941999"}]),
    ));
    stage.get(&sqli).passes();
    stage.get(&xss).passes();
    stage.get(&sqli.replace("q=", "p=")).is_refused_by(949110);
}

#[test]
fn rules_are_removed_and_changed_by_id_tag_and_message() {
    let rules = r#"
SecRule ARGS "@contains one" "id:1,phase:2,deny,status:403,msg:'first rule',tag:'a'"
SecRule ARGS "@contains two" "id:2,phase:2,deny,status:403,msg:'second rule',tag:'b'"
SecRule ARGS "@contains three" "id:3,phase:2,deny,status:403,msg:'third rule',tag:'c'"
SecRule ARGS "@contains four" "id:4,phase:2,deny,status:403,msg:'fourth rule',tag:'d'"
SecRule ARGS "@contains five" "id:5,phase:2,deny,status:403,msg:'fifth rule',tag:'e'"
SecRule ARGS "@contains six" "id:6,phase:2,deny,status:403,msg:'sixth rule',tag:'f'"
SecRuleRemoveById 1
SecRuleRemoveByTag "^b$"
SecRuleRemoveByMsg "third rule"
SecRuleUpdateTargetById 4 "!ARGS:free"
SecRuleUpdateActionById 5 "pass,msg:'only told'"
"#;
    let stage = Stage::with_rules(rules, block());
    for word in ["one", "two", "three"] {
        let seen = stage.get(&format!("/?q={word}"));
        seen.passes();
        assert_eq!(seen.ids(), Vec::<u64>::new(), "{word}");
    }
    stage.get("/?free=four").passes();
    stage.get("/?q=four").is_refused_by(4);
    let seen = stage.get("/?q=five");
    seen.passes();
    assert_eq!(seen.ids(), [5]);
    stage.get("/?q=six").is_refused_by(6);
}
