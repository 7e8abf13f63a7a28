//! Forms that are longer than what is held: their files pass, everything else is judged, however the form is cut; and a
//! file that holds what some reader could take for a boundary makes the form malformed wherever that stands.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod exchange;

use exchange::{fed, request, request_of};
use palisade_model::{BodyKind, Denial, Reason};
use palisade_rules::upload::{Passage, ROUNDS};
use palisade_rules::{Feed, LOOKS, Snapshot, Step};
use serde_json::{Value, json};

const RULES: &str = "SecRule ARGS \"@contains attack\" \"id:1,phase:2,deny\"";

fn snapshot(bodies: Value, limit: usize, over: &str) -> Snapshot {
    let limits = json!({"maxBytes": limit, "over": over});
    exchange::snapshot(RULES, json!({"bodies": bodies, "requestBody": limits}))
}

fn defaults() -> Snapshot {
    snapshot(json!({}), 2000, "reject")
}

/// A form with two files of these lengths, a file name and a field at the end.
fn form(lengths: [usize; 2], filename: &str, last: &str) -> Vec<u8> {
    let part = |name: &str| format!("\r\n--b\r\ncontent-disposition: form-data; name={name}\r\n\r\n");
    let file =
        |name: &str, length: usize| format!("{}{}", part(&format!("f; filename={name}")), "x".repeat(length));
    let text =
        format!("{}{}{}{last}\r\n--b--\r\n", file("a", lengths[0]), file(filename, lengths[1]), part("last"));
    text.as_bytes()[2..].to_vec()
}

/// What reached the upstream of a form, and the status of the refusal.
fn upload(snapshot: &Snapshot, body: &[u8], piece: usize) -> (usize, Option<u16>) {
    let (sent, denial) = sent(snapshot, body, piece);
    (sent, denial.map(|denial| denial.status.as_u16()))
}

/// What reached the upstream of a form, and the refusal.
fn sent(snapshot: &Snapshot, body: &[u8], piece: usize) -> (usize, Option<Denial>) {
    let head = exchange::head(&[("content-type", "multipart/form-data; boundary=b")]);
    let mut stage = match request(snapshot, head, body) {
        Step::NeedBody(stage) => stage,
        Step::Deny(refused) => return (0, Some(refused.denial)),
        Step::Forward(_) => panic!("forwarded unread"),
    };
    let mut pieces = body.chunks(piece);
    let mut sent = 0;
    for piece in pieces.by_ref() {
        sent += piece.len();
        if fed(&mut stage, piece) != Feed::More {
            break;
        }
    }
    let mut permit = match stage.finish() {
        Ok(permit) => permit,
        Err(refused) => return (0, Some(refused.denial)),
    };
    let Some(mut upload) = permit.take_upload() else { return (sent, None) };
    let mut held = 0;
    for piece in pieces {
        match upload.feed(piece) {
            Passage::Pass => sent += piece.len(),
            Passage::Hold => held += piece.len(),
            Passage::Judge => {
                held += piece.len();
                match upload.judge(false) {
                    Ok(true) => sent += std::mem::take(&mut held),
                    Ok(false) => {}
                    Err(refused) => return (sent, Some(refused.denial)),
                }
            }
            Passage::TooLong => return (sent, Some(upload.refuse().denial)),
        }
    }
    match upload.judge(true) {
        Ok(_) => (sent + held, None),
        Err(refused) => (sent, Some(refused.denial)),
    }
}

#[test]
fn a_form_with_long_files_passes_and_an_attack_anywhere_but_in_a_file_does_not() {
    let snapshot_default = defaults();
    for piece in [1, 7, 100, 900] {
        for lengths in [[10, 10], [5000, 10], [10, 5000], [5000, 5000], [1900, 100], [20_000, 30_000]] {
            let good = form(lengths, "b", "fine");
            assert_eq!(upload(&snapshot_default, &good, piece), (good.len(), None), "{lengths:?} {piece}");
            let bad = form(lengths, "b", "attack");
            let (sent, status) = upload(&snapshot_default, &bad, piece);
            assert_eq!(status, Some(403), "{lengths:?} {piece}");
            assert!(sent < bad.len() && !bad[..sent].ends_with(b"attack"), "{lengths:?} {piece}");
        }
    }
    let cut = form([5000, 10], "b", "fine");
    assert_eq!(upload(&snapshot_default, &cut[..cut.len() - 6], 100).1, Some(400), "no last boundary");
    let field = form([5000, 10], "b", &"x".repeat(5000));
    assert_eq!(upload(&snapshot_default, &field, 100).1, Some(413), "a field is no file");
}

#[test]
fn a_boundary_at_the_end_of_what_is_held_is_seen() {
    // The limit falls on each byte of what stands between the file and the field behind it.
    let snapshot_default = defaults();
    for length in 1800..2010 {
        let good = form([10, length], "b", "fine");
        assert_eq!(upload(&snapshot_default, &good, 1), (good.len(), None), "{length}");
        let bad = form([10, length], "b", "attack");
        let (sent, status) = upload(&snapshot_default, &bad, 1);
        assert_eq!(status, Some(403), "{length}");
        assert!(!bad[..sent].ends_with(b"attack"), "{length}");
    }
}

#[test]
fn an_upload_is_limited_under_at_and_over_its_bytes() {
    let body = form([5000, 5000], "b", "fine");
    for (limit, status) in [(body.len() + 1, None), (body.len(), None), (body.len() - 1, Some(413))] {
        let snapshot = snapshot(json!({"uploadBytes": limit}), 2000, "reject");
        assert_eq!(upload(&snapshot, &body, 100).1, status, "{limit}");
    }
    let counted = snapshot(json!({"uploadBytes": 0}), 2000, "reject");
    assert_eq!(upload(&counted, &body, 100).1, Some(413), "files count like everything else");
}

#[test]
fn a_form_is_judged_so_many_times_and_no_more() {
    // Each file after a window's worth of other things takes a round.
    let part = |name: &str| format!("\r\n--b\r\ncontent-disposition: form-data; name={name}\r\n\r\n");
    let text: String = (0..40).map(|_| format!("{}{}", part("f; filename=a"), "x".repeat(3000))).collect();
    let body = format!("{text}\r\n--b--\r\n").as_bytes()[2..].to_vec();
    assert_eq!(upload(&defaults(), &body, 100).1, Some(413));
    let few: String = (0..ROUNDS).map(|_| format!("{}{}", part("f; filename=a"), "x".repeat(3000))).collect();
    let body = format!("{few}\r\n--b--\r\n").as_bytes()[2..].to_vec();
    assert_eq!(upload(&defaults(), &body, 100).1, None);
}

#[test]
fn a_form_over_its_limit_is_read_again_only_so_often_though_it_comes_byte_by_byte() {
    let part = |name: &str| format!("\r\n--b\r\ncontent-disposition: form-data; name={name}\r\n\r\n");
    let head = || exchange::head(&[("content-type", "multipart/form-data; boundary=b")]);
    let snapshot = defaults();
    let step = request_of(&snapshot, head(), BodyKind::Unknown);
    let Step::NeedBody(mut stage) = step else { panic!("{step:?}") };
    // A small file, then a field that is longer than all that may be held.
    let body = format!("{}x{}{}", &part("f; filename=a")[2..], part("a"), "y".repeat(5000));
    let mut looks = 0;
    let last = body.as_bytes().chunks(1).find_map(|byte| match stage.feed(byte) {
        Feed::Look => {
            looks += 1;
            Some(stage.look()).filter(|feed| *feed != Feed::More)
        }
        _ => None,
    });
    assert_eq!(last, Some(Feed::TooLong));
    assert!(looks <= LOOKS + 1, "{looks}");
    // The same behind a file that passed.
    let long = form([5000, 10], "b", "").len() - "\r\n--b--\r\n".len();
    let form = form([5000, 10], "b", &"y".repeat(5000));
    let Step::NeedBody(mut stage) = request_of(&snapshot, head(), BodyKind::Unknown) else {
        panic!("not held")
    };
    assert_eq!(fed(&mut stage, &form[..3000]), Feed::Enough);
    let mut upload = stage.finish().unwrap().take_upload().unwrap();
    let mut judged = 0;
    for (at, byte) in form[3000..].chunks(1).enumerate() {
        match upload.feed(byte) {
            Passage::Judge => {
                judged += 1;
                assert!(!upload.judge(false).unwrap(), "no file comes");
            }
            Passage::TooLong => {
                assert!(at + 3000 > long + 2000, "not before it is too long: {at}");
                break;
            }
            Passage::Pass | Passage::Hold => {}
        }
    }
    assert!((1..=LOOKS + 2).contains(&judged), "{judged}");
}

#[test]
fn the_size_of_a_file_that_passed_is_its_whole_size() {
    let judged = |sizes: [usize; 2], tail: &str, piece: usize| {
        let rules = format!(
            // What is judged while a file is still coming knows less; the field says that the form is whole.
            "SecRule &ARGS:last \"@eq 0\" \"id:9,phase:2,pass,nolog,skipAfter:END\"\n\
             SecRule FILES_COMBINED_SIZE \"!@eq {}\" \"id:1,phase:2,deny,status:418\"\n\
             SecRule &FILES_SIZES \"!@eq 2\" \"id:2,phase:2,deny,status:419\"\n\
             SecRule FILES_SIZES:a \"!@eq {}\" \"id:3,phase:2,deny,status:420\"\n\
             SecRule ARGS:last \"@streq fine\" \"id:4,phase:2,deny,status:421\"\nSecMarker END",
            sizes[0] + sizes[1],
            sizes[0]
        );
        let snapshot = exchange::snapshot(&rules, json!({"requestBody": {"maxBytes": 2000}}));
        let part = |name: &str, data: &str| {
            format!("--b\r\ncontent-disposition: form-data; name={name}\r\n\r\n{data}\r\n")
        };
        let file = |name: &str, size: usize| {
            let data = format!("{}{tail}", "x".repeat(size - tail.len()));
            part(&format!("{name}; filename=f"), &data)
        };
        let body = format!("{}{}{}--b--\r\n", file("a", sizes[0]), file("b", sizes[1]), part("last", "fine"));
        upload(&snapshot, body.as_bytes(), piece).1
    };
    for piece in [1, 7, 100, 900] {
        for sizes in [[10, 10], [5000, 10], [10, 5000], [5000, 5000], [1999, 2001], [20_000, 30_000]] {
            for tail in ["", "\r", "\r\n", "\n", "\r\r", "\r\n-"] {
                assert_eq!(judged(sizes, tail, piece), Some(421), "{sizes:?} {tail:?} {piece}");
            }
        }
    }
}

const HEAD: &str = "--b\r\ncontent-disposition: form-data; name=f; filename=g\r\n\r\n";

/// The refusal of a form whose file holds `odd` behind so many bytes, and as many follow.
fn with(snapshot: &Snapshot, odd: &str, before: usize, behind: usize, piece: usize) -> Option<Denial> {
    let (before, behind) = ("x".repeat(before), "y".repeat(behind));
    let body = format!("{HEAD}{before}{odd}{behind}\r\n--b--\r\n");
    let (sent, denial) = sent(snapshot, body.as_bytes(), piece);
    assert_eq!(sent == body.len(), denial.is_none(), "{odd:?} {}", before.len());
    denial
}

#[test]
fn a_file_that_holds_what_could_be_a_boundary_is_refused_wherever_it_stands() {
    let refusing = |over: &str| snapshot(json!({}), 2000, over);
    for snapshot in [refusing("reject"), refusing("inspectPrefix")] {
        for odd in ["\r\n-- b\r\n", "\n--\"b\"", "--b", "\r--b\r\n", "\n--         \t b"] {
            // In a form that is held, in what is held of one that is not, on each side of the limit, and far behind it.
            for (before, behind) in
                [(10, 10), (10, 9000), (1000, 9000), (1925, 5000), (1940, 10), (5000, 5000), (30_000, 10)]
            {
                for piece in [1, 13, 900] {
                    let denial = with(&snapshot, odd, before, behind, piece);
                    let denial = denial.unwrap_or_else(|| panic!("{odd:?} {before} {behind} {piece} passed"));
                    let text = &denial.explanation;
                    assert_eq!(
                        (denial.reason, denial.status.as_u16()),
                        (Reason::BodyMalformed, 400),
                        "{odd:?} {before} {behind} {piece}: {text}"
                    );
                    assert!(text.contains("boundary"), "{text}");
                }
            }
        }
    }
}

#[test]
fn a_file_of_keys_or_patches_passes_however_it_comes() {
    let snapshot = defaults();
    let text = "-----BEGIN KEY-----\r\n--- a/f\n+++ b/f\n-- \n--\r\n-- c\n--\"c\"\r--x\n--B\r\n------\n";
    for piece in [1, 7, 100, 900] {
        for repeat in [1, 40, 400] {
            let body = format!("{HEAD}{}\r\n--b--\r\n", text.repeat(repeat));
            let (sent, denial) = sent(&snapshot, body.as_bytes(), piece);
            assert_eq!(
                (sent, denial.map(|denial| denial.explanation)),
                (body.len(), None),
                "{piece} {repeat}"
            );
        }
    }
}

#[test]
fn where_nothing_is_refused_such_a_form_passes_whole() {
    let limits = json!({"maxBytes": 2000, "over": "reject"});
    let detect = exchange::snapshot(RULES, json!({"mode": "detect", "requestBody": limits}));
    for (before, behind) in [(10, 10), (5000, 10), (5000, 50_000)] {
        for odd in ["\r\n-- b\r\n", "--b"] {
            assert!(with(&detect, odd, before, behind, 100).is_none(), "{odd:?} {before} {behind}");
        }
    }
    let bounded = exchange::snapshot(
        RULES,
        json!({"mode": "detect", "requestBody": limits, "bodies": {"uploadBytes": 20_000}}),
    );
    let denial = with(&bounded, "--b", 5000, 50_000, 100);
    assert_eq!(
        denial.map(|denial| denial.reason),
        Some(Reason::BodyTooLarge),
        "its length counts all the same"
    );
}
