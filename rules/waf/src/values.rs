//! Variables to values: what each variable holds, and which of its values a target selects.
//!
//! Scalars of the request are always there, if only as an empty text; those of the response appear with it.

use std::sync::Arc;

use bytes::Bytes;
use palisade_seclang::VariableKind;
use regex_automata::meta::Regex;

use crate::collection::Collection;
use crate::scratch::push;
use crate::state::State;

/// A value of a variable, with the name it is shown under.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Value {
    pub(crate) variable: VariableKind,
    pub(crate) key: Option<Bytes>,
    /// Whether it is the number of values.
    pub(crate) count: bool,
    pub(crate) bytes: Bytes,
}

impl Value {
    /// The name rules and records show: `ARGS:q`, `REQUEST_URI`, `&ARGS`.
    pub(crate) fn name(&self) -> Bytes {
        let mut name = Vec::new();
        if self.count {
            name.push(b'&');
        }
        name.extend_from_slice(self.variable.name().as_bytes());
        if let Some(key) = &self.key {
            name.push(b':');
            name.extend_from_slice(key);
        }
        name.into()
    }
}

/// A target of a rule, or an exclusion from its targets.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) variable: VariableKind,
    pub(crate) selector: Selector,
    /// `&`: the number of values.
    pub(crate) count: bool,
}

/// Which members of a collection.
#[derive(Clone, Debug)]
pub(crate) enum Selector {
    /// All.
    All,
    /// Those with this name, in any case.
    Exact(Bytes),
    /// Those of a collection that rules set whose name begins with this, which is in lower case.
    Beginning(Bytes),
    /// Those whose name this expression finds.
    Regex(Arc<Regex>),
}

impl Selector {
    /// Whether it takes a member of this name.
    pub(crate) fn selects(&self, key: Option<&Bytes>) -> bool {
        match (self, key) {
            (Self::All, _) => true,
            (Self::Exact(wanted), Some(key)) => wanted.eq_ignore_ascii_case(key),
            (Self::Beginning(start), Some(key)) => {
                key.get(..start.len()).is_some_and(|first| first.eq_ignore_ascii_case(start))
            }
            (Self::Regex(regex), Some(key)) => regex.is_match(key.as_ref()),
            (_, None) => false,
        }
    }
}

impl Target {
    /// Whether a value is one of this target's.
    pub(crate) fn takes(&self, value: &Value) -> bool {
        self.variable == value.variable && !value.count && self.selector.selects(value.key.as_ref())
    }
}

/// Whether a rule may look at this variable; the ones it may not are refused when the rule is compiled.
pub(crate) fn is_supported(variable: VariableKind) -> bool {
    use VariableKind as V;
    !matches!(variable, V::Geo | V::WebserverErrorLog)
}

/// Values that are gathered at a time: an ordinary request has fewer, and a thousand cost some passes over their names.
/// No limit: those after them are gathered next.
const WINDOW: usize = 64;

impl State {
    /// The values of a target, in order.
    pub(crate) fn collect(&self, target: &Target, values: &mut Vec<Value>) {
        let variable = target.variable;
        if target.count {
            let bytes = self.count(target);
            let key = match &target.selector {
                Selector::Exact(key) => Some(key.clone()),
                _ => None,
            };
            values.push(Value { variable, key, count: true, bytes });
            return;
        }
        self.select(variable, &target.selector, |key, bytes| {
            push(values, Value { variable, key: key.cloned(), count: false, bytes: bytes.clone() });
        });
    }

    /// How many values a target has.
    pub(crate) fn count(&self, target: &Target) -> Bytes {
        let mut number = 0;
        self.select(target.variable, &target.selector, |_, _| number += 1);
        number_text(number)
    }

    /// The bytes of every value of a target that no exclusion takes, in order.
    pub(crate) fn each(&self, target: &Target, exclusions: &[Target], emit: &mut dyn FnMut(&Bytes)) {
        if target.count {
            return emit(&self.count(target));
        }
        if self.store(target.variable).is_some() {
            let mut values = Vec::new();
            self.collect(target, &mut values);
            values.retain(|value| !exclusions.iter().any(|exclusion| exclusion.takes(value)));
            return values.iter().for_each(|value| emit(&value.bytes));
        }
        let is_excluded = |key: Option<&Bytes>| {
            exclusions.iter().any(|other| other.variable == target.variable && other.selector.selects(key))
        };
        self.select(target.variable, &target.selector, |key, bytes| {
            if !is_excluded(key) {
                emit(bytes);
            }
        });
    }

    /// Some values of a target that no exclusion takes, at most [`WINDOW`] from one on, with their names.
    pub(crate) fn some(&self, target: &Target, exclusions: &[Target], from: usize, values: &mut Vec<Value>) {
        values.clear();
        let variable = target.variable;
        if target.count || self.store(variable).is_some() {
            self.collect(target, values);
            values.retain(|value| !exclusions.iter().any(|exclusion| exclusion.takes(value)));
            values.drain(..from.min(values.len()));
            return;
        }
        let mut number = 0;
        self.select(variable, &target.selector, |key, bytes| {
            if exclusions.iter().any(|other| other.variable == variable && other.selector.selects(key)) {
                return;
            }
            if number >= from && values.len() < WINDOW {
                values.push(Value { variable, key: key.cloned(), count: false, bytes: bytes.clone() });
            }
            number += 1;
        });
    }

    /// The values of a variable that a selector takes, each with its name in the collection.
    fn select(
        &self,
        variable: VariableKind,
        selector: &Selector,
        mut emit: impl FnMut(Option<&Bytes>, &Bytes),
    ) {
        if let Some(store) = self.store(variable) {
            let mut emit = |(name, value)| emit(Some(name), value);
            return match selector {
                Selector::All => store.iter().for_each(emit),
                // A store has a name once.
                Selector::Exact(key) => store.get(key).into_iter().for_each(|value| emit((key, value))),
                Selector::Beginning(start) => store.beginning(start).for_each(emit),
                Selector::Regex(regex) => store.found_by(regex).for_each(emit),
            };
        }
        let Some((lists, names)) = self.lists(variable) else {
            return self.visit(variable, &mut |key, bytes| {
                if selector.selects(key) {
                    emit(key, bytes);
                }
            });
        };
        let mut emit = |(name, value)| emit(Some(name), if names { name } else { value });
        for list in lists.into_iter().flatten() {
            match selector {
                Selector::All => list.iter().for_each(&mut emit),
                Selector::Exact(key) => list.named(key).for_each(&mut emit),
                _ => list.iter().filter(|(name, _)| selector.selects(Some(name))).for_each(&mut emit),
            }
        }
    }

    /// The first value of a variable, or of a member of it, for macros.
    pub(crate) fn first(&self, variable: VariableKind, key: Option<&Bytes>) -> Option<Bytes> {
        if let (Some(key), Some(store)) = (key, self.store(variable)) {
            return store.get(key).cloned();
        }
        let mut found = None;
        let keep = |_: Option<&Bytes>, bytes: &Bytes| {
            found.get_or_insert_with(|| bytes.clone());
        };
        match key {
            Some(key) => self.select(variable, &Selector::Exact(key.clone()), keep),
            None => self.select(variable, &Selector::All, keep),
        }
        found
    }

    /// Every value of a variable that is not a collection of what came in or what rules set.
    fn visit(&self, variable: VariableKind, emit: &mut dyn FnMut(Option<&Bytes>, &Bytes)) {
        use VariableKind as V;
        match variable {
            V::MatchedVars => {
                self.matched.iter().for_each(|value| emit(Some(&value.name()), &value.bytes));
            }
            V::MatchedVarsNames => {
                self.matched.iter().for_each(|value| emit(Some(&value.name()), &value.name()));
            }
            _ => {
                let value = self.request_scalar(variable).or_else(|| self.other_scalar(variable));
                value.iter().for_each(|value| emit(None, value));
            }
        }
    }

    /// The collections of what came in that a variable shows, and whether it shows their names.
    fn lists(&self, variable: VariableKind) -> Option<([Option<&Collection>; 2], bool)> {
        use VariableKind as V;
        let (request, body) = (&self.facts.request, &self.facts.body);
        let (get, post) = (Some(&request.args_get), Some(&body.args_post));
        let form = || body.multipart.as_ref();
        Some(match variable {
            V::Args => ([get, post], false),
            V::ArgsNames => ([get, post], true),
            V::ArgsGet => ([get, None], false),
            V::ArgsGetNames => ([get, None], true),
            V::ArgsPost => ([post, None], false),
            V::ArgsPostNames => ([post, None], true),
            V::RequestHeaders => ([Some(&request.headers), None], false),
            V::RequestHeadersNames => ([Some(&request.headers), None], true),
            V::RequestCookies => ([Some(&request.cookies), None], false),
            V::RequestCookiesNames => ([Some(&request.cookies), None], true),
            V::ResponseHeaders | V::ResponseHeadersNames => {
                let response = self.facts.response.as_ref();
                ([response.map(|response| &response.headers), None], variable == V::ResponseHeadersNames)
            }
            V::Rule => ([self.rule.as_deref(), None], false),
            V::Files | V::MultipartFilename => ([form().map(|form| &form.files), None], false),
            V::FilesNames | V::MultipartName => ([form().map(|form| &form.files), None], true),
            V::FilesSizes => ([form().map(|form| &form.sizes), None], false),
            V::MultipartPartHeaders => ([form().map(|form| &form.part_headers), None], false),
            V::Xml => ([Some(&body.xml), None], false),
            // Files are not written anywhere.
            V::FilesTmpNames | V::FilesTmpContent => ([None, None], false),
            _ => return None,
        })
    }

    /// What the request's head and body say.
    fn request_scalar(&self, variable: VariableKind) -> Option<Bytes> {
        use VariableKind as V;
        let (request, body) = (&self.facts.request, &self.facts.body);
        Some(match variable {
            V::RequestLine => request.line.clone(),
            V::RequestMethod => request.method.clone(),
            V::RequestUri => request.uri.clone(),
            V::RequestUriRaw => request.uri_raw.clone(),
            V::RequestFilename => request.filename.clone(),
            V::RequestBasename => request.basename.clone(),
            V::RequestProtocol => request.protocol.clone(),
            V::QueryString => request.query.clone(),
            V::ServerName => request.server_name.clone(),
            V::ArgsCombinedSize => self.facts.arguments_size.clone(),
            V::UrlencodedError => flag(request.urlencoded_error),
            V::FullRequest => self.facts.full_request(),
            V::FullRequestLength => number_text(self.facts.full_request().len() as u64),
            V::RequestBody => return body.text.clone(),
            V::RequestBodyLength => body.length.clone(),
            V::ReqbodyProcessor => body.processor.clone(),
            V::ReqbodyError | V::ReqbodyProcessorError => flag(body.error.is_some()),
            V::ReqbodyErrorMsg | V::ReqbodyProcessorErrorMsg => {
                Bytes::from(body.error.clone().unwrap_or_default())
            }
            V::InboundDataError => flag(body.truncated),
            V::FilesCombinedSize => {
                number_text(body.multipart.as_ref().map_or(0, |form| form.combined_size) as u64)
            }
            V::PathInfo => request.filename.clone(),
            V::AuthType => request.credentials().0,
            V::RemoteUser => request.remote_user(),
            _ => return self.multipart_scalar(variable),
        })
    }

    /// What is suspicious about a multipart body; nothing if there is none.
    fn multipart_scalar(&self, variable: VariableKind) -> Option<Bytes> {
        use VariableKind as V;
        let form = self.facts.body.multipart.as_ref();
        let flags = form.map(|form| form.flags).unwrap_or_default();
        Some(flag(match variable {
            V::MultipartStrictError => form.is_some_and(|form| form.strict_error),
            V::MultipartBoundaryQuoted => flags.boundary_quoted,
            V::MultipartBoundaryWhitespace => flags.boundary_whitespace,
            V::MultipartCrlfLfLines => flags.crlf_lf_lines,
            V::MultipartDataAfter => flags.data_after,
            V::MultipartDataBefore => flags.data_before,
            V::MultipartHeaderFolding => flags.header_folding,
            V::MultipartInvalidQuoting => flags.invalid_quoting,
            V::MultipartLfLine => flags.lf_line,
            V::MultipartMissingSemicolon => flags.missing_semicolon,
            V::MultipartUnmatchedBoundary => flags.unmatched_boundary,
            V::MultipartFileLimitExceeded => flags.file_limit_exceeded,
            V::MultipartInvalidHeaderFolding => flags.invalid_header_folding,
            V::MultipartInvalidPart => flags.invalid_part,
            _ => return None,
        }))
    }

    /// The connection, the response, the time, and what rules did.
    fn other_scalar(&self, variable: VariableKind) -> Option<Bytes> {
        use VariableKind as V;
        let (connection, moment) = (&self.facts.connection, &self.facts.moment);
        Some(match variable {
            V::RemoteAddr | V::RemoteHost => connection.remote_addr.clone(),
            V::RemotePort => number_text(connection.remote_port.into()),
            V::ServerAddr => connection.server_addr.clone(),
            V::ServerPort => number_text(connection.server_port.into()),
            V::UniqueId => self.facts.unique_id.clone(),
            V::Duration | V::MscPcreError | V::MscPcreLimitsExceeded => number_text(0),
            V::Time => Bytes::from(format!("{:02}:{:02}:{:02}", moment.hour, moment.minute, moment.second)),
            V::TimeDay => number_text(moment.day),
            V::TimeEpoch => number_text(self.facts.epoch),
            V::TimeHour => number_text(moment.hour),
            V::TimeMin => number_text(moment.minute),
            // ModSecurity counts months from 0.
            V::TimeMon => number_text(moment.month - 1),
            V::TimeSec => number_text(moment.second),
            V::TimeWday => number_text(moment.weekday),
            V::TimeYear => Bytes::from(moment.year.to_string()),
            V::HighestSeverity => number_text(self.highest_severity.into()),
            V::MatchedVar => return self.last_matched().map(|value| value.bytes.clone()),
            V::MatchedVarName => return self.last_matched().map(Value::name),
            V::UserId => self.user_id.clone(),
            V::SessionId => self.session_id.clone(),
            V::WebAppId => self.web_app_id.clone(),
            V::ModsecBuild => Bytes::from_static(BUILD),
            _ => return self.response_scalar(variable),
        })
    }

    /// What the response says, once there is one.
    fn response_scalar(&self, variable: VariableKind) -> Option<Bytes> {
        use VariableKind as V;
        let response = self.facts.response.as_ref()?;
        Some(match variable {
            V::ResponseStatus | V::Status => response.status.clone(),
            V::StatusLine => response.line.clone(),
            V::ResponseProtocol => response.protocol.clone(),
            V::ResponseContentType => response.content_type(),
            V::ResponseContentLength => match response.headers.first(b"content-length") {
                Some(length) => length.clone(),
                None => number_text(response.body.as_ref().map_or(0, Bytes::len) as u64),
            },
            V::ResponseBody => return response.body.clone(),
            V::OutboundDataError => flag(response.truncated),
            _ => return None,
        })
    }
}

fn flag(set: bool) -> Bytes {
    Bytes::from_static(if set { b"1" } else { b"0" })
}

/// The texts of all numbers of three digits, one after the other.
#[allow(clippy::indexing_slicing)] // At compile time, where being out of bounds is an error.
static DIGITS: [[u8; 3]; 1000] = {
    let mut texts = [[0; 3]; 1000];
    let mut number = 0;
    while number < 1000 {
        let digits = [number / 100, number / 10 % 10, number % 10];
        texts[number] = [b'0' + digits[0] as u8, b'0' + digits[1] as u8, b'0' + digits[2] as u8];
        number += 1;
    }
    texts
};

/// `MODSEC_BUILD`: that of ModSecurity 3.0.15, whose language this is; rules compare it to know what they may use.
const BUILD: &[u8] = b"030015100";

/// A number as rules see it. Small ones cost no allocation.
pub(crate) fn number_text(number: u64) -> Bytes {
    let small = usize::try_from(number).ok().and_then(small_number);
    small.unwrap_or_else(|| Bytes::from(number.to_string()))
}

/// The shared text of a number, if it is small.
pub(crate) fn small_number(number: usize) -> Option<Bytes> {
    let zeros = usize::from(number < 100) + usize::from(number < 10);
    DIGITS.get(number)?.get(zeros..).map(Bytes::from_static)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_has_its_text() {
        for number in [0, 7, 10, 42, 99, 100, 314, 999, 1_000, u64::MAX] {
            assert_eq!(number_text(number), number.to_string());
        }
    }
}
