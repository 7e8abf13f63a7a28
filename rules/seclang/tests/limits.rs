//! Every limit at, under and over it; includes and data files.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeMap;

use palisade_model::documents::{Metadata, RuleSet, RuleSetSpec, SourceFile};
use palisade_seclang::{
    Ast, Diagnostics, Limits, MAX_ACTIONS, MAX_DIRECTIVE_BYTES, MAX_DIRECTIVES, MAX_FILES, MAX_INCLUDE_DEPTH,
    MAX_NAME_BYTES, MAX_OPERATOR_FILES, MAX_PARTS, MAX_RULES, MAX_TARGETS, MAX_TOTAL_BYTES, NoSources,
    RuleSetSources, Source, parse, parse_rule_set, parse_with,
};

fn rule_set(sources: &[(&str, &str)], data: &[(&str, &str)]) -> RuleSet {
    let source = |(name, text): &(&str, &str)| SourceFile { name: (*name).into(), text: (*text).into() };
    let data: BTreeMap<String, String> =
        data.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
    RuleSet {
        api_version: "palisade.dev/v1alpha1".into(),
        kind: "RuleSet".into(),
        metadata: Metadata { name: "r".into(), ..Metadata::default() },
        spec: RuleSetSpec { sources: sources.iter().map(source).collect(), data },
    }
}

fn read(sources: &[(&str, &str)], data: &[(&str, &str)]) -> Result<Ast, Diagnostics> {
    parse_rule_set(&rule_set(sources, data))
}

fn text(text: String) -> Vec<Source> {
    vec![Source { name: "t.conf".into(), text }]
}

fn message(result: Result<Ast, Diagnostics>) -> String {
    result.unwrap_err().to_string()
}

#[test]
fn the_limits_in_force_are_the_documented_ones() {
    let limits = Limits::default();
    assert_eq!(
        (limits.include_depth, limits.files, limits.total_bytes, limits.directive_bytes),
        (MAX_INCLUDE_DEPTH, MAX_FILES, MAX_TOTAL_BYTES, MAX_DIRECTIVE_BYTES)
    );
    assert_eq!((limits.directives, limits.rules, limits.parts), (MAX_DIRECTIVES, MAX_RULES, MAX_PARTS));
}

#[test]
fn included_files_stand_in_the_place_of_their_include() {
    let ast = read(
        &[("a.conf", "SecMarker 1\nInclude sub/*.inc\nSecMarker 5"), ("b.conf", "SecMarker 6")],
        &[
            ("sub/y.inc", "SecMarker 4"),
            ("sub/x.inc", "SecMarker 2\nInclude ../z.inc"),
            ("z.inc", "SecMarker 3"),
            ("sub/deep/w.inc", "SecFoo"),
        ],
    )
    .unwrap();
    let markers: Vec<String> = ast.directives.iter().map(|one| format!("{:?}", one.body)).collect();
    let expected: Vec<String> = (1..=6).map(|number| format!("Marker(\"{number}\")")).collect();
    assert_eq!(markers, expected);
    let names: Vec<&str> = ast.files.iter().map(|file| &*file.name).collect();
    assert_eq!(names, ["a.conf", "sub/x.inc", "z.inc", "sub/y.inc", "b.conf"]);
}

#[test]
fn a_chain_may_go_on_in_an_included_file_but_not_end_open() {
    let a = "SecRule ARGS a \"id:1,chain\"\nInclude b.inc\n";
    let ast = read(&[("a.conf", a)], &[("b.inc", "SecRule ARGS b\n")]).unwrap();
    assert_eq!(ast.rules().next().unwrap().links.len(), 1);
    assert!(message(read(&[("a.conf", a)], &[("b.inc", "")])).contains("no rule follows"));
}

#[test]
fn a_data_file_is_read_once_whatever_it_is_called() {
    let rule = |id: u32, name: &str| format!("SecRule ARGS \"@pmFromFile {name}\" \"id:{id}\"\n");
    let text = rule(1, "d.data") + &rule(2, "./d.data e.data d.data") + &rule(3, "../r/d.data");
    let ast = read(&[("r/a.conf", &text)], &[("r/d.data", "one"), ("e.data", "two")]).unwrap();
    let names: Vec<&str> = ast.data.iter().map(|file| file.name.as_str()).collect();
    assert_eq!(names, ["r/d.data", "e.data"], "beside the rule, then from the root");
    let used: Vec<&[usize]> =
        ast.rules().map(|rule| rule.operator.as_ref().unwrap().data.as_slice()).collect();
    assert_eq!(used, [&[0][..], &[0, 1], &[0]]);
    for name in ["gone.data", "../../d.data", "/etc/passwd", "%{tx.a}", "https://x/y"] {
        let shown = message(read(&[("r/a.conf", &rule(1, name))], &[("r/d.data", "one")]));
        assert!(shown.contains("r/a.conf:1:27"), "{shown}");
    }
}

#[test]
fn an_include_that_is_missing_leads_out_or_returns_to_itself_is_refused_at_its_place() {
    let shown = |include: &str, data: &[(&str, &str)]| message(read(&[("r/a.conf", include)], data));
    for (include, part) in [
        ("Include gone.conf", "not among"),
        ("Include ../../x", "outside the root"),
        ("Include /etc/passwd", "not a relative file name"),
        ("Include *.none", "no file matches"),
    ] {
        let shown = shown(include, &[("r/b.conf", "")]);
        assert!(shown.starts_with("r/a.conf:1:9: error") && shown.contains(part), "{shown}");
    }
    let looping = shown("Include b.conf", &[("r/b.conf", "Include c.conf"), ("r/c.conf", "Include b.conf")]);
    assert!(looping.starts_with("r/c.conf:1:9: error: \"r/b.conf\" includes itself"), "{looping}");
    let glob = message(parse(&text("Include *.conf".into()), &NoSources));
    assert!(glob.contains("cannot be expanded here"), "{glob}");
}

#[test]
fn includes_may_be_as_deep_as_the_limit_and_no_deeper() {
    let nested = |depth: usize| {
        let names: Vec<String> = (1..=depth).map(|level| format!("f{level}")).collect();
        let texts: Vec<String> = (1..=depth)
            .map(|level| if level < depth { format!("Include f{}", level + 1) } else { String::new() })
            .collect();
        let data: Vec<(&str, &str)> =
            names.iter().zip(&texts).map(|(name, text)| (name.as_str(), text.as_str())).collect();
        read(&[("a.conf", "Include f1")], &data)
    };
    assert!(nested(MAX_INCLUDE_DEPTH - 1).is_ok());
    assert!(nested(MAX_INCLUDE_DEPTH).is_ok());
    let shown = message(nested(MAX_INCLUDE_DEPTH + 1));
    assert!(shown.starts_with("f16:1:9: error: files include one another deeper than 16 levels"), "{shown}");
}

#[test]
fn as_many_files_as_are_allowed_are_read_and_includes_cannot_multiply() {
    let include = |count: usize| read(&[("a.conf", &"Include b\n".repeat(count))], &[("b", "")]);
    assert!(include(MAX_FILES - 2).is_ok());
    assert!(include(MAX_FILES - 1).is_ok());
    assert!(message(include(MAX_FILES)).contains("is file number 1001; 1000 are allowed"));

    let limits = Limits { files: 3, ..Limits::default() };
    let rule_set =
        rule_set(&[("a", "SecRule ARGS \"@pmFromFile d\" id:1"), ("b", "")], &[("d", ""), ("e", "")]);
    let sources = RuleSetSources::new(&rule_set);
    let mut roots = sources.roots();
    assert!(parse_with(&roots, &sources, limits).is_ok());
    roots.push(Source { name: "c".into(), text: String::new() });
    assert!(message(parse_with(&roots, &sources, limits)).contains("c:1:1: error: \"c\" is file number 4"));
    let bomb: Vec<(String, String)> = (0..MAX_INCLUDE_DEPTH)
        .map(|n| (format!("f{n}"), format!("Include f{0}\nInclude f{0}\n", n + 1)))
        .collect();
    let data: Vec<(&str, &str)> = bomb.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    assert!(read(&[("a", "Include f0")], &data).is_err());
    assert!(message(read(&[("a", &"Include *.none\n".repeat(MAX_FILES + 1))], &[])).contains("and 937 more"));
}

#[test]
fn the_bytes_of_all_files_together_are_limited() {
    let limits = Limits { total_bytes: 100, ..Limits::default() };
    let at = |first: usize, second: usize| {
        let mut roots = text("#".repeat(first));
        roots.extend(text("#".repeat(second)));
        parse_with(&roots, &NoSources, limits)
    };
    assert!(at(50, 49).is_ok());
    assert!(at(50, 50).is_ok());
    assert!(message(at(50, 51)).contains("has 101 bytes; 100 are allowed"));
    let full = parse(&text("#\n".repeat(MAX_TOTAL_BYTES / 2)), &NoSources);
    assert!(full.is_ok());
    assert!(parse(&text("#".repeat(MAX_TOTAL_BYTES + 1)), &NoSources).is_err());
}

#[test]
fn the_bytes_of_one_directive_are_limited_with_its_continuation_lines() {
    let directive = |bytes: usize| {
        let head = "SecMarker \"";
        let (first, second) = (bytes / 2, bytes - bytes / 2);
        format!("{head}{}\\\n{}\"\nSecMarker b", "a".repeat(first - head.len()), "a".repeat(second - 1))
    };
    assert!(parse(&text(directive(MAX_DIRECTIVE_BYTES - 1)), &NoSources).is_ok());
    assert!(parse(&text(directive(MAX_DIRECTIVE_BYTES)), &NoSources).is_ok());
    let shown = message(parse(&text(directive(MAX_DIRECTIVE_BYTES + 1)), &NoSources));
    assert!(
        shown.starts_with("t.conf:1:1: error: a directive of 131073 bytes; 131072 are allowed"),
        "{shown}"
    );
}

#[test]
fn rules_are_counted_with_links_and_actions() {
    let rules = |count: usize| -> String { (1..=count).map(|id| format!("SecAction id:{id}\n")).collect() };
    assert!(parse(&text(rules(MAX_RULES - 1)), &NoSources).is_ok());
    assert!(parse(&text(rules(MAX_RULES)), &NoSources).is_ok());
    assert!(message(parse(&text(rules(MAX_RULES + 1)), &NoSources)).contains("more than 20000 rules"));
    let limits = Limits { rules: 2, ..Limits::default() };
    let chain = "SecRule ARGS a \"id:1,chain\"\nSecRule ARGS b \"chain\"\nSecRule ARGS c";
    assert!(message(parse_with(&text(chain.into()), &NoSources, limits)).contains("more than 2 rules"));
}

#[test]
fn targets_and_actions_of_one_rule_are_limited() {
    let targets = |count: usize| format!("SecRule {} x id:1", vec!["ARGS"; count].join("|"));
    let actions = |count: usize| format!("SecAction \"id:1{}\"", ",t:none".repeat(count - 1));
    for (rule, most, what) in
        [(&targets as &dyn Fn(usize) -> String, MAX_TARGETS, "targets"), (&actions, MAX_ACTIONS, "actions")]
    {
        assert!(parse(&text(rule(most - 1)), &NoSources).is_ok(), "one under");
        assert!(parse(&text(rule(most)), &NoSources).is_ok(), "at the limit");
        let shown = message(parse(&text(rule(most + 1)), &NoSources));
        assert!(shown.starts_with(&format!("t.conf:1:1: error: a rule of {} {what}", most + 1)), "{shown}");
    }
}

#[test]
fn directives_and_their_parts_are_counted_over_all_files_and_reading_ends_at_once() {
    let markers = |count: usize| parse(&text("SecMarker a\n".repeat(count)), &NoSources);
    assert!(markers(MAX_DIRECTIVES - 1).is_ok());
    assert!(markers(MAX_DIRECTIVES).is_ok());
    let shown = message(markers(MAX_DIRECTIVES + 100));
    let first = format!("t.conf:{}:1: error: more than 100000 directives", MAX_DIRECTIVES + 1);
    assert!(shown.starts_with(&first) && !shown.contains("more than 100000 directives\nand"), "{shown}");

    let limits = Limits { parts: 10, ..Limits::default() };
    for (rules, parts) in [
        ("SecRule ARGS|FILES a id:1,t:none", 5),
        ("SecAction \"id:1,msg:'a %{TX.a} b'\"", 5),
        ("SecRuleRemoveById 1 2 3 4-9 5", 5),
        ("SecDefaultAction phase:2,pass,log,t:none,t:none", 5),
        ("SecRuleUpdateTargetById 1 !ARGS:a,!ARGS:b,!ARGS:c,!ARGS:d,!ARGS:e", 5),
    ] {
        let again = rules.replace("id:1", "id:2").replace("phase:2", "phase:3");
        let twice = format!("{rules}\n{again}\n");
        assert!(parse_with(&text(twice.clone()), &NoSources, limits).is_ok(), "{rules} has {parts}");
        let shown = message(parse_with(&text(twice + "SecAction id:9"), &NoSources, limits));
        assert!(shown.contains("t.conf:3:1: error: more than 10 targets and actions"), "{rules}: {shown}");
    }
}

#[test]
fn names_of_files_are_short_and_few() {
    let name = |bytes: usize| "n".repeat(bytes);
    let include = |bytes: usize| {
        let name = name(bytes);
        read(&[("a.conf", &format!("Include {name}"))], &[(&name, "")])
    };
    assert!(include(MAX_NAME_BYTES - 1).is_ok());
    assert!(include(MAX_NAME_BYTES).is_ok());
    assert!(
        message(include(MAX_NAME_BYTES + 1)).contains("a.conf:1:9: error: a name has at most 1024 bytes")
    );
    let star = format!("Include {}*", "*a".repeat(MAX_NAME_BYTES));
    assert!(message(read(&[("a.conf", &star)], &[])).contains("at most 1024 bytes"));

    let rule = |names: String| {
        read(&[("a.conf", &format!("SecRule ARGS \"@pmFromFile {names}\" id:1"))], &[("d", "one")])
    };
    let files = |count: usize| rule(vec!["d"; count].join(" "));
    assert!(files(MAX_OPERATOR_FILES - 1).is_ok());
    assert!(files(MAX_OPERATOR_FILES).is_ok());
    assert!(message(files(MAX_OPERATOR_FILES + 1)).contains("101 files; 100 are allowed"));
    assert!(message(rule(name(MAX_NAME_BYTES + 1))).contains("at most 1024 bytes"));
}

#[test]
fn a_pattern_over_too_many_files_is_refused_before_it_is_compared() {
    let names: Vec<String> = (0..=MAX_FILES).map(|number| format!("f{number}")).collect();
    let expand = |count: usize| {
        let data: Vec<(&str, &str)> = names.iter().take(count).map(|name| (name.as_str(), "")).collect();
        message(read(&[("a.conf", "Include *.none")], &data))
    };
    assert!(expand(MAX_FILES).contains("no file matches"));
    assert!(expand(MAX_FILES + 1).contains("1001 files in spec.data; 1000 are allowed"));
}
