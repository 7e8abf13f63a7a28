//! Whether a value holds a script: a tag, attribute, URL or comment that runs one, in a context where it could stand.

use super::generated::markup::{ATTRIBUTES, Danger, EVENTS, TAGS, URLS};
use super::generated::newer_events::NEWER_EVENTS;
use super::markup::{Context, Markup, Piece};

/// Whether it does. The value is read as if it stood between tags, in a tag, and in a value after each quote.
pub fn xss(value: &[u8]) -> bool {
    value.iter().any(|byte| may_script(*byte)) && is_script(value)
}

/// The same without looking first whether it can be.
pub(super) fn is_script(value: &[u8]) -> bool {
    is_dangerous(value, Context::Data)
        || is_dangerous(value, Context::Tag)
        || b"'\"`".iter().any(|quote| {
            memchr::memchr(*quote, value).is_some() && is_dangerous(value, Context::Quoted(*quote))
        })
}

/// Whether a byte is one of those that a script needs: a tag, a comment and a declaration begin with `<`, and no
/// attribute has a value without `=`.
pub(crate) const fn may_script(byte: u8) -> bool {
    matches!(byte, b'<' | b'=')
}

fn is_dangerous(value: &[u8], context: Context) -> bool {
    let mut markup = Markup::new(value, context);
    let mut attribute = None;
    while let Some(piece) = markup.next() {
        let danger = attribute.take();
        let found = match piece {
            Piece::Doctype => true,
            Piece::Tag(name) => is_tag(name),
            Piece::Comment(text) => is_comment(text),
            Piece::AttributeName(name) => {
                attribute = danger_of(name);
                false
            }
            Piece::AttributeValue(value) => match danger {
                None => false,
                Some(Danger::Always | Danger::Style) => true,
                Some(Danger::Url) => is_url(value),
                // The value names an attribute.
                Some(Danger::Name) => danger_of(value).is_some(),
            },
        };
        if found {
            return true;
        }
    }
    false
}

fn starts_with(text: &[u8], capitals: &str) -> bool {
    text.get(..capitals.len()).is_some_and(|start| start.eq_ignore_ascii_case(capitals.as_bytes()))
}

/// Copies a text in capitals without its NULs; none if it is longer than the buffer.
fn capitals(text: impl Iterator<Item = u8>, buffer: &mut [u8]) -> Option<&[u8]> {
    let mut length = 0;
    for byte in text.filter(|byte| *byte != 0) {
        *buffer.get_mut(length)? = byte.to_ascii_uppercase();
        length += 1;
    }
    buffer.get(..length)
}

fn is_tag(name: &[u8]) -> bool {
    if name.len() < 3 {
        return false;
    }
    let mut buffer = [0; LONGEST_TAG];
    let listed = capitals(name.iter().copied(), &mut buffer)
        .is_some_and(|name| TAGS.binary_search_by(|tag| tag.as_bytes().cmp(name)).is_ok());
    // Anything of SVG and XSLT.
    listed || starts_with(name, "SVG") || starts_with(name, "XSL")
}

/// What makes an attribute's value dangerous.
fn danger_of(name: &[u8]) -> Option<Danger> {
    if name.len() < 2 {
        return None;
    }
    if name.len() >= 5 && (is_event(name) || starts_with(name, "XMLNS") || starts_with(name, "XLINK")) {
        return Some(Danger::Always);
    }
    let mut buffer = [0; LONGEST_ATTRIBUTE];
    let name = capitals(name.iter().copied(), &mut buffer)?;
    let place = ATTRIBUTES.binary_search_by(|(attribute, _)| attribute.as_bytes().cmp(name)).ok()?;
    ATTRIBUTES.get(place).map(|(_, danger)| *danger)
}

/// Whether an attribute's name begins with that of a handler of events, libinjection's or a newer one. No name in a
/// table begins with another one, so only the last one that is not above can be its beginning.
fn is_event(name: &[u8]) -> bool {
    let Some(event) = name.get(2..).filter(|_| starts_with(name, "ON")) else { return false };
    let mut buffer = [0; LONGEST_EVENT];
    let event = event.get(..LONGEST_EVENT).unwrap_or(event);
    // A NUL is no letter of a name: what stands before it counts.
    let event = event.split(|byte| *byte == 0).next().unwrap_or_default();
    let Some(event) = capitals(event.iter().copied(), &mut buffer) else { return false };
    [EVENTS, NEWER_EVENTS].iter().any(|table| {
        let above = table.partition_point(|known| known.as_bytes() <= event);
        let last = above.checked_sub(1).and_then(|last| table.get(last));
        last.is_some_and(|last| event.starts_with(last.as_bytes()))
    })
}

fn is_comment(text: &[u8]) -> bool {
    // Old browsers end a tag at a tick, and run conditional comments, imports and entities.
    memchr::memchr(b'`', text).is_some()
        || text.len() > 3 && (starts_with(text, "[IF") || starts_with(text, "XML"))
        || text.len() > 5 && (starts_with(text, "IMPORT") || starts_with(text, "ENTITY"))
}

/// Whether a URL has a scheme that runs scripts. Numeric entities are decoded; white space before it, line feeds and
/// NULs in it do not count.
fn is_url(value: &[u8]) -> bool {
    let start = value.iter().take_while(|byte| !matches!(byte, b'!'..=b'~')).count();
    let mut rest = value.get(start..).unwrap_or_default();
    let mut scheme = [0; LONGEST_SCHEME];
    let mut length = 0;
    while let Some(slot) = scheme.get_mut(length) {
        let Some((point, taken)) = character(rest) else { break };
        rest = rest.get(taken..).unwrap_or_default();
        if length == 0 && point <= 32 || matches!(point, 0 | 10) {
            continue;
        }
        // The low byte of what an entity stands for.
        *slot = if (97..=122).contains(&point) { point as u8 - 32 } else { point as u8 };
        length += 1;
    }
    let scheme = scheme.get(..length).unwrap_or_default();
    URLS.iter().any(|url| scheme.starts_with(url.as_bytes()))
}

/// The first character, of a numeric entity what it stands for, and the bytes it takes.
fn character(text: &[u8]) -> Option<(u32, usize)> {
    let byte = *text.first()?;
    let (base, from) = match text {
        [b'&', b'#', b'x' | b'X', ..] => (16, 3),
        [b'&', b'#', ..] => (10, 2),
        _ => return Some((byte.into(), 1)),
    };
    let digits = text.iter().skip(from).map_while(|byte| char::from(*byte).to_digit(base));
    let (mut point, mut length) = (0_u32, from);
    for digit in digits {
        point = point * base + digit;
        if point > LAST_POINT {
            return Some((byte.into(), 1));
        }
        length += 1;
    }
    if length == from {
        return Some((byte.into(), 1));
    }
    Some((point, length + usize::from(text.get(length) == Some(&b';'))))
}

/// What an entity may stand for; more is no entity.
const LAST_POINT: u32 = 0x10_00ff;

/// The longest names of the tables.
const LONGEST_TAG: usize = longest(TAGS);
const LONGEST_EVENT: usize = {
    let (old, new) = (longest(EVENTS), longest(NEWER_EVENTS));
    if old > new { old } else { new }
};
const LONGEST_SCHEME: usize = longest(URLS);
const LONGEST_ATTRIBUTE: usize = {
    let (mut longest, mut rest) = (0, ATTRIBUTES);
    while let [(name, _), tail @ ..] = rest {
        longest = if name.len() > longest { name.len() } else { longest };
        rest = tail;
    }
    longest
};

const fn longest(mut names: &[&str]) -> usize {
    let mut longest = 0;
    while let [name, tail @ ..] = names {
        longest = if name.len() > longest { name.len() } else { longest };
        names = tail;
    }
    longest
}
