//! `initcol`, `setsid`, `setuid`, `setrsc`, `expirevar`, `SecCollectionTimeout`: what outlives a transaction, by the time
//! that is passed in.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout
)]

mod exchange;

use std::sync::Arc;

use exchange::{compile, connection, engine, get, policy};
use palisade_waf::persistent::{Collections, KEY_BYTES, RECORD_VARIABLES};
use palisade_waf::{Engine, Transaction};

const START: u64 = 1_767_225_600_000;

/// Sends a GET for `uri` from a client, `seconds` after the start; the ids that match in phases 1 and 5.
fn visit(engine: &Arc<Engine>, kept: &Arc<Collections>, client: u8, uri: &str, seconds: u64) -> Vec<u64> {
    let mut connection = connection();
    connection.client = format!("192.0.2.{client}:4711").parse().unwrap();
    let head = get(uri).head();
    let mut transaction =
        Transaction::begin(engine.clone(), &connection, &head, START + seconds * 1000, "reference");
    transaction.keep_in(kept);
    transaction.request_headers();
    transaction.logging();
    transaction.matches().iter().map(|found| found.id).collect()
}

/// Counts the requests of a client, and says so from the fourth on.
const COUNTER: &str = "
    SecAction \"id:1,phase:1,pass,nolog,initcol:ip=%{REMOTE_ADDR}\"
    SecAction \"id:2,phase:1,pass,nolog,setvar:ip.seen=+1,expirevar:ip.seen=60\"
    SecRule IP:SEEN \"@gt 3\" \"id:3,phase:1,deny,status:429\"
";

#[test]
fn a_counter_of_each_client_outlives_transactions_and_engines_and_expires() {
    let (first, second, kept) = (engine(COUNTER), engine(COUNTER), Arc::default());
    for _ in 0..3 {
        assert_eq!(visit(&first, &kept, 1, "/", 0), []);
    }
    assert_eq!(visit(&first, &kept, 1, "/", 59), [3]);
    assert_eq!(visit(&second, &kept, 1, "/", 60), [3], "another engine, the same records");
    assert_eq!(visit(&first, &kept, 2, "/", 59), [], "another client");
    assert_eq!(visit(&second, &kept, 1, "/", 119), [3], "each request sets the expiry anew");
    assert_eq!(visit(&second, &kept, 1, "/", 179), [], "60 seconds of peace");
    assert_eq!(kept.records(), 2);
}

#[test]
fn without_initcol_nothing_is_kept_and_without_collections_everything_ends_with_the_transaction() {
    let kept = Arc::default();
    let rules = "SecAction \"id:2,phase:1,pass,nolog,setvar:ip.seen=+1\"\nSecRule IP:SEEN \"@ge 1\" \"id:3,phase:1,pass\"";
    let alone = engine(rules);
    for _ in 0..3 {
        assert_eq!(visit(&alone, &kept, 1, "/", 0), [3], "it can be read in the transaction");
    }
    assert_eq!(kept.records(), 0);
    let counter = engine(COUNTER);
    for _ in 0..9 {
        assert_eq!(get("/").run(&counter).ids(), Vec::<u64>::new(), "explain and lint keep nothing");
    }
}

#[test]
fn every_collection_opens_with_its_own_action_and_a_record_that_is_only_read_is_not_made() {
    for (open, collection) in [
        ("initcol:ip=a", "IP"),
        ("initcol:global=global", "GLOBAL"),
        ("initcol:resource=%{REQUEST_FILENAME}", "RESOURCE"),
        ("initcol:session=x", "SESSION"),
        ("initcol:user=x", "USER"),
        ("setsid:abc", "SESSION"),
        ("setuid:abc", "USER"),
        ("setrsc:abc", "RESOURCE"),
    ] {
        let rules = format!(
            "SecAction \"id:1,phase:1,pass,nolog,{open}\"
             SecRule ARGS:set \"@rx .\" \"id:2,phase:1,pass,nolog,setvar:{collection}.v=%{{ARGS.set}}\"
             SecRule ARGS:unset \"@rx .\" \"id:4,phase:1,pass,nolog,setvar:!{collection}.v\"
             SecRule {collection}:V \"@streq 7\" \"id:3,phase:5,pass\""
        );
        let (engine, kept) = (engine(&rules), Arc::default());
        assert_eq!(visit(&engine, &kept, 1, "/", 0), [], "{open}");
        assert_eq!(kept.records(), 0, "{open}: nothing was set");
        assert_eq!(visit(&engine, &kept, 1, "/?set=7", 0), [3], "{open}");
        assert_eq!(visit(&engine, &kept, 1, "/", 0), [3], "{open}");
        assert_eq!(visit(&engine, &kept, 1, "/?unset=1", 0), [], "{open}");
        assert_eq!(visit(&engine, &kept, 1, "/", 0), [], "{open}");
        assert_eq!(kept.records(), 0, "{open}: it is gone");
    }
}

#[test]
fn an_unchanged_record_lives_as_long_as_sec_collection_timeout_says() {
    for (directive, seconds) in [("", 3_600), ("SecCollectionTimeout 10", 10)] {
        let (engine, kept) =
            (engine(&format!("{directive}\n{COUNTER}").replace(",expirevar:ip.seen=60", "")), Arc::default());
        for _ in 0..3 {
            visit(&engine, &kept, 1, "/", 0);
        }
        assert_eq!(visit(&engine, &kept, 1, "/", seconds), [], "{seconds}: it is over");
        for _ in 0..3 {
            visit(&engine, &kept, 1, "/", seconds);
        }
        assert_eq!(visit(&engine, &kept, 1, "/", 2 * seconds - 1), [3], "{seconds}: one second before");
    }
}

#[test]
fn the_first_of_a_collection_counts_and_long_keys_are_cut() {
    let rules = "SecAction \"id:1,phase:1,pass,nolog,initcol:ip=%{ARGS.key},initcol:ip=other,setvar:ip.n=+1\"
                 SecRule IP:N \"@ge 2\" \"id:3,phase:1,pass\"";
    let (engine, kept) = (engine(rules), Arc::default());
    let uri = |key: &str| format!("/?key={key}");
    assert_eq!(visit(&engine, &kept, 1, &uri("a"), 0), []);
    assert_eq!(visit(&engine, &kept, 1, &uri("b"), 0), [], "the first key tells them apart");
    assert_eq!(visit(&engine, &kept, 1, &uri("a"), 0), [3]);
    let (at, over) = ("x".repeat(KEY_BYTES), "x".repeat(KEY_BYTES + 1));
    assert_eq!(visit(&engine, &kept, 1, &uri(&at[1..]), 0), [], "one under");
    assert_eq!(visit(&engine, &kept, 1, &uri(&at), 0), [], "at the limit");
    assert_eq!(visit(&engine, &kept, 1, &uri(&over), 0), [3], "one over is the same record");
    assert_eq!(visit(&engine, &kept, 1, "/", 0), [], "without a key `other` is opened");
    assert_eq!(visit(&engine, &kept, 1, "/", 0), [3]);
}

#[test]
fn what_a_record_cannot_hold_stays_in_the_transaction_and_ends_nothing() {
    let rules = "SecAction \"id:1,phase:1,pass,nolog,initcol:ip=a\"
                 SecRule ARGS \"@rx .\" \"id:2,phase:1,pass,nolog,setvar:'ip.%{MATCHED_VAR}=1'\"
                 SecRule &IP \"@gt 64\" \"id:3,phase:1,pass\"
                 SecRule IP:V1 \"@eq 1\" \"id:4,phase:1,pass\"";
    let (engine, kept) = (engine(rules), Arc::default());
    let many: Vec<String> = (1..=RECORD_VARIABLES + 1).map(|number| format!("a=v{number}")).collect();
    assert_eq!(visit(&engine, &kept, 1, &format!("/?{}", many.join("&")), 0), [3, 4]);
    assert_eq!(visit(&engine, &kept, 1, "/", 0), [4], "64 of them were kept");
}

#[test]
fn nothing_in_tx_is_kept_or_expires() {
    for action in ["initcol:tx=a", "expirevar:tx.a=60"] {
        let refused = compile(&format!("SecAction \"id:1,{action}\""), &policy()).unwrap_err().to_string();
        assert!(refused.starts_with("test.conf:1:17: error: TX ends with the transaction"), "{refused}");
    }
}
