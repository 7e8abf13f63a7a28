//! HTTP/2 by hand: frames as an attacker writes them, which no library would send.
//!
//! It reads what it needs only: statuses, ends and resets of streams.

use std::io::{Read, Write};
use std::net::TcpStream;

use crate::stage::{Client, Stage};

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;

pub const END_STREAM: u8 = 1;
pub const ACK: u8 = 1;
pub const END_HEADERS: u8 = 4;

/// One frame.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = vec![length[1], length[2], length[3], kind, flags];
    frame.extend_from_slice(&stream.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

fn text(block: &mut Vec<u8>, text: &[u8]) {
    // RFC 7541 §5.1 with a prefix of 7 bits, not Huffman-coded.
    if text.len() < 127 {
        block.push(text.len() as u8);
    } else {
        block.push(127);
        let mut rest = text.len() - 127;
        while rest >= 128 {
            block.push((rest % 128) as u8 | 0x80);
            rest /= 128;
        }
        block.push(rest as u8);
    }
    block.extend_from_slice(text);
}

/// A header block of literals (RFC 7541 §6.2.2).
pub fn block(fields: &[(&[u8], &[u8])]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        text(&mut block, name);
        text(&mut block, value);
    }
    block
}

/// What came of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Status(u16),
    Reset(u32),
    GoAway(u32),
    Closed,
}

/// A connection whose preface and settings are sent.
pub struct Http2<S = TcpStream> {
    pub client: Client<S>,
}

pub type Fields<'a> = Vec<(&'a [u8], &'a [u8])>;

impl Http2 {
    pub fn connect(stage: &Stage) -> Self {
        Self::over(Client::connect(stage.edge))
    }

    pub fn get(path: &str) -> Fields<'_> {
        vec![
            (b":method", b"GET"),
            (b":scheme", b"http"),
            (b":authority", b"shop.example"),
            (b":path", path.as_bytes()),
        ]
    }

    /// One attack on a connection of its own: one of `statuses`, a reset or a close, and the origin saw nothing; the
    /// next stream of the connection, if there is one, is answered.
    pub fn refused(stage: &Stage, name: &str, fields: &[(&[u8], &[u8])], statuses: &[u16]) {
        let before = stage.origin.count();
        let mut attack = Self::connect(stage);
        attack.send(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &block(fields)));
        match attack.outcome(1) {
            Outcome::Status(status) => {
                assert!(statuses.contains(&status), "{name}: {status} instead of {statuses:?} over HTTP/2");
                attack.send(&frame(HEADERS, END_HEADERS | END_STREAM, 3, &block(&Self::get("/good"))));
                assert_eq!(attack.outcome(3), Outcome::Status(200), "{name}: the next stream");
                assert_eq!(
                    stage.origin.count(),
                    before + 1,
                    "{name} over HTTP/2: {:?}",
                    stage.origin.requests()
                );
            }
            Outcome::Reset(_) | Outcome::GoAway(_) | Outcome::Closed => {
                // The library refuses what is malformed; what is well formed must be judged.
                assert!(statuses != [403], "{name}: no verdict over HTTP/2");
                assert_eq!(stage.origin.count(), before, "{name} over HTTP/2: {:?}", stage.origin.requests());
            }
        }
        assert!(!stage.origin.text().to_lowercase().contains("admin"), "{name}: {}", stage.origin.text());
    }
}

impl<S: Read + Write> Http2<S> {
    pub fn over(mut client: Client<S>) -> Self {
        client.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        client.send(frame(SETTINGS, 0, 0, &[]));
        Self { client }
    }

    pub fn send(&mut self, bytes: &[u8]) {
        self.client.send(bytes);
    }

    /// The next frame; none at the end.
    pub fn next(&mut self) -> Option<(u8, u8, u32, Vec<u8>)> {
        let head = self.client.bytes(9)?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let payload = self.client.bytes(length)?;
        let stream = u32::from_be_bytes([head[5] & 0x7f, head[6], head[7], head[8]]);
        if head[3] == SETTINGS && head[4] & ACK == 0 {
            let _ = self.client.try_send(frame(SETTINGS, ACK, 0, &[]));
        }
        Some((head[3], head[4], stream, payload))
    }

    /// What came of a stream: its first status that is no 1xx, or how it ended.
    pub fn outcome(&mut self, stream: u32) -> Outcome {
        let code = |payload: &[u8], at: usize| {
            payload.get(at..at + 4).map_or(0, |code| u32::from_be_bytes(code.try_into().unwrap()))
        };
        loop {
            match self.next() {
                None => return Outcome::Closed,
                Some((HEADERS, _, id, payload)) if id == stream => return Outcome::Status(status(&payload)),
                Some((RST_STREAM, _, id, payload)) if id == stream => {
                    return Outcome::Reset(code(&payload, 0));
                }
                Some((GOAWAY, _, _, payload)) if code(&payload, 4) != 0 => {
                    return Outcome::GoAway(code(&payload, 4));
                }
                Some(_) => {}
            }
        }
    }

    /// Data and trailers until the end of a stream.
    pub fn body(&mut self, stream: u32) -> Option<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let (kind, flags, id, payload) = self.next()?;
            if id != stream {
                continue;
            }
            if kind == DATA {
                body.extend_from_slice(&payload);
            }
            if kind == RST_STREAM {
                return None;
            }
            if flags & END_STREAM != 0 {
                return Some(body);
            }
        }
    }
}

/// The status of a response's header block: its first field (RFC 9113 §8.3), an index of the static table, or a
/// literal of three digits. 0 for an index of the dynamic table.
fn status(block: &[u8]) -> u16 {
    const STATIC: [u16; 7] = [200, 204, 206, 304, 400, 404, 500];
    // A change of the table's size may come first (RFC 7541 §4.2).
    let skip = block.iter().take_while(|byte| **byte & 0xe0 == 0x20).count();
    let block = &block[skip..];
    match block {
        [index @ 0x88..=0x8e, ..] => STATIC[usize::from(index - 0x88)],
        [name, length, value @ ..] if matches!(name & 0x0f, 8..=14) && *name < 0x80 => {
            let value = &value[..usize::from(length & 0x7f)];
            let digits = if length & 0x80 == 0 { value.to_vec() } else { huffman_digits(value) };
            String::from_utf8_lossy(&digits).parse().unwrap_or(0)
        }
        _ => 0,
    }
}

/// RFC 7541 appendix B, for digits: 0 to 2 have five bits, the others six.
fn huffman_digits(bytes: &[u8]) -> Vec<u8> {
    let bits: Vec<u8> = bytes.iter().flat_map(|byte| (0..8).rev().map(move |at| byte >> at & 1)).collect();
    let number = |bits: &[u8]| bits.iter().fold(0_u8, |number, bit| number << 1 | bit);
    let mut digits = Vec::new();
    let mut rest = bits.as_slice();
    while digits.len() < 3 && rest.len() >= 5 {
        let short = number(&rest[..5]);
        if short < 3 {
            digits.push(b'0' + short);
            rest = &rest[5..];
        } else if rest.len() >= 6 {
            digits.push(b'3' + (number(&rest[..6]).wrapping_sub(0x19)));
            rest = &rest[6..];
        } else {
            break;
        }
    }
    digits
}
