//! Where the oracle, a port of libinjection to Rust, is known to differ from libinjection itself. We follow libinjection
//! as ModSecurity carries it; a value that may show one of these differences is judged by its own tests.

/// Whether a value holds a text, in any case.
fn holds(value: &[u8], text: &str) -> bool {
    value.windows(text.len()).any(|part| part.eq_ignore_ascii_case(text.as_bytes()))
}

/// Values of which the two may see SQL differently.
pub fn of_sqli(value: &[u8]) -> bool {
    // In C, NUL is in every set of bytes that is searched with `strchr`.
    let nul = value.contains(&0);
    // `1.e` without an exponent: nothing to libinjection 3.10, a word to the port.
    let exponent = value.windows(2).enumerate().any(|(at, pair)| {
        let after = value.get(at + 2..).unwrap_or_default();
        let digits = after.strip_prefix(b"+").or(after.strip_prefix(b"-")).unwrap_or(after);
        matches!(pair, [b'0'..=b'9' | b'.', b'e' | b'E']) && !digits.first().is_some_and(u8::is_ascii_digit)
    });
    // INTO OUTFILE in small letters, the words of SQL Server's log in capitals, names of variables without their @.
    let words = ["into", "sp_password", "@user", "@password", "@database", "@current", "@localtime"];
    // Phrases that are a name together are not put together by the port.
    let phrases = [
        "at time",
        "create or",
        "in boolean",
        "is distinct",
        "is not distinct",
        "lock in",
        "next value",
        "previous value",
    ];
    // A collation beside bytes that are not UTF-8.
    let collation = holds(value, "collate") && std::str::from_utf8(value).is_err();
    nul || exponent || collation || words.iter().chain(&phrases).any(|word| holds(value, word))
}

/// Values of which libinjection may see a script where the port sees none: an attribute that only begins with the name
/// of an event, and entities above 255, of which the low byte counts.
pub fn of_xss(value: &[u8]) -> bool {
    value.contains(&0) || holds(value, "on") || holds(value, "&#")
}
