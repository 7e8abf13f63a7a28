//! Clients that take what there is: time, connections, names. And the door behind the house: the admin pages.

use std::time::Duration;

use palisade_tests::http;
use palisade_tests::process::wait_until;
use serde_json::json;

use crate::frames::{END_HEADERS, HEADERS, Http2, block, frame};
use crate::stage::{Client, GOOD, Origin, Stage};

fn limited(limits: serde_json::Value) -> Stage {
    Stage::with(Origin::ok(), |policy| policy["limits"] = limits)
}

#[test]
fn exhaustion_116_a_head_that_drips_is_408_and_a_body_that_stops_is_408() {
    let stage = limited(json!({"headerTimeoutMs": 200, "bodyTimeoutMs": 200}));
    let mut head = Client::connect(stage.edge);
    let mut dripped = 0;
    // A byte now and then keeps no head open: its time counts from its beginning.
    for byte in GOOD.bytes().cycle().filter(|byte| !byte.is_ascii_control()).take(400) {
        if head.try_send([byte]).is_err() {
            break;
        }
        dripped += 1;
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(dripped < 400, "the connection was closed under the dripping client");
    let mut silent = Client::connect(stage.edge);
    silent.send("GET /good HTTP/1.1\r\nhost:");
    assert_eq!(silent.answer().unwrap().status, 408);
    let mut body = Client::connect(stage.edge);
    body.send("POST /good HTTP/1.1\r\nhost: shop.example\r\ncontent-length: 10\r\n\r\nabc");
    assert_eq!(body.answer().unwrap().status, 408);
    let mut nothing = Client::connect(stage.edge);
    assert_eq!(nothing.rest(), "", "a connection without a byte is closed");
    assert_eq!(stage.origin.count(), 0);
    stage.serves_others();
}

#[test]
fn exhaustion_116_an_http2_body_that_stops_is_refused_and_its_connection_lives() {
    let stage = limited(json!({"bodyTimeoutMs": 200}));
    let mut client = Http2::connect(&stage);
    let mut fields = Http2::get("/good");
    fields[0].1 = b"POST";
    client.send(&frame(HEADERS, END_HEADERS, 1, &block(&fields)));
    assert_eq!(client.outcome(1), crate::frames::Outcome::Status(408));
    client.send(&frame(HEADERS, END_HEADERS | 1, 3, &block(&Http2::get("/good"))));
    assert_eq!(client.outcome(3), crate::frames::Outcome::Status(200));
}

#[test]
fn exhaustion_117_connections_under_and_at_the_limit_are_served_and_over_it_closed() {
    const LIMIT: usize = 5;
    let stage = limited(json!({"connections": LIMIT}));
    let mut open: Vec<Client> = Vec::new();
    for at in 1..=LIMIT {
        let mut client = Client::connect(stage.edge);
        client.send(GOOD);
        assert_eq!(client.answer().expect("within the limit").status, 200, "connection {at}");
        open.push(client);
    }
    let mut over = Client::connect(stage.edge);
    let _ = over.try_send(GOOD);
    assert!(over.answer().is_none(), "over the limit");
    assert!(stage.metrics().contains("cause=\"limit_connections\""));
    // Whoever leaves gives its place back.
    open.pop();
    wait_until("a place is free", 20, || {
        let mut next = Client::connect(stage.edge);
        Ok(next.try_send(GOOD).is_ok() && next.answer().is_some_and(|answer| answer.status == 200))
    })
    .unwrap();
    for client in &mut open {
        client.send(GOOD);
        assert_eq!(client.answer().unwrap().status, 200, "the others stay");
    }
}

#[test]
fn exhaustion_118_names_a_client_chooses_do_not_grow_the_metrics() {
    let stage = Stage::new(Origin::ok());
    let play = |count: usize| {
        let mut client = Client::connect(stage.edge);
        for at in 0..count {
            client.send(format!(
                "GET /path-{count}-{at} HTTP/1.1\r\nhost: h{count}-{at}.example\r\nuser-agent: ua{at}\r\n\r\n"
            ));
            assert_eq!(client.answer().unwrap().status, 200);
            client.send(format!("M{count}{at} /admin/{at} HTTP/1.1\r\nhost: h{at}.example\r\n\r\n"));
            assert_eq!(client.answer().unwrap().status, 403);
        }
    };
    play(3);
    let before = stage.metrics().lines().count();
    play(1000);
    let after = stage.metrics();
    assert_eq!(after.lines().count(), before, "no new series");
    assert!(!after.contains("path-") && !after.contains("h3-"), "no name of a client");
}

#[test]
fn interception_106_the_admin_pages_are_on_loopback_and_read_only() {
    let stage = Stage::new(Origin::ok());
    assert!(stage.admin.ip().is_loopback());
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "QUIT"] {
        for page in ["/metrics", "/quit", "/shutdown", "/quitquitquit", "/config", "/policy"] {
            let answer = http::send(stage.admin, method, page, &[], "").unwrap();
            assert_eq!(answer.status, 405, "{method} {page}");
        }
    }
    // A page of another site that a browser was led to (DNS rebinding).
    let answer = http::send(stage.admin, "GET", "/config", &[("host", "evil.example")], "").unwrap();
    assert_eq!(answer.status, 421);
    for page in ["/quit", "/shutdown", "/debug", "/../etc/passwd"] {
        assert_eq!(http::send(stage.admin, "GET", page, &[], "").unwrap().status, 404, "{page}");
    }
    stage.alive();
    stage.serves_others();
}

#[test]
fn interception_106_an_admin_address_off_loopback_is_refused_at_the_start() {
    let dir = tempfile::TempDir::new().unwrap();
    let mut policy = crate::stage::policy("127.0.0.1:9".parse().unwrap());
    policy["admin"] = "0.0.0.0:0".into();
    let file = dir.path().join("policy.json");
    std::fs::write(&file, policy.to_string()).unwrap();
    let program = palisade_tests::process::program("palisade-proxy").unwrap();
    let output = std::process::Command::new(program).arg("--policy").arg(&file).output().unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("loopback"), "{said}");
}
