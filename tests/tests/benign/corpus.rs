//! The corpus: `tests/benign/*.yaml`, each request as the bytes that its sender would send.

use std::fmt;

use palisade_tests::process::root;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};

/// A request with its name: the file's, and its number in it.
pub struct Benign {
    pub name: String,
    pub bytes: Vec<u8>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    profile: Profile,
    requests: Vec<Request>,
}

/// Who sends it.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Profile {
    /// A person who navigates.
    Browser,
    /// A page's script.
    Fetch,
    /// An app on a phone.
    App,
    /// A program on a server.
    Server,
}

type Pairs = Vec<(String, String)>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    #[serde(rename = "as")]
    profile: Option<Profile>,
    get: Option<String>,
    head: Option<String>,
    options: Option<String>,
    post: Option<String>,
    put: Option<String>,
    patch: Option<String>,
    delete: Option<String>,
    #[serde(default, deserialize_with = "in_order")]
    query: Pairs,
    #[serde(default, deserialize_with = "in_order")]
    headers: Pairs,
    cookie: Option<String>,
    #[serde(default, deserialize_with = "in_order")]
    form: Pairs,
    json: Option<serde_json::Value>,
    text: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
    #[serde(default)]
    parts: Vec<Part>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Part {
    name: String,
    value: Option<String>,
    filename: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
    content: Option<String>,
}

fn in_order<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Pairs, D::Error> {
    struct InOrder;
    impl<'de> Visitor<'de> for InOrder {
        type Value = Pairs;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("names and values")
        }
        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut list = Vec::new();
            while let Some(entry) = map.next_entry::<String, String>()? {
                list.push(entry);
            }
            Ok(list)
        }
    }
    deserializer.deserialize_map(InOrder)
}

/// Every request of every file.
pub fn read() -> Vec<Benign> {
    let directory = root().unwrap().join("tests/benign");
    let mut paths: Vec<_> =
        std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let mut corpus = Vec::new();
    for path in paths {
        let text = std::fs::read_to_string(&path).unwrap();
        let file: File =
            serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let stem = path.file_stem().unwrap().to_str().unwrap();
        for (request, number) in file.requests.iter().zip(1..) {
            let name = format!("{stem}-{number}");
            let bytes = request.bytes(&name, request.profile.unwrap_or(file.profile));
            corpus.push(Benign { name, bytes });
        }
    }
    corpus
}

const BOUNDARY: &str = "----geckoformboundary7d1f0a9c3b5e8264";

impl Request {
    fn line(&self) -> Option<(&'static str, &String)> {
        let all = [
            ("GET", &self.get),
            ("HEAD", &self.head),
            ("OPTIONS", &self.options),
            ("POST", &self.post),
            ("PUT", &self.put),
            ("PATCH", &self.patch),
            ("DELETE", &self.delete),
        ];
        all.into_iter().find_map(|(method, target)| target.as_ref().map(|target| (method, target)))
    }

    fn bytes(&self, name: &str, profile: Profile) -> Vec<u8> {
        let (method, target) = self.line().unwrap_or_else(|| panic!("{name}: no method"));
        let mut target = ascii(target);
        if !self.query.is_empty() {
            target = format!("{target}?{}", form(&self.query));
        }
        let body = self.body();
        let mut headers: Pairs = vec![("host".into(), "shop.example".into())];
        headers.extend(profile.headers(method));
        if let Some((kind, body)) = &body {
            headers.push(("content-type".into(), kind.clone()));
            headers.push(("content-length".into(), body.len().to_string()));
        } else if matches!(method, "POST" | "PUT" | "PATCH" | "DELETE") {
            headers.push(("content-length".into(), "0".into()));
        }
        if let Some(cookie) = &self.cookie {
            headers.push(("cookie".into(), cookie.clone()));
        }
        for (header, value) in &self.headers {
            let header = header.to_ascii_lowercase();
            headers.retain(|(name, _)| *name != header);
            headers.push((header, value.clone()));
        }
        let mut bytes = format!("{method} {target} HTTP/1.1\r\n").into_bytes();
        for (header, value) in headers {
            bytes.extend_from_slice(format!("{header}: {value}\r\n").as_bytes());
        }
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(&body.map(|(_, body)| body).unwrap_or_default());
        bytes
    }

    fn body(&self) -> Option<(String, Vec<u8>)> {
        let kind = |default: &str| self.kind.clone().unwrap_or_else(|| default.to_owned());
        if let Some(json) = &self.json {
            return Some((kind("application/json"), json.to_string().into_bytes()));
        }
        if let Some(text) = &self.text {
            return Some((kind("text/plain"), text.clone().into_bytes()));
        }
        if !self.parts.is_empty() {
            return Some((format!("multipart/form-data; boundary={BOUNDARY}"), self.multipart()));
        }
        (!self.form.is_empty())
            .then(|| (kind("application/x-www-form-urlencoded"), form(&self.form).into_bytes()))
    }

    fn multipart(&self) -> Vec<u8> {
        let mut text = String::new();
        for Part { name, value, filename, kind, content } in &self.parts {
            text.push_str(&format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\""));
            if let Some(filename) = filename {
                text.push_str(&format!("; filename=\"{}\"", filename.replace('"', "%22")));
            }
            if let Some(kind) = kind {
                text.push_str(&format!("\r\nContent-Type: {kind}"));
            }
            let data = value.as_ref().or(content.as_ref()).map(String::as_str).unwrap_or_default();
            text.push_str(&format!("\r\n\r\n{data}\r\n"));
        }
        text.push_str(&format!("--{BOUNDARY}--\r\n"));
        text.into_bytes()
    }
}

impl Profile {
    fn headers(self, method: &str) -> Pairs {
        let writes = matches!(method, "POST" | "PUT" | "PATCH" | "DELETE");
        let mut headers: Vec<(&str, &str)> = match self {
            Self::Browser => vec![
                (
                    "user-agent",
                    "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0",
                ),
                ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
                ("accept-language", "en-GB,en;q=0.5"),
                ("accept-encoding", "gzip, deflate, br, zstd"),
                ("upgrade-insecure-requests", "1"),
                ("sec-fetch-dest", "document"),
                ("sec-fetch-mode", "navigate"),
                ("sec-fetch-site", if writes { "same-origin" } else { "none" }),
                ("sec-fetch-user", "?1"),
                ("priority", "u=0, i"),
            ],
            Self::Fetch => vec![
                (
                    "sec-ch-ua",
                    "\"Chromium\";v=\"140\", \"Not=A?Brand\";v=\"24\", \"Google Chrome\";v=\"140\"",
                ),
                ("sec-ch-ua-mobile", "?0"),
                ("sec-ch-ua-platform", "\"macOS\""),
                (
                    "user-agent",
                    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36",
                ),
                ("accept", "application/json, text/plain, */*"),
                ("accept-language", "de-DE,de;q=0.9,en-US;q=0.8,en;q=0.7"),
                ("accept-encoding", "gzip, deflate, br, zstd"),
                ("sec-fetch-dest", "empty"),
                ("sec-fetch-mode", "cors"),
                ("sec-fetch-site", "same-origin"),
                ("referer", "https://shop.example/account/orders?tab=open"),
                ("x-requested-with", "XMLHttpRequest"),
            ],
            Self::App => vec![
                ("user-agent", "ShopApp/7.12.0 (Android 16; Pixel 11 Pro) okhttp/5.1.0"),
                ("accept", "application/json"),
                ("accept-encoding", "gzip"),
                ("accept-language", "de-DE"),
            ],
            Self::Server => {
                vec![("user-agent", "hooks/2.1 (+https://hooks.example/docs)"), ("accept", "*/*")]
            }
        };
        if writes && !matches!(self, Self::Server | Self::App) {
            headers.push(("origin", "https://shop.example"));
        }
        headers.push(("connection", if matches!(self, Self::Server) { "close" } else { "keep-alive" }));
        headers.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }
}

/// A target with its bytes over 0x7f escaped, as browsers do.
fn ascii(target: &str) -> String {
    let mut text = String::new();
    for byte in target.bytes() {
        match byte {
            0x80.. => text.push_str(&format!("%{byte:02X}")),
            byte => text.push(char::from(byte)),
        }
    }
    text
}

/// Pairs as a form, as browsers escape them (WHATWG URL, application/x-www-form-urlencoded).
fn form(pairs: &[(String, String)]) -> String {
    let escaped = |text: &str| {
        let mut out = String::new();
        for byte in text.bytes() {
            match byte {
                b' ' => out.push('+'),
                byte if byte.is_ascii_alphanumeric() || b"*-._".contains(&byte) => out.push(char::from(byte)),
                byte => out.push_str(&format!("%{byte:02X}")),
            }
        }
        out
    };
    let pairs = pairs.iter().map(|(name, value)| format!("{}={}", escaped(name), escaped(value)));
    pairs.collect::<Vec<_>>().join("&")
}
