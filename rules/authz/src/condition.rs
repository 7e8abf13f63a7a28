//! One compiled condition: an attribute, values, and whether they must or must not match.
//!
//! Where a server behind could read a value in several ways, the action decides which readings count:
//! a DENY rule matches if any reading does, an ALLOW rule only if Istio's own reading does (and, for a path with a
//! hidden slash or `..`, the other reading too). `not…` is the exact opposite in both. So a second header line or
//! an encoded slash can neither hide from a DENY nor slip into an ALLOW.

use std::sync::Arc;

use http::HeaderName;
use ipnet::IpNet;
use palisade_model::documents::Action;
use palisade_model::{Principal, RequestHead};

use crate::facts::Facts;
use crate::path::PathPattern;
use crate::pattern::Pattern;

/// A condition.
#[derive(Clone, Debug)]
pub(crate) struct Condition {
    /// Below the rule, e.g. `source.notPrincipals`; for `when`, its key.
    pub(crate) field: Arc<str>,
    /// Whether none of the values may match.
    pub(crate) negated: bool,
    /// What is compared with what.
    pub(crate) values: Values,
}

/// An attribute with the values it is compared with; any of them may match.
#[derive(Clone, Debug)]
pub(crate) enum Values {
    Principals(Box<[PrincipalPattern]>),
    Namespaces(Box<[Pattern]>),
    /// Namespace and account.
    ServiceAccounts(Box<[(Box<str>, Box<str>)]>),
    SourceIps(Box<[IpNet]>),
    DestinationIps(Box<[IpNet]>),
    DestinationPorts(Box<[u16]>),
    Sni(Box<[Pattern]>),
    Hosts(Box<[Pattern]>),
    Methods(Box<[Pattern]>),
    Paths(Box<[PathPattern]>),
    Header(HeaderName, Box<[Pattern]>),
}

/// A principal, or a pattern of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PrincipalPattern {
    Exact(Principal),
    Text(Pattern),
}

/// Which readings of an ambiguous value count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reading {
    /// Any that a server may take.
    Any,
    /// Istio's own.
    Own,
}

impl Condition {
    /// Whether only an HTTP request has this attribute.
    pub(crate) fn is_http(&self) -> bool {
        matches!(self.values, Values::Hosts(_) | Values::Methods(_) | Values::Paths(_) | Values::Header(..))
    }

    /// Whether it holds. Without a head, an HTTP condition fails an ALLOW rule and is dropped from a DENY rule.
    pub(crate) fn holds(&self, facts: &Facts<'_>, action: Action) -> bool {
        let reading = match (action, self.negated) {
            (Action::Deny, false) | (Action::Allow, true) => Reading::Any,
            (Action::Allow, false) | (Action::Deny, true) => Reading::Own,
        };
        let matched = match facts.head {
            None if self.is_http() => return action == Action::Deny,
            None => self.connection_matches(facts),
            Some(head) => self.request_matches(facts, head, reading),
        };
        matched != self.negated
    }

    fn connection_matches(&self, facts: &Facts<'_>) -> bool {
        match &self.values {
            Values::Principals(patterns) => patterns.iter().any(|pattern| pattern.matches(facts)),
            Values::Namespaces(patterns) => {
                let namespace = facts.principal().map(Principal::namespace).unwrap_or_default();
                any(patterns, namespace.as_bytes())
            }
            Values::ServiceAccounts(accounts) => facts.principal().is_some_and(|principal| {
                accounts.iter().any(|(namespace, account)| {
                    **namespace == *principal.namespace() && **account == *principal.service_account()
                })
            }),
            Values::SourceIps(blocks) => blocks.iter().any(|block| block.contains(&facts.source_ip())),
            Values::DestinationIps(blocks) => {
                blocks.iter().any(|block| block.contains(&facts.destination_ip()))
            }
            Values::DestinationPorts(ports) => ports.contains(&facts.connection.local.port()),
            Values::Sni(patterns) => any(patterns, facts.sni().as_bytes()),
            Values::Hosts(_) | Values::Methods(_) | Values::Paths(_) | Values::Header(..) => false,
        }
    }

    fn request_matches<'a>(&self, facts: &Facts<'a>, head: &'a RequestHead, reading: Reading) -> bool {
        match &self.values {
            // A host pattern takes an authority if it takes the host, or the host with its port: one meaning for
            // `a.com`, `a.com:80` and `a.com:*`, whatever the client chose to write.
            Values::Hosts(patterns) => {
                any(patterns, head.authority.host.as_bytes())
                    || patterns.iter().any(|pattern| {
                        pattern.literal().contains(':')
                            && pattern.matches(facts.authority_text(head).as_bytes())
                    })
            }
            Values::Methods(patterns) => any(patterns, head.method.as_str().as_bytes()),
            Values::Paths(patterns) => path_matches(patterns, facts, head, reading),
            Values::Header(name, patterns) => {
                let present = patterns.contains(&Pattern::Present);
                let joined =
                    Facts::header_joined(head, name).is_some_and(|value| present || any(patterns, &value));
                joined
                    || (reading == Reading::Any
                        && facts.any_header_value(head, name, |value| present || any(patterns, value)))
            }
            _ => self.connection_matches(facts),
        }
    }

    /// What the exchange has for this attribute, for an explanation: never a path or a header's value.
    pub(crate) fn found(&self, facts: &Facts<'_>) -> String {
        let connection = facts.connection;
        let identity = |part: fn(&Principal) -> &str| {
            facts.principal().map_or_else(|| "a peer without identity".to_owned(), |p| part(p).to_owned())
        };
        match (&self.values, facts.head) {
            (Values::Principals(_), _) => {
                facts.principal().map_or_else(|| "a peer without identity".to_owned(), ToString::to_string)
            }
            (Values::Namespaces(_), _) => identity(Principal::namespace),
            (Values::ServiceAccounts(_), _) => match facts.principal() {
                Some(principal) => format!("{}/{}", principal.namespace(), principal.service_account()),
                None => "a peer without identity".to_owned(),
            },
            (Values::SourceIps(_), _) => facts.source_ip().to_string(),
            (Values::DestinationIps(_), _) => facts.destination_ip().to_string(),
            (Values::DestinationPorts(_), _) => format!("port {}", connection.local.port()),
            (Values::Sni(_), _) => connection
                .sni
                .as_ref()
                .map_or_else(|| "a connection without server name".to_owned(), |sni| format!("{sni:?}")),
            (_, None) => "a TCP connection".to_owned(),
            (Values::Hosts(_), Some(head)) => head.authority.to_string(),
            (Values::Methods(_), Some(head)) => head.method.to_string(),
            (Values::Paths(_), Some(_)) => "the path of the request".to_owned(),
            (Values::Header(name, _), Some(head)) => match head.headers.contains_key(name) {
                true => format!("the request's {name}"),
                false => format!("a request without {name}"),
            },
        }
    }
}

impl PrincipalPattern {
    fn matches(&self, facts: &Facts<'_>) -> bool {
        match (self, facts.principal()) {
            (_, None) => false,
            (Self::Exact(wanted), Some(principal)) => wanted == principal,
            (Self::Text(Pattern::Present), Some(_)) => true,
            (Self::Text(pattern), Some(_)) => pattern.matches(facts.principal_text().as_bytes()),
        }
    }
}

fn path_matches<'a>(
    patterns: &[PathPattern],
    facts: &Facts<'a>,
    head: &'a RequestHead,
    reading: Reading,
) -> bool {
    let readings = facts.path(head);
    let any = |path: &str| patterns.iter().any(|pattern| pattern.matches(path));
    let Some(loose) = &readings.loose else { return any(readings.canonical) };
    match reading {
        Reading::Any => any(readings.canonical) || any(loose),
        // Who wrote exactly this path, escapes and all, knows what it means.
        Reading::Own if readings.treacherous => {
            patterns.iter().any(|pattern| pattern.exact() == Some(readings.canonical))
                || (any(readings.canonical) && any(loose))
        }
        Reading::Own => any(readings.canonical),
    }
}

fn any(patterns: &[Pattern], value: &[u8]) -> bool {
    patterns.iter().any(|pattern| pattern.matches(value))
}
