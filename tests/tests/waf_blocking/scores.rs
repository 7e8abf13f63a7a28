//! CRS decides by the sum: thresholds, paranoia levels, early blocking.

use palisade_tests::origin::Reply;
use serde_json::{Value, json};

use crate::stage::{SQLI, Stage, XSS, block, get, post};

fn spec(level: u8, inbound: u32, outbound: u32) -> Value {
    let mut spec = block();
    spec["paranoiaLevel"] = level.into();
    spec["thresholds"] = json!({"inbound": inbound, "outbound": outbound});
    spec
}

/// What CRS 951 calls a leak of MySQL: outbound score 5 at least.
const LEAK: &str = "<b>Warning</b>: mysql_fetch_array(): You have an error in your SQL syntax; check the manual that \
                    corresponds to your MySQL server version";

/// One proxy for all, since compiling CRS is what takes the time.
#[test]
fn thresholds_and_levels_decide_and_are_swapped_in_force() {
    let play = |received: &palisade_tests::origin::Received| match received.target.as_str() {
        "/leak" => Reply::new(200, "text/html", LEAK),
        _ => Reply::new(200, "text/html", "<p>fine</p>"),
    };
    let Some(mut stage) = Stage::with_crs("", "", spec(1, 5, 4), play) else { return };

    // Level 1, the thresholds of CRS itself.
    stage.get("/").passes();
    let sqli = stage.get(&format!("/?{SQLI}"));
    sqli.is_refused_by(949110);
    assert!(sqli.ids().contains(&942100), "{:?}", sqli.ids());
    assert_eq!(sqli.reason(), Some("waf_request"));
    stage.form("/", SQLI).is_refused_by(949110);
    stage.get(&format!("/?{XSS}")).is_refused_by(949110);
    let leak = stage.get("/leak");
    assert_eq!((leak.status(), leak.refused_by(), leak.reason()), (403, Some(959100), Some("waf_response")));
    assert!(!String::from_utf8_lossy(&leak.answer.raw).contains("mysql"), "no byte of the leak leaves");
    assert_eq!(leak.reached.len(), 1, "it is the answer that is refused");
    // A finding of level 2 only (942130's sibling at level 2: a header that is too curious) passes at level 1.
    let level2 = format!("/?{LEVEL_2}");
    stage.get(&level2).passes();

    // Level 2.
    stage.swap(spec(2, 5, 4));
    stage.get("/").passes();
    let found = stage.get(&level2);
    found.is_refused_by(949110);

    // High thresholds: the same attack is scored, logged, and passes.
    stage.swap(spec(1, 1000, 1000));
    let sqli = stage.get(&format!("/?{SQLI}"));
    sqli.passes();
    assert!(sqli.ids().contains(&942100), "{:?}", sqli.ids());
    let leak = stage.get("/leak");
    assert_eq!((leak.status(), leak.answer.body.as_slice()), (200, LEAK.as_bytes()));

    // Exactly at the threshold it is refused, one above it passes. 930120 alone scores 5 for this.
    let score = |seen: &crate::stage::Seen| -> u64 {
        let matches = seen.record["matches"].as_array().unwrap();
        matches.iter().filter(|found| found["severity"] == "CRITICAL").count() as u64 * 5
    };
    let traversal = "/?file=/etc/passwd";
    let total = score(&stage.get(traversal));
    assert!(total >= 5, "something of it is critical");
    stage.swap(spec(1, u32::try_from(total).unwrap(), 4));
    stage.get(traversal).is_refused_by(949110);
    stage.swap(spec(1, u32::try_from(total).unwrap() + 1, 4));
    stage.get(traversal).passes();
}

/// 942180 and others of level 2, nothing of level 1.
const LEVEL_2: &str = "name=x%27%20--%20";

#[test]
fn early_blocking_refuses_by_the_head_before_the_body_came() {
    let setup = "SecAction \"id:900120,phase:1,nolog,pass,setvar:tx.early_blocking=1\"";
    let Some(stage) = Stage::with_crs(setup, "", spec(1, 5, 4), |_| Reply::empty()) else { return };
    // A head that is an attack, and a body that never comes.
    let head = get(&format!("/?{SQLI}"))
        .replace("GET ", "POST ")
        .replace("connection: close", "content-length: 100");
    // 942100 looks at arguments in phase 2; a scanner is known by its head in phase 1.
    let scanner = head.replace("Mozilla/5.0 (X11; Linux x86_64; rv:128.0)", "sqlmap/1.7");
    let seen = stage.send(scanner);
    seen.is_refused_by(949111);
    assert!(seen.ids().contains(&913100), "{:?}", seen.ids());
    // What only phase 2 can find is found in phase 2.
    stage.send(post("/", "application/x-www-form-urlencoded", SQLI)).is_refused_by(949110);
}
