//! What a connection speaks, from its first bytes, without taking them.
//!
//! Promises: waits for at most [`FIRST_BYTES`] bytes and a limited time; a declared protocol wins over what is seen.
//! Server-first protocols send nothing: where TCP is declared nothing is waited for, and where nothing is declared
//! silence means TCP.

use std::io;
use std::time::Duration;

use palisade_model::Protocol;
use tokio::net::TcpStream;
use tokio::time::Instant;

/// Bytes that tell protocols apart: the HTTP/2 preface (RFC 9113 §3.4) is the longest.
pub const FIRST_BYTES: usize = 24;
/// The HTTP/2 preface.
pub const PREFACE: &[u8; FIRST_BYTES] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// How often a begun word is looked at again.
const POLL: Duration = Duration::from_millis(5);

/// What was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sniffed {
    /// A TLS record with a handshake.
    Tls,
    /// The HTTP/2 preface.
    Http2,
    /// The beginning of an HTTP/1 request line.
    Http1,
    /// Something else.
    Opaque,
    /// Nothing in time.
    Silent,
    /// The end of the stream.
    Closed,
}

/// What the bytes so far mean; none while more could tell.
pub fn read(bytes: &[u8]) -> Option<Sniffed> {
    match bytes {
        [] => None,
        [0x16] => None,
        [0x16, 0x03, ..] => Some(Sniffed::Tls),
        _ if bytes.starts_with(PREFACE) => Some(Sniffed::Http2),
        _ if bytes.len() < FIRST_BYTES && PREFACE.starts_with(bytes) => None,
        _ => method(bytes),
    }
}

/// A method token and a space (RFC 9112 §3).
fn method(bytes: &[u8]) -> Option<Sniffed> {
    let token =
        bytes.iter().take_while(|byte| byte.is_ascii_uppercase() || matches!(byte, b'-' | b'_')).count();
    match bytes.get(token) {
        Some(b' ') if token > 0 => Some(Sniffed::Http1),
        Some(_) => Some(Sniffed::Opaque),
        None if token >= FIRST_BYTES => Some(Sniffed::Opaque),
        None => None,
    }
}

/// Looks at a plain stream's first bytes.
pub async fn peek(stream: &TcpStream, patience: Duration) -> io::Result<Sniffed> {
    let deadline = Instant::now() + patience;
    let mut bytes = [0; FIRST_BYTES];
    let mut seen = 0;
    loop {
        let peeked = tokio::time::timeout_at(deadline, stream.peek(&mut bytes)).await;
        let Ok(peeked) = peeked else {
            return Ok(if seen == 0 { Sniffed::Silent } else { Sniffed::Opaque });
        };
        let now = peeked?;
        if now == 0 {
            return Ok(Sniffed::Closed);
        }
        if let Some(sniffed) = read(bytes.get(..now).unwrap_or_default()) {
            return Ok(sniffed);
        }
        if now == seen {
            // The socket stays readable while the word is unfinished; look again a little later.
            tokio::time::sleep(POLL).await;
            if Instant::now() >= deadline {
                return Ok(Sniffed::Opaque);
            }
        }
        seen = now;
    }
}

/// How a plain stream is served: the declared protocol wins.
pub fn decide(declared: Protocol, sniffed: Sniffed) -> Spoken {
    match (declared, sniffed) {
        (Protocol::Tcp, _) => Spoken::Tcp,
        (Protocol::Http2 | Protocol::Grpc, Sniffed::Http2) | (_, Sniffed::Http2) => Spoken::Http2,
        (Protocol::Http | Protocol::Auto, Sniffed::Http1) => Spoken::Http1,
        (Protocol::Auto, Sniffed::Opaque | Sniffed::Silent | Sniffed::Tls) => Spoken::Tcp,
        // A malformed beginning is the guard's to refuse, with a reference id.
        (Protocol::Http, Sniffed::Opaque) => Spoken::Http1,
        _ => Spoken::Nothing,
    }
}

/// How a stream is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spoken {
    /// HTTP/1.
    Http1,
    /// HTTP/2.
    Http2,
    /// Opaque bytes.
    Tcp,
    /// Not at all: it is not what the port is declared to speak.
    Nothing,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_bytes_tell_protocols_apart_at_every_cut() {
        let cases: [(&[u8], Sniffed); 6] = [
            (b"\x16\x03\x01\x02\x00\x01\x00", Sniffed::Tls),
            (PREFACE, Sniffed::Http2),
            (b"GET / HTTP/1.1\r\n", Sniffed::Http1),
            (b"PRIVATE / HTTP/1.1\r\n", Sniffed::Http1),
            (b"SSH-2.0-OpenSSH_9\r\n", Sniffed::Opaque),
            (b"\x00\x00\x00\x08\x04\xd2\x16\x2f", Sniffed::Opaque),
        ];
        for (bytes, expected) in cases {
            assert_eq!(read(bytes), Some(expected), "{bytes:?}");
            for cut in 0..bytes.len() {
                let partial = read(&bytes[..cut]);
                assert!(
                    partial.is_none() || partial == Some(expected),
                    "{bytes:?} cut at {cut}: {partial:?}"
                );
            }
        }
    }

    #[test]
    fn a_word_that_fills_what_is_looked_at_is_no_method() {
        let word = |bytes: usize| "M".repeat(bytes).into_bytes();
        assert_eq!(read(&word(FIRST_BYTES - 1)), None, "a space may still come");
        assert_eq!(read(&[word(FIRST_BYTES - 1), b" ".to_vec()].concat()), Some(Sniffed::Http1));
        assert_eq!(read(&word(FIRST_BYTES)), Some(Sniffed::Opaque));
        assert_eq!(read(&word(FIRST_BYTES + 1)), Some(Sniffed::Opaque));
    }

    #[tokio::test]
    async fn silence_and_an_unfinished_word_are_told_at_the_limit() {
        let patience = Duration::from_millis(palisade_model::limits::SNIFF_TIMEOUT_MS);
        for (sent, expected) in [(b"".as_slice(), Sniffed::Silent), (b"GE", Sniffed::Opaque)] {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            let (stream, _) = listener.accept().await.unwrap();
            if !sent.is_empty() {
                tokio::io::AsyncWriteExt::write_all(&mut client, sent).await.unwrap();
                stream.readable().await.unwrap();
            }
            tokio::time::pause();
            let begun = Instant::now();
            assert_eq!(peek(&stream, patience).await.unwrap(), expected);
            assert!((patience..=patience + POLL).contains(&begun.elapsed()), "{:?}", begun.elapsed());
            tokio::time::resume();
        }
    }

    #[test]
    fn a_declared_protocol_wins() {
        assert_eq!(decide(Protocol::Tcp, Sniffed::Http1), Spoken::Tcp);
        assert_eq!(decide(Protocol::Http, Sniffed::Silent), Spoken::Nothing);
        assert_eq!(decide(Protocol::Http, Sniffed::Http2), Spoken::Http2);
        assert_eq!(decide(Protocol::Grpc, Sniffed::Http1), Spoken::Nothing);
        assert_eq!(decide(Protocol::Auto, Sniffed::Silent), Spoken::Tcp);
    }
}
