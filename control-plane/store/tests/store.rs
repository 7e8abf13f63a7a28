//! What the store promises, on a real file and in memory.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeSet;

use palisade_model::{Principal, WorkloadId};
use palisade_store::{
    Change, DocumentKey, EventQuery, JoinTokenRecord, MAX_QUERY_ROWS, NewAuditEntry, NewEvent, Origin,
    Outcome, Role, SidecarStatus, Spent, Store, TokenRecord,
};

fn put(name: &str, body: &str) -> Change {
    let key = DocumentKey::local("AuthorizationPolicy", "shop", name);
    Change { key, origin: Origin::Rest, body: Some(body.to_owned()) }
}

async fn on_file() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("palisade.db")).await.unwrap();
    (folder, store)
}

#[tokio::test]
async fn a_document_survives_reopening_and_its_file_is_private() {
    use std::os::unix::fs::PermissionsExt;
    let (folder, store) = on_file().await;
    store.change(&[put("web", "one")], "ada", 1).await.unwrap();
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{:?}", entry.file_name());
    }
    drop(store);
    let again = Store::open(&folder.path().join("palisade.db")).await.unwrap();
    let documents = again.documents().await.unwrap();
    assert_eq!(documents.len(), 1);
    assert_eq!((documents[0].body.as_str(), documents[0].revision), ("one", 1));
}

#[tokio::test]
async fn every_change_has_a_revision_with_its_author() {
    let store = Store::memory().await.unwrap();
    let key = put("web", "").key;
    store.change(&[put("web", "one")], "ada", 10).await.unwrap();
    store.change(&[put("web", "two")], "bob", 20).await.unwrap();
    let delete = Change { body: None, ..put("web", "") };
    assert_eq!(store.change(&[delete], "eve", 30).await.unwrap(), 3);
    let revisions = store.revisions(&key, 10).await.unwrap();
    let seen: Vec<_> = revisions
        .iter()
        .map(|r| (r.revision, r.author.as_str(), r.action.as_str(), r.body.as_deref(), r.time_ms))
        .collect();
    let expected = [
        (3, "eve", "delete", None, 30),
        (2, "bob", "put", Some("two"), 20),
        (1, "ada", "put", Some("one"), 10),
    ];
    assert_eq!(seen, expected);
    assert!(store.documents().await.unwrap().is_empty());
    assert_eq!(store.last_revision().await.unwrap(), 3);
}

#[tokio::test]
async fn changes_are_made_all_or_none() {
    let (_folder, store) = on_file().await;
    store.change(&[put("a", "1"), put("b", "1")], "ada", 1).await.unwrap();
    assert_eq!(store.documents().await.unwrap().len(), 2);
    // An empty set takes no number.
    assert_eq!(store.change(&[], "ada", 1).await.unwrap(), 2);
    assert_eq!(store.last_revision().await.unwrap(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_changes_never_share_a_revision_number() {
    let (_folder, store) = on_file().await;
    let mut tasks = Vec::new();
    for task in 0..8 {
        let store = store.clone();
        tasks.push(tokio::spawn(async move {
            let mut given = Vec::new();
            for round in 0..10 {
                let change = put(&format!("p{task}"), &round.to_string());
                given.push(store.change(&[change], "ada", 1).await.unwrap());
            }
            given
        }));
    }
    let mut given = BTreeSet::new();
    for task in tasks {
        for number in task.await.unwrap() {
            assert!(given.insert(number), "{number} was given twice");
        }
    }
    assert_eq!(given, (1..=80).collect());
}

fn join_token(uses_left: i64, expires_ms: i64) -> JoinTokenRecord {
    JoinTokenRecord {
        digest: "d".repeat(64),
        workload: WorkloadId::local("shop", "web-1"),
        principal: Principal::new("mesh.example", "shop", "web").unwrap(),
        author: "ada".to_owned(),
        expires_ms,
        uses_left,
    }
}

#[tokio::test]
async fn a_join_token_counts_its_uses_and_expires() {
    let store = Store::memory().await.unwrap();
    let token = join_token(2, 100);
    store.add_join_token(&token).await.unwrap();
    assert_eq!(store.spend_join_token("unknown", 1).await.unwrap(), Spent::Unknown);
    let after = |uses_left| Spent::Good(JoinTokenRecord { uses_left, ..token.clone() });
    assert_eq!(store.spend_join_token(&token.digest, 1).await.unwrap(), after(1));
    assert_eq!(store.spend_join_token(&token.digest, 100).await.unwrap(), Spent::Expired);
    assert_eq!(store.spend_join_token(&token.digest, 99).await.unwrap(), after(0));
    assert_eq!(store.spend_join_token(&token.digest, 99).await.unwrap(), Spent::UsedUp);
    assert_eq!(store.remove_dead_join_tokens(1).await.unwrap(), 1);
    assert_eq!(store.spend_join_token(&token.digest, 1).await.unwrap(), Spent::Unknown);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_that_want_the_last_use_exactly_one_gets_it() {
    let (_folder, store) = on_file().await;
    let token = join_token(1, 100);
    store.add_join_token(&token).await.unwrap();
    let start = std::sync::Arc::new(tokio::sync::Barrier::new(8));
    let mut tasks = Vec::new();
    for _ in 0..8 {
        let (store, digest, start) = (store.clone(), token.digest.clone(), start.clone());
        tasks.push(tokio::spawn(async move {
            start.wait().await;
            store.spend_join_token(&digest, 1).await.unwrap()
        }));
    }
    let (mut good, mut used_up) = (0, 0);
    for task in tasks {
        match task.await.unwrap() {
            Spent::Good(_) => good += 1,
            Spent::UsedUp => used_up += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((good, used_up), (1, 7));
}

fn event(number: usize) -> NewEvent {
    NewEvent {
        reference: format!("ref-{number}"),
        time_ms: number as i64,
        workload: WorkloadId::local("shop", if number.is_multiple_of(2) { "even" } else { "odd" }),
        reason: "waf_request".to_owned(),
        record: "{}".to_owned(),
    }
}

#[tokio::test]
async fn the_event_ring_holds_its_bound_and_drops_the_oldest() {
    let store = Store::memory().await.unwrap().with_rings(5, 5);
    let all = EventQuery { limit: 100, ..EventQuery::default() };
    for number in 0..5 {
        store.add_events(&[event(number)]).await.unwrap();
    }
    assert_eq!(store.events(&all).await.unwrap().len(), 5, "at the bound nothing is dropped");
    store.add_events(&[event(5)]).await.unwrap();
    let kept: Vec<String> =
        store.events(&all).await.unwrap().into_iter().map(|event| event.reference).collect();
    assert_eq!(kept, ["ref-5", "ref-4", "ref-3", "ref-2", "ref-1"]);
    // One batch larger than the ring.
    store.add_events(&(10..20).map(event).collect::<Vec<_>>()).await.unwrap();
    assert_eq!(store.events(&all).await.unwrap().len(), 5);
    store.add_events(&[]).await.unwrap();
}

#[tokio::test]
async fn events_are_found_by_reference_and_by_workload() {
    let store = Store::memory().await.unwrap();
    store.add_events(&(0..10).map(event).collect::<Vec<_>>()).await.unwrap();
    let by_reference =
        EventQuery { reference: Some("ref-7".to_owned()), limit: 100, ..EventQuery::default() };
    let found = store.events(&by_reference).await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].time_ms, 7);
    let by_workload = EventQuery {
        namespace: Some("shop".to_owned()),
        name: Some("even".to_owned()),
        limit: 3,
        ..EventQuery::default()
    };
    let times: Vec<i64> = store.events(&by_workload).await.unwrap().iter().map(|e| e.time_ms).collect();
    assert_eq!(times, [8, 6, 4]);
    // A quote is data.
    let hostile = EventQuery { reference: Some("' OR 1=1 --".to_owned()), limit: 5, ..EventQuery::default() };
    assert!(store.events(&hostile).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_question_is_answered_with_a_bounded_number_of_rows() {
    let store = Store::memory().await.unwrap();
    let count = MAX_QUERY_ROWS as usize + 1;
    store.add_events(&(0..count).map(event).collect::<Vec<_>>()).await.unwrap();
    for (limit, expected) in [
        (MAX_QUERY_ROWS - 1, MAX_QUERY_ROWS - 1),
        (MAX_QUERY_ROWS, MAX_QUERY_ROWS),
        (i64::MAX, MAX_QUERY_ROWS),
        (-1, 0),
    ] {
        let query = EventQuery { limit, ..EventQuery::default() };
        assert_eq!(store.events(&query).await.unwrap().len() as i64, expected, "limit {limit}");
    }
}

fn attempt(outcome: Outcome, object: &str) -> NewAuditEntry {
    NewAuditEntry {
        time_ms: 1,
        actor: "ada".to_owned(),
        action: "document.put".to_owned(),
        object: object.to_owned(),
        outcome,
        detail: String::new(),
    }
}

#[tokio::test]
async fn refused_attempts_are_bounded_and_never_push_out_what_was_done() {
    let store = Store::memory().await.unwrap().with_rings(5, 3);
    store.audit(&attempt(Outcome::Done, "first")).await.unwrap();
    for number in 0..10 {
        store.audit(&attempt(Outcome::Refused, &number.to_string())).await.unwrap();
    }
    let kept: Vec<String> =
        store.audit_entries(None, 100).await.unwrap().into_iter().map(|entry| entry.object).collect();
    assert_eq!(kept, ["9", "8", "7", "first"]);
    let older = store.audit_entries(Some(10), 100).await.unwrap();
    assert_eq!(older.len(), 2, "paging continues before the number given: {older:?}");
}

#[tokio::test]
async fn a_token_is_found_by_digest_until_it_expires_or_is_removed() {
    let store = Store::memory().await.unwrap();
    let token = TokenRecord {
        id: "t1".to_owned(),
        digest: "abc".to_owned(),
        role: Role::Editor,
        namespace: Some("shop".to_owned()),
        description: "ci".to_owned(),
        created_ms: 1,
        expires_ms: Some(100),
    };
    store.add_token(&token).await.unwrap();
    assert_eq!(store.token_by_digest("abc", 99).await.unwrap(), Some(token.clone()));
    assert_eq!(store.token_by_digest("abc", 100).await.unwrap(), None);
    assert_eq!(store.token_by_digest("abd", 1).await.unwrap(), None);
    assert_eq!(store.tokens().await.unwrap(), [token]);
    assert!(store.remove_token("t1").await.unwrap());
    assert!(!store.remove_token("t1").await.unwrap());
    assert_eq!(store.token_by_digest("abc", 1).await.unwrap(), None);
}

#[test]
fn roles_are_ordered_and_have_names() {
    assert!(Role::Viewer < Role::Editor && Role::Editor < Role::Approver && Role::Approver < Role::Admin);
    for role in Role::ALL {
        assert_eq!(role.as_str().parse::<Role>().unwrap(), role);
    }
    assert!("root".parse::<Role>().is_err());
}

#[tokio::test]
async fn a_sidecar_has_one_last_word_of_bounded_length() {
    let store = Store::memory().await.unwrap();
    let mut status = SidecarStatus {
        workload: WorkloadId::local("shop", "web-1"),
        version: "v1".to_owned(),
        acked: true,
        error: String::new(),
        last_seen_ms: 1,
    };
    store.report_sidecar(&status).await.unwrap();
    status.acked = false;
    status.version = "v2".to_owned();
    status.error = "é".repeat(4096);
    store.report_sidecar(&status).await.unwrap();
    let seen = store.sidecars().await.unwrap();
    assert_eq!(seen.len(), 1);
    assert_eq!((seen[0].version.as_str(), seen[0].acked), ("v2", false));
    assert_eq!(seen[0].error.len(), 4096);
}

#[tokio::test]
async fn a_file_that_is_no_database_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("palisade.db");
    std::fs::write(&path, "this is not a database, only text that is long enough to be read as a header")
        .unwrap();
    assert!(Store::open(&path).await.is_err());
    assert!(Store::open(&folder.path().join("no/such/folder.db")).await.is_err());
}
