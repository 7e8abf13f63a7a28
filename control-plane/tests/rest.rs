//! The REST API: who may what, what is refused and where, what is remembered.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use palisade_control_plane::rest::MAX_BODY_BYTES;
use support::{allow, eventually, house, house_with, workload};

#[tokio::test]
async fn nothing_but_health_answers_without_a_good_token() {
    let house = house().await;
    for path in ["/healthz", "/readyz", "/metrics"] {
        assert_eq!(house.call_as(None, "GET", path, "").await.status, 200, "{path}");
    }
    let calls = [
        ("GET", "/api/v1/documents"),
        ("GET", "/api/v1/documents/RuleSet/shop/x"),
        ("PUT", "/api/v1/documents/RuleSet/shop/x"),
        ("DELETE", "/api/v1/documents/RuleSet/shop/x"),
        ("GET", "/api/v1/documents/RuleSet/shop/x/revisions"),
        ("GET", "/api/v1/workloads"),
        ("GET", "/api/v1/policies/shop/x"),
        ("GET", "/api/v1/status"),
        ("GET", "/api/v1/events"),
        ("POST", "/api/v1/explain"),
        ("GET", "/api/v1/audit"),
        ("GET", "/api/v1/tokens"),
        ("POST", "/api/v1/tokens"),
        ("DELETE", "/api/v1/tokens/x"),
        ("POST", "/api/v1/join-tokens"),
        ("GET", "/api/v1/openapi.json"),
    ];
    let unknown = format!("authorization: Bearer palisade-api:{}\r\n", "0".repeat(64));
    let twice = format!("authorization: Bearer {0}\r\nauthorization: Bearer {0}\r\n", house.token);
    let basic = format!("authorization: Basic {}\r\n", house.token);
    for (method, path) in calls {
        for headers in ["", "authorization: Bearer \r\n", &unknown, &twice, &basic] {
            let answer = house.call_with(headers, method, path, "").await;
            assert_eq!(answer.status, 401, "{method} {path} with {headers:?}");
            assert!(answer.json()["error"].is_string());
        }
    }
}

#[tokio::test]
async fn an_authorization_header_is_read_up_to_256_bytes_and_a_longer_one_refused() {
    let house = house().await;
    for (length, status) in [(255, 200), (256, 200), (257, 401)] {
        // What stands before the token is not the token's.
        let spaces = " ".repeat(length - "Bearer".len() - house.token.len());
        let header = format!("authorization: Bearer{spaces}{}\r\n", house.token);
        let answer = house.call_with(&header, "GET", "/api/v1/documents", "").await;
        assert_eq!(answer.status, status, "{length}: {}", answer.body);
    }
}

#[tokio::test]
async fn every_call_of_the_api_is_described() {
    let house = house().await;
    let description = house.call("GET", "/api/v1/openapi.json", "").await.json();
    let paths = description["paths"].as_object().unwrap();
    for path in [
        "/api/v1/documents",
        "/api/v1/documents/{kind}/{namespace}/{name}",
        "/api/v1/documents/{kind}/{namespace}/{name}/revisions",
        "/api/v1/workloads",
        "/api/v1/policies/{namespace}/{name}",
        "/api/v1/status",
        "/api/v1/events",
        "/api/v1/explain",
        "/api/v1/audit",
        "/api/v1/tokens",
        "/api/v1/tokens/{id}",
        "/api/v1/join-tokens",
        "/readyz",
    ] {
        assert!(paths.contains_key(path), "{path} is not described");
    }
}

#[tokio::test]
async fn a_role_may_do_what_it_is_for_and_no_more() {
    let house = house().await;
    let entry = workload("shop", "web", "web");
    let put = "/api/v1/documents/WorkloadEntry/shop/web";
    let join = r#"{"namespace":"shop","workload":"web"}"#;
    assert_eq!(house.call("PUT", put, &entry).await.status, 200);
    for (role, read, write, administer) in [
        ("viewer", 200, 403, 403),
        ("editor", 200, 200, 403),
        ("approver", 200, 200, 403),
        ("admin", 200, 200, 200),
    ] {
        let token = house.token_of(role, None).await;
        let call = async |method: &str, path: &str, body: &str| {
            house.call_as(Some(&token), method, path, body).await.status
        };
        assert_eq!(call("GET", put, "").await, read, "{role} reads");
        assert_eq!(call("PUT", put, &entry).await, write, "{role} writes");
        assert_eq!(call("GET", "/api/v1/audit", "").await, administer, "{role} reads the audit trail");
        assert_eq!(call("GET", "/api/v1/tokens", "").await, administer, "{role} lists tokens");
        let expected = if administer == 200 { 201 } else { 403 };
        assert_eq!(call("POST", "/api/v1/join-tokens", join).await, expected, "{role} makes join tokens");
    }
    let unknown = house.call("POST", "/api/v1/tokens", r#"{"role":"root"}"#).await;
    assert_eq!((unknown.status, unknown.text("place").as_str()), (400, "role"));
}

#[tokio::test]
async fn a_token_of_a_namespace_neither_sees_nor_changes_another() {
    let house = house().await;
    for namespace in ["shop", "money"] {
        let entry = workload(namespace, "web", "web");
        assert_eq!(house.put("WorkloadEntry", namespace, "web", &entry).await.status, 200);
    }
    let token = house.token_of("admin", Some("shop")).await;
    let call =
        async |method: &str, path: &str, body: &str| house.call_as(Some(&token), method, path, body).await;
    let seen = call("GET", "/api/v1/documents", "").await.body;
    assert!(seen.contains("shop") && !seen.contains("money"), "{seen}");
    let seen = call("GET", "/api/v1/workloads", "").await.body;
    assert!(seen.contains("shop") && !seen.contains("money"), "{seen}");
    let entry = workload("money", "web", "thief");
    for (method, path) in [
        ("GET", "/api/v1/documents/WorkloadEntry/money/web"),
        ("PUT", "/api/v1/documents/WorkloadEntry/money/web"),
        ("DELETE", "/api/v1/documents/WorkloadEntry/money/web"),
        ("GET", "/api/v1/policies/money/web"),
        ("GET", "/api/v1/events?workload=money/web"),
        ("GET", "/api/v1/tokens"),
        ("GET", "/api/v1/audit"),
    ] {
        assert_eq!(call(method, path, &entry).await.status, 403, "{method} {path}");
    }
    let join = call("POST", "/api/v1/join-tokens", r#"{"namespace":"money","workload":"web"}"#).await;
    assert_eq!(join.status, 403);
    // A path of its own namespace does not carry a document of another.
    let smuggled = call("PUT", "/api/v1/documents/WorkloadEntry/shop/web", &entry).await;
    assert_eq!(smuggled.status, 400, "{}", smuggled.body);
}

#[tokio::test]
async fn a_revoked_token_is_refused_at_the_next_call() {
    let house = house().await;
    let made = house.call("POST", "/api/v1/tokens", r#"{"role":"viewer"}"#).await;
    let (id, token) = (made.text("id"), made.text("token"));
    assert_eq!(house.call_as(Some(&token), "GET", "/api/v1/documents", "").await.status, 200);
    assert_eq!(house.call("DELETE", &format!("/api/v1/tokens/{id}"), "").await.status, 204);
    assert_eq!(house.call_as(Some(&token), "GET", "/api/v1/documents", "").await.status, 401);
    let listed = house.call("GET", "/api/v1/tokens", "").await.body;
    assert!(!listed.contains(&house.token) && !listed.contains("digest"), "{listed}");
}

#[tokio::test]
async fn a_bad_document_is_refused_with_its_place_and_nothing_changes() {
    let house = house().await;
    let good = allow("shop", "callers", "web", "/a");
    assert_eq!(house.put("AuthorizationPolicy", "shop", "callers", &good).await.status, 200);
    let typo = good.replace("action: ALLOW", "acton: ALLOW");
    let answer = house.put("AuthorizationPolicy", "shop", "callers", &typo).await;
    assert_eq!(answer.status, 422);
    let place = answer.text("place");
    assert!(place.starts_with("body:6:") || place.contains("spec"), "{place}");
    let field = good.replace("mesh.example/ns/shop/sa/web", "mesh.example/ns/*/sa/web");
    let answer = house.put("AuthorizationPolicy", "shop", "callers", &field).await;
    assert_eq!(answer.status, 422);
    assert!(answer.text("place").contains("spec.rules[0].from[0].source.principals[0]"), "{}", answer.body);
    for (kind, body) in [("AuthorizationPolicy", ""), ("AuthorizationPolicy", "{"), ("Secret", &good)] {
        let status = house.put(kind, "shop", "callers", body).await.status;
        assert!((400..500).contains(&status), "{kind} {body:?} gave {status}");
    }
    let shown = house.call("GET", "/api/v1/documents/AuthorizationPolicy/shop/callers", "").await;
    assert_eq!(shown.json()["revision"], 1);
    assert_eq!(house.call("GET", "/api/v1/status", "").await.json()["revision"], 1);
}

#[tokio::test]
async fn a_revision_and_the_audit_trail_name_the_author_and_every_refused_attempt() {
    let house = house().await;
    let editor = house.call("POST", "/api/v1/tokens", r#"{"role":"editor"}"#).await;
    let viewer = house.call("POST", "/api/v1/tokens", r#"{"role":"viewer"}"#).await;
    let path = "/api/v1/documents/AuthorizationPolicy/shop/callers";
    let body = allow("shop", "callers", "web", "/a");
    assert_eq!(house.call_as(Some(&editor.text("token")), "PUT", path, &body).await.status, 200);
    assert_eq!(house.call_as(Some(&viewer.text("token")), "PUT", path, &body).await.status, 403);
    assert_eq!(house.call_as(Some("palisade-api:no"), "PUT", path, &body).await.status, 401);
    assert_eq!(house.call("DELETE", path, "").await.status, 200);
    assert_eq!(house.call("DELETE", path, "").await.status, 404);
    let revisions = house.call("GET", &format!("{path}/revisions"), "").await.json();
    assert_eq!(revisions[0]["action"], "delete");
    assert_eq!(revisions[1]["author"], editor.text("id"));
    let audit = house.call("GET", "/api/v1/audit", "").await.json();
    let seen: Vec<(String, String, String)> = audit
        .as_array()
        .unwrap()
        .iter()
        .map(|e| {
            [&e["actor"], &e["action"], &e["outcome"]].map(|text| text.as_str().unwrap().to_owned()).into()
        })
        .collect();
    let has = |actor: &str, action: &str, outcome: &str| {
        seen.contains(&(actor.to_owned(), action.to_owned(), outcome.to_owned()))
    };
    assert!(has(&editor.text("id"), "document.put", "done"), "{seen:?}");
    assert!(has(&viewer.text("id"), "document.put", "refused"), "{seen:?}");
    assert!(has("anonymous", "sign-in", "refused"), "{seen:?}");
    assert!(seen.iter().any(|(_, action, outcome)| action == "document.delete" && outcome == "refused"));
    assert!(!audit.to_string().contains(&editor.text("token")));
}

#[tokio::test]
async fn a_bad_file_keeps_the_last_good_directory_and_shows_line_and_column() {
    let entry = workload("shop", "web", "web");
    let house = house_with(&[("a.yaml", &entry), ("b.yaml", &allow("shop", "callers", "web", "/a"))]).await;
    let read = async |path: &str| house.call("GET", path, "").await;
    let policy = read("/api/v1/policies/shop/web").await.body;
    assert!(policy.contains("/a"), "{policy}");
    let document = "/api/v1/documents/AuthorizationPolicy/shop/callers";
    let bad = allow("shop", "callers", "web", "/b").replace("selector", "selectr");
    std::fs::write(house.documents().join("b.yaml"), bad).unwrap();
    let problems = eventually("the problem in the status", async || {
        let status = read("/api/v1/status").await.json();
        let problems = status["directoryProblems"].as_array().unwrap().clone();
        (!problems.is_empty()).then_some(problems)
    })
    .await;
    let place = problems[0]["place"].as_str().unwrap();
    assert!(place.contains("b.yaml:5:"), "{place}");
    assert_eq!(read("/api/v1/policies/shop/web").await.body, policy, "the last good set stays");
    // Documents of the directory are changed there.
    let refused = house.call("PUT", document, &allow("shop", "callers", "web", "/c")).await;
    assert_eq!(refused.status, 409, "{}", refused.body);
    assert_eq!(house.call("DELETE", document, "").await.status, 409);
    // Once it is good again, it is in force, and its revision has an author.
    std::fs::write(house.documents().join("b.yaml"), allow("shop", "callers", "web", "/d")).unwrap();
    eventually("the repaired file in force", async || {
        read("/api/v1/policies/shop/web").await.body.contains("/d").then_some(())
    })
    .await;
    assert_eq!(read("/api/v1/status").await.json()["directoryProblems"].as_array().unwrap().len(), 0);
    let revisions = read(&format!("{document}/revisions")).await.json();
    assert_eq!(revisions[0]["author"], "directory");
}

#[tokio::test]
async fn explain_tells_the_verdict_and_the_rule() {
    let house = house().await;
    house.put("WorkloadEntry", "shop", "web", &workload("shop", "web", "web")).await;
    house.put("AuthorizationPolicy", "shop", "callers", &allow("shop", "callers", "web", "/a")).await;
    let ask = async |principal: &str, path: &str| {
        let question = serde_json::json!({
            "workload": "shop/web", "principal": principal, "host": "web.shop", "path": path,
        });
        let answer = house.call("POST", "/api/v1/explain", &question.to_string()).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.body
    };
    let allowed = ask("mesh.example/ns/shop/sa/web", "/x/../a").await;
    assert!(allowed.contains(r#""verdict":"permit""#) && allowed.contains("callers"), "{allowed}");
    let denied = ask("mesh.example/ns/shop/sa/thief", "/a").await;
    assert!(denied.contains("authorization_not_allowed"), "{denied}");
    let malformed = ask("mesh.example/ns/shop/sa/web", "/a%00").await;
    assert!(malformed.contains("malformed"), "{malformed}");
    let wrong = house.call("POST", "/api/v1/explain", r#"{"workload":"web","host":"a","path":"/"}"#).await;
    assert_eq!((wrong.status, wrong.text("place").as_str()), (400, "workload"));
}

#[tokio::test]
async fn every_error_is_json_even_those_of_the_framework() {
    let house = house().await;
    for (method, path, body, status) in [
        ("GET", "/api/v1/nothing", "", 404),
        ("PATCH", "/api/v1/documents", "", 405),
        ("GET", "/api/v1/events?limit=many", "", 400),
        ("GET", "/api/v1/events?unknown=1", "", 400),
        ("POST", "/api/v1/explain", "{", 400),
        ("POST", "/api/v1/explain", r#"{"workload":"shop/web"}"#, 422),
        ("POST", "/api/v1/tokens", r#"{"role":"viewer","scope":"all"}"#, 422),
        ("POST", "/api/v1/tokens", "role: viewer", 415),
    ] {
        let answer = house.call(method, path, body).await;
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.body);
        assert!(!answer.text("error").is_empty() && answer.json()["place"].is_string(), "{}", answer.body);
    }
}

#[tokio::test]
async fn the_body_limit_is_exact() {
    let house = house().await;
    for (length, status) in [(MAX_BODY_BYTES - 1, 422), (MAX_BODY_BYTES, 422), (MAX_BODY_BYTES + 1, 413)] {
        // Not a document: whoever reads it refuses it, and whoever does not read it says so.
        let body = format!("{}\n", "x".repeat(length - 1));
        let answer = house.put("RuleSet", "shop", "x", &body).await;
        assert_eq!(answer.status, status, "{length} bytes: {}", answer.body);
    }
}

#[tokio::test]
async fn what_a_rule_set_asks_for_and_does_not_get_is_answered_with_its_place() {
    let house = house().await;
    let set = |text: &str| {
        serde_json::json!({
            "apiVersion": "palisade.dev/v1alpha1",
            "kind": "RuleSet",
            "metadata": {"name": "own", "namespace": "shop"},
            "spec": {"sources": [{"name": "own.conf", "text": text}]},
        })
        .to_string()
    };
    let answer = house.put("RuleSet", "shop", "own", &set("SecAction id:1,pass\nSecTmpDir /tmp")).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let notes = answer.json()["notes"].clone();
    assert_eq!(
        notes,
        serde_json::json!(["own.conf:2:1: note: SecTmpDir: bodies are never written to files"])
    );
    let answer = house.put("RuleSet", "shop", "own", &set("SecAction id:1,pass")).await;
    assert!(answer.status == 200 && answer.json().get("notes").is_none(), "{}", answer.body);
}
