//! The operators (`@rx`, `@pm`, …): what a rule asks of a value. One file each, one table here.
//!
//! An [`Operator`] is compiled once; regular expressions and phrase lists are interned, so that equal ones are shared.
//! Matching is linear in the value and total: every byte string is an input, and no operator allocates unless it
//! captures or its own file says so. Negation (`!@…`), macros, and the choice of values are the engine's.

mod begins_with;
mod captures;
mod contains;
mod contains_word;
mod detect_sqli;
mod detect_xss;
mod dialect;
mod ends_with;
mod interner;
mod ip_match;
mod ip_match_from_file;
mod needs;
mod number;
mod pattern;
mod pm;
mod pm_from_file;
mod rx;
mod rx_global;
mod shared;
mod streq;
mod validate_byte_range;
mod validate_url_encoding;
mod validate_utf8_encoding;
mod verify;
mod verify_cc;
mod verify_cpf;
mod verify_ssn;
mod verify_svnr;
mod within;

use std::sync::Arc;

use crate::prefilter::Needs;
pub use captures::{CAPTURES, Captures};
pub use interner::{AUTOMATA_BYTES, Interner, PHRASE_BYTES, PHRASE_LIST_BYTES};
pub use palisade_seclang::OperatorKind;
pub use pattern::{STATIC_BYTES, WORKER_CACHE_BYTES};
pub use rx::{HYBRID_CACHE_BYTES, NEST_LIMIT, NFA_BYTES, PATTERN_BYTES, compile as compile_regex};

/// A compiled operator.
#[derive(Clone, Debug)]
pub struct Operator {
    compiled: Compiled,
    /// What a value must hold to match.
    needs: Option<Arc<Needs>>,
}

/// Compares a value with the operator's argument.
type Comparison = fn(value: &[u8], argument: &[u8]) -> bool;

/// What is left to do at run time.
#[derive(Clone, Debug)]
enum Compiled {
    /// Looks at value and argument; the argument may hold macros.
    Compare(Comparison),
    /// Looks at the value alone.
    Test(fn(value: &[u8]) -> bool),
    /// Looks at the value alone and has something to capture.
    Detect(fn(value: &[u8], captures: Option<&mut Captures>) -> bool),
    Rx(rx::Rx),
    RxGlobal(rx_global::RxGlobal),
    Pm(pm::Pm),
    IpMatch(ip_match::IpMatch),
    ByteRange(Arc<validate_byte_range::ByteRange>),
    Verify(verify::Verify),
}

impl Operator {
    /// Compiles an operator.
    ///
    /// `argument` is the text after the operator's name, or `None` if it holds macros and is known only at run time
    /// (refused where the argument has to be compiled). `data` are the texts of the files that the argument names, in
    /// its order. The error is a sentence about the argument; the caller knows the place.
    pub fn compile(
        kind: OperatorKind,
        argument: Option<&str>,
        data: &[&str],
        interner: &mut Interner,
    ) -> Result<Self, String> {
        use OperatorKind as K;
        let fixed = || argument.ok_or_else(|| format!("the argument of @{} cannot hold macros", kind.name()));
        let compiled = match kind {
            K::BeginsWith => Compiled::Compare(begins_with::matches),
            K::Contains | K::StrMatch => Compiled::Compare(contains::matches),
            K::ContainsWord => Compiled::Compare(contains_word::matches),
            K::EndsWith => Compiled::Compare(ends_with::matches),
            K::StrEq => Compiled::Compare(streq::matches),
            K::Within => Compiled::Compare(within::matches),
            K::Eq => Compiled::Compare(number::eq),
            K::Ge => Compiled::Compare(number::ge),
            K::Gt => Compiled::Compare(number::gt),
            K::Le => Compiled::Compare(number::le),
            K::Lt => Compiled::Compare(number::lt),
            K::UnconditionalMatch => Compiled::Test(|_| true),
            K::NoMatch => Compiled::Test(|_| false),
            K::ValidateUrlEncoding => Compiled::Test(validate_url_encoding::is_invalid),
            K::ValidateUtf8Encoding => Compiled::Test(validate_utf8_encoding::is_invalid),
            K::DetectSqli => Compiled::Detect(detect_sqli::matches),
            K::DetectXss => Compiled::Detect(detect_xss::matches),
            K::Rx => Compiled::Rx(rx::Rx::compile(fixed()?, interner)?),
            K::RxGlobal => Compiled::RxGlobal(rx_global::RxGlobal::compile(fixed()?, interner)?),
            K::Pm => Compiled::Pm(pm::Pm::compile(pm::phrases(fixed()?)?, interner)?),
            K::PmFromFile => Compiled::Pm(pm::Pm::compile(pm_from_file::phrases(data), interner)?),
            K::IpMatch => Compiled::IpMatch(ip_match::IpMatch::compile(ip_match::items(fixed()?))?),
            K::IpMatchFromFile => {
                Compiled::IpMatch(ip_match::IpMatch::compile(ip_match_from_file::items(data))?)
            }
            K::ValidateByteRange => {
                Compiled::ByteRange(Arc::new(validate_byte_range::ByteRange::compile(fixed()?)?))
            }
            K::VerifyCc => verify(fixed()?, verify_cc::is_valid, interner)?,
            K::VerifyCpf => verify(fixed()?, verify_cpf::is_valid, interner)?,
            K::VerifySsn => verify(fixed()?, verify_ssn::is_valid, interner)?,
            K::VerifySvnr => verify(fixed()?, verify_svnr::is_valid, interner)?,
            K::FuzzyHash
            | K::GeoLookup
            | K::GsbLookup
            | K::InspectFile
            | K::Rbl
            | K::Rsub
            | K::ValidateDtd
            | K::ValidateHash
            | K::ValidateSchema => {
                return Err(format!(
                    "@{} is not supported, and a rule cannot be left out silently",
                    kind.name()
                ));
            }
        };
        Ok(Self { compiled, needs: needs::of(kind, argument, data, interner) })
    }

    /// What a value must hold to match; none: nothing is known.
    pub(crate) fn needs(&self) -> Option<&Needs> {
        self.needs.as_deref()
    }

    /// Whether the value matches. `argument` is the expanded argument; operators whose argument is compiled do not
    /// look at it. On a match, `captures` holds what `TX:0`-`TX:9` are to become; without a match it is empty.
    pub fn matches(&self, value: &[u8], argument: &[u8], mut captures: Option<&mut Captures>) -> bool {
        if let Some(captures) = captures.as_deref_mut() {
            captures.clear();
        }
        match &self.compiled {
            Compiled::Compare(compare) => compare(value, argument),
            Compiled::Test(test) => test(value),
            Compiled::Detect(detect) => detect(value, captures),
            Compiled::Rx(rx) => rx.matches(value, captures),
            Compiled::RxGlobal(rx) => rx.matches(value, captures),
            Compiled::Pm(pm) => pm.matches(value, captures),
            Compiled::IpMatch(networks) => networks.matches(value),
            Compiled::ByteRange(range) => range.is_left_by(value),
            Compiled::Verify(verify) => verify.matches(value, captures),
        }
    }
}

fn verify(pattern: &str, is_valid: fn(&[u8]) -> bool, interner: &mut Interner) -> Result<Compiled, String> {
    Ok(Compiled::Verify(verify::Verify::compile(pattern, is_valid, interner)?))
}

#[cfg(test)]
mod tests;
