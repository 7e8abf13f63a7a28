//! Promise: no exchange, with a body of any form and its response, makes the WAF panic or costs more than a multiple of
//! its bytes; the fast path, the straightforward evaluation, and a body in pieces come to the same.
#![no_main]

use std::sync::{Arc, OnceLock};

use libfuzzer_sys::fuzz_target;
use palisade_fuzz::exchange::{connection, engines, policy, rule_set};
use palisade_fuzz::input::{Input, pieces};
use palisade_fuzz::sample::{Sample, raw};
use palisade_model::documents::{BodyLimit, OverLimit, Unknown};
use palisade_model::{RequestHead, ResponseHead};
use palisade_waf::limits::WORK_UNITS;
use palisade_waf::{Engine, Transaction};

const RULES: &str = include_str!("../src/every_operator.conf");
const DATA: [(&str, &str); 2] =
    [("networks.data", "10.0.0.0/8\n2001:db8::/32\n"), ("words.data", "attack\n/etc/passwd\nwarning:\n")];
/// Work units for each byte of an exchange: every rule, several targets, several transformations.
const UNITS: u64 = 20_000;

/// Two policies, each with its fast engine and its straightforward one.
fn pairs() -> &'static [[Arc<Engine>; 2]; 2] {
    static PAIRS: OnceLock<[[Arc<Engine>; 2]; 2]> = OnceLock::new();
    PAIRS.get_or_init(|| {
        let set = rule_set(RULES, &DATA);
        let strict = policy();
        let mut lenient = policy();
        lenient.request_body = BodyLimit { max_bytes: 200, over: OverLimit::InspectPrefix };
        lenient.response_body = Some(BodyLimit { max_bytes: 100, over: OverLimit::Reject });
        lenient.bodies.unknown_types = Unknown::Reject;
        lenient.bodies.unknown_encodings = Unknown::InspectRaw;
        lenient.bodies.unknown_charsets = Unknown::InspectRaw;
        [strict, lenient].map(|policy| engines(&set, &policy))
    })
}

struct Exchange<'a> {
    request: RequestHead,
    body: &'a [u8],
    response: Option<(ResponseHead, &'a [u8])>,
    limits: [BodyLimit; 2],
}

/// Every phase, as the proxy calls them; what came of it and the units that are left.
fn judge(engine: &Arc<Engine>, exchange: &Exchange<'_>, cuts: &[u8]) -> (String, u64) {
    let mut transaction =
        Transaction::begin(engine.clone(), &connection(), &exchange.request, 1_767_225_600_000, "id");
    let mut found = vec![transaction.request_headers()];
    found.push(transaction.refuse_request_body());
    let limit = transaction.request_body_limit(exchange.limits[0]).max_bytes;
    let held = exchange.body.get(..limit).unwrap_or(exchange.body);
    pieces(held, cuts).for_each(|piece| transaction.request_body_feed(piece));
    found.push(transaction.request_body(held.len() == exchange.body.len()));
    if let Some((head, body)) = &exchange.response {
        found.push(transaction.response_headers(head));
        let limit = transaction.response_body_limit(exchange.limits[1]).max_bytes;
        let held = body.get(..limit).unwrap_or(body);
        pieces(held, cuts).for_each(|piece| transaction.response_body_feed(piece));
        found.push(transaction.response_body(held.len() == body.len()));
    }
    transaction.logging();
    (format!("{found:?} {:?}", transaction.matches()), transaction.work_units_left())
}

/// The sample as an exchange; none if the proxy would refuse its head.
fn exchange(sample: &Sample, lenient: bool) -> Option<Exchange<'_>> {
    let request = sample.request_head().ok()?;
    let response = sample.response_head(&request).ok()?;
    let strict = [BodyLimit { max_bytes: 64 * 1024, over: OverLimit::Reject }, BodyLimit::RESPONSE];
    let small = [200, 100].map(|max_bytes| BodyLimit { max_bytes, over: OverLimit::InspectPrefix });
    Some(Exchange { request, body: &sample.body, response, limits: if lenient { small } else { strict } })
}

// The first byte chooses the policy, the rest of its line how bodies are cut; then a request as a file, with a response.
fuzz_target!(|data: &[u8]| {
    let mut input = Input::new(data);
    let lenient = input.byte() & 1 == 1;
    let cuts = input.line();
    let Ok(sample) = raw::parse(input.rest()) else { return };
    let Some(exchange) = exchange(&sample, lenient) else { return };
    let [fast, slow] = &pairs()[usize::from(lenient)];
    let (outcome, left) = judge(fast, &exchange, b"");
    assert_eq!(judge(fast, &exchange, cuts), (outcome.clone(), left), "it matters how a body is cut");
    let (truth, least) = judge(slow, &exchange, b"");
    assert_eq!(outcome, truth);
    assert!(left >= least, "{left} units are left of {least}");
    // A packed body may come to its limit; everything else is as long as the input.
    let bytes = if data.windows(8).any(|part| part.eq_ignore_ascii_case(b"encoding")) {
        128 * 1024
    } else {
        data.len() as u64
    };
    assert!(WORK_UNITS - least <= UNITS * (bytes + 100), "{} units for {bytes} bytes", WORK_UNITS - least);
});
