//! `SecAuditLogRelevantStatus`: an expression over the three digits of a status, decided for all statuses beforehand.
//!
//! ModSecurity's recommended value, `^(?:5|4(?!04))`, looks ahead, which the engine's expressions cannot. A status has
//! four places between its digits, so that a set of places is a few bits and every expression ends at once.

use palisade_model::audit::StatusSet;

use crate::operators::Interner;

/// Bytes of an expression: more say nothing of three digits.
pub(super) const PATTERN_BYTES: usize = 1024;
/// Groups within groups.
pub(super) const DEPTH: usize = 16;

/// The statuses that an expression finds.
pub(super) fn relevant(pattern: &str) -> Result<StatusSet, String> {
    if pattern.len() > PATTERN_BYTES {
        return Err(format!("an expression over statuses has at most {PATTERN_BYTES} bytes"));
    }
    if !pattern.contains("(?!") && !pattern.contains("(?=") {
        let regex = Interner::default().pattern(pattern)?;
        return Ok(StatusSet::of(|status| regex.is_match(status.to_string().as_bytes())));
    }
    let mut parser = Parser { left: pattern.as_bytes(), depth: 0 };
    let node = parser.alternatives()?;
    if !parser.left.is_empty() {
        return Err("a parenthesis is closed that was not opened".to_owned());
    }
    Ok(StatusSet::of(|status| node.ends(status.to_string().as_bytes(), ANYWHERE) != 0))
}

/// Places between digits, a bit each.
type Places = u8;

const ANYWHERE: Places = 0b1111;
const START: Places = 0b0001;
const END: Places = 0b1000;

enum Node {
    /// One byte of these.
    Byte(Vec<u8>),
    /// One of these places.
    At(Places),
    Sequence(Vec<Node>),
    Either(Vec<Node>),
    /// So often at least, so often at most.
    Repeat(Box<Node>, u8, u8),
    /// What follows is, or is not, this.
    Ahead(Box<Node>, bool),
}

impl Node {
    /// Where it can end if it begins at one of these places.
    fn ends(&self, text: &[u8], from: Places) -> Places {
        match self {
            Self::Byte(bytes) => {
                let taken = |at: &usize| text.get(*at).is_some_and(|byte| bytes.contains(byte));
                (0..3).filter(|at| from & 1 << at != 0).filter(taken).map(|at| 2 << at).sum()
            }
            Self::At(places) => from & places,
            Self::Sequence(nodes) => nodes.iter().fold(from, |places, node| node.ends(text, places)),
            Self::Either(nodes) => nodes.iter().fold(0, |places, node| places | node.ends(text, from)),
            Self::Repeat(node, least, most) => {
                let mut places = (0..*least).fold(from, |places, _| node.ends(text, places));
                for _ in *least..*most {
                    places |= node.ends(text, places);
                }
                places
            }
            Self::Ahead(node, wanted) => {
                let holds = |at: &u8| (node.ends(text, 1 << at) != 0) == *wanted;
                (0..4).filter(|at| from & 1 << at != 0).filter(holds).map(|at| 1 << at).sum()
            }
        }
    }
}

struct Parser<'a> {
    left: &'a [u8],
    depth: usize,
}

impl Parser<'_> {
    fn take(&mut self, text: &str) -> bool {
        match self.left.strip_prefix(text.as_bytes()) {
            Some(rest) => {
                self.left = rest;
                true
            }
            None => false,
        }
    }

    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.left.split_first()?;
        self.left = rest;
        Some(*first)
    }

    fn alternatives(&mut self) -> Result<Node, String> {
        let mut either = Vec::new();
        loop {
            let mut sequence = Vec::new();
            while !matches!(self.left.first(), None | Some(b'|' | b')')) {
                let node = self.atom()?;
                sequence.push(self.repeated(node)?);
            }
            either.push(Node::Sequence(sequence));
            if !self.take("|") {
                return Ok(Node::Either(either));
            }
        }
    }

    fn atom(&mut self) -> Result<Node, String> {
        for (opening, ahead) in [("(?!", Some(false)), ("(?=", Some(true)), ("(?:", None), ("(", None)] {
            if !self.take(opening) {
                continue;
            }
            self.depth += 1;
            if self.depth > DEPTH {
                return Err(format!("groups are nested more than {DEPTH} deep"));
            }
            let node = self.alternatives()?;
            self.depth -= 1;
            if !self.take(")") {
                return Err("a parenthesis is not closed".to_owned());
            }
            return Ok(match ahead {
                Some(wanted) => Node::Ahead(Box::new(node), wanted),
                None => node,
            });
        }
        match self.byte() {
            Some(b'^') => Ok(Node::At(START)),
            Some(b'$') => Ok(Node::At(END)),
            Some(b'.') => Ok(Node::Byte((b'0'..=b'9').collect())),
            Some(b'[') => self.class(),
            Some(b'\\') => match self.byte() {
                Some(b'd') => Ok(Node::Byte((b'0'..=b'9').collect())),
                other => Err(unknown(other)),
            },
            Some(digit) if digit.is_ascii_digit() => Ok(Node::Byte(vec![digit])),
            other => Err(unknown(other)),
        }
    }

    /// `[0-35]`, `[^4]`
    fn class(&mut self) -> Result<Node, String> {
        let negated = self.take("^");
        let mut digits = Vec::new();
        loop {
            match self.byte() {
                Some(b']') => break,
                Some(first) if first.is_ascii_digit() => {
                    let last = if self.take("-") { self.byte() } else { Some(first) };
                    match last.filter(u8::is_ascii_digit) {
                        Some(last) => digits.extend(first..=last),
                        None => return Err("a range of digits has no end".to_owned()),
                    }
                }
                other => return Err(unknown(other)),
            }
        }
        Ok(Node::Byte((b'0'..=b'9').filter(|digit| digits.contains(digit) != negated).collect()))
    }

    /// `?`, `*`, `+`, `{2}`: more than three digits cannot repeat.
    fn repeated(&mut self, node: Node) -> Result<Node, String> {
        for (sign, least, most) in [("?", 0, 1), ("*", 0, 3), ("+", 1, 3), ("{2}", 2, 2), ("{3}", 3, 3)] {
            if self.take(sign) {
                return Ok(Node::Repeat(Box::new(node), least, most));
            }
        }
        Ok(node)
    }
}

fn unknown(byte: Option<u8>) -> String {
    match byte {
        Some(byte) => format!("in an expression with look-ahead, {:?} is not understood", char::from(byte)),
        None => "the expression ends too early".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(pattern: &str) -> Vec<u16> {
        let set = relevant(pattern).unwrap();
        [200, 301, 400, 403, 404, 440, 500, 503].into_iter().filter(|status| set.contains(*status)).collect()
    }

    #[test]
    fn the_recommended_expression_is_every_error_but_404() {
        assert_eq!(found("^(?:5|4(?!04))"), [400, 403, 440, 500, 503]);
    }

    #[test]
    fn expressions_with_and_without_look_ahead_mean_the_same() {
        for (ahead, plain) in [
            ("^(?=[45])\\d{2}3$", "^[45]\\d3$"),
            ("^4(?!.4)", "^4.[^4]"),
            ("(?=4)4+", "4"),
            ("^(?!2|3)..(?:0|3)?$", "^[45].[03]$"),
            ("(?!9)0*4?$", ""),
        ] {
            assert_eq!(found(ahead), found(plain), "{ahead}");
        }
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for pattern in ["(?!4", "(?!4))", "(?!a)", "(?!\\w)", "[0-(?!4)", "(?!4)[4", "("] {
            assert!(relevant(pattern).is_err(), "{pattern}");
        }
    }

    #[test]
    fn length_and_nesting_are_bounded_at_under_and_over() {
        let long = |bytes: usize| relevant(&format!("(?!4){}", "5".repeat(bytes - 5))).is_ok();
        assert!(long(PATTERN_BYTES - 1) && long(PATTERN_BYTES) && !long(PATTERN_BYTES + 1));
        let deep = |depth: usize| relevant(&format!("{}4{}", "(?!".repeat(depth), ")".repeat(depth))).is_ok();
        assert!(deep(DEPTH - 1) && deep(DEPTH) && !deep(DEPTH + 1));
    }
}
