//! Promise: every byte string is an input of every transformation and of every pair of them, and output stays bounded.
#![no_main]

use libfuzzer_sys::fuzz_target;
use palisade_seclang::Transformation;
use palisade_waf::transformations::apply;

/// The most an output grows: `urlEncode` and `utf8toUnicode` write three bytes for one; a hash has at most 20 bytes.
fn most(input: usize) -> usize {
    (input * 3).max(20)
}

// The first byte chooses the second transformation; the first one is each of them in turn.
fuzz_target!(|data: &[u8]| {
    let Some((choice, input)) = data.split_first() else { return };
    let second = Transformation::ALL[usize::from(*choice) % Transformation::ALL.len()];
    for first in Transformation::ALL {
        let once = apply(*first, input);
        assert!(once.len() <= most(input.len()), "{first:?}: {} from {}", once.len(), input.len());
        assert_eq!(once, apply(*first, input), "{first:?} is not a function");
        let twice = apply(second, &once);
        assert!(twice.len() <= most(once.len()), "{second:?} after {first:?}");
    }
});
