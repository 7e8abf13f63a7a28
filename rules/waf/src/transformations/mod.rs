//! The transformations (`t:`): one file each, one table here.
//!
//! Each file has `apply(input) -> Cow`: borrowed when nothing changed, so that a chain over ordinary text allocates
//! nothing. All of them are pure, linear in the input, and total: every byte string is an input. The meaning is
//! ModSecurity v3's, byte for byte where it is documented; a file says so where it chooses otherwise.
//! Spellings (`normalisePath`) are the parser's business.

use std::borrow::Cow;

/// Declares the closed list: variant, SecLang name, module.
macro_rules! transformations {
    ($($variant:ident $name:literal $module:ident;)*) => {
        $(mod $module;)*

        /// A transformation, by its SecLang name.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Transformation {
            $(#[doc = concat!("`t:", $name, "`")] $variant,)*
        }

        impl Transformation {
            /// All of them, in the order of their names.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// Its SecLang name.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// Applies it. Borrowed: nothing changed.
            pub fn apply(self, input: &[u8]) -> Cow<'_, [u8]> {
                match self { $(Self::$variant => $module::apply(input),)* }
            }
        }
    };
}

transformations! {
    Base64Decode "base64Decode" base64_decode;
    Base64DecodeExt "base64DecodeExt" base64_decode_ext;
    Base64Encode "base64Encode" base64_encode;
    CmdLine "cmdLine" cmd_line;
    CompressWhitespace "compressWhitespace" compress_whitespace;
    CssDecode "cssDecode" css_decode;
    EscapeSeqDecode "escapeSeqDecode" escape_seq_decode;
    HexDecode "hexDecode" hex_decode;
    HexEncode "hexEncode" hex_encode;
    HtmlEntityDecode "htmlEntityDecode" html_entity_decode;
    JsDecode "jsDecode" js_decode;
    Length "length" length;
    Lowercase "lowercase" lowercase;
    Md5 "md5" md5;
    None "none" none;
    NormalizePath "normalizePath" normalize_path;
    NormalizePathWin "normalizePathWin" normalize_path_win;
    ParityEven7Bit "parityEven7bit" parity_even_7bit;
    ParityOdd7Bit "parityOdd7bit" parity_odd_7bit;
    ParityZero7Bit "parityZero7bit" parity_zero_7bit;
    RemoveComments "removeComments" remove_comments;
    RemoveCommentsChar "removeCommentsChar" remove_comments_char;
    RemoveNulls "removeNulls" remove_nulls;
    RemoveWhitespace "removeWhitespace" remove_whitespace;
    ReplaceComments "replaceComments" replace_comments;
    ReplaceNulls "replaceNulls" replace_nulls;
    Sha1 "sha1" sha1;
    SqlHexDecode "sqlHexDecode" sql_hex_decode;
    Trim "trim" trim;
    TrimLeft "trimLeft" trim_left;
    TrimRight "trimRight" trim_right;
    Uppercase "uppercase" uppercase;
    UrlDecode "urlDecode" url_decode;
    UrlDecodeUni "urlDecodeUni" url_decode_uni;
    UrlEncode "urlEncode" url_encode;
    Utf8ToUnicode "utf8toUnicode" utf8_to_unicode;
}

/// Decodes `+` and `%HH` of a form; also how many invalid escapes stayed as they were.
pub(crate) fn decode_form(input: &[u8]) -> (Vec<u8>, usize) {
    url_decode::decode(input, |_, _| None)
}

pub(crate) mod bytes;
#[cfg(test)]
mod properties;

impl Transformation {
    /// Finds one by its SecLang name, in any case, as ModSecurity does.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|one| one.name().eq_ignore_ascii_case(name))
    }
}
