//! A curl command line, as browsers and documentation give it, → the request that it would send.
//!
//! Options that change the request are read; those that change only how curl connects or prints are known and passed
//! over; every other one is an error that names it. Files (`@name`) are read below the working directory only.

use std::collections::VecDeque;
use std::io::Read;
use std::path::{Component, Path, PathBuf};

use base64::Engine as _;

use super::form::Form;
use super::words::words;
use super::{SAMPLE_BYTES, Sample, SampleError};

/// What curl calls itself when nothing else is said.
const USER_AGENT: &str = "curl/8.5.0";

/// An option: its spellings, and what it means.
struct Known {
    short: Option<u8>,
    long: &'static [&'static str],
    meaning: Meaning,
}

/// What an option means.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Meaning {
    Method,
    Header,
    Data,
    DataRaw,
    DataBinary,
    DataEncoded,
    Json,
    Form,
    FormString,
    Cookie,
    UserAgent,
    Referer,
    User,
    Url,
    Get,
    Head,
    Compressed,
    /// Changes nothing of the request.
    Flag,
    /// The same, with a value.
    Ignored,
}

const fn known(short: Option<u8>, long: &'static [&'static str], meaning: Meaning) -> Known {
    Known { short, long, meaning }
}

use Meaning as M;

/// Every option that is read.
const OPTIONS: &[Known] = &[
    known(Some(b'X'), &["request"], M::Method),
    known(Some(b'H'), &["header"], M::Header),
    known(Some(b'd'), &["data", "data-ascii"], M::Data),
    known(None, &["data-raw"], M::DataRaw),
    known(None, &["data-binary"], M::DataBinary),
    known(None, &["data-urlencode"], M::DataEncoded),
    known(None, &["json"], M::Json),
    known(Some(b'F'), &["form"], M::Form),
    known(None, &["form-string"], M::FormString),
    known(Some(b'b'), &["cookie"], M::Cookie),
    known(Some(b'A'), &["user-agent"], M::UserAgent),
    known(Some(b'e'), &["referer"], M::Referer),
    known(Some(b'u'), &["user"], M::User),
    known(None, &["url"], M::Url),
    known(Some(b'G'), &["get"], M::Get),
    known(Some(b'I'), &["head"], M::Head),
    known(None, &["compressed"], M::Compressed),
    known(Some(b'k'), &["insecure"], M::Flag),
    known(Some(b'L'), &["location"], M::Flag),
    known(Some(b's'), &["silent"], M::Flag),
    known(Some(b'S'), &["show-error"], M::Flag),
    known(Some(b'v'), &["verbose"], M::Flag),
    known(Some(b'i'), &["include"], M::Flag),
    known(Some(b'f'), &["fail"], M::Flag),
    known(Some(b'g'), &["globoff"], M::Flag),
    known(Some(b'N'), &["no-buffer"], M::Flag),
    known(None, &["path-as-is", "http1.1", "http2", "http2-prior-knowledge", "http3"], M::Flag),
    known(Some(b'o'), &["output"], M::Ignored),
    known(Some(b'w'), &["write-out"], M::Ignored),
    known(Some(b'm'), &["max-time"], M::Ignored),
    known(None, &["connect-timeout", "retry", "cacert", "resolve"], M::Ignored),
];

/// Files that a command names: below one directory, and bounded together.
#[derive(Debug)]
pub struct Files {
    directory: PathBuf,
    left: usize,
}

impl Files {
    /// Files below a directory.
    pub fn below(directory: &Path) -> Self {
        Self { directory: directory.to_owned(), left: SAMPLE_BYTES }
    }

    pub(super) fn read(&mut self, name: &[u8]) -> Result<Vec<u8>, SampleError> {
        let shown = String::from_utf8_lossy(name).into_owned();
        let fail = |problem: String| SampleError::new(format!("@{shown}: {problem}"));
        let path = Path::new(&shown);
        if path.components().any(|part| !matches!(part, Component::Normal(_) | Component::CurDir)) {
            return Err(fail("only files below the working directory are read".to_owned()));
        }
        let root = self.directory.canonicalize().map_err(|error| fail(error.to_string()))?;
        let path = root.join(path).canonicalize().map_err(|error| fail(error.to_string()))?;
        if !path.starts_with(&root) || !path.is_file() {
            return Err(fail("only regular files below the working directory are read".to_owned()));
        }
        let file = std::fs::File::open(&path).map_err(|error| fail(error.to_string()))?;
        let mut content = Vec::new();
        file.take(self.left as u64 + 1).read_to_end(&mut content).map_err(|error| fail(error.to_string()))?;
        self.left = self
            .left
            .checked_sub(content.len())
            .ok_or_else(|| fail(format!("with it the files have more than {SAMPLE_BYTES} bytes")))?;
        Ok(content)
    }
}

/// What the options came to.
#[derive(Default)]
struct Request {
    method: Option<Vec<u8>>,
    url: Option<Vec<u8>>,
    headers: Vec<(Vec<u8>, Vec<u8>)>,
    /// Defaults that the command takes away.
    removed: Vec<Vec<u8>>,
    data: Option<Vec<u8>>,
    form: Option<Form>,
    cookies: Vec<Vec<u8>>,
    json: bool,
    get: bool,
    head: bool,
    compressed: bool,
}

/// Reads a command line.
pub fn parse(line: &str, files: &mut Files) -> Result<Sample, SampleError> {
    if line.len() > SAMPLE_BYTES {
        let problem = format!("the command has {} bytes; {SAMPLE_BYTES} are allowed", line.len());
        return Err(SampleError::new(problem));
    }
    let mut words: VecDeque<Vec<u8>> = words(line)?.into();
    if words.front().is_some_and(|word| word == b"curl") {
        words.pop_front();
    }
    let mut request = Request::default();
    let mut only_urls = false;
    while let Some(word) = words.pop_front() {
        if only_urls || word.len() < 2 || word.first() != Some(&b'-') {
            request.url(word)?;
        } else if word == b"--" {
            only_urls = true;
        } else if let Some(name) = word.strip_prefix(b"--") {
            let name = String::from_utf8_lossy(name).into_owned();
            let found = OPTIONS.iter().find(|option| option.long.contains(&name.as_str()));
            let Some(option) = found else { return Err(unknown(&format!("--{name}"))) };
            let value =
                if option.takes_value() { Some(value(&mut words, &format!("--{name}"))?) } else { None };
            request.apply(option.meaning, value.unwrap_or_default(), files)?;
        } else {
            short(&mut request, &word, &mut words, files)?;
        }
    }
    request.finish()
}

/// `-sSk`, `-XPOST`, `-X POST`.
fn short(
    request: &mut Request,
    word: &[u8],
    words: &mut VecDeque<Vec<u8>>,
    files: &mut Files,
) -> Result<(), SampleError> {
    for (at, letter) in word.iter().enumerate().skip(1) {
        let shown = format!("-{}", char::from(*letter));
        let found = OPTIONS.iter().find(|option| option.short == Some(*letter));
        let Some(option) = found else { return Err(unknown(&shown)) };
        if !option.takes_value() {
            request.apply(option.meaning, Vec::new(), files)?;
            continue;
        }
        let rest = word.get(at + 1..).unwrap_or_default();
        let value = if rest.is_empty() { value(words, &shown)? } else { rest.to_vec() };
        return request.apply(option.meaning, value, files);
    }
    Ok(())
}

fn value(words: &mut VecDeque<Vec<u8>>, option: &str) -> Result<Vec<u8>, SampleError> {
    words.pop_front().ok_or_else(|| SampleError::new(format!("{option} needs a value")))
}

fn unknown(option: &str) -> SampleError {
    SampleError::new(format!(
        "the curl option {option} is not known here; leave it out, or write the request as a file"
    ))
}

impl Known {
    fn takes_value(&self) -> bool {
        !matches!(self.meaning, M::Get | M::Head | M::Compressed | M::Flag)
    }
}

impl Request {
    fn url(&mut self, url: Vec<u8>) -> Result<(), SampleError> {
        if self.url.replace(url).is_some() {
            return Err(SampleError::new("the command has more than one URL"));
        }
        Ok(())
    }

    fn apply(&mut self, meaning: Meaning, value: Vec<u8>, files: &mut Files) -> Result<(), SampleError> {
        match meaning {
            M::Method => self.method = Some(value),
            M::Header => self.header(&value)?,
            M::Data | M::DataBinary | M::Json => {
                let mut data = match value.strip_prefix(b"@") {
                    Some(path) => files.read(path)?,
                    None => value.clone(),
                };
                if meaning == M::Data && value.starts_with(b"@") {
                    data.retain(|byte| !matches!(byte, b'\r' | b'\n'));
                }
                self.json |= meaning == M::Json;
                self.data(&data, if meaning == M::Json { "" } else { "&" });
            }
            M::DataRaw => self.data(&value, "&"),
            M::DataEncoded => {
                let encoded = encoded(&value, files)?;
                self.data(&encoded, "&");
            }
            M::Form => self.form.get_or_insert_default().add(&value, false, files)?,
            M::FormString => self.form.get_or_insert_default().add(&value, true, files)?,
            M::Cookie if !value.contains(&b'=') => {
                return Err(SampleError::new("-b with a file of cookies is not read; write the cookies"));
            }
            M::Cookie => self.cookies.push(value),
            M::UserAgent => self.headers.push((b"User-Agent".to_vec(), value)),
            M::Referer => self.headers.push((b"Referer".to_vec(), value)),
            M::User => {
                let coded = base64::engine::general_purpose::STANDARD.encode(value);
                self.headers.push((b"Authorization".to_vec(), format!("Basic {coded}").into_bytes()));
            }
            M::Url => self.url(value)?,
            M::Get => self.get = true,
            M::Head => self.head = true,
            M::Compressed => self.compressed = true,
            M::Flag | M::Ignored => {}
        }
        Ok(())
    }

    fn header(&mut self, line: &[u8]) -> Result<(), SampleError> {
        if line.starts_with(b"@") {
            return Err(SampleError::new("-H with a file of headers is not read; write the headers"));
        }
        match line.iter().position(|byte| *byte == b':') {
            Some(colon) => {
                let (name, value) = line.split_at(colon);
                let value = value.get(1..).unwrap_or_default().trim_ascii();
                match value.is_empty() {
                    true => self.removed.push(name.to_vec()),
                    false => self.headers.push((name.to_vec(), value.to_vec())),
                }
            }
            None => match line.strip_suffix(b";") {
                Some(name) => self.headers.push((name.to_vec(), Vec::new())),
                None => return Err(SampleError::new("-H is written `Name: value`")),
            },
        }
        Ok(())
    }

    fn data(&mut self, more: &[u8], between: &str) {
        match &mut self.data {
            Some(data) => {
                data.extend_from_slice(between.as_bytes());
                data.extend_from_slice(more);
            }
            None => self.data = Some(more.to_vec()),
        }
    }

    fn says(&self, name: &str) -> bool {
        let same = |known: &[u8]| known.eq_ignore_ascii_case(name.as_bytes());
        self.headers.iter().any(|(known, _)| same(known)) || self.removed.iter().any(|known| same(known))
    }

    fn finish(mut self) -> Result<Sample, SampleError> {
        let url = self.url.take().ok_or_else(|| SampleError::new("the command has no URL"))?;
        let Url { tls, authority, mut target, user } = Url::parse(&url)?;
        if let Some(user) = user.filter(|_| !self.says("authorization")) {
            let coded = base64::engine::general_purpose::STANDARD.encode(user);
            self.headers.push((b"Authorization".to_vec(), format!("Basic {coded}").into_bytes()));
        }
        let form = self.form.take().map(Form::finish);
        if form.is_some() && self.data.is_some() {
            return Err(SampleError::new("-F and -d cannot be in one command"));
        }
        if self.get
            && let Some(data) = self.data.take()
        {
            target.push(if target.contains(&b'?') { b'&' } else { b'?' });
            target.extend(data);
        }
        let has_body = self.data.is_some() || form.is_some();
        let method = match (self.method.take(), self.head, has_body) {
            (Some(method), ..) => method,
            (None, true, _) => b"HEAD".to_vec(),
            (None, false, true) => b"POST".to_vec(),
            (None, false, false) => b"GET".to_vec(),
        };
        let mut lines = vec![[method.as_slice(), b" ", &target, b" HTTP/1.1"].concat()];
        let mut add = |name: &[u8], value: &[u8]| lines.push([name, b": ", value].concat());
        let (body, media_type) = match form {
            Some((body, media_type)) => (body, Some(media_type)),
            None => {
                let media_type =
                    if self.json { "application/json" } else { "application/x-www-form-urlencoded" };
                (self.data.take().unwrap_or_default(), has_body.then(|| media_type.to_owned()))
            }
        };
        let accept = if self.json { "application/json" } else { "*/*" };
        for (name, value) in [
            ("Host", authority.as_slice()),
            ("User-Agent", USER_AGENT.as_bytes()),
            ("Accept", accept.as_bytes()),
        ] {
            if !self.says(name) {
                add(name.as_bytes(), value);
            }
        }
        if self.compressed && !self.says("accept-encoding") {
            add(b"Accept-Encoding", b"deflate, gzip, br, zstd");
        }
        if !self.cookies.is_empty() {
            add(b"Cookie", &self.cookies.join(&b"; "[..]));
        }
        for (name, value) in &self.headers {
            add(name, value);
        }
        if let Some(media_type) = media_type.filter(|_| !self.says("content-type")) {
            add(b"Content-Type", media_type.as_bytes());
        }
        if has_body && !self.says("content-length") {
            add(b"Content-Length", body.len().to_string().as_bytes());
        }
        // Whatever it came from: -H, -b, -A, -e, -X or the URL.
        if lines.iter().flatten().any(|byte| matches!(byte, b'\r' | b'\n' | 0)) {
            return Err(SampleError::new("a header has a line end in it"));
        }
        let mut head = lines.join(&b"\r\n"[..]);
        head.extend_from_slice(b"\r\n\r\n");
        Ok(Sample { head, body, tls, response: None, notes: Vec::new() })
    }
}

/// `--data-urlencode`: `content`, `=content`, `name=content`, `@file`, `name@file`.
fn encoded(value: &[u8], files: &mut Files) -> Result<Vec<u8>, SampleError> {
    let at = value.iter().position(|byte| matches!(byte, b'=' | b'@'));
    let (name, content) = match at {
        None => (&b""[..], value.to_vec()),
        Some(at) => {
            let (name, rest) = value.split_at(at);
            let content = rest.get(1..).unwrap_or_default();
            (name, if rest.first() == Some(&b'@') { files.read(content)? } else { content.to_vec() })
        }
    };
    let mut text = name.to_vec();
    if !name.is_empty() {
        text.push(b'=');
    }
    for byte in content {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => text.push(byte),
            other => text.extend_from_slice(format!("%{other:02X}").as_bytes()),
        }
    }
    Ok(text)
}

/// The parts of a URL that make a request.
struct Url {
    tls: bool,
    authority: Vec<u8>,
    target: Vec<u8>,
    user: Option<Vec<u8>>,
}

impl Url {
    fn parse(url: &[u8]) -> Result<Self, SampleError> {
        let lower = url.to_ascii_lowercase();
        let (tls, rest) = match () {
            () if lower.starts_with(b"https://") => (true, url.get(8..)),
            () if lower.starts_with(b"http://") => (false, url.get(7..)),
            () if lower.windows(3).any(|part| part == b"://") => {
                return Err(SampleError::new("the URL is neither http:// nor https://"));
            }
            () => (false, Some(url)),
        };
        let rest = rest.unwrap_or_default();
        if rest.iter().any(|byte| matches!(byte, 0..=b' ' | 0x7f)) {
            return Err(SampleError::new(
                "the URL has a blank or a control character in it; write %20 and the like",
            ));
        }
        let rest = rest.split(|byte| *byte == b'#').next().unwrap_or_default();
        let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?')).unwrap_or(rest.len());
        let (host, path) = rest.split_at(end);
        let mut target = path.to_vec();
        if target.first() != Some(&b'/') {
            target.insert(0, b'/');
        }
        let (user, authority) = match host.iter().rposition(|byte| *byte == b'@') {
            Some(at) => (host.get(..at), host.get(at + 1..).unwrap_or_default()),
            None => (None, host),
        };
        if authority.is_empty() {
            return Err(SampleError::new("the URL has no host"));
        }
        Ok(Self { tls, authority: authority.to_vec(), target, user: user.map(<[u8]>::to_vec) })
    }
}

#[cfg(test)]
mod tests;
