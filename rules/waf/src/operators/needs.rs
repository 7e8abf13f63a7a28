//! Operator and argument → what a value must hold to match; nothing for operators of which nothing is known.

use std::sync::Arc;

use super::{Interner, OperatorKind, pm, pm_from_file};
use crate::prefilter::Needs;

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
        _ => None,
    }
}
