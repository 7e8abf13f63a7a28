//! The request body: how it is unpacked and decoded, which processor reads it, and what it comes to.
//!
//! Promises: what is judged is what the application will read, while the original bytes are sent on; a body that is cut
//! off by the policy's limit is not malformed; what was read before an error is judged. Does not know what rules ask.

use std::borrow::Cow;

use bytes::Bytes;
use palisade_model::documents::{OverLimit, Unknown};
use palisade_seclang::EngineMode;

use crate::bodies::charset::{self, Charset};
use crate::bodies::coding::{self, Coding, Decoded, End};
use crate::bodies::urlencoded::Reading;
use crate::bodies::{json, multipart, unread, xml};
use crate::collection::Collection;
use crate::facts::{self, MultipartFacts};
use crate::held;
use crate::scratch::{Desk, Scratch, Use};
use crate::transaction::{Interruption, InterruptionKind, Transaction};

/// The Core Rule Set's rule "content type is not allowed by policy". Its list is one for the whole rule set and does not
/// know gRPC; where the WafPolicy permits gRPC it has the last word.
const CONTENT_TYPE_RULES: [u64; 1] = [920_420];

/// What a head says of its body's form.
#[derive(Debug)]
pub(crate) struct Declared {
    codings: Result<Vec<Coding>, &'static str>,
    charset: Charset,
}

impl Declared {
    fn of(headers: &Collection) -> Self {
        let encodings = headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case(b"content-encoding"));
        let content_type = headers.first(b"content-type").map(Bytes::as_ref).unwrap_or_default();
        Self {
            codings: coding::codings(encodings.map(|(_, value)| value.as_ref())),
            charset: charset::declared(content_type),
        }
    }
}

impl Transaction {
    fn declared(&self) -> &Declared {
        self.declared.get_or_init(|| Declared::of(&self.state.facts.request.headers))
    }

    fn has_processor(&self) -> bool {
        matches!(self.state.facts.body.processor.as_ref(), b"URLENCODED" | b"JSON" | b"MULTIPART" | b"XML")
    }

    /// Whether a request body is wanted for phase 2 (SecRequestBodyAccess, ctl:requestBodyAccess, the policy).
    pub fn wants_request_body(&self) -> bool {
        self.request_body_uninspected().is_none()
    }

    /// Why a request body is not inspected; none if it is.
    pub fn request_body_uninspected(&self) -> Option<&'static str> {
        if self.mode == EngineMode::Off {
            return Some("the rule engine is off");
        }
        if self.allowed.is_some() {
            return Some("a rule allows the request");
        }
        if !self.request_body_access {
            return Some("request body access is off");
        }
        let bodies = &self.engine.settings.bodies;
        match (&self.declared().codings, self.declared().charset) {
            (Err(why), _) if bodies.unknown_encodings == Unknown::Uninspected => return Some(why),
            (_, Charset::Unknown(why)) if bodies.unknown_charsets == Unknown::Uninspected => {
                return Some(why);
            }
            _ => {}
        }
        let unread = !self.force_request_body && !self.has_processor();
        (unread && bodies.unknown_types == Unknown::Uninspected)
            .then_some("no body processor takes its content type")
    }

    /// Refuses a body by what its head says of it: of a type, encoding or charset that is not read, where the policy
    /// says reject. To be asked after phase 1, before the body is read.
    pub fn refuse_request_body(&mut self) -> Option<Interruption> {
        if !self.wants_request_body() {
            return None;
        }
        let bodies = &self.engine.settings.bodies;
        let why = match (&self.declared().codings, self.declared().charset) {
            (Err(why), _) if bodies.unknown_encodings == Unknown::Reject => *why,
            (_, Charset::Unknown(why)) if bodies.unknown_charsets == Unknown::Reject => why,
            _ if bodies.unknown_types == Unknown::Reject
                && !self.has_processor()
                && !self.force_request_body =>
            {
                "no body processor takes its content type"
            }
            _ => return None,
        };
        self.interrupt_for(InterruptionKind::BodyUnsupported, &format!("the body cannot be read: {why}"));
        self.interruption.clone()
    }

    /// Takes the Core Rule Set's list of content types out of force for this transaction, because the policy admits the
    /// one it has. To be called before phase 1.
    pub fn admit_content_type(&mut self) {
        let engine = self.engine.clone();
        let rules = engine.rules.iter().enumerate();
        let found = rules.filter(|(_, rule)| CONTENT_TYPE_RULES.contains(&rule.id)).map(|(index, _)| index);
        self.remove_rules(found);
    }

    /// Whether rules have seen less than the whole body.
    pub fn request_body_is_cut(&self) -> bool {
        self.state.facts.body.truncated
    }

    /// Whether unpacking the body may take longer than its length tells.
    pub fn request_body_is_packed(&self) -> bool {
        self.declared().codings.as_ref().is_ok_and(|codings| !codings.is_empty())
    }

    /// A piece of the request body. The caller keeps to the policy's limit.
    pub fn request_body_feed(&mut self, bytes: &[u8]) {
        if self.wants_request_body() {
            self.held.extend_from_slice(bytes);
        }
    }

    /// Whether the body may be a form with files that need not be held.
    pub fn takes_uploads(&self) -> bool {
        let declared = self.declared();
        self.state.facts.body.processor.as_ref() == b"MULTIPART"
            && declared.codings.as_ref().is_ok_and(Vec::is_empty)
            && matches!(declared.charset, Charset::Utf8 | Charset::Ascii(_))
    }

    /// What stands between the parts of the form.
    pub fn upload_delimiter(&self) -> Option<multipart::Delimiter> {
        let takes = self.takes_uploads() && !self.force_request_body;
        takes
            .then(|| self.state.facts.request.headers.first(b"content-type"))?
            .and_then(|kind| multipart::Delimiter::of(kind))
    }

    fn held_form(&self) -> Option<multipart::Form> {
        let content_type = self.state.facts.request.headers.first(b"content-type")?;
        Some(multipart::parse(content_type, &self.held, multipart::PARTS_LIMIT, false))
    }

    /// Bytes of the file in which what was fed ends; none if it ends elsewhere.
    pub fn open_upload(&self) -> Option<usize> {
        self.held_form().filter(|form| form.error.is_none() && !form.over_limit)?.open_file
    }

    /// Whether what was fed begins no form, whatever follows.
    pub fn upload_is_malformed(&self) -> bool {
        self.held_form().is_some_and(|form| form.error.is_some())
    }

    /// Whether what was fed has a file.
    pub fn has_file(&self) -> bool {
        self.held_form().is_some_and(|form| !form.files.is_empty())
    }

    /// Says that of a file whose bytes end `at` bytes into what was fed, so many bytes more went on without being held.
    pub fn file_bytes_passed(&mut self, at: usize, bytes: u64) {
        self.passed.push((at, bytes));
    }

    /// What was fed.
    pub fn request_body_held(&self) -> &[u8] {
        &self.held
    }

    /// Gives the body to its processor.
    pub(crate) fn read_request_body(&mut self, wire: Bytes, complete: bool) {
        if wire.is_empty() {
            return;
        }
        let came = wire.clone();
        let Some((body, complete)) = self.unpack_request(wire, complete) else { return };
        self.state.facts.body.truncated = !complete;
        self.state.facts.body.length = self.scratch.arena.number(body.len());
        let unpacked = body.clone();
        let (body, charset) = self.decode_request(body, complete);
        self.audit.keep_request_body(&body, complete);
        let packed = self.declared().codings.is_err();
        let room =
            self.engine.settings.arguments_limit.saturating_sub(self.state.facts.request.args_get.len());
        let mut keep = self.force_request_body;
        let over_limit = match self.state.facts.body.processor.as_ref() {
            // What could not be unpacked is no form of anything.
            _ if packed => {
                keep = true;
                false
            }
            b"URLENCODED" => {
                keep = true;
                self.read_form(&body, charset, room)
            }
            b"JSON" => self.read_json(&body, charset, room, complete),
            b"MULTIPART" => self.read_multipart(&body, charset, room, complete),
            b"XML" => self.read_xml(&body, charset, room, complete),
            _ => {
                keep = true;
                self.read_untyped(&body, room)
            }
        };
        let over_limit = self.read_as_it_came(&came, &unpacked, room, complete) || over_limit;
        if keep {
            self.state.facts.body.text = Some(body);
        } else {
            held::let_go(&body, &mut self.state.facts.body, &mut self.scratch.arena);
        }
        self.state.facts.count_arguments(&mut self.scratch.arena);
        if over_limit {
            self.interrupt_for(InterruptionKind::WorkBudget, "the request has more arguments than the limit");
        }
    }

    /// Undoes the body's content encodings; none if that is not possible and the transaction ends.
    fn unpack_request(&mut self, wire: Bytes, complete: bool) -> Option<(Bytes, bool)> {
        let codings = match &self.declared().codings {
            Ok(codings) if !codings.is_empty() => codings,
            _ => return Some((wire, complete)),
        };
        let limit = self.request_body_limit(self.engine.settings.request_limit);
        let Decoded { bytes, end } = coding::decode(codings, &wire, limit.max_bytes);
        let (kind, why) = match end {
            End::Whole => return Some((Bytes::from(bytes), complete)),
            End::Cut if !complete => return Some((Bytes::from(bytes), false)),
            End::Over if limit.over == OverLimit::InspectPrefix => return Some((Bytes::from(bytes), false)),
            End::Over => {
                (InterruptionKind::BodyTooLarge, "the body unpacks to more than the policy inspects")
            }
            End::Bomb => (InterruptionKind::BodyMalformed, "the body unpacks to too many times its length"),
            End::Cut => (InterruptionKind::BodyMalformed, "the body ends before its compressed data does"),
            End::Fault(why) => (InterruptionKind::BodyMalformed, why),
        };
        self.interrupt_for(kind, why);
        // Where nothing may be refused, what was unpacked is still judged.
        self.interruption.is_none().then(|| (Bytes::from(bytes), false))
    }

    /// What servers that do not unpack read in a packed body; whether there are too many fields.
    fn read_as_it_came(&mut self, wire: &[u8], unpacked: &[u8], room: usize, complete: bool) -> bool {
        if !self.request_body_is_packed() {
            return false;
        }
        let refused = match self.state.facts.body.processor.as_ref() {
            b"URLENCODED" => {
                let pairs = &mut self.state.facts.body.args_post;
                let left = room.saturating_sub(pairs.len());
                let (fields, more) = unread::fields(wire, self.engine.settings.arguments().separator, left);
                fields.into_iter().for_each(|(name, value)| pairs.push(name, value));
                return more;
            }
            b"MULTIPART" => {
                let content_type = self.state.facts.request.headers.first(b"content-type");
                content_type.is_some_and(|kind| unread::has_other_parts(wire, unpacked, kind))
            }
            b"JSON" => {
                let document = json::parse(wire, room, self.engine.settings.json_depth);
                // Go's decoder takes the first value, whatever follows.
                document.error.is_none() || document.pairs.iter().any(|(_, value)| value.len() > 3)
            }
            b"XML" => xml::parse(wire, room).error.is_none(),
            _ => false,
        };
        if refused && complete {
            self.body_error(Some("the packed body can be read as it came, too".to_owned()));
        }
        false
    }

    /// The body as UTF-8 where its syntax needs it, and the charset of its values.
    fn decode_request(&mut self, body: Bytes, complete: bool) -> (Bytes, Charset) {
        let charset = self.declared().charset;
        let decoded = match self.state.facts.body.processor.as_ref() {
            // A form is ASCII whatever it says (its escapes are not), and Werkzeug reads it so.
            b"URLENCODED" if matches!(charset, Charset::Wide(_)) => Err(charset::MISMATCH),
            b"JSON" | b"XML" | b"MULTIPART" => charset.body(&body, complete),
            _ if charset.is_also_utf8(&body) => Err(charset::MISMATCH),
            _ => charset.body(&body, complete),
        };
        match decoded {
            Ok(Some(text)) => return (Bytes::from(text), Charset::Utf8),
            Ok(None) => {}
            Err(why) if self.engine.settings.bodies.unknown_charsets == Unknown::Reject => {
                self.state.facts.body.error = Some(why.to_owned());
            }
            Err(_) => {}
        }
        (body, charset)
    }

    fn read_form(&mut self, body: &Bytes, charset: Charset, room: usize) -> bool {
        let mut pairs = self.scratch.collection(Use::Body);
        let reading = Reading { limit: room, ..self.engine.settings.arguments() };
        let read = facts::read_form(body, reading, &mut pairs, &mut self.scratch.arena);
        let decoded = |text: &Bytes| match charset.text(text) {
            Cow::Owned(text) => Some(Bytes::from(text)),
            Cow::Borrowed(_) => None,
        };
        pairs.change(decoded);
        let facts = &mut self.state.facts;
        facts.request.urlencoded_error |= read.invalid_encoding;
        facts.body.args_post = pairs;
        read.over_limit
    }

    fn read_json(&mut self, body: &Bytes, charset: Charset, room: usize, complete: bool) -> bool {
        let decoded = match charset.syntax(body) {
            Ok(Cow::Owned(text)) => Bytes::from(text),
            Ok(Cow::Borrowed(_)) => body.clone(),
            Err(why) => {
                self.charset_error(why, complete);
                body.clone()
            }
        };
        let mut pairs = self.scratch.collection(Use::Body);
        let limits = (room, self.engine.settings.json_depth);
        let Scratch { desk: Desk { json, .. }, arena, .. } = &mut self.scratch;
        let read = json::read(&decoded, limits, json, &mut pairs, arena);
        // What is cut off is not malformed.
        self.body_error(read.error.filter(|_| complete).map(|error| error.to_string()));
        self.state.facts.body.args_post = pairs;
        read.over_limit
    }

    /// A body that says nothing of its type and begins as JSON does: services in Go and with aiohttp take it for that.
    /// What is no JSON in it is an argument as it stands; it is no fault.
    fn read_untyped(&mut self, body: &Bytes, room: usize) -> bool {
        let content_type = self.state.facts.request.headers.first(b"content-type");
        let untyped = content_type.is_none_or(|kind| kind.trim_ascii().is_empty());
        if !untyped || !matches!(body.trim_ascii_start().first(), Some(b'{' | b'[')) {
            return false;
        }
        let mut pairs = self.scratch.collection(Use::Body);
        let limits = (room, self.engine.settings.json_depth);
        let Scratch { desk: Desk { json, .. }, arena, .. } = &mut self.scratch;
        let read = json::read(body, limits, json, &mut pairs, arena);
        if let Some(fault) = read.error {
            pairs.push(Bytes::from_static(json::ROOT), body.slice(fault.offset.min(body.len())..));
        }
        self.state.facts.body.args_post = pairs;
        read.over_limit
    }

    fn read_multipart(&mut self, body: &Bytes, charset: Charset, room: usize, complete: bool) -> bool {
        let content_type =
            self.state.facts.request.headers.first(b"content-type").cloned().unwrap_or_default();
        let mut read = multipart::read(&content_type, body, room.min(multipart::PARTS_LIMIT), complete);
        self.body_error(read.error.map(|error| format!("Multipart parsing error: {error}")));
        // RFC 7578 §4.6: a field of this name declares the charset of all.
        let named = read.fields.iter().find(|(name, _)| name == "_charset_");
        let charset = named.map_or(charset, |(_, value)| charset::named(value));
        if !matches!(charset, Charset::Utf8 | Charset::Ascii(_))
            && self.engine.settings.bodies.unknown_charsets == Unknown::Reject
        {
            self.body_error(Some(
                "Multipart parsing error: the charset of its fields is not one that is decoded".to_owned(),
            ));
        }
        for (name, value) in &mut read.fields {
            decode(name, charset);
            decode(value, charset);
        }
        for file in &mut read.files {
            // The line end in front of a boundary is no part of a file.
            let held = file.start..=file.start + file.size + 1;
            let passed = self.passed.iter().filter(|(at, _)| held.contains(at)).map(|(_, bytes)| *bytes);
            let passed: u64 = passed.sum();
            file.size = file.size.saturating_add(usize::try_from(passed).unwrap_or(usize::MAX));
        }
        read.flags.file_limit_exceeded =
            self.engine.settings.upload_file_limit.is_some_and(|limit| read.files.len() as u64 > limit);
        let over_limit = read.over_limit;
        let mut pairs = self.scratch.collection(Use::Body);
        for (name, value) in std::mem::take(&mut read.fields) {
            pairs.push(name, value);
        }
        self.state.facts.body.args_post = pairs;
        self.state.facts.body.multipart = Some(MultipartFacts::new(read));
        over_limit
    }

    fn read_xml(&mut self, body: &[u8], charset: Charset, room: usize, complete: bool) -> bool {
        let mut read = match self.declared().charset {
            Charset::Wide(_) => xml::parse_decoded(body, room),
            _ => {
                // A reader goes by the declaration alone, whatever the head says.
                if let Some(why) = charset.syntax(body).err().or_else(|| xml::two_syntaxes(body)) {
                    self.charset_error(why, complete);
                }
                xml::parse(&charset.text(body), room)
            }
        };
        // What is cut off is not malformed.
        self.body_error(read.error.filter(|_| complete).map(|error| error.to_string()));
        let facts = &mut self.state.facts.body;
        read.text.shrink_to_fit();
        facts.xml.push(xml::TEXT_PATH, read.text);
        for (_, value) in read.attributes {
            facts.xml.push(xml::ATTRIBUTES_PATH, value);
        }
        read.over_limit
    }

    /// Remembers that the body cannot be read in its charset, where the policy refuses such bodies. A body that was cut
    /// may end inside a character.
    fn charset_error(&mut self, why: &'static str, complete: bool) {
        if complete && self.engine.settings.bodies.unknown_charsets == Unknown::Reject {
            self.body_error(Some(why.to_owned()));
        }
    }

    /// Remembers why the body is not what its head declares; the first reason stays.
    fn body_error(&mut self, error: Option<String>) {
        let known = &mut self.state.facts.body.error;
        if known.is_none() {
            *known = error;
        }
    }
}

/// Decodes a name or value in place.
fn decode(bytes: &mut Bytes, charset: Charset) {
    if let Cow::Owned(text) = charset.text(bytes) {
        *bytes = text.into();
    }
}

/// The body processor of a content type, as ModSecurity's recommended rules 200000, 200001 and 200006 choose it; rule
/// sets count on it and most do not bring these rules. ASP.NET Core takes `text/json`, too.
pub(crate) fn processor_of(headers: &Collection) -> &'static str {
    let value = headers.first(b"content-type").map(Bytes::as_ref).unwrap_or_default();
    let essence = value.split(|byte| *byte == b';' || *byte == b',').next().unwrap_or_default().trim_ascii();
    let is = |types: &[&[u8]]| types.iter().any(|known| essence.eq_ignore_ascii_case(known));
    // ModSecurity compares the beginning of forms' types, and so does Tornado; PHP ends a type at white space.
    let begins =
        |known: &[u8]| essence.get(..known.len()).is_some_and(|start| start.eq_ignore_ascii_case(known));
    // `application/…+json`
    let subtype = essence.split_at_checked(b"application/".len());
    let suffixed = subtype.is_some_and(|(start, _)| start.eq_ignore_ascii_case(b"application/"));
    let ends = |end: &[u8]| {
        let from = essence.len().checked_sub(end.len()).filter(|_| suffixed);
        from.and_then(|from| essence.get(from..)).is_some_and(|last| last.eq_ignore_ascii_case(end))
    };
    if begins(b"application/x-www-form-urlencoded") {
        "URLENCODED"
    } else if begins(b"multipart/form-data") {
        "MULTIPART"
    } else if is(&[b"application/json", b"text/json"]) || ends(b"+json") {
        "JSON"
    } else if is(&[b"text/xml", b"application/xml"]) || ends(b"+xml") {
        "XML"
    } else {
        ""
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_processor_is_chosen_by_the_media_type_alone() {
        for (content_type, processor) in [
            ("application/x-www-form-urlencoded", "URLENCODED"),
            ("Application/X-WWW-Form-Urlencoded; charset=utf-8", "URLENCODED"),
            ("application/x-www-form-urlencoded charset=utf-8", "URLENCODED"),
            ("application/x-www-form-urlencoded2", "URLENCODED"),
            ("multipart/form-data; boundary=x", "MULTIPART"),
            ("multipart/form-datas; boundary=x", "MULTIPART"),
            ("application/x-www-form", ""),
            ("text/json", "JSON"),
            ("application/json", "JSON"),
            ("application/problem+json; charset=utf-8", "JSON"),
            ("text/xml", "XML"),
            ("application/soap+xml", "XML"),
            ("text/plain", ""),
            ("text/x-json", ""),
            ("", ""),
        ] {
            let mut headers = Collection::default();
            headers.push("Content-Type", content_type.to_owned());
            assert_eq!(processor_of(&headers), processor, "{content_type}");
        }
        assert_eq!(processor_of(&Collection::default()), "");
    }
}
