//! What one rule does to an exchange: deny, allow, skip, chains, statuses, ctl.

use std::io::{Read, Write};

use crate::stage::{Stage, block, get, post};

const RULES: &str = r#"
SecRequestBodyAccess On
SecRule REQUEST_HEADERS:Content-Type "@beginsWith application/json" "id:10,phase:1,pass,nolog,ctl:requestBodyProcessor=JSON"

# allow ends one phase, the request, or everything
SecRule REQUEST_FILENAME "@streq /allow" "id:20,phase:1,allow,nolog"
SecRule REQUEST_FILENAME "@streq /allow-phase" "id:21,phase:1,allow:phase,nolog"
SecRule REQUEST_FILENAME "@streq /allow-request" "id:22,phase:1,allow:request,nolog"

# skipAfter and skip
SecRule REQUEST_FILENAME "@streq /skip-after" "id:30,phase:1,pass,nolog,skipAfter:END-OF-HEAD"
SecRule REQUEST_FILENAME "@streq /skip-two" "id:31,phase:1,pass,nolog,skip:2"
SecRule REQUEST_HEADERS:X-Attack "@streq head" "id:32,phase:1,deny,status:403,msg:'head'"
SecRule REQUEST_HEADERS:X-Attack "@streq second" "id:33,phase:1,deny,status:403,msg:'second'"
SecMarker END-OF-HEAD
SecRule REQUEST_HEADERS:X-Attack "@streq behind" "id:34,phase:1,deny,status:403,msg:'behind'"

# a chain refuses only if all of it matches
SecRule REQUEST_METHOD "@streq POST" "id:40,phase:2,deny,status:403,chain,msg:'chain'"
    SecRule ARGS:a "@streq 1" "chain"
        SecRule ARGS:b "@streq 2"

# statuses, and a rule that only counts
SecRule ARGS:status "@streq 429" "id:50,phase:2,deny,status:429,msg:'slow down'"
SecRule ARGS:count "@rx ." "id:51,phase:2,pass,log,msg:'counted',setvar:tx.sum=+1"
SecRule TX:sum "@ge 3" "id:52,phase:2,deny,status:403,msg:'sum'"

# the body
SecRule ARGS "@contains attack" "id:60,phase:2,deny,status:403,msg:'body'"
SecRule REQUEST_FILENAME "@streq /unread" "id:61,phase:1,pass,nolog,ctl:requestBodyAccess=Off"
SecRule REQUEST_FILENAME "@streq /without-60" "id:62,phase:1,pass,nolog,ctl:ruleRemoveById=60"
"#;

fn attack(target: &str, word: &str) -> String {
    get(target).replace("\r\n\r\n", &format!("\r\nx-attack: {word}\r\n\r\n"))
}

#[test]
fn rules_deny_allow_skip_chain_and_count() {
    let stage = Stage::with_rules(RULES, block());
    stage.get("/").passes();

    // allow
    stage.send(attack("/", "head")).is_refused_by(32);
    for target in ["/allow", "/allow-phase", "/allow-request"] {
        stage.send(attack(target, "head")).passes();
    }
    stage.get("/allow?x=attack").passes();
    stage.get("/allow-request?x=attack").passes();
    stage.get("/allow-phase?x=attack").is_refused_by(60);

    // skipAfter passes over everything before its marker and nothing behind it
    stage.send(attack("/skip-after", "head")).passes();
    stage.send(attack("/skip-after", "behind")).is_refused_by(34);
    stage.send(attack("/skip-two", "head")).passes();
    stage.send(attack("/skip-two", "second")).passes();
    stage.send(attack("/skip-two", "behind")).is_refused_by(34);

    // chains
    stage.form("/", "a=1&b=2").is_refused_by(40);
    stage.form("/", "a=1&b=3").passes();
    stage.form("/", "a=2&b=2").passes();
    stage.get("/?a=1&b=2").passes();

    // statuses and sums
    let seen = stage.get("/?status=429");
    assert_eq!((seen.status(), seen.refused_by(), seen.reached.len()), (429, Some(50), 0));
    let seen = stage.get("/?count=1&count=2");
    seen.passes();
    assert_eq!(seen.ids(), [51]);
    stage.get("/?count=1&count=2&count=3").is_refused_by(52);

    // bodies and ctl
    stage.form("/", "x=attack").is_refused_by(60);
    stage.send(post("/", "application/json", r#"{"x":["a",{"y":"attack"}]}"#)).is_refused_by(60);
    stage.form("/unread", "x=attack").passes();
    stage.form("/without-60", "x=attack").passes();
}

#[test]
fn what_is_escaped_on_its_way_is_judged_as_it_was_sent() {
    let rules = r#"
SecRule REQUEST_URI_RAW "@contains <raw>" "id:1,phase:1,pass,log,msg:'raw'"
SecRule ARGS "@contains <script>" "id:2,phase:1,deny,status:403,msg:'script'"
SecRule ARGS "@streq é\"" "id:3,phase:1,deny,status:403,msg:'letters'"
"#;
    let stage = Stage::with_rules(rules, block());
    stage.get("/?q=<script>").is_refused_by(2);
    stage.get("/?q=é\"").is_refused_by(3);
    let seen = stage.get("/?q=<raw>&r=\"é\"");
    seen.passes();
    assert_eq!(seen.ids(), [1], "rules see the bytes that were sent");
    assert_eq!(seen.reached[0].target, "/?q=%3Craw%3E&r=%22%C3%A9%22", "the origin sees one reading of them");
    // A body behind such a head, and a second request on the same connection, are where they belong.
    let both = post("/?a=<b>", "text/plain", "hello").replace("connection: close\r\n", "") + &get("/next?<");
    let before = stage.origin.received().len();
    let mut stream = std::net::TcpStream::connect(stage.proxy.edge).unwrap();
    stream.set_read_timeout(Some(std::time::Duration::from_secs(20))).unwrap();
    stream.write_all(both.as_bytes()).unwrap();
    let mut answers = String::new();
    stream.read_to_string(&mut answers).unwrap();
    assert_eq!(answers.matches("HTTP/1.1 200 OK").count(), 2, "{answers}");
    let reached = &stage.origin.received()[before..];
    let targets: Vec<&str> = reached.iter().map(|received| received.target.as_str()).collect();
    assert_eq!(targets, ["/?a=%3Cb%3E", "/next?%3C"]);
    assert_eq!(reached[0].body, b"hello");
}
