//! What is known of one exchange, in the forms that conditions compare. Costly forms are made at most once.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::net::IpAddr;

use http::HeaderName;
use palisade_model::{Connection, Principal, RequestHead};

use crate::path::Readings;

/// One exchange. Without a head it is a connection with opaque bytes.
pub(crate) struct Facts<'a> {
    pub(crate) connection: &'a Connection,
    pub(crate) head: Option<&'a RequestHead>,
    principal: OnceCell<String>,
    authority: OnceCell<String>,
    path: OnceCell<Readings<'a>>,
    underscores: OnceCell<bool>,
}

impl<'a> Facts<'a> {
    pub(crate) fn new(connection: &'a Connection, head: Option<&'a RequestHead>) -> Self {
        Self {
            connection,
            head,
            principal: OnceCell::new(),
            authority: OnceCell::new(),
            path: OnceCell::new(),
            underscores: OnceCell::new(),
        }
    }

    pub(crate) fn principal(&self) -> Option<&'a Principal> {
        self.connection.principal.as_ref()
    }

    /// The principal as Istio writes it; empty if the peer has proved none.
    pub(crate) fn principal_text(&self) -> &str {
        self.principal.get_or_init(|| self.principal().map(ToString::to_string).unwrap_or_default())
    }

    pub(crate) fn source_ip(&self) -> IpAddr {
        self.connection.peer.ip().to_canonical()
    }

    pub(crate) fn destination_ip(&self) -> IpAddr {
        self.connection.local.ip().to_canonical()
    }

    /// The server name in lower case; empty if the client asked for none.
    pub(crate) fn sni(&self) -> Cow<'_, str> {
        let sni = self.connection.sni.as_deref().unwrap_or_default();
        if sni.bytes().any(|byte| byte.is_ascii_uppercase()) {
            Cow::Owned(sni.to_ascii_lowercase())
        } else {
            Cow::Borrowed(sni)
        }
    }

    /// `host:port`, where a port that was not written is the scheme's.
    pub(crate) fn authority_text(&self, head: &RequestHead) -> &str {
        self.authority.get_or_init(|| {
            let port = head.authority.port.unwrap_or(head.scheme.default_port());
            format!("{}:{port}", head.authority.host)
        })
    }

    pub(crate) fn path(&self, head: &'a RequestHead) -> &Readings<'a> {
        self.path.get_or_init(|| Readings::of(&head.path))
    }

    /// All values of a header joined with a comma, as Envoy compares them; none if it is absent.
    pub(crate) fn header_joined(head: &'a RequestHead, name: &HeaderName) -> Option<Cow<'a, [u8]>> {
        let mut values = head.headers.get_all(name).iter();
        let first = values.next()?.as_bytes();
        let Some(second) = values.next() else { return Some(Cow::Borrowed(first)) };
        let mut joined = first.to_vec();
        for value in std::iter::once(second).chain(values) {
            joined.push(b',');
            joined.extend_from_slice(value.as_bytes());
        }
        Some(Cow::Owned(joined))
    }

    /// Whether a value that a lenient server may see under this name satisfies `wanted`: each line by itself, each
    /// element of a comma-separated line, and lines whose name differs only in `_` for `-`.
    pub(crate) fn any_header_value(
        &self,
        head: &RequestHead,
        name: &HeaderName,
        wanted: impl Fn(&[u8]) -> bool,
    ) -> bool {
        let in_line = |line: &[u8]| {
            wanted(line) || line.split(|byte| *byte == b',').any(|element| wanted(element.trim_ascii()))
        };
        if head.headers.get_all(name).iter().any(|value| in_line(value.as_bytes())) {
            return true;
        }
        let underscores =
            *self.underscores.get_or_init(|| head.headers.keys().any(|name| name.as_str().contains('_')));
        underscores
            && head.headers.iter().any(|(other, value)| {
                other != name && same_variable(other.as_str(), name.as_str()) && in_line(value.as_bytes())
            })
    }
}

/// Whether two header names become one variable in a CGI-like server.
fn same_variable(a: &str, b: &str) -> bool {
    let fold = |byte: u8| if byte == b'_' { b'-' } else { byte };
    a.len() == b.len() && a.bytes().zip(b.bytes()).all(|(a, b)| fold(a) == fold(b))
}
