//! HTTP/2 as a weapon. Every attack is bounded and ends by itself; afterwards the proxy is alive, has not grown, and
//! another client was served meanwhile.

use crate::frames::{
    ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, Http2, Outcome, PING, RST_STREAM,
    SETTINGS, WINDOW_UPDATE, block, frame,
};
use crate::stage::{Client, GOOD, Origin, Stage};

/// What the process may grow by during one attack: more than its buffers for one connection, less than what any of
/// the attacks sends or asks for.
const GROWTH: u64 = 48 << 20;

/// Writes until the other side has enough, or `count` times.
fn flood(attack: &mut Http2, count: u32, mut piece: impl FnMut(u32) -> Vec<u8>) -> u32 {
    let short = std::time::Duration::from_secs(2);
    attack.client.stream.set_write_timeout(Some(short)).unwrap();
    (0..count).find(|at| attack.client.try_send(piece(*at)).is_err()).unwrap_or(count)
}

/// Plays an attack between two looks at the proxy.
fn under_attack(stage: &Stage, attack: impl FnOnce(&Stage)) {
    stage.serves_others();
    let before = stage.memory();
    std::thread::scope(|scope| {
        let other = scope.spawn(|| (0..20).for_each(|_| stage.serves_others()));
        attack(stage);
        other.join().unwrap();
    });
    stage.alive();
    stage.serves_others();
    let after = stage.memory();
    assert!(after < before + GROWTH, "from {before} to {after} bytes");
}

/// A request whose header block is that of a GET.
fn open(stream: u32, flags: u8) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | flags, stream, &block(&Http2::get("/good")))
}

/// Whether the server ends the connection with an error.
fn ends(attack: &mut Http2) -> bool {
    loop {
        match attack.next() {
            None => return true,
            Some((GOAWAY, _, _, payload)) => return payload[4..8] != [0; 4],
            Some(_) => {}
        }
    }
}

#[test]
fn http2_49_rapid_reset_ends_the_connection() {
    let stage = Stage::new(Origin::ok());
    under_attack(&stage, |stage| {
        let mut attack = Http2::connect(stage);
        flood(&mut attack, 20_000, |at| {
            let stream = at * 2 + 1;
            let mut bytes = open(stream, END_STREAM);
            bytes.extend(frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes()));
            bytes
        });
        assert!(ends(&mut attack), "GOAWAY or a close");
    });
    assert!(stage.origin.count() < 5_000, "the origin got {} of 20,000 requests", stage.origin.count());
}

#[test]
fn http2_50_a_continuation_flood_is_cut_off() {
    let stage = Stage::new(Origin::ok());
    under_attack(&stage, |stage| {
        let mut attack = Http2::connect(stage);
        attack.send(&frame(HEADERS, END_STREAM, 1, &block(&Http2::get("/good"))));
        let piece = block(&[(b"x-a", &[b'a'; 16_000])]);
        // 160 MB, if somebody takes them.
        let written = flood(&mut attack, 10_000, |_| frame(CONTINUATION, 0, 1, &piece));
        assert!(written < 10_000, "nobody reads 160 MB of one head");
        assert!(ends(&mut attack), "GOAWAY or a close");
    });
    assert!(stage.origin.requests().iter().all(|seen| !seen.head.contains("x-a")));
}

#[test]
fn http2_50_a_header_list_over_the_limit_is_431_and_small_blocks_that_unpack_to_much_are_too() {
    let stage = Stage::new(Origin::ok());
    under_attack(&stage, |stage| {
        let mut attack = Http2::connect(stage);
        // One entry of 4,000 bytes in the dynamic table, then 12,000 references of one byte: 48 MB unpacked.
        let mut bomb = block(&Http2::get("/good"));
        bomb.extend([0x40, 3]);
        bomb.extend(b"x-b");
        bomb.extend([0x7f, 0xa1, 0x1e]);
        bomb.extend([b'b'; 4000]);
        bomb.extend(std::iter::repeat_n(0xbe, 12_000));
        attack.send(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &bomb));
        let outcome = attack.outcome(1);
        assert!(!matches!(outcome, Outcome::Status(200)), "{outcome:?}");
    });
    assert!(stage.origin.requests().iter().all(|seen| !seen.head.contains("x-b")));
}

#[test]
fn http2_52_cookie_crumbs_are_one_header_that_is_judged_and_bounded() {
    let stage = Stage::with(Origin::ok(), |policy| {
        policy["authorization"][0]["spec"]["rules"] = serde_json::json!([{"when": [{"key": "request.headers[cookie]", "values": ["a=1; role=admin"]}]}]);
    });
    let mut crumbs = Http2::get("/good");
    crumbs.extend([(&b"cookie"[..], &b"a=1"[..]), (b"cookie", b"role=admin")]);
    Http2::refused(&stage, "two crumbs", &crumbs, &[403]);
    under_attack(&stage, |stage| {
        let mut many = Http2::get("/good");
        many.extend(std::iter::repeat_n((&b"cookie"[..], &b"c=d"[..]), 1_200));
        let mut attack = Http2::connect(stage);
        attack.send(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &block(&many)));
        let outcome = attack.outcome(1);
        if outcome == Outcome::Status(200) {
            let seen = stage.origin.requests();
            let seen = seen.iter().find(|seen| seen.head.contains("c=d")).unwrap();
            assert_eq!(seen.head.matches("cookie:").count(), 1, "one header");
        }
        // One byte each in the dynamic table: over the limit, it is refused.
        let mut bomb = block(&Http2::get("/good"));
        bomb.extend([0x40, 6]);
        bomb.extend(b"cookie");
        bomb.extend([3]);
        bomb.extend(b"c=d");
        bomb.extend(std::iter::repeat_n(0xbe, 15_000));
        let mut attack = Http2::connect(stage);
        attack.send(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &bomb));
        let outcome = attack.outcome(1);
        assert!(!matches!(outcome, Outcome::Status(200)), "{outcome:?}");
    });
}

#[test]
fn http2_53_floods_of_control_frames_and_empty_data_do_not_grow_the_proxy() {
    let stage = Stage::new(Origin::ok());
    under_attack(&stage, |stage| {
        flood(&mut Http2::connect(stage), 50_000, |_| frame(PING, 0, 0, &[7; 8]));
        flood(&mut Http2::connect(stage), 50_000, |_| frame(SETTINGS, 0, 0, &[]));
        flood(&mut Http2::connect(stage), 50_000, |_| frame(WINDOW_UPDATE, 0, 0, &1_u32.to_be_bytes()));
        flood(&mut Http2::connect(stage), 50_000, |_| frame(0x55, 0, 0, b"unknown"));
        let mut data = Http2::connect(stage);
        data.send(&open(1, 0));
        flood(&mut data, 50_000, |_| frame(DATA, 0, 1, &[]));
    });
}

#[test]
fn http2_54_a_client_that_gives_no_window_holds_one_answer_at_most() {
    let big = vec![b'a'; 4 << 20];
    let mut answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", big.len()).into_bytes();
    answer.extend(&big);
    let origin = Origin::start(std::sync::Arc::new(move |seen, stream| {
        use std::io::Write;
        let small = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
        stream.write_all(if seen.target() == "/big" { &answer } else { small }).is_ok()
    }));
    let stage = Stage::new(origin);
    under_attack(&stage, |stage| {
        let mut attack = Client::connect(stage.edge);
        attack.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        // SETTINGS_INITIAL_WINDOW_SIZE = 0: no stream may be sent a byte.
        attack.send(frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]));
        let streams: Vec<u8> = (0..100)
            .flat_map(|at| frame(HEADERS, END_HEADERS | END_STREAM, at * 2 + 1, &block(&Http2::get("/big"))))
            .collect();
        attack.send(&streams);
        // A ping that is answered: everything before it was read.
        attack.send(frame(PING, 0, 0, b"are here"));
        loop {
            let head = attack.bytes(9).expect("the connection is open");
            let payload = attack.bytes(u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize).unwrap();
            assert_ne!((head[3], payload.is_empty()), (DATA, false), "a byte without window");
            if head[3] == PING && head[4] == ACK {
                break;
            }
        }
        stage.serves_others();
    });
}

#[test]
fn http2_56_streams_over_the_limit_are_refused_and_the_others_served() {
    let stage =
        Stage::with(Origin::ok(), |policy| policy["limits"] = serde_json::json!({"streamsPerConnection": 4}));
    under_attack(&stage, |stage| {
        let mut attack = Http2::connect(stage);
        let mut fields = Http2::get("/good");
        fields[0].1 = b"POST";
        let heads: Vec<u8> =
            (0..12).flat_map(|at| frame(HEADERS, END_HEADERS, at * 2 + 1, &block(&fields))).collect();
        attack.send(&heads);
        let mut refused = 0;
        let mut ended = false;
        while refused < 8 && !ended {
            match attack.next() {
                Some((RST_STREAM, _, _, payload)) => {
                    assert_eq!(payload, 7_u32.to_be_bytes(), "REFUSED_STREAM");
                    refused += 1;
                }
                Some((GOAWAY, ..)) | None => ended = true,
                Some(_) => {}
            }
        }
        if !ended {
            for at in 0..4 {
                attack.send(&frame(DATA, END_STREAM, at * 2 + 1, b"body"));
            }
            let mut served = 0;
            while served < 4 {
                match attack.next().expect("the connection is open") {
                    (HEADERS, ..) => served += 1,
                    (RST_STREAM, _, stream, code) => {
                        panic!("stream {stream} within the limit was reset: {code:?}")
                    }
                    _ => {}
                }
            }
        }
    });
    let posts = stage.origin.requests().iter().filter(|seen| seen.head.starts_with("POST")).count();
    assert!(posts <= 4, "{posts} streams of 12 reached the origin");
}

#[test]
fn http2_57_making_the_server_reset_streams_ends_the_connection() {
    let stage = Stage::new(Origin::ok());
    under_attack(&stage, |stage| {
        let mut attack = Http2::connect(stage);
        // A window of 2^31 and more is a stream error of the client's making (RFC 9113 §6.9.1).
        flood(&mut attack, 20_000, |at| {
            let stream = at * 2 + 1;
            let mut bytes = open(stream, 0);
            bytes.extend(frame(WINDOW_UPDATE, 0, stream, &0x7fff_ffff_u32.to_be_bytes()));
            bytes
        });
        assert!(ends(&mut attack), "GOAWAY or a close");
    });
    assert!(stage.origin.count() < 5_000, "the origin got {} of 20,000 requests", stage.origin.count());
}

#[test]
fn http2_frames_in_the_wrong_place_end_the_connection_only() {
    let stage = Stage::new(Origin::ok());
    let block = block(&Http2::get("/good"));
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("DATA on stream 0", frame(DATA, 0, 0, b"x")),
        ("DATA on an idle stream", frame(DATA, 0, 1, b"x")),
        ("HEADERS on stream 0", frame(HEADERS, END_HEADERS, 0, &block)),
        ("HEADERS on an even stream", frame(HEADERS, END_HEADERS, 2, &block)),
        ("a lone CONTINUATION", frame(CONTINUATION, END_HEADERS, 1, &block)),
        ("a short PING", frame(PING, 0, 0, b"x")),
        ("SETTINGS of 5 bytes", frame(SETTINGS, 0, 0, &[0; 5])),
        ("a window of 0", frame(WINDOW_UPDATE, 0, 0, &[0; 4])),
        ("a frame over 16,384 bytes", frame(DATA, 0, 1, &vec![0; 20_000])),
        ("a header block that is none", frame(HEADERS, END_HEADERS | END_STREAM, 1, &[0xff; 40])),
        ("padding longer than the frame", frame(HEADERS, END_HEADERS | 8, 1, &[200, 0, 0])),
    ];
    for (name, bytes) in cases {
        let mut attack = Http2::connect(&stage);
        attack.send(&bytes);
        assert!(ends(&mut attack), "{name}");
    }
    assert_eq!(stage.origin.count(), 0);
    stage.serves_others();
    let mut client = Client::connect(stage.edge);
    client.send(format!("{GOOD}PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"));
    assert_eq!(client.answer().unwrap().status, 200);
    assert!(client.answer().is_none_or(|answer| answer.status == 400), "no change of protocol on the way");
}
