//! What holds for every transformation on every input.

use std::borrow::Cow;

use proptest::prelude::*;

use palisade_seclang::Transformation as T;

use super::{apply, may_change, reference};
use crate::prefilter::ByteSet;

/// Those whose second application changes nothing.
const IDEMPOTENT: &[T] = &[
    T::CompressWhitespace,
    T::Lowercase,
    T::None,
    T::NormalizePath,
    T::NormalizePathWin,
    T::ParityEven7Bit,
    T::ParityOdd7Bit,
    T::ParityZero7Bit,
    T::RemoveNulls,
    T::RemoveWhitespace,
    T::ReplaceComments,
    T::ReplaceNulls,
    T::Trim,
    T::TrimLeft,
    T::TrimRight,
    T::Uppercase,
    T::Utf8ToUnicode,
];

/// The most bytes that may come out of so many.
fn bound(transformation: T, input: usize) -> usize {
    match transformation {
        T::Base64Encode => input.div_ceil(3) * 4,
        T::HexEncode => input * 2,
        T::UrlEncode => input * 3,
        // Two bytes of UTF-8 become six.
        T::Utf8ToUnicode => input * 3,
        T::Length => 20,
        T::Md5 => 16,
        T::Sha1 => 20,
        T::RemoveComments => input,
        _ => input,
    }
}

/// Bytes that are likely to mean something to a decoder.
fn telling() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        3 => prop::sample::select(b"%\\&#+u x;/*-.<>!0137afFxX \n\0\xa0\xc3\xa9\"'(,^=".to_vec()).prop_map(|byte| vec![byte]),
        1 => prop::sample::select(vec!["%u", "\\u", "&#x", "0x", "/*", "*/", "<!--", "-->", "../", "ff1c", "&lt"])
            .prop_map(|text| text.as_bytes().to_vec()),
        1 => any::<u8>().prop_map(|byte| vec![byte]),
    ];
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

/// Texts of a few different bytes, so that most sets of bytes are missed.
fn narrow() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![prop::sample::select(b"%\\&#+/*-.<0xtpA \0\xa0\xc3\xa9[a".to_vec()), any::<u8>()];
    prop::collection::vec(byte, 1..4)
        .prop_flat_map(|bytes| prop::collection::vec(prop::sample::select(bytes), 0..24))
}

#[test]
fn texts_of_one_or_two_bytes_change_only_where_the_bytes_say_so() {
    let mut ruled_out = vec![0_u32; T::ALL.len()];
    for pair in 0..=u16::MAX {
        let pair = pair.to_be_bytes();
        for text in [&[][..], &pair[1..], &pair] {
            for (place, &transformation) in T::ALL.iter().enumerate() {
                if !may_change(transformation, &ByteSet::of(text)) {
                    ruled_out[place] += 1;
                    assert_eq!(apply(transformation, text), text, "{}", transformation.name());
                }
            }
        }
    }
    for (place, transformation) in T::ALL.iter().enumerate() {
        let always = matches!(transformation, T::Length | T::Md5 | T::Sha1);
        assert_eq!(ruled_out[place] == 0, always, "{}", transformation.name());
    }
}

proptest! {
    #[test]
    fn what_the_bytes_say_cannot_change_does_not(wide in telling(), narrow in narrow()) {
        for input in [wide, narrow] {
            let present = ByteSet::of(&input);
            for &transformation in T::ALL {
                if !may_change(transformation, &present) {
                    let output = apply(transformation, &input);
                    prop_assert!(matches!(output, Cow::Borrowed(_)), "{}", transformation.name());
                    prop_assert_eq!(output.as_ref(), input.as_slice(), "{}", transformation.name());
                }
            }
        }
    }

    #[test]
    fn the_fast_forms_agree_with_the_straightforward_ones(
        wide in telling(),
        narrow in narrow(),
        // Beyond one block of bytes that are looked at together.
        before in prop::sample::select(vec![0_usize, 1, 30, 31, 32, 33, 64]),
        text in "\\PC{0,8}",
    ) {
        let long = [vec![b'a'; before], narrow.clone(), text.into_bytes(), wide.clone()].concat();
        for input in [wide, narrow, long] {
            for &transformation in reference::FAST {
                let output = apply(transformation, &input);
                let expected = reference::apply(transformation, &input);
                prop_assert_eq!(output.as_ref(), expected.as_slice(), "{}", transformation.name());
            }
        }
    }

    #[test]
    fn every_input_has_an_output_within_its_bound(input in telling()) {
        for &transformation in T::ALL {
            let output = apply(transformation, &input);
            let most = bound(transformation, input.len());
            prop_assert!(output.len() <= most, "{}: {} bytes of {}", transformation.name(), output.len(), input.len());
            if let Cow::Owned(bytes) = &output {
                let digest = matches!(transformation, T::Length | T::Md5 | T::Sha1);
                prop_assert!(digest || *bytes != input, "{} owns what it did not change", transformation.name());
            }
        }
    }

    #[test]
    fn what_claims_to_be_idempotent_is(input in telling()) {
        for &transformation in IDEMPOTENT {
            let once = apply(transformation, &input).into_owned();
            let twice = apply(transformation, &once);
            prop_assert_eq!(twice.as_ref(), once.as_slice(), "{}", transformation.name());
        }
    }

    #[test]
    fn decoders_undo_their_encoders(input in prop::collection::vec(any::<u8>(), 0..64)) {
        for (encode, decode) in [
            (T::Base64Encode, T::Base64Decode),
            (T::Base64Encode, T::Base64DecodeExt),
            (T::HexEncode, T::HexDecode),
            (T::UrlEncode, T::UrlDecode),
            (T::UrlEncode, T::UrlDecodeUni),
        ] {
            let encoded = apply(encode, &input);
            let decoded = apply(decode, &encoded);
            prop_assert_eq!(decoded.as_ref(), input.as_slice(), "{}", decode.name());
        }
    }
}
