//! `@within`: the value is somewhere in the argument. An empty value is in every argument. Case counts.

/// Bytes of an argument below which comparing wherever the value's first byte is costs less than getting ready to search;
/// those of CRS have at most some 400.
const SHORT: usize = 512;

/// Whether it is so.
pub(super) fn matches(value: &[u8], argument: &[u8]) -> bool {
    if argument.len() > SHORT {
        return memchr::memmem::find(argument, value).is_some();
    }
    let Some((first, rest)) = value.split_first() else { return true };
    memchr::memchr_iter(*first, argument)
        .any(|at| argument.get(at + 1..).is_some_and(|after| after.starts_with(rest)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_argument_is_searched_like_a_long_one() {
        for argument in ["GET HEAD POST", "aabaab", ""] {
            let long = [argument.as_bytes(), &[b'-'; SHORT]].concat();
            for value in
                ["", "G", "GET", "ET H", "POST", "OST ", "PUT", "aab", "baab", "aabb", "GET HEAD POST "]
            {
                let is_within = argument.contains(value);
                assert_eq!(
                    matches(value.as_bytes(), argument.as_bytes()),
                    is_within,
                    "{value:?} in {argument:?}"
                );
                assert_eq!(matches(value.as_bytes(), &long), is_within, "{value:?} in a long argument");
            }
        }
        for bytes in [SHORT - 1, SHORT, SHORT + 1] {
            let argument = [vec![b'a'; bytes - 1], b"b".to_vec()].concat();
            assert!(matches(b"aab", &argument) && !matches(b"aaba", &argument), "{bytes}");
        }
    }
}
