//! The request body: which processor reads it, and what it comes to.
//!
//! Promises: a body that is cut off by the policy's limit is not malformed; what was read before an error is judged.
//! Does not know what rules ask.

use bytes::Bytes;

use crate::bodies::{Pair, json, multipart, urlencoded, xml};
use crate::collection::Collection;
use crate::facts::MultipartFacts;
use crate::transaction::{InterruptionKind, Transaction};

impl Transaction {
    /// Gives the body to its processor.
    pub(crate) fn read_request_body(&mut self, body: Bytes, complete: bool) {
        let facts = &mut self.state.facts;
        facts.body.length = body.len();
        if body.is_empty() {
            return;
        }
        let room = self.engine.settings.arguments_limit.saturating_sub(facts.request.args_get.len());
        let mut over_limit = false;
        let mut keep = self.force_request_body;
        match facts.body.processor.as_ref() {
            b"URLENCODED" => {
                let read = urlencoded::parse(&body, urlencoded::SEPARATOR, room);
                over_limit = read.over_limit;
                facts.request.urlencoded_error |= read.invalid_encoding;
                facts.body.args_post = collection(read.pairs);
                keep = true;
            }
            b"JSON" => {
                let read = json::parse(&body, room, self.engine.settings.json_depth);
                over_limit = read.over_limit;
                // What is cut off is not malformed.
                facts.body.error = read.error.filter(|_| complete).map(|error| error.to_string());
                facts.body.args_post = collection(read.pairs);
            }
            b"MULTIPART" => {
                let content_type = facts.request.headers.first(b"content-type").cloned().unwrap_or_default();
                let parts = room.min(multipart::PARTS_LIMIT);
                let mut read = multipart::parse(&content_type, &body, parts, complete);
                over_limit = read.over_limit;
                facts.body.error = read.error.map(|error| format!("multipart: {error}"));
                facts.body.args_post = collection(std::mem::take(&mut read.fields));
                facts.body.multipart = Some(MultipartFacts::new(read));
            }
            b"XML" => {
                let read = xml::parse(&body, room);
                over_limit = read.over_limit;
                // What is cut off is not malformed.
                facts.body.error = read.error.filter(|_| complete).map(|error| error.to_string());
                facts.body.xml.push(xml::TEXT_PATH, read.text);
                for (_, value) in read.attributes {
                    facts.body.xml.push(xml::ATTRIBUTES_PATH, value);
                }
            }
            _ => {}
        }
        facts.body.text = keep.then_some(body);
        if over_limit {
            self.interrupt_for(InterruptionKind::WorkBudget, "the request has more arguments than the limit");
        }
    }
}

/// Names and values as a collection.
pub(crate) fn collection(pairs: Vec<Pair>) -> Collection {
    let mut collection = Collection::default();
    for (name, value) in pairs {
        collection.push(name, value);
    }
    collection
}

/// The body processor of a content type, as ModSecurity's recommended rules 200000, 200001 and 200006 choose it; rule
/// sets count on it and most do not bring these rules.
pub(crate) fn processor_of(headers: &Collection) -> &'static str {
    let value = headers.first(b"content-type").map(|value| value.to_ascii_lowercase()).unwrap_or_default();
    let essence = value.split(|byte| *byte == b';' || *byte == b',').next().unwrap_or_default().trim_ascii();
    match essence {
        b"application/x-www-form-urlencoded" => "URLENCODED",
        b"multipart/form-data" => "MULTIPART",
        b"application/json" => "JSON",
        b"text/xml" | b"application/xml" => "XML",
        other if other.starts_with(b"application/") && other.ends_with(b"+json") => "JSON",
        other if other.starts_with(b"application/") && other.ends_with(b"+xml") => "XML",
        _ => "",
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
            ("multipart/form-data; boundary=x", "MULTIPART"),
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
