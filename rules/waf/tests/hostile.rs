//! Rule sets that were written to cost: refused in bounded time and memory, with the place.
//!
//! Each case is one that would take gigabytes or minutes if nothing counted. The bound on the wall clock is generous:
//! what is proved is that the end comes at all, and where.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout
)]

mod exchange;

use std::time::{Duration, Instant};

use exchange::{compile, policy, rule_set};
use palisade_model::documents::{Exclusion, GroupMode, Mode, RuleSet, SourceFile};
use palisade_seclang::MAX_RULES;
use palisade_waf::operators::{NFA_BYTES, PATTERN_BYTES, PHRASE_LIST_BYTES};
use palisade_waf::{Engine, POLICY_ENTRIES};

/// No case takes this long on the slowest machine that tests run on.
const PATIENCE: Duration = Duration::from_secs(120);

fn refused(set: &RuleSet) -> String {
    let begun = Instant::now();
    let error = match Engine::compile(set, &policy()) {
        Ok(_) => panic!("it compiles"),
        Err(error) => error.to_string(),
    };
    assert!(begun.elapsed() < PATIENCE, "{:?}", begun.elapsed());
    assert!(error.len() < 64 * 1024, "a message of {} bytes", error.len());
    error
}

fn set(text: String, data: &[(&str, String)]) -> RuleSet {
    let mut set = rule_set(vec![SourceFile { name: "bomb.conf".into(), text }]);
    set.spec.data = data.iter().map(|(name, text)| ((*name).to_owned(), text.clone())).collect();
    set
}

fn text(text: impl Into<String>) -> RuleSet {
    set(text.into(), &[])
}

fn expect(set: &RuleSet, place: &str, problem: &str) {
    let error = refused(set);
    assert!(error.contains(place), "{place} is missing in {error}");
    assert!(error.contains(problem), "{problem} is missing in {error}");
}

/// So many plain rules, with a tag and a message each.
fn rules(count: usize) -> String {
    let rule = |id| format!("SecRule ARGS \"@streq x\" \"id:{id},pass,nolog,msg:'m{id}',tag:'t',tag:'u'\"\n");
    (1..=count).map(rule).collect()
}

#[test]
fn one_expression_that_would_compile_to_gigabytes_is_refused_at_its_place() {
    let over = format!("automaton is over the limit of {NFA_BYTES} bytes");
    for pattern in [
        "(?:a{1000}){1000}",
        "(?:(?:(?:a{100}){100}){100}){100}",
        "(?:[a-z]{1,1000}[0-9]{1,1000}){500}",
        "((((x{200}y?){50})z*){50})",
    ] {
        expect(&text(format!("\nSecRule ARGS \"@rx {pattern}\" id:1")), "bomb.conf:2:19: error", &over);
        let selector = format!("SecRule ARGS:/{pattern}/ \"@streq x\" id:1");
        expect(&text(selector), "bomb.conf:1:9: error", &over);
        let tag = format!("SecRuleRemoveByTag \"{pattern}\"");
        expect(&text(tag), "bomb.conf:1:1: error", &over);
        let control = format!("SecAction \"id:1,ctl:'ruleRemoveByTag={pattern}'\"");
        expect(&text(control), "bomb.conf:1:17: error", &over);
    }
    let deep = format!("{}a{}", "(".repeat(5_000), ")".repeat(5_000));
    expect(&text(format!("SecRule ARGS \"@rx {deep}\" id:1")), "bomb.conf:1:19: error", "cannot be compiled");
    let wide = "ab|".repeat(PATTERN_BYTES / 3 + 1);
    expect(&text(format!("SecRule ARGS \"@rx {wide}\" id:1")), "bomb.conf:1:19: error", "the limit is 65536");
}

#[test]
fn many_expressions_that_are_each_allowed_are_refused_together() {
    // Each takes a few megabytes, and there are thousands; none of them is over its own limit.
    let each = |id: usize| format!("SecRule ARGS \"@rx (?:[a-m]{{900}}|b{{{id}}}){{20}}\" id:{id}\n");
    let many: String = (1..3_000).map(each).collect();
    expect(&text(many), ": error: ", "of the rule set take more than");
    // And thousands that are each refused cost no more than the first few.
    let each = |id: usize| format!("SecRule ARGS \"@rx (?:a{{1000}}){{{id}}}\" id:{id}\n");
    let error = refused(&text((1_000..5_000).map(each).collect::<String>()));
    assert!(error.contains("of the rule set take more than") && error.contains("more problems"), "{error}");
}

#[test]
fn a_hundred_thousand_rules_are_refused_where_the_limit_is_passed() {
    let place = format!("bomb.conf:{}:1: error: more than 20000 rules", MAX_RULES + 1);
    expect(&text(rules(100_000)), &place, "more than 20000 rules");
}

#[test]
fn updates_and_removals_that_each_look_at_every_rule_are_refused_where_the_work_is_used_up() {
    for directive in [
        "SecRuleUpdateTargetById 1-99999 \"!ARGS:a\"\n",
        "SecRuleUpdateTargetByTag t \"!ARGS:a\"\n",
        "SecRuleUpdateTargetByMsg ^m \"!ARGS:a\"\n",
        "SecRuleRemoveById 999999\n",
        "SecRuleRemoveByMsg ^nothing\n",
        "SecRuleUpdateActionById 1 \"tag:x\"\n",
    ] {
        let bomb = rules(15_000) + &directive.repeat(80_000);
        expect(&text(bomb), ": error: removals, updates, ctl and data files", "too much work");
    }
}

#[test]
fn ctl_that_names_every_rule_thousands_of_times_is_refused() {
    let all = ",ctl:ruleRemoveTargetById=1-99999;ARGS:a".repeat(990);
    let bomb = rules(12_000) + &format!("SecAction \"id:20000,pass{all}\"\n");
    expect(&text(bomb), "bomb.conf:12001:", "too much work");
    let tags = ",ctl:ruleRemoveByTag=^t".repeat(990);
    let bomb = rules(12_000) + &format!("SecAction \"id:20000,pass{tags}\"\n");
    expect(&text(bomb), "bomb.conf:12001:", "too much work");
}

#[test]
fn phrase_files_are_bounded_alone_and_in_how_often_they_are_used() {
    let rule = |id: usize| format!("SecRule ARGS \"@pmFromFile big.data\" id:{id}\n");
    let lines = |bytes: usize| "0123456\n".repeat(bytes / 8);
    let phrases = PHRASE_LIST_BYTES / 7 * 8 + 16;
    let over = set(rule(1), &[("big.data", lines(phrases))]);
    expect(&over, "bomb.conf:1:27: error: the phrases have", "the limit is 524288");
    // The same list for every rule: it is built once, but read for each.
    let many: String = (1..=10_000).map(rule).collect();
    expect(&set(many, &[("big.data", lines(500_000))]), ": error: removals", "data files");
    let huge = set(rule(1), &[("big.data", lines(33 * 1024 * 1024))]);
    expect(&huge, "bomb.conf:1:27: error: with \"big.data\" the rule set has", "33554432 are allowed");
}

#[test]
fn files_of_a_hundred_megabytes_cycles_and_ways_out_are_refused_at_their_place() {
    let include = |name: &str, data: &[(&str, String)]| set(format!("SecMarker a\nInclude {name}\n"), data);
    let hundred = "#".repeat(100_000_000);
    expect(&include("big.conf", &[("big.conf", hundred.clone())]), "bomb.conf:2:9: error", "are allowed");
    expect(&text(hundred), "bomb.conf:1:1: error", "are allowed");
    let cycle = [("b.conf", "Include c.conf".to_owned()), ("c.conf", "\nInclude b.conf".to_owned())];
    expect(&include("b.conf", &cycle), "c.conf:2:9: error", "includes itself");
    let itself = [("bomb.conf", "Include bomb.conf".to_owned())];
    expect(&include("bomb.conf", &itself), "bomb.conf:2:9: error", "includes itself");
    for name in ["../a", "/etc/passwd", "x/../../a", "a\\b", "C:/a", "https://a/b"] {
        expect(&include(name, &[]), "bomb.conf:2:9: error", "");
        let rule = format!("SecRule ARGS \"@pmFromFile {name}\" id:1");
        expect(&text(rule), "bomb.conf:1:27: error", "");
    }
}

#[test]
fn bytes_that_do_not_belong_into_rules_never_panic() {
    for piece in ["\0", "\u{feff}", "\u{202e}", "\u{fffd}", "\r", "\u{b}", "\u{85}"] {
        for rule in [
            format!("SecRule ARGS{piece} \"@rx a\" \"id:1\""),
            format!("SecRule ARGS \"@rx {piece}{piece}(\" \"id:1\""),
            format!("SecRule ARGS:{piece} \"@pm {piece}\" \"id:1,msg:'{piece}'\""),
            format!("SecRule ARGS \"@{piece}\" \"id:1\""),
            format!("Include {piece}"),
        ] {
            if let Err(error) = Engine::compile(&text(rule.clone()), &policy()) {
                assert!(error.to_string().starts_with("bomb.conf:1:"), "{rule:?}: {error}");
            }
        }
    }
    let nested = "%{TX.".repeat(10_000) + &"}".repeat(10_000);
    _ = Engine::compile(&text(format!("SecAction \"id:1,msg:'{nested}'\"")), &policy());
}

#[test]
fn a_policy_names_as_many_groups_and_exclusions_as_are_allowed_and_no_more() {
    let with = |groups: usize, exclusions: usize| {
        let group = GroupMode { tag: Some("t".into()), ids: None, mode: Mode::Detect };
        let exclusion = Exclusion { ids: Some("1".into()), tag: None, target: None };
        let mut policy = policy();
        (policy.groups, policy.exclusions) = (vec![group; groups], vec![exclusion; exclusions]);
        compile("SecAction id:2", &policy)
    };
    assert!(with(POLICY_ENTRIES - 1, POLICY_ENTRIES - 1).is_ok());
    assert!(with(POLICY_ENTRIES, POLICY_ENTRIES).is_ok());
    assert!(with(POLICY_ENTRIES + 1, 0).unwrap_err().to_string().starts_with("groups: 1001 entries"));
    assert!(with(0, POLICY_ENTRIES + 1).unwrap_err().to_string().starts_with("exclusions: 1001 entries"));
}
