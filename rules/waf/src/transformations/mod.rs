//! The transformations (`t:`): one file each, one table here.
//!
//! Each file has `apply(input) -> Cow`: borrowed when nothing changed, so that a chain over ordinary text allocates
//! nothing. All of them are pure, linear in the input, and total: every byte string is an input. The meaning is
//! ModSecurity v3's, byte for byte where it is documented; a file says so where it chooses otherwise.
//! Spellings (`normalisePath`) are the parser's business.

use std::borrow::Cow;

use crate::prefilter::ByteSet;
pub use palisade_seclang::Transformation;

/// Declares the table: a module for each transformation.
macro_rules! transformations {
    ($($variant:ident $module:ident;)*) => {
        $(mod $module;)*

        /// Applies a transformation. Borrowed: nothing changed.
        pub fn apply(transformation: Transformation, input: &[u8]) -> Cow<'_, [u8]> {
            match transformation { $(Transformation::$variant => $module::apply(input),)* }
        }

        /// Sets of bytes: a text that lacks all bytes of one of them is not changed by the transformation. Each
        /// file's `CHANGES` lists them.
        pub(crate) fn changes(transformation: Transformation) -> &'static [ByteSet] {
            match transformation { $(Transformation::$variant => $module::CHANGES,)* }
        }

        /// Whether a transformation can change a text of which only its bytes are known. No: applied to any text of
        /// these bytes and no others, it answers the same text.
        #[cfg(test)]
        pub(crate) fn may_change(transformation: Transformation, present: &ByteSet) -> bool {
            changes(transformation).iter().all(|set| set.meets(present))
        }
    };
}

transformations! {
    Base64Decode base64_decode;
    Base64DecodeExt base64_decode_ext;
    Base64Encode base64_encode;
    CmdLine cmd_line;
    CompressWhitespace compress_whitespace;
    CssDecode css_decode;
    EscapeSeqDecode escape_seq_decode;
    HexDecode hex_decode;
    HexEncode hex_encode;
    HtmlEntityDecode html_entity_decode;
    JsDecode js_decode;
    Length length;
    Lowercase lowercase;
    Md5 md5;
    None none;
    NormalizePath normalize_path;
    NormalizePathWin normalize_path_win;
    ParityEven7Bit parity_even_7bit;
    ParityOdd7Bit parity_odd_7bit;
    ParityZero7Bit parity_zero_7bit;
    PhpArgsNames php_args_names;
    RemoveComments remove_comments;
    RemoveCommentsChar remove_comments_char;
    RemoveNulls remove_nulls;
    RemoveWhitespace remove_whitespace;
    ReplaceComments replace_comments;
    ReplaceNulls replace_nulls;
    Sha1 sha1;
    SqlHexDecode sql_hex_decode;
    Trim trim;
    TrimLeft trim_left;
    TrimRight trim_right;
    Uppercase uppercase;
    UrlDecode url_decode;
    UrlDecodeUni url_decode_uni;
    UrlEncode url_encode;
    Utf8ToUnicode utf8_to_unicode;
}

/// Decodes `+` and `%HH` of a form; also how many invalid escapes stayed as they were.
pub(crate) fn decode_form(input: &[u8]) -> (Vec<u8>, usize) {
    let (decoded, invalid) = url_decode::decode(input, |_, _| None);
    (decoded.into_owned(), invalid)
}

/// The same, where a rule set has a map for `urlDecodeUni`.
pub(crate) fn apply_with<'a>(
    map: Option<&UnicodeMap>,
    transformation: Transformation,
    input: &'a [u8],
) -> Cow<'a, [u8]> {
    match (map, transformation) {
        (Some(map), Transformation::UrlDecodeUni) => url_decode_uni::apply_with(map, input),
        _ => apply(transformation, input),
    }
}

pub(crate) mod bytes;
pub(crate) mod unicode_map;

pub(crate) use unicode_map::UnicodeMap;

#[cfg(test)]
mod properties;
#[cfg(test)]
mod reference;
