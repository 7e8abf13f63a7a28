//! The requests that WAF engines are compared with: what a browser and an API client send, and two attacks.
//!
//! Every request is made here, byte by byte the same for each engine in process and for each proxy end to end. Which
//! rules must fire is in [`expected`]: an engine that judges nothing would be fast for the wrong reason.

use std::borrow::Cow;

use serde_json::json;

/// A request.
#[derive(Clone, Debug)]
pub struct Shape {
    /// Its name in tables and in JSON.
    pub name: &'static str,
    /// Whether it is an attack.
    pub attack: bool,
    /// The method.
    pub method: &'static str,
    /// The path with its query.
    pub target: Cow<'static, str>,
    /// The headers as written, in order.
    pub headers: Vec<(&'static str, String)>,
    /// The body; empty: none.
    pub body: Vec<u8>,
}

/// The host every request names.
pub const HOST: &str = "www.shop.example";

/// The shapes, in the order of the tables.
pub fn shapes() -> Vec<Shape> {
    let form = "application/x-www-form-urlencoded";
    let get = |name, target: &'static str| Shape {
        name,
        attack: false,
        method: "GET",
        target: target.into(),
        headers: browser(true),
        body: Vec::new(),
    };
    let attack = |shape: Shape| Shape { attack: true, ..shape };
    vec![
        get("simple_get", "/catalog/items?page=2&sort=price"),
        post("form_8_fields", "/account/address", form, form_of_8_fields()),
        post("json_1k", "/api/orders", "application/json", orders(1024)),
        post("json_10k", "/api/orders", "application/json", orders(10 * 1024)),
        post("form_10k_field", "/blog/comments", form, form_with_10_kib()),
        post(
            "upload_64k",
            "/account/photo",
            "multipart/form-data; boundary=----Boundary7MA4YWxkTrZu0gW",
            upload(),
        ),
        attack(post(
            "sqli_form",
            "/login",
            form,
            b"user=admin&password=1%27+OR+%271%27%3D%271&next=account".to_vec(),
        )),
        attack(get("xss_get", "/search?q=%3Cscript%3Ealert%28document.cookie%29%3C%2Fscript%3E&page=1")),
    ]
}

/// The shape with this name.
pub fn shape(name: &str) -> Option<Shape> {
    shapes().into_iter().find(|shape| shape.name == name)
}

fn post(name: &'static str, target: &'static str, content_type: &str, body: Vec<u8>) -> Shape {
    let mut headers = browser(false);
    headers.push(("Content-Type", content_type.to_owned()));
    headers.push(("Content-Length", body.len().to_string()));
    Shape { name, attack: false, method: "POST", target: target.into(), headers, body }
}

/// What Firefox sends with a navigation, or with a request of a page's script.
fn browser(navigation: bool) -> Vec<(&'static str, String)> {
    let accept = if navigation {
        "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
    } else {
        "application/json,text/plain,*/*"
    };
    let mut headers = vec![
        ("Host", HOST.to_owned()),
        ("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0".to_owned()),
        ("Accept", accept.to_owned()),
        ("Accept-Language", "en-GB,en;q=0.7,de;q=0.3".to_owned()),
        ("Accept-Encoding", "gzip, deflate, br".to_owned()),
        ("Cookie", "session=9f2c6e1ab04d4d27a3f05be1c7d1e6a8; theme=dark; lang=en".to_owned()),
        ("Sec-Fetch-Site", "same-origin".to_owned()),
    ];
    if navigation {
        headers.push(("Sec-Fetch-Mode", "navigate".to_owned()));
        headers.push(("Sec-Fetch-Dest", "document".to_owned()));
        headers.push(("Upgrade-Insecure-Requests", "1".to_owned()));
    } else {
        headers.push(("Sec-Fetch-Mode", "cors".to_owned()));
        headers.push(("Sec-Fetch-Dest", "empty".to_owned()));
    }
    headers
}

fn form_of_8_fields() -> Vec<u8> {
    let fields = [
        "first_name=Jane",
        "last_name=Miller",
        "email=jane.miller%40mail.example",
        "street=42+Station+Road",
        "city=Cambridge",
        "postcode=CB1+2JW",
        "phone=%2B44+1223+555+0142",
        "newsletter=yes",
    ];
    fields.join("&").into_bytes()
}

/// An order with as many items as fit into so many bytes.
fn orders(bytes: usize) -> Vec<u8> {
    let mut items = Vec::new();
    let mut text = Vec::new();
    for number in 0_u32.. {
        items.push(json!({
            "sku": format!("A{:05}", 10_007 + number * 37),
            "quantity": number % 5 + 1,
            "price": f64::from(1999 + number * 50) / 100.0,
            "colour": if number % 3 == 0 { "red" } else { "green" },
            "gift": number % 4 == 0,
        }));
        let order = json!({
            "customer": {"id": 48_213, "country": "DE", "currency": "EUR"},
            "placed": "2026-03-14T09:26:53Z",
            "reference": "ord-20260314-000517",
            "items": items,
        });
        let next = order.to_string().into_bytes();
        if next.len() > bytes {
            break;
        }
        text = next;
    }
    text
}

fn form_with_10_kib() -> Vec<u8> {
    let sentence =
        "We+walked+along+the+river+until+the+rain+began,+then+had+tea+in+a+small+room+by+the+bridge.+";
    let mut body = b"title=A+day+out&comment=".to_vec();
    body.extend_from_slice(sentence.repeat(10 * 1024 / sentence.len()).as_bytes());
    body
}

/// A form with a text and a file of 64 KiB, whose bytes look like those of a compressed picture.
fn upload() -> Vec<u8> {
    let boundary = "----Boundary7MA4YWxkTrZu0gW";
    let mut body = format!(
        "--{boundary}\r\nContent-Disposition: form-data; name=\"caption\"\r\n\r\nBridge\r\n\
         --{boundary}\r\nContent-Disposition: form-data; name=\"photo\"; filename=\"bridge.png\"\r\n\
         Content-Type: image/png\r\n\r\n"
    )
    .into_bytes();
    body.extend_from_slice(b"\x89PNG\r\n\x1a\n");
    // xorshift64: the same bytes in every run.
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    while body.len() < 64 * 1024 {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        body.extend_from_slice(&state.to_le_bytes());
    }
    body.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
    body
}

/// Who judges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judge {
    /// Our engine.
    Palisade,
    /// libmodsecurity.
    ModSecurity,
}

/// CRS's rule that refuses a request for its score.
pub const BLOCKING_RULE: u64 = 949_110;

/// CRS's rule that reports the score of a refused request.
const REPORT: u64 = 980_170;

/// The ids of the logged rules that must fire, and no other. Both engines find the same, with these differences:
///
/// - libmodsecurity writes no rule with `noauditlog` to the server's log, which leaves out the report.
/// - libmodsecurity has the raw body in `REQUEST_BODY` whatever its type, so that CRS's checks of its bytes (920272,
///   920273) also take JSON and multipart. Here, as in ModSecurity 2, it holds forms, and what a rule forces into it.
pub fn expected(shape: &str, paranoia: u8, judge: Judge) -> Vec<u64> {
    const SQLI_4: [u64; 11] =
        [920_273, 932_240, 942_100, 942_130, 942_180, 942_330, 942_370, 942_390, 942_432, 942_511, 942_520];
    const XSS_4: [u64; 10] =
        [920_273, 941_100, 941_110, 941_160, 941_180, 941_320, 941_390, 942_131, 942_431, 942_432];
    let raw_body = judge == Judge::ModSecurity;
    let mut ids = match (shape, paranoia) {
        ("sqli_form", 1) => vec![942_100],
        ("sqli_form", _) => SQLI_4.to_vec(),
        ("xss_get", 1) => vec![941_100, 941_110, 941_160, 941_180, 941_390],
        ("xss_get", _) => XSS_4.to_vec(),
        (_, 1) | ("simple_get", _) => Vec::new(),
        // Dates of JSON have more special characters than level 4 likes, texts have spaces.
        ("json_1k" | "json_10k", _) if raw_body => vec![920_273, 942_432],
        ("json_1k" | "json_10k", _) => vec![942_432],
        ("upload_64k", _) if raw_body => vec![920_272, 920_273],
        ("upload_64k", _) => Vec::new(),
        _ => vec![920_273],
    };
    if !ids.is_empty() {
        ids.push(BLOCKING_RULE);
        if judge == Judge::Palisade {
            ids.push(REPORT);
        }
    }
    ids
}
