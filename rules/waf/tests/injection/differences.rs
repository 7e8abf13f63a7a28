//! Where the oracle, a port of libinjection to Rust, is known to differ from libinjection itself. We follow libinjection
//! as ModSecurity carries it; a value that may show one of these differences is judged by its own tests.

#[path = "../../src/injection/generated/newer_events.rs"]
pub mod newer_events;

#[allow(dead_code, reason = "only the events are asked for")]
#[path = "../../src/injection/generated/markup.rs"]
mod markup;

/// Where a value holds a text, in any case: the place behind it.
fn after(value: &[u8], text: &str) -> Option<usize> {
    let found = value.windows(text.len()).position(|part| part.eq_ignore_ascii_case(text.as_bytes()));
    found.map(|at| at + text.len())
}

fn holds(value: &[u8], text: &str) -> bool {
    after(value, text).is_some()
}

/// Whether a value holds these words in this order. Comments and a backslash between words are nothing to SQL.
fn holds_words(value: &[u8], words: &str) -> bool {
    let mut rest = value;
    words.split(' ').all(|word| match after(rest, word) {
        Some(end) => {
            rest = rest.get(end..).unwrap_or_default();
            true
        }
        None => false,
    })
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
    let phrase = phrases.iter().any(|phrase| holds_words(value, phrase));
    nul || exponent || collation || phrase || words.iter().any(|word| holds(value, word))
}

/// Values of which libinjection may see a script where the port sees none: an attribute that only begins with the name
/// of an event, and entities above 255, of which the low byte counts. And those of which we see more than both: the
/// event handlers that are newer than libinjection's list.
pub fn of_xss(value: &[u8]) -> bool {
    value.contains(&0) || holds(value, "&#") || is_newer(value) || only_begins(value)
}

/// Whether an event handler is in it that libinjection does not know.
fn is_newer(value: &[u8]) -> bool {
    newer_events::NEWER_EVENTS.iter().any(|handler| holds(value, &format!("on{handler}")))
}

/// Whether a name in it begins with that of an event and goes on.
fn only_begins(value: &[u8]) -> bool {
    let ends = |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, 0x0b | b'/' | b'>' | b'=');
    let names = value.windows(2).enumerate().filter(|(_, pair)| pair.eq_ignore_ascii_case(b"on"));
    let begins = |name: &[u8], event: &str| {
        name.get(..event.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(event.as_bytes()))
            && name.get(event.len()).is_some_and(|byte| !ends(byte))
    };
    names.into_iter().any(|(at, _)| {
        let name = value.get(at + 2..).unwrap_or_default();
        markup::EVENTS.iter().any(|event| begins(name, event))
    })
}
