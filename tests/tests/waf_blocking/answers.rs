//! The phases of the answer, and what the client and the log see of a refusal. Swaps while the WAF is on.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use palisade_tests::origin::Reply;
use palisade_tests::wire;

use crate::stage::{Stage, block, get};

const RULES: &str = r#"
SecResponseBodyAccess On
SecResponseBodyMimeType text/plain text/html
SecRule RESPONSE_HEADERS:X-Secret "@rx ." "id:1,phase:3,deny,status:502,msg:'secret header'"
SecRule RESPONSE_STATUS "@streq 503" "id:2,phase:3,deny,status:500,msg:'status'"
SecRule RESPONSE_BODY "@contains BEGIN RSA PRIVATE KEY" "id:3,phase:4,deny,status:403,msg:'key'"
SecRule RESPONSE_BODY "@contains told" "id:4,phase:4,pass,log,msg:'told'"
SecRule REQUEST_FILENAME "@beginsWith /" "id:5,phase:5,pass,log,msg:'logged'"
SecRule ARGS "@contains attack" "id:6,phase:2,deny,status:403,msg:'Attack on %{MATCHED_VAR_NAME}: %{MATCHED_VAR}',tag:'x'"
"#;

fn answer(target: &str) -> Reply {
    let key = "-----BEGIN RSA PRIVATE KEY-----\nMIIEow";
    match target.split('?').next().unwrap_or_default() {
        "/header" => {
            let mut reply = Reply::new(200, "text/plain", "body");
            reply.headers.push(("x-secret".into(), "1".into()));
            reply
        }
        "/status" => Reply::new(503, "text/plain", "down"),
        "/key" => Reply::new(200, "text/plain", key),
        "/late-key" => Reply::new(200, "text/plain", format!("{}{key}", "x".repeat(300_000))),
        "/image" => Reply::new(200, "image/png", key),
        "/told" => Reply::new(200, "text/html", "<p>told</p>"),
        _ => Reply::new(200, "text/plain", "ok"),
    }
}

#[test]
fn answers_are_judged_before_a_byte_of_them_leaves() {
    let stage = Stage::answering(RULES, block(), |received| answer(&received.target));
    for (target, status, rule) in
        [("/header", 502, 1), ("/status", 500, 2), ("/key", 403, 3), ("/late-key", 403, 3)]
    {
        let seen = stage.get(target);
        assert_eq!((seen.status(), seen.refused_by()), (status, Some(rule)), "{target}");
        assert_eq!(seen.reason(), Some("waf_response"), "{target}");
        assert_eq!(seen.reached.len(), 1, "the origin was asked");
        let text = String::from_utf8_lossy(&seen.answer.raw).to_lowercase();
        for leak in ["private", "x-secret", "xxx", "down"] {
            assert!(!text.contains(leak), "{target}: {text}");
        }
    }
    // A type that is not inspected passes, and a rule that only tells does not hold it back.
    let image = stage.get("/image");
    image.passes();
    assert!(image.answer.body.starts_with(b"-----BEGIN"));
    let told = stage.get("/told");
    told.passes();
    assert_eq!(told.ids(), [4, 5]);
}

#[test]
fn a_refusal_tells_the_client_a_reference_and_the_log_the_rule() {
    let stage = Stage::answering(RULES, block(), |received| answer(&received.target));
    let seen = stage.get("/?q=attack-of-jane@example.com");
    seen.is_refused_by(6);
    let reference = seen.record["reference"].as_str().unwrap();
    let text = String::from_utf8_lossy(&seen.answer.raw).into_owned();
    assert!(text.contains(reference), "{text}");
    for hidden in ["rule", "waf", "attack", "msg", "args", "modsecurity"] {
        assert!(!text.to_lowercase().contains(hidden), "{hidden} is in {text}");
    }
    let denial = &seen.record["verdict"]["denial"];
    assert_eq!(denial["reason"], "waf_request");
    assert_eq!(denial["rule"]["ruleSet"].as_str().map(|name| name.ends_with("rules")), Some(true));
    let explanation = denial["explanation"].as_str().unwrap();
    assert!(explanation.contains("Attack on ARGS:q"), "{explanation}");
    assert!(!seen.record["matches"].to_string().contains("jane"), "matched bytes are not in the record");
    assert_eq!(seen.ids(), [6, 5], "phase 5 runs after a refusal");
    let metrics = stage.proxy.metrics().unwrap();
    assert!(metrics.lines().any(|line| line.contains("waf_request") && line.ends_with(" 1")), "{metrics}");
}

#[test]
fn rules_are_swapped_while_requests_flow_and_each_is_judged_by_one_set() {
    let version = |word: &str| {
        format!(
            "SecAction \"id:1,phase:1,pass,nolog,setvar:tx.version={word}\"\n\
             SecRule TX:version \"!@streq {word}\" \"id:2,phase:2,deny,status:500\"\n\
             SecRule ARGS:q \"@streq {word}\" \"id:3,phase:2,deny,status:403\"\n"
        )
    };
    let mut stage = Stage::with_rules(&version("red"), block());
    let edge = stage.proxy.edge;
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let load = scope.spawn(|| {
            let mut statuses = Vec::new();
            while !over.load(Ordering::Relaxed) {
                for word in ["red", "blue", "green", "none"] {
                    let request = get(&format!("/?q={word}"));
                    let exchange = wire::exchange(edge, request.as_bytes(), Duration::from_secs(20)).unwrap();
                    statuses.push((word, exchange.answer.map(|answer| answer.status)));
                }
            }
            statuses
        });
        for (round, word) in ["blue", "green", "red", "blue", "green"].iter().enumerate() {
            // Another length each time, so that the policy file differs too.
            stage.swap_rules(&format!("{}#{}\n", version(word), "x".repeat(round)));
            for other in ["red", "blue", "green"] {
                let seen = stage.get(&format!("/?q={other}"));
                assert_eq!(seen.status() == 403, other == *word, "{other} under {word}");
            }
        }
        over.store(true, Ordering::Relaxed);
        for (word, status) in load.join().unwrap() {
            let status = status.unwrap_or_else(|why| panic!("{word}: {why}"));
            assert!(status == 200 || status == 403 && word != "none", "{word}: {status}");
        }
    });
}
