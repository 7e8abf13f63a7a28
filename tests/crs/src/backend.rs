//! What stands behind the proxy: the suite's backend (albedo), as far as its tests look at it.
//!
//! ```text
//!   POST /reflect        answers exactly what its JSON body says: status, headers, body or encodedBody
//!   GET  /capabilities   its paths
//!   everything else      200, empty
//! ```

use palisade_tests::origin::{Received, Reply};
use serde::Deserialize;
use serde_json::json;
use std::collections::BTreeMap;

use crate::request::from_base64;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Reflection {
    #[serde(default)]
    status: u16,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    body: String,
    #[serde(default)]
    encoded_body: String,
}

/// Answers one request.
pub fn answer(request: &Received) -> Reply {
    let path = request.target.split('?').next().unwrap_or_default();
    match (request.method.as_str(), path) {
        ("POST", path) if path == "/reflect" || path.starts_with("/reflect/") => reflect(&request.body),
        (_, "/capabilities" | "/capabilities/") => {
            let paths = ["/*", "/capabilities", "/reflect"].map(|path| json!({"path": path}));
            Reply::new(200, "application/json", json!({"endpoints": paths}).to_string())
        }
        _ => Reply::empty(),
    }
}

fn reflect(body: &[u8]) -> Reply {
    let refused = |text: &str| Reply::new(400, "text/plain; charset=utf-8", text);
    let Ok(wanted) = serde_json::from_slice::<Reflection>(body) else {
        return refused("Invalid JSON in request body");
    };
    let status = match wanted.status {
        0 => 200,
        status @ 100..=599 => status,
        status => return refused(&format!("Invalid status code: {status}")),
    };
    let body = match (wanted.body.is_empty(), from_base64(&wanted.encoded_body)) {
        (false, _) => wanted.body.into_bytes(),
        (true, Ok(body)) => body,
        (true, Err(_)) => return refused("invalid base64 encoding of response body"),
    };
    let is_good = |(name, value): &(String, String)| {
        let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        !name.is_empty() && name.bytes().all(token) && !value.contains(['\r', '\n', '\0'])
    };
    let mut headers: Vec<(String, String)> = wanted.headers.into_iter().filter(is_good).collect();
    let framing = ["content-length", "transfer-encoding", "connection"];
    headers.retain(|(name, _)| !framing.contains(&name.to_ascii_lowercase().as_str()));
    // The suite's backend is a Go program, whose server names a type where nobody else does.
    if !body.is_empty() && !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type")) {
        headers.push(("Content-Type".into(), sniffed(&body).into()));
    }
    Reply { status, headers, body }
}

/// A media type by the first bytes, as browsers and Go's server sniff it (WHATWG MIME Sniffing), for the types that
/// decide whether a body is inspected.
fn sniffed(body: &[u8]) -> &'static str {
    const TAGS: [&str; 17] = [
        "<!DOCTYPE HTML",
        "<HTML",
        "<HEAD",
        "<SCRIPT",
        "<IFRAME",
        "<H1",
        "<DIV",
        "<FONT",
        "<TABLE",
        "<A",
        "<STYLE",
        "<TITLE",
        "<B",
        "<BODY",
        "<BR",
        "<P",
        "<!--",
    ];
    let body = body.get(..512).unwrap_or(body);
    let text = body.trim_ascii_start();
    let is_tag = |tag: &&str| {
        let start = text.get(..tag.len()).is_some_and(|start| start.eq_ignore_ascii_case(tag.as_bytes()));
        start && matches!(text.get(tag.len()), Some(b' ' | b'>'))
    };
    let is_binary = |byte: &u8| matches!(byte, 0..=8 | 11 | 14..=26 | 28..=31);
    if TAGS.iter().any(is_tag) {
        "text/html; charset=utf-8"
    } else if text.starts_with(b"<?xml") {
        "text/xml; charset=utf-8"
    } else if body.starts_with(b"%PDF-") {
        "application/pdf"
    } else if body.starts_with(&[0x1f, 0x8b, 0x08]) {
        "application/x-gzip"
    } else if body.starts_with(b"GIF87a") || body.starts_with(b"GIF89a") {
        "image/gif"
    } else if body.iter().any(is_binary) {
        "application/octet-stream"
    } else {
        "text/plain; charset=utf-8"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn post(body: &str) -> Reply {
        let received = Received {
            method: "POST".into(),
            target: "/reflect".into(),
            headers: Vec::new(),
            body: body.into(),
        };
        answer(&received)
    }

    #[test]
    fn reflect_answers_what_it_is_told() {
        let reply = post(r#"{"status":503,"headers":{"X-A":"b"},"body":"hello"}"#);
        assert_eq!((reply.status, reply.body.as_slice()), (503, b"hello".as_slice()));
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(reply.headers, [pair("X-A", "b"), pair("Content-Type", "text/plain; charset=utf-8")]);
        assert_eq!(post(r#"{"encodedBody":"aGk="}"#).body, b"hi");
        assert_eq!(post("{").status, 400);
        assert_eq!(post(r#"{"status":700}"#).status, 400);
    }

    #[test]
    fn everything_else_is_200_and_empty() {
        let received = Received { method: "GET".into(), target: "/reflect?x".into(), ..Default::default() };
        let reply = answer(&received);
        assert_eq!((reply.status, reply.body.len(), reply.headers.len()), (200, 0, 0));
    }

    #[test]
    fn a_type_that_nobody_named_is_sniffed() {
        assert_eq!(sniffed(b" <html><p>"), "text/html; charset=utf-8");
        assert_eq!(sniffed(b"<htmlx"), "text/plain; charset=utf-8");
        assert_eq!(sniffed(b"<?xml version='1.0'?>"), "text/xml; charset=utf-8");
        assert_eq!(sniffed(b"a\0b"), "application/octet-stream");
    }
}
