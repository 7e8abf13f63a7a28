//! The PROXY protocol header, versions 1 and 2 (haproxy's `proxy-protocol.txt`, 2020).
//!
//! Promises: exactly the header is taken from the stream; it has to come whole, in time and well formed, or the
//! connection is refused; `LOCAL` and `UNKNOWN` leave the socket's address. TLVs are skipped, not read.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::net::TcpStream;

/// The longest version 1 header (its specification §2.1), CRLF included.
const V1_BYTES: usize = 107;
/// Bytes of addresses and TLVs that a version 2 header may have: TLVs of some hundred bytes are usual.
const V2_BYTES: usize = 4 * 1024;
const V2_SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// Not a PROXY protocol header, or not in time.
#[derive(Debug)]
pub struct Refused;

/// Takes the header; gives the client's address, if it names one.
pub async fn accept(stream: &mut TcpStream, patience: Duration) -> Result<Option<SocketAddr>, Refused> {
    match tokio::time::timeout(patience, read(stream)).await {
        Ok(Ok(address)) => address,
        Ok(Err(_)) | Err(_) => Err(Refused),
    }
}

async fn read(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Result<Option<SocketAddr>, Refused>> {
    let mut start = [0; 12];
    stream.read_exact(&mut start).await?;
    if start == *V2_SIGNATURE {
        return version2(stream).await;
    }
    // Byte by byte, so that nothing behind the header is taken; it happens once per connection.
    let mut line = start.to_vec();
    while !line.ends_with(b"\r\n") {
        if line.len() >= V1_BYTES || !b"PROXY ".iter().zip(&line).all(|(expected, byte)| expected == byte) {
            return Ok(Err(Refused));
        }
        line.push(stream.read_u8().await?);
    }
    Ok(version1(&line).ok_or(Refused))
}

/// A whole version 1 line; `Some(None)` is `UNKNOWN`.
fn version1(line: &[u8]) -> Option<Option<SocketAddr>> {
    let text = std::str::from_utf8(line).ok()?.strip_prefix("PROXY ")?.strip_suffix("\r\n")?;
    let mut parts = text.split(' ');
    let family = parts.next()?;
    if family == "UNKNOWN" {
        return Some(None);
    }
    let (source, destination) =
        (parts.next()?.parse::<IpAddr>().ok()?, parts.next()?.parse::<IpAddr>().ok()?);
    let port = parts.next()?.parse().ok()?;
    parts.next()?.parse::<u16>().ok()?;
    let fits = match family {
        "TCP4" => source.is_ipv4() && destination.is_ipv4(),
        "TCP6" => source.is_ipv6() && destination.is_ipv6(),
        _ => false,
    };
    (fits && parts.next().is_none()).then(|| Some(SocketAddr::new(source, port)))
}

async fn version2(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Result<Option<SocketAddr>, Refused>> {
    let mut head = [0; 4];
    stream.read_exact(&mut head).await?;
    let [command, family, high, low] = head;
    let length = usize::from(u16::from_be_bytes([high, low]));
    if length > V2_BYTES {
        return Ok(Err(Refused));
    }
    let mut rest = vec![0; length];
    stream.read_exact(&mut rest).await?;
    Ok(addresses(command, family, &rest).ok_or(Refused))
}

/// What version 2 says; `Some(None)` is `LOCAL` or a family without addresses.
fn addresses(command: u8, family: u8, rest: &[u8]) -> Option<Option<SocketAddr>> {
    match (command, family) {
        (0x20, _) | (0x21, 0x00) => Some(None),
        (0x21, 0x11) => {
            let (source, rest) = rest.split_first_chunk::<4>()?;
            let port = rest.get(4..6)?;
            Some(Some(SocketAddr::new(Ipv4Addr::from(*source).into(), port_of(port)?)))
        }
        (0x21, 0x21) => {
            let (source, rest) = rest.split_first_chunk::<16>()?;
            let port = rest.get(16..18)?;
            Some(Some(SocketAddr::new(Ipv6Addr::from(*source).to_canonical(), port_of(port)?)))
        }
        _ => None,
    }
}

fn port_of(bytes: &[u8]) -> Option<u16> {
    bytes.first_chunk::<2>().map(|bytes| u16::from_be_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_1_names_the_client_or_is_refused() {
        let good = version1(b"PROXY TCP4 192.0.2.7 10.0.0.1 56324 443\r\n").unwrap().unwrap();
        assert_eq!(good, "192.0.2.7:56324".parse().unwrap());
        let six = version1(b"PROXY TCP6 2001:db8::7 ::1 56324 443\r\n").unwrap().unwrap();
        assert_eq!(six, "[2001:db8::7]:56324".parse().unwrap());
        assert_eq!(version1(b"PROXY UNKNOWN\r\n"), Some(None));
        for bad in [
            "PROXY TCP4 192.0.2.7 ::1 1 2\r\n",
            "PROXY TCP6 192.0.2.7 10.0.0.1 1 2\r\n",
            "PROXY TCP4 192.0.2.7 10.0.0.1 65536 2\r\n",
            "PROXY TCP4 192.0.2.7 10.0.0.1 1 2 3\r\n",
            "PROXY TCP4 192.0.2.7 10.0.0.1 1\r\n",
            "PROXY  TCP4 192.0.2.7 10.0.0.1 1 2\r\n",
            "GET / HTTP/1.1\r\n",
        ] {
            assert_eq!(version1(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn version_2_names_the_client_or_is_refused() {
        let four = [192, 0, 2, 7, 10, 0, 0, 1, 0xdc, 0x04, 1, 187];
        assert_eq!(addresses(0x21, 0x11, &four), Some("192.0.2.7:56324".parse().ok()));
        assert_eq!(addresses(0x20, 0x00, &[]), Some(None), "LOCAL");
        assert_eq!(addresses(0x21, 0x11, &four[..9]), None, "too short");
        assert_eq!(addresses(0x22, 0x11, &four), None, "unknown command");
        assert_eq!(addresses(0x21, 0x12, &four), None, "UDP is not what came");
    }

    /// What a header and what stands behind it come to: whether it is taken, and what is left of the stream.
    async fn taken(header: &[u8]) -> (bool, usize) {
        let bytes = [header, b"GET / HTTP/1.1\r\n\r\n"].concat();
        let mut stream = bytes.as_slice();
        let read = read(&mut stream).await.unwrap();
        (read.is_ok(), stream.len())
    }

    const BEHIND: usize = b"GET / HTTP/1.1\r\n\r\n".len();

    #[tokio::test]
    async fn a_version_1_header_under_and_at_its_limit_is_taken_and_over_it_refused_unread() {
        let line = |bytes: usize| format!("PROXY UNKNOWN {}\r\n", "x".repeat(bytes - 16)).into_bytes();
        assert_eq!(taken(&line(V1_BYTES - 1)).await, (true, BEHIND));
        assert_eq!(taken(&line(V1_BYTES)).await, (true, BEHIND));
        assert_eq!(taken(&line(V1_BYTES + 1)).await, (false, BEHIND + 1));
        let endless = vec![b' '; 10 * V1_BYTES];
        let left = endless.len() + BEHIND + b"PROXY UNKNOWN".len() - V1_BYTES;
        assert_eq!(taken(&[b"PROXY UNKNOWN".as_slice(), &endless].concat()).await, (false, left));
    }

    #[tokio::test]
    async fn a_version_2_header_under_and_at_its_limit_is_taken_and_over_it_refused_unread() {
        let header = |length: usize| {
            let length_field = u16::try_from(length).unwrap().to_be_bytes();
            [V2_SIGNATURE.as_slice(), &[0x20, 0], &length_field, &vec![0; length]].concat()
        };
        assert_eq!(taken(&header(V2_BYTES - 1)).await, (true, BEHIND));
        assert_eq!(taken(&header(V2_BYTES)).await, (true, BEHIND));
        for over in [V2_BYTES + 1, usize::from(u16::MAX)] {
            assert_eq!(taken(&header(over)).await, (false, over + BEHIND), "nothing of it is read");
        }
    }
}
