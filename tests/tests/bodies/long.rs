//! 50 MiB both ways with the WAF on: intact, in bounded memory, and a slow end slows the other one.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::stage::{Client, RULES, Stage, get, inspection, length, limits, origin, reason, status};

pub const MIB: usize = 1 << 20;
pub const LONG: usize = 50 * MIB;
/// What one long body may add to the resident memory: what is held of it, socket buffers of hyper, and room for an
/// allocator that does not give back at once. A body that is held would add 50 MiB.
pub const CEILING: u64 = 16 << 20;
/// What the kernel may take of a body for the four sockets on its way, and then some.
pub const IN_FLIGHT: usize = 40 * MIB;
/// What a policy of the default size holds.
const HELD: usize = 128 * 1024;

/// A mebibyte that repeats nowhere near: each byte tells where it belongs.
fn pattern() -> Arc<[u8]> {
    let mut seed = 0x9e37_79b9_u32;
    let mut byte = || {
        seed ^= seed << 13;
        seed ^= seed >> 17;
        seed ^= seed << 5;
        b'!' + u8::try_from(seed % 90).unwrap()
    };
    (0..MIB).map(|_| byte()).collect()
}

/// Whether pieces come in order and intact: the pattern again and again.
pub struct Check {
    pattern: Arc<[u8]>,
    at: usize,
    pub intact: bool,
}

impl Check {
    pub fn new(pattern: &Arc<[u8]>) -> Self {
        Self { pattern: pattern.clone(), at: 0, intact: true }
    }

    pub fn take(&mut self, mut piece: &[u8]) {
        while !piece.is_empty() {
            let from = self.at % MIB;
            let now = piece.len().min(MIB - from);
            self.intact &= piece[..now] == self.pattern[from..from + now];
            self.at += now;
            piece = &piece[now..];
        }
    }
}

/// Peak memory of the proxy from here on.
pub struct Peak {
    id: u32,
    before: u64,
}

impl Peak {
    pub fn begin(stage: &Stage) -> Self {
        let id = stage.proxy.id();
        // Forgets the peak so far; without it the peak before counts too, which asserts more.
        let _ = std::fs::write(format!("/proc/{id}/clear_refs"), "5");
        Self { id, before: field(id, "VmRSS:") }
    }

    pub fn grown(&self) -> u64 {
        field(self.id, "VmHWM:").saturating_sub(self.before)
    }
}

fn field(id: u32, name: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim().trim_end_matches(" kB").trim().parse::<u64>().unwrap() * 1024
}

/// An origin that checks what it is sent and answers with as much, once `open` lets it read on.
fn mirror(pattern: &Arc<[u8]>, written: &Arc<AtomicUsize>, open: &Arc<AtomicUsize>) -> SocketAddr {
    let (pattern, written, open) = (pattern.clone(), written.clone(), open.clone());
    origin(move |mut client| {
        while let Some(head) = client.head() {
            while open.load(Ordering::Acquire) == 0 {
                std::thread::sleep(Duration::from_millis(5));
            }
            let mut check = Check::new(&pattern);
            let skip = head.lines().find_map(|line| line.strip_prefix("x-skip: "));
            let skip: usize = skip.map_or(0, |skip| skip.parse().unwrap());
            client.each(skip, |_| {});
            let came = client.each(length(&head).saturating_sub(2 * skip), |piece| check.take(piece));
            client.each(skip, |_| {});
            let kind = if head.starts_with("get /text") { "text/plain" } else { "application/zip" };
            client.send(format!(
                "HTTP/1.1 200 OK\r\nx-intact: {} {came}\r\ncontent-type: {kind}\r\n",
                check.intact
            ));
            let down = if head.starts_with("get") { LONG } else { 0 };
            client.send(format!("content-length: {down}\r\n\r\n"));
            for _ in 0..down / MIB {
                client.send(&pattern);
                written.fetch_add(MIB, Ordering::AcqRel);
            }
        }
    })
}

pub struct World {
    pub stage: Stage,
    pub pattern: Arc<[u8]>,
    pub written: Arc<AtomicUsize>,
    pub open: Arc<AtomicUsize>,
}

pub fn world(over: &str) -> World {
    let (pattern, written) = (pattern(), Arc::<AtomicUsize>::default());
    let open = Arc::new(AtomicUsize::new(1));
    let stage = Stage::new(mirror(&pattern, &written, &open), RULES, limits(HELD, over));
    // What the first request makes once is no part of the body's cost.
    assert_eq!(
        stage.status("POST / HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 1\r\n\r\n!"),
        200
    );
    World { stage, pattern, written, open }
}

#[test]
fn a_long_upload_and_a_long_download_pass_intact_in_bounded_memory() {
    let World { stage, pattern, .. } = world("inspectPrefix");
    let peak = Peak::begin(&stage);
    let mut up = stage.connect();
    up.send(format!(
        "POST /up HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-type: application/octet-stream\r\n\
         content-length: {LONG}\r\n\r\n"
    ));
    for _ in 0..LONG / MIB {
        up.send(&pattern);
    }
    let head = up.head().unwrap();
    assert!(head.contains(&format!("x-intact: true {LONG}")), "{head}");
    let record = stage.proxy.record(up.stream.local_addr().unwrap()).unwrap();
    assert_eq!(inspection(&record, "request"), format!("prefix: {HELD}"));
    // One of a type that is inspected, one of a type that is not.
    for (target, seen) in [
        ("/text", format!("prefix: {HELD}")),
        ("/zip", "uninspected: its content type is not inspected".into()),
    ] {
        let mut down = stage.connect();
        down.send(get(target));
        assert_eq!(status(&down.head().unwrap()), 200);
        let mut check = Check::new(&pattern);
        assert_eq!(down.each(LONG, |piece| check.take(piece)), LONG);
        assert!(check.intact, "{target}");
        let record = stage.proxy.record(down.stream.local_addr().unwrap()).unwrap();
        assert_eq!(inspection(&record, "response"), seen, "{target}");
        assert_eq!(record["response"]["responseBytes"], LONG);
    }
    let grown = peak.grown();
    assert!(grown < CEILING, "{grown} bytes more at its peak");
    assert_eq!(stage.held(), 0);
}

#[test]
fn a_long_file_in_a_form_passes_intact_in_bounded_memory() {
    let World { stage, pattern, .. } = world("reject");
    let (first, last) =
        ("--bound\r\ncontent-disposition: form-data; name=f; filename=a\r\n\r\n", "\r\n--bound--\r\n");
    // The same number of bytes before and behind the file, so that the origin can tell it from them.
    let skip = first.len();
    let last = format!("{last}{}", "\r\n".repeat((skip - last.len()) / 2));
    assert_eq!(last.len(), skip, "empty lines are two bytes");
    let peak = Peak::begin(&stage);
    let mut client = stage.connect();
    let total = LONG + 2 * skip;
    client.send(format!(
        "POST /up HTTP/1.1\r\nhost: a\r\nconnection: close\r\nx-skip: {skip}\r\n\
         content-type: multipart/form-data; boundary=bound\r\ncontent-length: {total}\r\n\r\n{first}"
    ));
    for _ in 0..LONG / MIB {
        client.send(&pattern);
    }
    client.send(last);
    let head = client.head().unwrap();
    assert!(head.contains(&format!("x-intact: true {LONG}")), "{head}");
    let grown = peak.grown();
    assert!(grown < CEILING, "{grown} bytes more at its peak");
    assert_eq!(stage.held(), 0);
}

/// Waits until a count does not change for a while.
pub fn settled(count: impl Fn() -> usize) -> usize {
    let (mut last, mut since) = (count(), Instant::now());
    while since.elapsed() < Duration::from_millis(600) {
        std::thread::sleep(Duration::from_millis(20));
        let now = count();
        if now != last {
            (last, since) = (now, Instant::now());
        }
    }
    last
}

#[test]
fn a_client_that_does_not_read_stops_the_upstream_and_gets_everything_when_it_does() {
    let World { stage, pattern, written, .. } = world("inspectPrefix");
    let peak = Peak::begin(&stage);
    let mut client = stage.connect();
    client.send(get("/zip"));
    let sent = settled(|| written.load(Ordering::Acquire));
    assert!(sent < IN_FLIGHT, "{sent} bytes were taken from the upstream for a client that reads nothing");
    let grown = peak.grown();
    assert!(grown < CEILING, "{grown} bytes more while it waits");
    assert_eq!(status(&client.head().unwrap()), 200);
    let mut check = Check::new(&pattern);
    assert_eq!(client.each(LONG, |piece| check.take(piece)), LONG);
    assert!(check.intact);
}

#[test]
fn an_upstream_that_does_not_read_stops_the_client_and_gets_everything_when_it_does() {
    let World { stage, pattern, open, .. } = world("inspectPrefix");
    open.store(0, Ordering::Release);
    let peak = Peak::begin(&stage);
    let mut client = stage.connect();
    client.send(format!(
        "POST /up HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-type: application/octet-stream\r\n\
         content-length: {LONG}\r\n\r\n"
    ));
    let sent = Arc::new(AtomicUsize::new(0));
    let (mut writer, count) = (client.stream.try_clone().unwrap(), sent.clone());
    let bytes = pattern.clone();
    let uploading = std::thread::spawn(move || {
        for piece in (0..LONG / MIB).flat_map(|_| bytes.chunks(16 * 1024)) {
            std::io::Write::write_all(&mut writer, piece).unwrap();
            count.fetch_add(piece.len(), Ordering::AcqRel);
        }
    });
    let taken = settled(|| sent.load(Ordering::Acquire));
    assert!(taken < IN_FLIGHT, "{taken} bytes were taken from the client for an upstream that reads nothing");
    let grown = peak.grown();
    assert!(grown < CEILING, "{grown} bytes more while it waits");
    open.store(1, Ordering::Release);
    uploading.join().unwrap();
    let head = client.head().unwrap();
    assert!(head.contains(&format!("x-intact: true {LONG}")), "{head}");
}

/// A form with a file that passes and a field that has no end yet: what is held of it.
fn unfinished(stage: &Stage, file: usize, field: usize) -> Client {
    let mut client = stage.connect();
    client.send(
        "POST /up HTTP/1.1\r\nhost: a\r\ncontent-type: multipart/form-data; boundary=b\r\n\
         content-length: 10000000\r\n\r\n--b\r\ncontent-disposition: form-data; name=f; filename=a\r\n\r\n",
    );
    client.send(vec![b'x'; file]);
    client.send("\r\n--b\r\ncontent-disposition: form-data; name=n\r\n\r\n");
    client.send(vec![b'y'; field]);
    client
}

#[test]
fn what_is_held_of_a_long_upload_counts_in_the_budget_under_at_and_over_it() {
    const BUDGET: u64 = 700_000;
    let address = origin(|mut client| {
        // Takes what comes and does not answer before the end.
        client.rest();
    });
    let stage = Stage::with(address, RULES, limits(100_000, "reject"), |policy| {
        policy["limits"] = json!({"bufferedBytes": BUDGET});
    });
    let held = |least: u64| {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let held = stage.held();
            if held >= least || Instant::now() > deadline {
                return held;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    };
    // The first part was judged and went on. Held are what the judge keeps of it, and the field behind the file: as
    // pieces, as large as they came, and by the judge.
    let first = unfinished(&stage, 150_000, 80_000);
    let one = held(240_000);
    assert!((240_000..330_000).contains(&one), "{one} for one upload");
    let second = unfinished(&stage, 150_000, 80_000);
    let two = held(480_000);
    assert!((480_000..BUDGET).contains(&two), "{two} for two uploads");
    // A third does not fit: it is refused, the others are not.
    let mut third = unfinished(&stage, 150_000, 80_000);
    let head = third.head().unwrap();
    assert_eq!(status(&head), 503, "{head}");
    let record = stage.proxy.record(third.stream.local_addr().unwrap()).unwrap();
    assert_eq!(reason(&record), "limit", "{record}");
    assert!(stage.held() <= BUDGET);
    drop((first, second, third));
    let deadline = Instant::now() + Duration::from_secs(20);
    while stage.held() > 0 {
        assert!(Instant::now() < deadline, "{} bytes stay held", stage.held());
        std::thread::sleep(Duration::from_millis(20));
    }
    let _again = unfinished(&stage, 150_000, 80_000);
    assert!(held(240_000) >= 240_000, "there is room again");
}

#[test]
fn whether_a_form_is_too_long_does_not_depend_on_how_it_comes() {
    let address = origin(|mut client| {
        while let Some(head) = client.head() {
            client.each(length(&head), |_| {});
            client.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
        }
    });
    let stage = Stage::new(address, RULES, limits(10_000, "reject"));
    let part = |name: &str| format!("--b\r\ncontent-disposition: form-data; name={name}\r\n\r\n");
    for (file, field, expected) in
        [(30_000, 8_000, 200), (30_000, 30_000, 413), (9_000, 14_000, 413), (11_000, 8_500, 200)]
    {
        let (file, field) = ("x".repeat(file), "y".repeat(field));
        let body = format!("{}{file}\r\n{}{field}\r\n--b--\r\n", part("f; filename=a"), part("n"));
        let request = crate::stage::post("multipart/form-data; boundary=b", "", body.as_bytes());
        for piece in [request.len(), 4_000, 1_000] {
            let mut client = stage.connect();
            for piece in request.chunks(piece) {
                // Pieces that arrive one by one: the proxy reads what is there.
                let _ = std::io::Write::write_all(&mut client.stream, piece);
                std::thread::sleep(Duration::from_millis(if request.len() > piece.len() { 2 } else { 0 }));
            }
            let head = client.head().unwrap();
            assert_eq!(status(&head), expected, "{} and {} in pieces of {piece}", file.len(), field.len());
        }
    }
}

#[test]
fn what_is_found_behind_a_long_file_is_in_the_record_though_it_refuses_nothing() {
    let address = origin(|mut client| {
        while let Some(head) = client.head() {
            client.each(length(&head), |_| {});
            client.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
        }
    });
    let mut spec = limits(50_000, "reject");
    spec["mode"] = "detect".into();
    let rules = "SecRequestBodyAccess On\n\
        SecRule ARGS \"@contains attack\" \"id:1,phase:2,deny,status:403,msg:'found'\"\n\
        SecRule FILES \"@rx .\" \"id:2,phase:2,pass,log,msg:'file'\"\n";
    let stage = Stage::new(address, rules, spec);
    let part = |name: &str| format!("--b\r\ncontent-disposition: form-data; name={name}\r\n\r\n");
    let (file, last) = ("x".repeat(300_000), "attack");
    let body = format!("{}{file}\r\n{}{last}\r\n--b--\r\n", part("f; filename=a"), part("n"));
    let kind = "multipart/form-data; boundary=b";
    let (answer, record) = stage.send(crate::stage::post(kind, "", body.as_bytes()));
    assert_eq!(answer.status, 200);
    let ids: Vec<_> = record["matches"].as_array().unwrap().iter().map(|one| one["id"].as_u64()).collect();
    assert!(ids.contains(&Some(1)) && ids.contains(&Some(2)), "{record}");
    assert_eq!(ids.len(), 2, "each once: {record}");
    assert!(inspection(&record, "request").starts_with("prefix"), "{record}");
}
