//! How much is told of a match, a refusal and a faulty rule set: at each limit, under it and over it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout
)]

mod exchange;

use exchange::{compile, engine, get, policy};
use palisade_waf::limits::{MESSAGE_BYTES, TARGET_NAME_BYTES};

#[test]
fn a_message_is_told_up_to_its_limit() {
    for (length, whole) in [(MESSAGE_BYTES - 1, true), (MESSAGE_BYTES, true), (MESSAGE_BYTES + 1, false)] {
        let message = "m".repeat(length);
        let text = format!("SecAction \"id:1,phase:1,pass,msg:'{message}',tag:'{message}'\"");
        let found = get("/").run(&engine(&text)).matches.remove(0);
        for told in [&found.message, &found.tags[0]] {
            assert_eq!(*told == message, whole, "{length}");
            assert!(whole || told.len() == MESSAGE_BYTES + '…'.len_utf8(), "{length}");
        }
    }
}

#[test]
fn the_name_of_a_target_is_told_up_to_its_limit() {
    let engine = engine("SecRule ARGS \"@streq x\" \"id:1,phase:1,pass\"");
    for (length, whole) in
        [(TARGET_NAME_BYTES - 1, true), (TARGET_NAME_BYTES, true), (TARGET_NAME_BYTES + 1, false)]
    {
        let name = "n".repeat(length - "ARGS:".len());
        let found = get(&format!("/?{name}=x")).run(&engine).matches.remove(0);
        assert_eq!(found.target == format!("ARGS:{name}"), whole, "{length}");
        assert!(whole || found.target.ends_with('…') && found.target.len() < length + 3, "{length}");
    }
}

#[test]
fn a_refusal_names_the_first_eight_matches_and_counts_the_rest() {
    for (count, more) in [(7, ""), (8, ""), (9, "; and 1 more"), (12, "; and 4 more")] {
        let each = |id| format!("SecAction \"id:{id},phase:1,pass,msg:'Note{id}'\"\n");
        let rules: String = (1..=count).map(each).collect();
        let text = format!("{rules}SecAction \"id:100,phase:1,deny,msg:'end'\"");
        let interruption = get("/").run(&engine(&text)).interruption.unwrap();
        let named = interruption.explanation.matches(" Note").count();
        assert_eq!(named, count.min(8), "{}", interruption.explanation);
        assert_eq!(interruption.explanation.contains(" more"), !more.is_empty());
        assert!(interruption.explanation.ends_with(more), "{}", interruption.explanation);
    }
}

#[test]
fn problems_are_told_up_to_their_limit_and_the_rest_is_counted() {
    for (count, more) in [(63, None), (64, None), (65, Some("and 1 more problems"))] {
        let each = |id| format!("SecRule ARGS \"@ipMatch nowhere\" \"id:{id},pass\"\n");
        let rules: String = (1..=count).map(each).collect();
        let error = compile(&rules, &policy()).unwrap_err().to_string();
        assert_eq!(error.matches("neither an IP address").count(), count.min(64), "{count}");
        assert_eq!(error.contains(" more problems"), more.is_some());
        assert!(more.is_none_or(|more| error.ends_with(more)), "{count}");
    }
}
