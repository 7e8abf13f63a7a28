//! What the WAF's interruptions become: reasons, rules, statuses, and what the record says of inspection.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod exchange;

use exchange::{head, judge, snapshot};
use http::{HeaderMap, StatusCode, Version};
use palisade_model::record::Inspection;
use palisade_model::{Reason, RequestHead, ResponseHead};
use palisade_rules::{Answer, LOCATION_BYTES, Refused, ResponseBody, ResponseStage, Snapshot};
use serde_json::json;

fn send(
    snapshot: &Snapshot,
    query: &str,
    content_type: &str,
    body: &str,
) -> Result<ResponseStage, Box<Refused>> {
    let head = RequestHead { query: Some(query.to_owned()), ..head(&[("content-type", content_type)]) };
    judge(snapshot, head, body.as_bytes())
}

fn answer(status: u16) -> ResponseHead {
    ResponseHead {
        status: StatusCode::from_u16(status).unwrap(),
        headers: HeaderMap::new(),
        version: Version::HTTP_11,
    }
}

fn refused(rules: &str, query: &str, content_type: &str, body: &str) -> Box<Refused> {
    let snapshot = snapshot(rules, json!({}));
    send(&snapshot, query, content_type, body).expect_err("it is refused")
}

#[test]
fn an_interruption_becomes_the_reason_of_its_kind() {
    let rule =
        refused("SecRule ARGS \"@rx bad\" \"id:7,phase:1,deny,status:409\"", "a=bad", "text/plain", "")
            .denial;
    assert_eq!((rule.reason, rule.status.as_u16()), (Reason::WafRequest, 409));
    assert!(rule.rule.unwrap().to_string().ends_with("rule 7"));
    let nothing = "SecAction \"id:1,phase:1,pass,nolog\"";
    let malformed = refused(nothing, "", "application/json", "{").denial;
    assert_eq!((malformed.reason, malformed.status.as_u16()), (Reason::BodyMalformed, 400));
    assert_eq!(malformed.rule, None);
    let many = refused(nothing, &"a=1&".repeat(2_000), "text/plain", "").denial;
    assert_eq!((many.reason, many.status.as_u16(), many.rule), (Reason::WorkBudget, 503, None));
}

#[test]
fn a_redirection_is_answered_with_its_location_and_a_drop_not_at_all() {
    let of = |rules: &str, query: &str| {
        let refused = refused(rules, query, "text/plain", "");
        (refused.denial.status.as_u16(), refused.answer)
    };
    let to = |location: &'static str| Answer::Redirect(http::HeaderValue::from_static(location));
    let plain = "SecAction \"id:7,phase:1,redirect:'https://example.com/'\"";
    assert_eq!(of(plain, ""), (302, to("https://example.com/")));
    for (status, answered) in [(301, 301), (303, 303), (307, 307), (308, 308), (304, 302), (403, 302)] {
        let rules = format!("SecAction \"id:7,phase:1,status:{status},redirect:'/denied'\"");
        assert_eq!(of(&rules, ""), (answered, to("/denied")), "{status}");
    }
    let expanded = "SecRule ARGS:to \"@rx .\" \"id:7,phase:1,redirect:'/denied?%{ARGS.to}'\"";
    assert_eq!(of(expanded, "to=a%0d%0aset-cookie:%20x"), (302, to("/denied?a%0D%0Aset-cookie:%20x")));
    let long = format!("to={}", "x".repeat(LOCATION_BYTES));
    assert_eq!(of(expanded, &long), (403, Answer::Status), "what is too long is refused without a location");
    assert_eq!(of("SecAction \"id:7,phase:1,drop\"", ""), (403, Answer::Drop));
    assert_eq!(of("SecAction \"id:7,phase:1,deny,status:409\"", ""), (409, Answer::Status));
}

#[test]
fn the_record_says_what_was_not_inspected_and_why() {
    let snapshot = snapshot("SecAction \"id:1,phase:1,pass,nolog\"", json!({}));
    let inspection = |content_type| send(&snapshot, "", content_type, "a=1").unwrap().finish().inspection;
    assert_eq!(inspection("application/x-www-form-urlencoded"), Inspection::Full { bytes: 3 });
    assert_eq!(inspection("application/octet-stream"), Inspection::Full { bytes: 3 }, "as the bytes it is");
}

#[test]
fn rules_of_phase_4_run_though_the_body_is_not_held() {
    let rules = "SecRule RESPONSE_STATUS \"@rx ^5\" \"id:4,phase:4,deny\"\nSecAction \"id:5,phase:5,pass\"";
    let snapshot = snapshot(rules, json!({}));
    let mut stage = send(&snapshot, "", "text/plain", "").unwrap();
    let refused = stage.head(&answer(500)).unwrap_err();
    assert_eq!(refused.denial.reason, Reason::WafResponse);
    let ids: Vec<u64> = refused.judgement.matches.iter().map(|found| found.id).collect();
    assert_eq!(ids, [4, 5]);
    let mut stage = send(&snapshot, "", "text/plain", "").unwrap();
    assert_eq!(stage.head(&answer(200)).unwrap(), ResponseBody::Stream);
    assert_eq!(stage.finish().matches.len(), 1);
}
