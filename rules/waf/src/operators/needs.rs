//! Operator and argument → what a value must hold to match; nothing for operators of which nothing is known.

use std::sync::Arc;

use super::validate_byte_range::ByteRange;
use super::{Interner, OperatorKind, pm, pm_from_file};
use crate::injection;
use crate::prefilter::{ByteSet, Clause, Needs};

/// The needs of an operator that compiles with this argument.
pub(super) fn of(
    kind: OperatorKind,
    argument: Option<&str>,
    data: &[&str],
    interner: &mut Interner,
) -> Option<Arc<Needs>> {
    use OperatorKind as K;
    let phrases = |phrases: Vec<Vec<u8>>| Needs::phrases(phrases.iter().map(Vec::as_slice)).map(Arc::new);
    match kind {
        K::Rx | K::RxGlobal | K::VerifyCc | K::VerifyCpf | K::VerifySsn | K::VerifySvnr => {
            interner.needs(argument?)
        }
        K::Pm => phrases(pm::phrases(argument?).ok()?),
        K::PmFromFile => phrases(pm_from_file::phrases(data)),
        K::Contains | K::ContainsWord | K::StrMatch | K::BeginsWith | K::EndsWith | K::StrEq => {
            phrases(vec![argument?.as_bytes().to_vec()])
        }
        K::ValidateByteRange => {
            let range = ByteRange::compile(argument?).ok()?;
            Some(Arc::new(one_of(|byte| range.is_left_by(&[byte]))))
        }
        // Nothing else can be wrong in ASCII.
        K::ValidateUtf8Encoding => Some(Arc::new(one_of(|byte| !byte.is_ascii()))),
        K::ValidateUrlEncoding => Some(Arc::new(one_of(|byte| byte == b'%'))),
        K::DetectSqli => Some(Arc::new(one_of(injection::may_part))),
        K::DetectXss => Some(Arc::new(one_of(injection::may_script))),
        _ => None,
    }
}

/// At least one byte of a kind.
fn one_of(kind: impl Fn(u8) -> bool) -> Needs {
    let bytes: Vec<u8> = (0..=u8::MAX).filter(|byte| kind(*byte)).collect();
    Needs::of(vec![Clause::byte(ByteSet::of(&bytes))], 1)
}
