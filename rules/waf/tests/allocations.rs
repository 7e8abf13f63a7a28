//! Promise: once a worker is warm, judging an ordinary exchange allocates nothing.
//!
//! Counted by an allocator of this test binary, thread by thread.
#![allow(unsafe_code, reason = "an allocator is unsafe to write; this one only counts")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout
)]

mod exchange;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Arc;

use exchange::{Exchange, connection, crs, crs_directory, form, get, policy, post};
use palisade_model::documents::WafPolicySpec;
use palisade_waf::{Engine, Transaction};

thread_local! {
    static COUNT: Cell<usize> = const { Cell::new(0) };
    static LIVE: Cell<isize> = const { Cell::new(0) };
    static MOST: Cell<isize> = const { Cell::new(0) };
}

/// Counts what each thread asks for.
struct Counting;

// SAFETY: it hands every call on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = COUNT.try_with(|count| count.set(count.get() + 1));
        let _ = LIVE.try_with(|live| live.set(live.get() + layout.size() as isize));
        let _ = MOST.try_with(|most| most.set(most.get().max(LIVE.get())));
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        let _ = LIVE.try_with(|live| live.set(live.get() - layout.size() as isize));
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Judges an exchange, of which nothing but rules without a say may match, as often as is said.
fn judge(engine: &Arc<Engine>, exchange: &Exchange, times: usize) {
    let (head, connection) = (exchange.head(), connection());
    let response = exchange.response_head();
    for _ in 0..times {
        let mut transaction = Transaction::begin(engine.clone(), &connection, &head, 1_767_225_600_000, "id");
        assert_eq!(transaction.request_headers(), None);
        if transaction.wants_request_body() {
            transaction.request_body_feed(&exchange.body);
        }
        assert_eq!(transaction.request_body(true), None);
        assert_eq!(transaction.response_headers(&response), None);
        if transaction.wants_response_body() {
            transaction.response_body_feed(&exchange.response.body);
        }
        assert_eq!(transaction.response_body(true), None);
        transaction.logging();
        assert!(transaction.matches().is_empty(), "{:?}", transaction.matches());
    }
}

fn browser(exchange: Exchange) -> Exchange {
    exchange
        .header("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0")
        .header("Accept", "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8")
        .header("Accept-Language", "en-US,en;q=0.5")
        .header("Cookie", "session=0123456789abcdef; theme=dark")
        .header("Referer", "https://shop.example/catalog?page=1")
        .answered(200, "text/html", "<!doctype html><title>Catalog</title><p>Two items.</p>")
}

/// An order of so many items.
fn order(items: usize) -> String {
    let item = |number: usize| {
        format!(r#"{{"sku":"A1{number:04}","quantity":{number},"price":19.99,"colour":"red","gift":false}}"#)
    };
    let items: Vec<String> = (1..=items).map(item).collect();
    format!(r#"{{"customer":{{"id":48213,"country":"DE"}},"items":[{}]}}"#, items.join(","))
}

fn core_rules(paranoia: u8) -> Option<Arc<Engine>> {
    let set = crs(&crs_directory()?, "", "");
    let policy = WafPolicySpec { paranoia_level: Some(paranoia), ..policy() };
    Some(Arc::new(Engine::compile(&set, &policy).unwrap()))
}

#[test]
fn an_ordinary_exchange_allocates_nothing_once_a_worker_is_warm() {
    let Some(engine) = core_rules(1) else { return };
    let fields: Vec<String> =
        (1..=8).map(|field| format!("field{field}=some+ordinary+value+{field}")).collect();
    for (name, exchange) in [
        ("simple GET", browser(get("/catalog/items?page=2&sort=price"))),
        ("simple POST", browser(form("/form", "name=Jane&city=Berlin&age=42&news=yes"))),
        ("form of 8 fields", browser(form("/form", &fields.join("&")))),
        ("JSON of 1 KiB", browser(post("/api/orders", "application/json", &order(14)))),
    ] {
        let counted = |times: usize| {
            let before = COUNT.get();
            judge(&engine, &exchange, times);
            COUNT.get() - before
        };
        // What the caller makes of the head is the same however often it is judged.
        let (_, once, more) = (counted(5), counted(1), counted(11));
        println!("{name}: {} allocations in ten judgements", more - once);
        assert_eq!(more, once, "{name}");
    }
}

/// Bytes of one request in flight beyond its body and what its worker keeps.
const IN_FLIGHT: isize = 256 * 1024;

#[test]
fn an_ordinary_request_stays_under_its_limit_while_it_is_judged() {
    let Some(engine) = core_rules(1) else { return };
    let text = |piece: &str| format!("title=A+day+out&text={}", piece.repeat(120 * 1024 / piece.len()));
    for (name, exchange) in [
        ("JSON of 700 arguments", browser(post("/api/orders", "application/json", &order(140)))),
        ("a form with a field of dots", browser(form("/form", &text("a.b.c./")))),
    ] {
        judge(&engine, &exchange, 3);
        let before = LIVE.get();
        MOST.set(before);
        judge(&engine, &exchange, 1);
        let bytes = MOST.get() - before - exchange.body.len() as isize;
        println!("{name}: {} KiB beyond the body", bytes / 1024);
        assert!(bytes <= IN_FLIGHT, "{name}: {bytes} bytes");
    }
}

/// Judges an exchange up to where it waits for its response, or was refused.
fn waiting(engine: &Arc<Engine>, exchange: &Exchange) -> Transaction {
    let (head, connection) = (exchange.head(), connection());
    let mut transaction = Transaction::begin(engine.clone(), &connection, &head, 1_767_225_600_000, "id");
    if transaction.request_headers().is_none() {
        transaction.request_body_feed(&exchange.body);
        if transaction.request_body(true).is_none() {
            return transaction;
        }
    }
    transaction.logging();
    transaction
}

/// Requests that end at once, more than those whose room their worker keeps.
const ENDED: usize = 8;

/// Bytes that one request of many holds while it waits, beyond its body: those that are free when it is gone and its
/// worker has the room that it keeps.
fn in_flight(engine: &Arc<Engine>, exchange: &Exchange) -> isize {
    let one = waiting(engine, exchange);
    let others: Vec<Transaction> = (0..ENDED).map(|_| waiting(engine, &browser(get("/")))).collect();
    drop(others);
    let with = LIVE.get();
    drop(one);
    with - LIVE.get() - exchange.body.len() as isize
}

/// Requests of nearly 128 KiB that are built to be many values, long names, or what many rules match.
fn hostile() -> Vec<(&'static str, Exchange)> {
    const BODY: usize = 127 * 1024;
    let filled = |count: usize, text: &str| text.repeat((BODY / count).div_ceil(text.len()));
    let listed = |count: usize, text: &str, one: &dyn Fn(usize, &str) -> String| {
        let text = filled(count, text);
        (0..count).map(|at| one(at, &text)).collect::<Vec<_>>().join(",")
    };
    let member = |at: usize, text: &str| format!("\"f{at}\":\"{text}\"");
    let named = |at: usize, text: &str| format!("\"{text}{at}\":1");
    let json = |text: String| post("/search", "application/json", &text);
    let deep = listed(900, "<%25htt\\\\=://", &|_, text| format!("\"{text}\""));
    let attributes = listed(900, "a", &|_, text| format!("<b c=\"{text}\"/>")).replace(',', "");
    let part = |name: &str, value: &str| {
        format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    };
    let parts =
        |parts: String| post("/search", "multipart/form-data; boundary=b", &format!("{parts}--b--\r\n"));
    let fields = listed(900, "\' or \'", &|at, text| format!("f{at}={text}")).replace(',', "&");
    vec![
        (
            "values that break rules",
            json(format!("{{{}}}", listed(900, "\u{17f} &lt; http:// php:// \\\\x00", &member))),
        ),
        ("values that are escaped", json(format!("{{{}}}", listed(900, "\\u0024\u{80}]http://", &member)))),
        (
            "names that break rules",
            json(format!("{{{}}}", listed(900, "\u{17f} &lt; http:// php:// \\\\x00", &named))),
        ),
        ("values deep in arrays", json(format!("{}{deep}{}", "[".repeat(60), "]".repeat(60)))),
        ("fields of a form", form("/search", &fields)),
        ("attributes", post("/search", "application/xml", &format!("<a>{attributes}</a>"))),
        ("parts of a form", parts(part("a", &filled(200, "'")).repeat(200))),
        ("parts with long names", parts(part(&filled(200, "a"), "1").repeat(200))),
        ("parts with escaped names", parts(part(&filled(200, "\\\""), "1").repeat(200))),
    ]
}

#[test]
fn a_request_in_flight_stays_under_its_limit_whatever_it_is() {
    for paranoia in [1, 4] {
        let Some(engine) = core_rules(paranoia) else { return };
        let mut requests = hostile();
        requests.push(("JSON of 700 arguments", post("/api/orders", "application/json", &order(140))));
        for (name, exchange) in requests {
            let bytes = in_flight(&engine, &browser(exchange));
            println!("level {paranoia}, {name}: {} KiB beyond the body", bytes / 1024);
            assert!(bytes <= IN_FLIGHT, "level {paranoia}, {name}: {bytes} bytes");
        }
        let least = in_flight(&engine, &browser(get("/")));
        assert!(least > 16 * 1024, "a request that waits holds its facts: {least} bytes");
    }
}

#[test]
fn the_counter_counts() {
    let before = COUNT.get();
    let text = std::hint::black_box(String::from("counted"));
    assert_eq!(COUNT.get(), before + 1, "{text}");
}

/// Bytes of one compiled engine of the Core Rule Set at paranoia level 4, where every rule is in force: 17.7 MiB with
/// CRS 4.28, and a little room. The goal is 25 MiB.
const COMPILED_BYTES: isize = 19 * 1024 * 1024;

#[test]
fn the_core_rules_compiled_stay_under_their_limit() {
    let Some(directory) = crs_directory() else { return };
    let set = crs(&directory, "", "");
    let policy = WafPolicySpec { paranoia_level: Some(4), ..policy() };
    let before = LIVE.get();
    let engine = Engine::compile(&set, &policy).unwrap();
    let bytes = LIVE.get() - before;
    println!("CRS compiled at level 4: {} rules in {} KiB", engine.rule_count(), bytes / 1024);
    assert!(bytes > 1024 && bytes <= COMPILED_BYTES, "{bytes} bytes");
}
