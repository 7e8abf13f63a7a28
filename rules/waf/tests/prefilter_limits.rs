//! At each limit of the fast path, under it and over it, it agrees with the straightforward evaluation.
//!
//! The limits are the fast path's own (`rules/waf/src/prefilter`) and change with it: each case goes over a range that
//! holds the number that is named beside it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout
)]

mod exchange;

use std::sync::Arc;

use exchange::{Exchange, form, get, policy, rule_set};
use palisade_model::documents::SourceFile;
use palisade_waf::Engine;

/// The fast engine and the straightforward one.
struct Pair([Arc<Engine>; 2]);

impl Pair {
    fn of(text: &str, data: &[(&str, String)]) -> Self {
        let mut set = rule_set(vec![SourceFile { name: "test.conf".into(), text: text.into() }]);
        set.spec.data = data.iter().map(|(name, text)| ((*name).to_owned(), text.clone())).collect();
        let mut policy = policy();
        policy.request_body.max_bytes = 1 << 20;
        Self([
            Arc::new(Engine::compile(&set, &policy).unwrap()),
            Arc::new(Engine::compile_slow(&set, &policy).unwrap()),
        ])
    }

    fn matches(&self, exchange: &Exchange) -> usize {
        let [fast, slow] = self.0.each_ref().map(|engine| exchange.run(engine));
        fast.assert_same_as(&slow, exchange);
        slow.matches.len()
    }

    /// Of these values of an argument, how many match.
    fn values(&self, values: &[String]) -> usize {
        values.iter().map(|value| self.matches(&form("/", &format!("a={value}")))).sum()
    }
}

fn rx(pattern: &str) -> Pair {
    Pair::of(&format!("SecRule ARGS \"@rx {pattern}\" \"id:1,phase:2,pass,t:lowercase\""), &[])
}

/// So many different letters.
fn letters(count: usize) -> String {
    (0..count).map(|at| char::from(b'a' + (at * 7 % 26) as u8)).collect()
}

#[test]
fn literals_around_the_bytes_that_are_kept_of_one() {
    // 16 bytes of a literal, 64 of a text in an exact set.
    for length in (13..=19).chain(61..=67) {
        let text = letters(length);
        let values = [text.clone(), format!("x{text}y"), letters(length - 1), letters(16), letters(64)];
        assert!(rx(&text).values(&values) >= 2, "{length}");
        assert!(rx(&format!("(?:{text}|{text}q)z?")).values(&values) >= 2, "{length}");
    }
}

#[test]
fn alternations_classes_and_repetitions_around_what_is_written_out() {
    // 4,096 texts of a set.
    for count in 4094..=4098 {
        let words: Vec<String> = (0..count).map(|word| format!("w{word:x}q")).collect();
        let values = ["wfq".to_owned(), format!("w{:x}q", count - 1), "wq".to_owned()];
        assert_eq!(rx(&format!("(?:{})", words.join("|"))).values(&values), 2, "{count}");
    }
    // 256 texts that come of joining sets.
    for (left, right) in [(15, 17), (16, 16), (1, 257), (16, 17), (17, 17)] {
        let set = |mark: &str, count: usize| {
            let words: Vec<String> = (0..count).map(|word| format!("{mark}{word:02x}")).collect();
            format!("(?:{})", words.join("|"))
        };
        let pair = rx(&format!("{}{}", set("q", left), set("z", right)));
        let last = format!("q{:02x}z{:02x}", left - 1, right - 1);
        assert_eq!(pair.values(&["q00z00".into(), last, "q00".into(), "z00".into()]), 2, "{left} {right}");
    }
    // 8 bytes of a class.
    for last in b'f'..=b'j' {
        let last = char::from(last);
        let pair = rx(&format!("[a-{last}]zq[a-{last}]"));
        assert_eq!(pair.values(&["azqa".into(), format!("{last}zqb"), "kzqa".into()]), 2, "{last}");
    }
    // 4 repetitions.
    for count in 2..=6 {
        let pair = rx(&format!("(?:zq){{{count}}}x"));
        let values = [format!("{}x", "zq".repeat(count)), format!("{}x", "zq".repeat(count - 1))];
        assert_eq!(pair.values(&values), 1, "{count}");
    }
}

#[test]
fn clauses_around_how_many_are_kept() {
    // 3 clauses of one operator.
    let words = ["alpha", "bravo", "charlie", "delta", "echo"];
    for count in 1..=words.len() {
        let pair = rx(&words[..count].join(".*"));
        let whole = words[..count].join("-");
        let lacking = words[..count - 1].join("-");
        assert_eq!(pair.values(&[whole, lacking, words[count - 1..].concat()]), 1 + usize::from(count == 1));
    }
}

#[test]
fn chains_of_transformations_around_the_longest() {
    // 64 transformations of one chain.
    for length in 62..=67 {
        let chain: Vec<&str> =
            ["t:urlDecodeUni", "t:lowercase", "t:removeNulls"].into_iter().cycle().take(length).collect();
        let rule = |id: usize, chain: &[&str]| {
            format!("SecRule ARGS \"@rx union\" \"id:{id},phase:2,pass,{}\"\n", chain.join(","))
        };
        let text = rule(1, &chain) + &rule(2, &chain[..length - 1]) + &rule(3, &chain[1..]);
        let pair = Pair::of(&text, &[]);
        assert_eq!(pair.values(&["%2555NION".into(), "un%00ion".into(), "uni%2500on".into()]), 9, "{length}");
    }
}

#[test]
fn texts_around_the_length_from_which_their_bytes_are_listed() {
    // 512 bytes.
    let pair = rx("q[0-9]z");
    for length in 506..=514 {
        let long = "x".repeat(length);
        assert_eq!(pair.values(&[long.clone() + "q7z", long.clone() + "q7", long]), 1, "{length}");
    }
}

#[test]
fn phrases_around_how_many_one_automaton_has() {
    // 65,536 literals.
    for count in [65_535, 65_536, 65_537] {
        let phrases: Vec<String> = (0..count).map(|phrase| format!("{phrase:05x}")).collect();
        let rules = "SecRule ARGS \"@pmFromFile p.data\" \"id:1,phase:2,pass\"\nSecRule ARGS \"@rx (?i)zzunion\" \"id:2,phase:2,pass\"";
        let pair = Pair::of(rules, &[("p.data", phrases.join("\n"))]);
        let values = ["00000".to_owned(), format!("{:05x}", count - 1), "zzUnion".into(), "zz".into()];
        assert_eq!(pair.values(&values), 3, "{count}");
    }
}

#[test]
fn texts_around_how_many_are_known() {
    // 4,096 texts that came in: names and values. Of arguments and cookies there are at most a thousand each.
    const TARGETS: &str =
        "ARGS|ARGS_NAMES|REQUEST_COOKIES|REQUEST_COOKIES_NAMES|REQUEST_HEADERS|REQUEST_HEADERS_NAMES";
    let text = format!(
        "SecRule {TARGETS} \"@rx q1z\" \"id:1,phase:2,pass,t:lowercase\"\n\
         SecRule {TARGETS} \"@contains last\" \"id:2,phase:2,pass,t:urlDecodeUni\"\n\
         SecRule {TARGETS} \"@rx x-0?99\" \"id:3,phase:2,pass,t:removeNulls,t:lowercase\""
    );
    let pair = Pair::of(&text, &[]);
    let pairs = |mark: &str, count: usize| -> Vec<String> {
        (0..count).map(|number| format!("{mark}{number}={mark}v{number}")).collect()
    };
    for headers in [0, 40, 46, 47, 48, 49, 50, 51, 52, 99] {
        let mut exchange = form("/?last=Q1Z", &pairs("a", 990).join("&"));
        exchange = exchange.header("Cookie", &pairs("c", 1000).join("; "));
        for number in 0..headers {
            exchange = exchange.header(&format!("X-{number:03}"), &format!("v{number}"));
        }
        let exchange = exchange.header("X-099", "Q1Z last");
        assert_eq!(pair.matches(&exchange), 3, "{headers}");
    }
    assert_eq!(pair.matches(&get("/?a=b")), 0);
}

#[test]
fn long_texts_around_the_rules_for_which_they_are_scanned() {
    // Texts over 2 KiB, and one look a byte for six rules; crowded literals take up to 64 looks.
    let crowd: Vec<String> = (0..80).map(|word| format!("abc{word:02}x")).collect();
    for rules in (1..=8).chain(12..=19) {
        let rule = |number: usize| {
            let target = ["REQUEST_HEADERS:X-Long", "REQUEST_HEADERS", "REQUEST_HEADERS|ARGS"][number % 3];
            let chain = ["t:none", "t:lowercase", "t:urlDecodeUni", "t:urlDecodeUni,t:lowercase"][number % 4];
            let words = crowd.join(" ");
            format!(
                "SecRule {target} \"@pm needle{number}z {words}\" \"id:{},phase:2,pass,{chain}\"\n",
                number + 1
            )
        };
        let pair = Pair::of(&(0..rules).map(rule).collect::<String>(), &[]);
        for filler in ["plain text, ", "abc", "aBC%2541+"] {
            for bytes in [2047, 2048, 2049, 9000] {
                let text = &filler.repeat(bytes / filler.len() + 1)[..bytes];
                let sent = |end: &str| get("/").header("X-Long", &format!("{text}{end}"));
                assert_eq!(pair.matches(&sent("")), 0, "{rules} {filler} {bytes}");
                let last = format!("NEEDLE{}z", rules - 1);
                assert_eq!(pair.matches(&sent(&last)), 1, "{rules} {filler} {bytes}");
                assert_eq!(pair.matches(&sent(" abc07x needle0z")), rules, "{rules} {filler} {bytes}");
            }
        }
    }
}
