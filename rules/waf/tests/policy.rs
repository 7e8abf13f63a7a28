//! What a WafPolicy says of rules: modes of groups, exclusions, paranoia level and thresholds.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout
)]

mod exchange;

use exchange::{compile, get, policy};
use palisade_model::documents::{Exclusion, GroupMode, Mode, Thresholds, WafPolicySpec};

/// A small rule set with CRS's anatomy: set-up, detections that score, an evaluation that denies.
const SCORING: &str = "
    SecAction \"id:900,phase:1,pass,nolog,setvar:tx.blocking_paranoia_level=3,setvar:tx.inbound_anomaly_score_threshold=100\"
    SecRule &TX:inbound_anomaly_score_threshold \"@eq 0\" \"id:901,phase:1,pass,nolog,setvar:tx.inbound_anomaly_score_threshold=5\"
    SecAction \"id:902,phase:1,pass,nolog,tag:'OWASP_CRS',setvar:tx.score=0\"
    SecRule TX:blocking_paranoia_level \"@lt 2\" \"id:903,phase:2,pass,nolog,tag:'OWASP_CRS',skipAfter:END-PL2\"
    SecRule ARGS \"@rx strict\" \"id:110,block,msg:'Strict',tag:'attack-strict',tag:'OWASP_CRS',setvar:tx.score=+5\"
    SecMarker END-PL2
    SecRule ARGS \"@rx sqli\" \"id:120,block,msg:'SQL',tag:'attack-sqli',tag:'OWASP_CRS',setvar:'tx.score=+5',setvar:tx.other=+1\"
    SecRule ARGS \"@rx xss\" \"id:130,block,msg:'XSS',tag:'attack-xss',tag:'OWASP_CRS',setvar:tx.score=+5\"
    SecRule TX:score \"@ge %{tx.inbound_anomaly_score_threshold}\" \"id:949,deny,msg:'Score %{tx.score}',tag:'anomaly-evaluation',tag:'OWASP_CRS'\"
";

fn group(tag: Option<&str>, ids: Option<&str>, mode: Mode) -> GroupMode {
    GroupMode { tag: tag.map(str::to_owned), ids: ids.map(str::to_owned), mode }
}

fn strict(thresholds: u32) -> WafPolicySpec {
    WafPolicySpec {
        thresholds: Some(Thresholds { inbound: thresholds, outbound: 4 }),
        paranoia_level: Some(1),
        ..policy()
    }
}

fn run(policy: &WafPolicySpec, uri: &str) -> exchange::Outcome {
    get(uri).run(&compile(SCORING, policy).unwrap_or_else(|error| panic!("{error}")))
}

#[test]
fn the_policy_wins_over_the_set_up_of_the_rules() {
    assert_eq!(run(&policy(), "/?a=sqli").blocked_by(), None, "the set-up's threshold of 100");
    assert_eq!(run(&strict(5), "/?a=sqli").blocked_by(), Some(949), "the policy's of 5");
    assert_eq!(run(&strict(6), "/?a=sqli").blocked_by(), None);
    assert_eq!(run(&strict(6), "/?a=sqli+xss").blocked_by(), Some(949));
    assert_eq!(run(&policy(), "/?a=strict").ids(), [110], "the set-up's paranoia level of 3");
    assert_eq!(run(&strict(5), "/?a=strict").ids(), Vec::<u64>::new(), "the policy's of 1");
    let interruption = run(&strict(5), "/?a=sqli").interruption.unwrap();
    assert_eq!(interruption.explanation, "Score 5; matched 120 SQL at ARGS:a");
}

#[test]
fn a_group_in_detect_mode_is_logged_and_neither_scores_nor_blocks() {
    let mut policy = strict(5);
    policy.groups = vec![group(Some("attack-sqli"), None, Mode::Detect)];
    let outcome = run(&policy, "/?a=sqli");
    assert_eq!((outcome.ids(), outcome.blocked_by()), (vec![120], None));
    assert!(outcome.matches[0].detect_only);
    let other = run(&policy, "/?a=xss");
    assert_eq!(other.blocked_by(), Some(949), "other groups still block");
    assert!(!other.matches[0].detect_only);
    let both = run(&policy, "/?a=sqli+xss").interruption.unwrap();
    assert_eq!(both.explanation, "Score 5; matched 130 XSS at ARGS:a", "what only detects is no reason");
}

#[test]
fn a_group_that_is_off_is_not_evaluated() {
    let mut policy = strict(5);
    policy.groups = vec![group(None, Some("115-125"), Mode::Off)];
    assert_eq!(run(&policy, "/?a=sqli").ids(), Vec::<u64>::new());
    assert_eq!(run(&policy, "/?a=xss").blocked_by(), Some(949));
}

#[test]
fn the_last_group_that_takes_a_rule_decides() {
    let mut policy = strict(5);
    policy.groups =
        vec![group(Some("OWASP_CRS"), None, Mode::Detect), group(Some("attack-sqli"), None, Mode::Block)];
    assert_eq!(run(&policy, "/?a=xss").blocked_by(), None);
    assert_eq!(
        run(&policy, "/?a=sqli").blocked_by(),
        Some(949),
        "the machinery of the rule set still blocks"
    );
    policy.groups.push(group(None, Some("120"), Mode::Off));
    assert_eq!(run(&policy, "/?a=sqli").ids(), Vec::<u64>::new());
    policy.groups = vec![group(None, Some("949"), Mode::Detect)];
    assert_eq!(run(&policy, "/?a=sqli").blocked_by(), None, "ids name machinery too");
}

#[test]
fn the_policys_mode_is_that_of_every_rule_no_group_names() {
    let mut policy = strict(5);
    policy.mode = Mode::Detect;
    let outcome = run(&policy, "/?a=sqli");
    assert_eq!((outcome.ids(), outcome.blocked_by()), (vec![120, 949], None), "what would block is shown");
    assert!(outcome.matches.iter().all(|found| found.detect_only));
    policy.groups = vec![group(Some("attack-xss"), None, Mode::Block)];
    assert_eq!(run(&policy, "/?a=sqli").blocked_by(), None);
    assert_eq!(run(&policy, "/?a=xss").blocked_by(), Some(949));
    policy.mode = Mode::Off;
    assert_eq!(run(&policy, "/?a=sqli").ids(), Vec::<u64>::new());
    assert_eq!(run(&policy, "/?a=xss").blocked_by(), Some(949));
}

#[test]
fn exclusions_take_rules_or_targets_away() {
    let exclude = |ids: Option<&str>, tag: Option<&str>, target: Option<&str>| {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        let mut policy = strict(5);
        policy.exclusions = vec![Exclusion { ids: owned(ids), tag: owned(tag), target: owned(target) }];
        policy
    };
    assert_eq!(run(&exclude(Some("120"), None, None), "/?a=sqli").blocked_by(), None);
    assert_eq!(run(&exclude(None, Some("attack-sqli"), None), "/?a=sqli").blocked_by(), None);
    let comment = exclude(Some("120-130"), None, Some("ARGS:comment"));
    assert_eq!(run(&comment, "/?comment=sqli").blocked_by(), None);
    assert_eq!(run(&comment, "/?other=sqli").blocked_by(), Some(949));
    let both = exclude(Some("100-200"), Some("attack-xss"), Some("ARGS:/^a/"));
    assert_eq!(run(&both, "/?a=xss").blocked_by(), None);
    assert_eq!(run(&both, "/?a=sqli").blocked_by(), Some(949), "ids and tag must both take the rule");
}

#[test]
fn an_impossible_policy_is_refused_with_its_field() {
    let refused = |change: fn(&mut WafPolicySpec)| {
        let mut policy = policy();
        change(&mut policy);
        compile(SCORING, &policy).unwrap_err().to_string()
    };
    assert!(refused(|policy| policy.paranoia_level = Some(5)).contains("paranoiaLevel"));
    assert!(refused(|policy| policy.groups = vec![group(None, None, Mode::Off)]).contains("groups[0]"));
    assert!(
        refused(|policy| policy.groups = vec![group(None, Some("x"), Mode::Off)]).contains("groups[0].ids")
    );
    let target = refused(|policy| {
        let exclusion = Exclusion { ids: Some("1".into()), tag: None, target: Some("NOPE:a".into()) };
        policy.exclusions = vec![exclusion];
    });
    assert!(target.contains("exclusions[0].target"), "{target}");
}
