//! Promise: a form that is longer than what is held is never sent to its end if a rule refuses it when it is judged whole;
//! of what was sent before, no field was refused; what is held stays bounded, however the form is cut; and but for its
//! length it is refused only if it would be as a whole, and for the same reason or because servers read it differently.
#![no_main]

use std::sync::{Arc, OnceLock};

use http::HeaderMap;
use libfuzzer_sys::fuzz_target;
use palisade_fuzz::exchange::{connection, head, headers};
use palisade_fuzz::input::{Input, pieces};
use palisade_model::{BodyKind, Policy, Reason, WorkloadId};
use palisade_rules::upload::{Passage, Upload};
use palisade_rules::{Engine, Exchange, Feed, LOOKS, Snapshot, Step};
use palisade_waf::bodies::multipart::{PARTS_LIMIT, parse};
use serde_json::json;

const TYPE: &str = "multipart/form-data; boundary=b";
const RULES: &str =
    "SecRule ARGS|FILES|FILES_NAMES|MULTIPART_PART_HEADERS \"@contains attack\" \"id:1,phase:2,deny\"";
/// What the policy holds, so small that an input passes it.
const LIMIT: usize = 100;

/// Two policies: one that holds the whole of any input, one that does not.
fn snapshots() -> &'static [Snapshot; 2] {
    static SNAPSHOTS: OnceLock<[Snapshot; 2]> = OnceLock::new();
    SNAPSHOTS.get_or_init(|| {
        [1 << 20, LIMIT].map(|limit| {
            let document = |kind: &str, spec: serde_json::Value| {
                json!({"apiVersion": "palisade.dev/v1alpha1", "kind": kind,
                       "metadata": {"name": "rules", "namespace": "shop"}, "spec": spec})
            };
            let mut policy = Policy::empty(WorkloadId::local("shop", "payments"));
            let set = document("RuleSet", json!({"sources": [{"name": "t.conf", "text": RULES}]}));
            policy.rule_sets = vec![serde_json::from_value(set).expect("a rule set")];
            let waf = json!({"ruleSet": "rules", "requestBody": {"maxBytes": limit, "over": "reject"},
                             "bodies": {"uploadBytes": 1 << 20}});
            policy.waf = vec![serde_json::from_value(document("WafPolicy", waf)).expect("a policy")];
            Snapshot::new(Arc::new(Engine::compile(&policy, "v1", None).expect("it compiles")), None)
        })
    })
}

fn content_type() -> HeaderMap {
    headers(std::iter::once(format!("content-type: {TYPE}").as_bytes()))
}

/// The bytes that may go on, and why the rest may not.
fn passed(snapshot: &Snapshot, body: &[u8], cuts: &[u8]) -> (usize, Option<Reason>) {
    let exchange = Exchange { reference: "reference".into(), time_ms: 0 };
    let head = head(b"POST", "/", None, content_type());
    let Step::NeedBody(mut stage) = snapshot.request(&connection(), head, BodyKind::Unknown, exchange) else {
        panic!("the body is judged");
    };
    let mut rest = pieces(body, cuts);
    let (mut fed, mut behind) = (0, &b""[..]);
    'feeding: for piece in rest.by_ref() {
        behind = piece;
        while !behind.is_empty() {
            let (now, after) = behind.split_at(stage.room().min(behind.len()));
            behind = after;
            fed += now.len();
            let feed = match stage.feed(now) {
                Feed::Look => stage.look(),
                other => other,
            };
            match feed {
                Feed::More => {
                    assert!(fed <= 2 * stage.limit() + stage.limit() / LOOKS + 1, "{fed} bytes are held")
                }
                Feed::Enough | Feed::TooLong => break 'feeding,
                Feed::Look => panic!("a look comes to something"),
            }
        }
    }
    match stage.finish() {
        Err(refused) => (0, Some(refused.denial.reason)),
        Ok(mut permit) => match permit.take_upload() {
            None => (fed, None),
            Some(upload) => go_on(upload, std::iter::once(behind).chain(rest), fed),
        },
    }
}

fn go_on<'a>(
    mut upload: Box<Upload>,
    rest: impl Iterator<Item = &'a [u8]>,
    first: usize,
) -> (usize, Option<Reason>) {
    let (mut sent, mut held, mut longest) = (first, 0, 0);
    for piece in rest {
        longest = longest.max(piece.len());
        match upload.feed(piece) {
            Passage::Pass => {
                assert_eq!(held, 0, "it overtakes what is held");
                sent += piece.len();
            }
            Passage::Hold => held += piece.len(),
            Passage::Judge => {
                held += piece.len();
                match upload.judge(false) {
                    Err(refused) => return (sent, Some(refused.denial.reason)),
                    Ok(true) => (sent, held) = (sent + held, 0),
                    Ok(false) => {}
                }
            }
            Passage::TooLong => return (sent, Some(upload.refuse().denial.reason)),
        }
        // A piece is held however long it is, and the one in which a boundary begins is counted whole here.
        assert!(held <= 2 * LIMIT + LIMIT / LOOKS + 2 * longest, "{held} bytes are held");
    }
    match upload.judge(true) {
        Err(refused) => (sent, Some(refused.denial.reason)),
        Ok(_) => (sent + held, None),
    }
}

// The first line says how the form is cut; the rest is the form.
fuzz_target!(|data: &[u8]| {
    let mut input = Input::new(data);
    let cuts = input.line();
    // Lines may be written with LF alone.
    let body = input.rest();
    let [whole, parted] = snapshots();
    let refusal = passed(whole, body, b"").1;
    let (sent, refusal_in_parts) = passed(parted, body, cuts);
    let ended = refusal_in_parts.is_none();
    assert!(sent <= body.len());
    assert!(!ended || sent == body.len());
    assert!(refusal.is_none() || !ended || body.is_empty(), "refused as a whole, and sent in parts");
    // That servers read a form in different ways may show before an attack in it does; in no other form.
    let differs = parse(TYPE.as_bytes(), body, PARTS_LIMIT, true).flags.disagreement().is_some();
    let sooner =
        differs && (refusal_in_parts, refusal) == (Some(Reason::BodyMalformed), Some(Reason::WafRequest));
    let too_large = Some(Reason::BodyTooLarge);
    if !sooner && refusal_in_parts != too_large && refusal != too_large {
        assert_eq!(refusal_in_parts, refusal, "in parts, and as a whole");
    }
    let form = parse(TYPE.as_bytes(), body.get(..sent).unwrap_or_default(), PARTS_LIMIT, false);
    let refused = |text: &[u8]| text.windows(6).any(|part| part == b"attack");
    if refusal.is_none() {
        return;
    }
    for (name, value) in &form.fields {
        let _ = name;
        assert!(!refused(value), "a refused field was sent: {}", body.escape_ascii());
    }
    assert!(!form.files.iter().any(|file| refused(&file.name) || refused(&file.filename)));
});
