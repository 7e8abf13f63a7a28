//! The variables of a rule: `ARGS|!ARGS:/^foo/|&REQUEST_HEADERS:Host|XML:/*`.

use crate::diagnostics::Report;
use crate::names::names;
use crate::span::Span;
use crate::text::{Slice, closing_quote};

names! {
    /// The variables of ModSecurity 3.
    VariableKind {
        Args = "ARGS",
        ArgsCombinedSize = "ARGS_COMBINED_SIZE",
        ArgsGet = "ARGS_GET",
        ArgsGetNames = "ARGS_GET_NAMES",
        ArgsNames = "ARGS_NAMES",
        ArgsPost = "ARGS_POST",
        ArgsPostNames = "ARGS_POST_NAMES",
        AuthType = "AUTH_TYPE",
        Duration = "DURATION",
        Env = "ENV",
        Files = "FILES",
        FilesCombinedSize = "FILES_COMBINED_SIZE",
        FilesNames = "FILES_NAMES",
        FilesSizes = "FILES_SIZES",
        FilesTmpContent = "FILES_TMP_CONTENT",
        FilesTmpNames = "FILES_TMPNAMES",
        FullRequest = "FULL_REQUEST",
        FullRequestLength = "FULL_REQUEST_LENGTH",
        Geo = "GEO",
        Global = "GLOBAL",
        HighestSeverity = "HIGHEST_SEVERITY",
        InboundDataError = "INBOUND_DATA_ERROR",
        Ip = "IP",
        MatchedVar = "MATCHED_VAR",
        MatchedVarName = "MATCHED_VAR_NAME",
        MatchedVars = "MATCHED_VARS",
        MatchedVarsNames = "MATCHED_VARS_NAMES",
        ModsecBuild = "MODSEC_BUILD",
        MscPcreError = "MSC_PCRE_ERROR",
        MscPcreLimitsExceeded = "MSC_PCRE_LIMITS_EXCEEDED",
        MultipartBoundaryQuoted = "MULTIPART_BOUNDARY_QUOTED",
        MultipartBoundaryWhitespace = "MULTIPART_BOUNDARY_WHITESPACE",
        MultipartCrlfLfLines = "MULTIPART_CRLF_LF_LINES",
        MultipartDataAfter = "MULTIPART_DATA_AFTER",
        MultipartDataBefore = "MULTIPART_DATA_BEFORE",
        MultipartFileLimitExceeded = "MULTIPART_FILE_LIMIT_EXCEEDED",
        MultipartFilename = "MULTIPART_FILENAME",
        MultipartHeaderFolding = "MULTIPART_HEADER_FOLDING",
        MultipartInvalidHeaderFolding = "MULTIPART_INVALID_HEADER_FOLDING",
        MultipartInvalidPart = "MULTIPART_INVALID_PART",
        MultipartInvalidQuoting = "MULTIPART_INVALID_QUOTING",
        MultipartLfLine = "MULTIPART_LF_LINE",
        MultipartMissingSemicolon = "MULTIPART_MISSING_SEMICOLON" | "MULTIPART_SEMICOLON_MISSING",
        MultipartName = "MULTIPART_NAME",
        MultipartPartHeaders = "MULTIPART_PART_HEADERS",
        MultipartStrictError = "MULTIPART_STRICT_ERROR",
        MultipartUnmatchedBoundary = "MULTIPART_UNMATCHED_BOUNDARY",
        OutboundDataError = "OUTBOUND_DATA_ERROR",
        PathInfo = "PATH_INFO",
        QueryString = "QUERY_STRING",
        RemoteAddr = "REMOTE_ADDR",
        RemoteHost = "REMOTE_HOST",
        RemotePort = "REMOTE_PORT",
        RemoteUser = "REMOTE_USER",
        ReqbodyError = "REQBODY_ERROR",
        ReqbodyErrorMsg = "REQBODY_ERROR_MSG",
        ReqbodyProcessor = "REQBODY_PROCESSOR",
        ReqbodyProcessorError = "REQBODY_PROCESSOR_ERROR",
        ReqbodyProcessorErrorMsg = "REQBODY_PROCESSOR_ERROR_MSG",
        RequestBasename = "REQUEST_BASENAME",
        RequestBody = "REQUEST_BODY",
        RequestBodyLength = "REQUEST_BODY_LENGTH",
        RequestCookies = "REQUEST_COOKIES",
        RequestCookiesNames = "REQUEST_COOKIES_NAMES",
        RequestFilename = "REQUEST_FILENAME",
        RequestHeaders = "REQUEST_HEADERS",
        RequestHeadersNames = "REQUEST_HEADERS_NAMES",
        RequestLine = "REQUEST_LINE",
        RequestMethod = "REQUEST_METHOD",
        RequestProtocol = "REQUEST_PROTOCOL",
        RequestUri = "REQUEST_URI",
        RequestUriRaw = "REQUEST_URI_RAW",
        Resource = "RESOURCE",
        ResponseBody = "RESPONSE_BODY",
        ResponseContentLength = "RESPONSE_CONTENT_LENGTH",
        ResponseContentType = "RESPONSE_CONTENT_TYPE",
        ResponseHeaders = "RESPONSE_HEADERS",
        ResponseHeadersNames = "RESPONSE_HEADERS_NAMES",
        ResponseProtocol = "RESPONSE_PROTOCOL",
        ResponseStatus = "RESPONSE_STATUS",
        Rule = "RULE",
        ServerAddr = "SERVER_ADDR",
        ServerName = "SERVER_NAME",
        ServerPort = "SERVER_PORT",
        Session = "SESSION",
        SessionId = "SESSIONID",
        Status = "STATUS",
        StatusLine = "STATUS_LINE",
        Time = "TIME",
        TimeDay = "TIME_DAY",
        TimeEpoch = "TIME_EPOCH",
        TimeHour = "TIME_HOUR",
        TimeMin = "TIME_MIN",
        TimeMon = "TIME_MON",
        TimeSec = "TIME_SEC",
        TimeWday = "TIME_WDAY",
        TimeYear = "TIME_YEAR",
        Tx = "TX",
        UniqueId = "UNIQUE_ID",
        UrlencodedError = "URLENCODED_ERROR",
        User = "USER",
        UserId = "USERID",
        WebAppId = "WEBAPPID",
        WebserverErrorLog = "WEBSERVER_ERROR_LOG",
        Xml = "XML",
    }
}

impl VariableKind {
    /// Whether it holds values by key, so that `:selector` means something.
    pub fn is_collection(self) -> bool {
        use VariableKind as V;
        matches!(
            self,
            V::Args
                | V::ArgsGet
                | V::ArgsGetNames
                | V::ArgsNames
                | V::ArgsPost
                | V::ArgsPostNames
                | V::Env
                | V::Files
                | V::FilesNames
                | V::FilesSizes
                | V::FilesTmpContent
                | V::FilesTmpNames
                | V::Geo
                | V::Global
                | V::Ip
                | V::MatchedVars
                | V::MatchedVarsNames
                | V::MultipartFilename
                | V::MultipartName
                | V::MultipartPartHeaders
                | V::RequestCookies
                | V::RequestCookiesNames
                | V::RequestHeaders
                | V::RequestHeadersNames
                | V::Resource
                | V::ResponseHeaders
                | V::ResponseHeadersNames
                | V::Rule
                | V::Session
                | V::Tx
                | V::User
                | V::Xml
        )
    }
}

/// One variable of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variable {
    /// Which.
    pub kind: VariableKind,
    /// What of it.
    pub selector: Selector,
    /// `&`: the number of values instead of the values.
    pub count: bool,
    /// `!`: these values are taken away from the others.
    pub exclude: bool,
    /// Where it stands.
    pub span: Span,
}

/// What of a collection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Selector {
    /// All of it.
    #[default]
    All,
    /// The values under this key, compared without regard to ASCII case.
    Exact(String),
    /// The values whose key this expression (between the slashes, not compiled yet) finds.
    Regex(String),
    /// `XML:/*`, `XML://@*` and other XPath.
    XPath(String),
}

impl std::fmt::Display for Variable {
    /// As it is written in a rule.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let prefix = match (self.exclude, self.count) {
            (true, _) => "!",
            (false, true) => "&",
            (false, false) => "",
        };
        write!(f, "{prefix}{}", self.kind)?;
        match &self.selector {
            Selector::All => Ok(()),
            Selector::Exact(key) => write!(f, ":{key}"),
            Selector::Regex(regex) => write!(f, ":/{regex}/"),
            Selector::XPath(path) => write!(f, ":{path}"),
        }
    }
}

/// Reads one target without `!` and `&` that must be alone, as in exclusions of a WafPolicy: `ARGS:comment`.
pub fn parse_target(text: &str) -> Result<Variable, crate::Diagnostics> {
    let mut report = Report::default();
    let mut owner = crate::text::Text::new(0);
    owner.push(text, 0);
    let mut variables = parse(owner.all(), &mut report);
    let one = variables.pop().filter(|variable| variables.is_empty() && !variable.count && !variable.exclude);
    match one {
        Some(variable) if report.is_empty() => Ok(variable),
        _ => {
            if report.is_empty() {
                report.error(owner.all().span(), "one variable without ! and & is expected");
            }
            Err(report.finish(&[crate::File::new("target", text)]))
        }
    }
}

/// Reads a list of variables separated by `|` or `,`.
pub(crate) fn parse(text: Slice<'_>, report: &mut Report) -> Vec<Variable> {
    let mut variables = Vec::new();
    let mut rest = text.trim();
    if rest.is_empty() {
        report.error(text.span(), "a variable is expected");
    }
    while !rest.is_empty() {
        let (variable, length) = one(rest, report);
        variables.extend(variable);
        rest = rest.from(length).trim();
        if rest.is_empty() {
            break;
        }
        let separator = rest.part(0, 1);
        rest = rest.from(1).trim();
        if !separator.text().starts_with(['|', ',']) {
            report.error(separator.span(), "| is expected between variables");
            break;
        }
        if rest.is_empty() {
            report.error(separator.span(), "a variable is expected after the separator");
        }
    }
    variables
}

/// Reads the first variable; also how long it is.
fn one(text: Slice<'_>, report: &mut Report) -> (Option<Variable>, usize) {
    let (mut count, mut exclude) = (false, false);
    let mut prefix = 0;
    for byte in text.text().bytes() {
        match byte {
            b'!' => exclude = true,
            b'&' => count = true,
            b' ' | b'\t' => {}
            _ => break,
        }
        prefix += 1;
    }
    let rest = text.from(prefix);
    let is_name = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let name = rest.part(0, rest.text().find(|letter| !is_name(letter)).unwrap_or(usize::MAX));
    let kind = VariableKind::find(name.text());
    let mut length = prefix + name.text().len();
    let mut selector = Selector::All;
    if let Some(after) = text.from(length).strip_prefix(":") {
        let (found, taken) = read_selector(after, kind, report);
        selector = found;
        length += 1 + taken;
    }
    if kind.is_none() {
        if name.is_empty() {
            report.error(rest.part(0, 1).span(), "the name of a variable is expected");
            length = usize::MAX;
        } else {
            report.unknown(name.span(), "variable", name.text(), VariableKind::nearest);
        }
    }
    if count && exclude {
        report.error(text.part(0, prefix).span(), "! and & cannot be combined");
    }
    let span = text.part(0, length).span();
    if let Some(kind) = kind
        && selector != Selector::All
        && !kind.is_collection()
    {
        report.error(span, format!("{kind} is not a collection, so nothing can be selected from it"));
    }
    (kind.map(|kind| Variable { kind, selector, count, exclude, span }), length)
}

/// Reads what follows the colon; also how long it is.
fn read_selector(text: Slice<'_>, kind: Option<VariableKind>, report: &mut Report) -> (Selector, usize) {
    let whole = text.text();
    if kind == Some(VariableKind::Xml) {
        let path = text.part(0, whole.find('|').unwrap_or(usize::MAX));
        return (Selector::XPath(path.text().trim_ascii_end().to_owned()), path.text().len());
    }
    if whole.starts_with('\'') {
        let inner = text.from(1);
        let Some(end) = closing_quote(inner.text(), b'\'') else {
            report.error(text.part(0, 1).span(), "this ' is never closed");
            return (Selector::All, whole.len());
        };
        let value = inner.part(0, end).unescaped('\'');
        let value = value.all().text();
        let regex = value.strip_prefix('/').and_then(|rest| rest.strip_suffix('/'));
        let selector =
            regex.map_or_else(|| Selector::Exact(value.into()), |regex| Selector::Regex(regex.into()));
        return (selector, end + 2);
    }
    if whole.starts_with('/') {
        let inner = text.from(1);
        let Some(end) = end_of_regex(inner.text()) else {
            report.error(text.part(0, 1).span(), "this / is never closed");
            return (Selector::All, whole.len());
        };
        return (Selector::Regex(inner.part(0, end).text().to_owned()), end + 2);
    }
    let key = text.part(0, whole.find(['|', ',']).unwrap_or(usize::MAX));
    if key.trim().is_empty() {
        report.error(key.span(), "a selector is expected after the colon");
    }
    (Selector::Exact(key.text().trim_ascii().to_owned()), key.text().len())
}

/// The slash that closes a regular expression: not escaped, and followed by a separator or the end.
fn end_of_regex(text: &str) -> Option<usize> {
    let mut from = 0;
    while let Some(found) = closing_quote(text.get(from..)?, b'/') {
        let at = from + found;
        let after = text.get(at + 1..)?.trim_ascii_start();
        if after.is_empty() || after.starts_with(['|', ',']) {
            return Some(at);
        }
        from = at + 1;
    }
    None
}
