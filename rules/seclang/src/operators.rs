//! The operator of a rule: `"!@rx ^foo"`, `"@lt %{tx.limit}"`, `"^foo"` (which means `@rx`).

use crate::Ast;
use crate::diagnostics::Report;
use crate::expansion::{self, MacroText, Unknown};
use crate::names::names;
use crate::span::Span;
use crate::text::Slice;

names! {
    /// The operators of ModSecurity 3.
    OperatorKind {
        BeginsWith = "beginsWith",
        Contains = "contains",
        ContainsWord = "containsWord",
        DetectSqli = "detectSQLi",
        DetectXss = "detectXSS",
        EndsWith = "endsWith",
        Eq = "eq",
        FuzzyHash = "fuzzyHash",
        Ge = "ge",
        GeoLookup = "geoLookup",
        GsbLookup = "gsbLookup",
        Gt = "gt",
        InspectFile = "inspectFile",
        IpMatch = "ipMatch",
        IpMatchFromFile = "ipMatchFromFile" | "ipMatchF",
        Le = "le",
        Lt = "lt",
        NoMatch = "noMatch",
        Pm = "pm",
        PmFromFile = "pmFromFile" | "pmf",
        Rbl = "rbl",
        Rsub = "rsub",
        Rx = "rx",
        RxGlobal = "rxGlobal",
        StrEq = "streq",
        StrMatch = "strmatch",
        UnconditionalMatch = "unconditionalMatch",
        ValidateByteRange = "validateByteRange",
        ValidateDtd = "validateDTD",
        ValidateHash = "validateHash",
        ValidateSchema = "validateSchema",
        ValidateUrlEncoding = "validateUrlEncoding",
        ValidateUtf8Encoding = "validateUtf8Encoding",
        VerifyCc = "verifyCC",
        VerifyCpf = "verifyCPF",
        VerifySsn = "verifySSN",
        VerifySvnr = "verifySVNR",
        Within = "within",
    }
}

impl OperatorKind {
    /// Whether it means something without an argument.
    pub fn takes_no_argument(self) -> bool {
        use OperatorKind as O;
        matches!(
            self,
            O::DetectSqli
                | O::DetectXss
                | O::GeoLookup
                | O::NoMatch
                | O::UnconditionalMatch
                | O::ValidateUrlEncoding
                | O::ValidateUtf8Encoding
        )
    }

    /// Whether its argument is a regular expression (or a substitution with one), in which `%{` need not be an
    /// expansion.
    pub fn takes_regex(self) -> bool {
        use OperatorKind as O;
        matches!(
            self,
            O::Rx | O::RxGlobal | O::Rsub | O::VerifyCc | O::VerifyCpf | O::VerifySsn | O::VerifySvnr
        )
    }

    /// Whether blanks at the end of its argument are part of it.
    fn takes_text(self) -> bool {
        use OperatorKind as O;
        let is_text = matches!(
            self,
            O::BeginsWith | O::Contains | O::ContainsWord | O::EndsWith | O::StrEq | O::StrMatch | O::Within
        );
        is_text || self.takes_regex()
    }

    /// Whether its argument names data files.
    pub fn reads_files(self) -> bool {
        matches!(self, Self::PmFromFile | Self::IpMatchFromFile)
    }
}

/// The operator of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operator {
    /// Which.
    pub kind: OperatorKind,
    /// Whether `!` precedes it.
    pub negated: bool,
    /// Its argument. The quotes are gone, and `\"` is `"`; every other backslash stands as written.
    pub argument: MacroText,
    /// For operators that read files: where their texts are in [`Ast::data`], in the order of the argument.
    pub data: Vec<usize>,
    /// Where it stands, from `!` or `@` on.
    pub span: Span,
    /// Where its argument stands.
    pub argument_span: Span,
}

impl Operator {
    /// The texts of the files that the argument names.
    pub fn data_texts<'a>(&self, ast: &'a Ast) -> impl Iterator<Item = &'a str> {
        let texts: Vec<&str> =
            self.data.iter().filter_map(|index| ast.data.get(*index)).map(|file| &*file.text).collect();
        texts.into_iter()
    }
}

/// Reads an operator. Files are read by the caller.
pub(crate) fn parse(text: Slice<'_>, report: &mut Report) -> Option<Operator> {
    let whole = text.trim_start();
    let (negated, rest) = match whole.strip_prefix("!") {
        Some(rest) => (true, rest.trim_start()),
        None => (false, whole),
    };
    let (kind, argument) = match rest.strip_prefix("@") {
        Some(named) => {
            let (name, argument) = named.first_word();
            let Some(kind) = OperatorKind::find(name.text()) else {
                report.unknown(name.span(), "operator", name.text(), OperatorKind::nearest);
                return None;
            };
            let argument = argument.trim_start();
            (kind, if kind.takes_text() { argument } else { argument.trim() })
        }
        None => (OperatorKind::Rx, rest),
    };
    if argument.trim().is_empty() && !kind.takes_no_argument() {
        report.error(whole.span(), format!("@{kind} needs an argument"));
    }
    let unknown = if kind.takes_regex() { Unknown::Literal } else { Unknown::Refuse };
    Some(Operator {
        kind,
        negated,
        argument: expansion::parse(argument, unknown, report),
        data: Vec::new(),
        span: whole.span(),
        argument_span: argument.span(),
    })
}
