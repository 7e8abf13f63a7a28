//! Model types ↔ messages of `palisade.v1`, one file per type.
//!
//! Promises: what is decoded says exactly what was sent. Unspecified or unknown enum values, missing messages, unset
//! oneofs and numbers out of range are errors that name the field; nothing is defaulted. It does not check whether a
//! policy makes sense: `rules` compiles it.

mod authorization_policy;
mod cluster;
mod listener;
mod manifest;
mod metadata;
mod route;
mod rule_set;
mod waf_policy;

use std::net::SocketAddr;

use palisade_model::documents::FieldError;

pub(crate) use manifest::{FragmentRef, Manifest};

/// A conversion's answer.
pub(crate) type Converted<T> = Result<T, FieldError>;

/// From the model to a message. Fails on what the wire cannot say (a document with a foreign `apiVersion`).
pub(crate) trait ToProto {
    /// The message.
    type Message;
    /// Converts.
    fn to_proto(&self) -> Converted<Self::Message>;
}

/// From a message to the model.
pub(crate) trait FromProto: Sized {
    /// The message.
    type Message;
    /// Converts.
    fn from_proto(message: Self::Message) -> Converted<Self>;
}

/// An error at a field.
pub(crate) fn fault(path: impl Into<String>, problem: impl Into<String>) -> FieldError {
    FieldError { path: path.into(), problem: problem.into() }
}

/// Puts the enclosing field's name before the path of an error.
pub(crate) trait Within {
    /// `self`, an error of which lies in `prefix`.
    fn within(self, prefix: impl std::fmt::Display) -> Self;
}

impl<T> Within for Converted<T> {
    fn within(self, prefix: impl std::fmt::Display) -> Self {
        self.map_err(|error| match error.path.is_empty() {
            true => fault(prefix.to_string(), error.problem),
            false => fault(format!("{prefix}.{}", error.path), error.problem),
        })
    }
}

/// Converts every item of a repeated field.
pub(crate) fn each<I, T>(
    field: &str,
    items: I,
    convert: impl Fn(I::Item) -> Converted<T>,
) -> Converted<Vec<T>>
where
    I: IntoIterator,
{
    items
        .into_iter()
        .enumerate()
        .map(|(index, item)| convert(item).within(format_args!("{field}[{index}]")))
        .collect()
}

/// A message field that must be set.
pub(crate) fn required<T>(field: &str, value: Option<T>) -> Converted<T> {
    value.ok_or_else(|| fault(field, "is missing"))
}

fn number<T: TryFrom<N>, N: Copy + std::fmt::Display>(field: &str, value: N) -> Converted<T> {
    T::try_from(value).map_err(|_| fault(field, format!("{value} is out of range")))
}

fn address(field: &str, text: &str) -> Converted<SocketAddr> {
    text.parse().map_err(|_| fault(field, format!("`{}` is not an address with a port", excerpt(text))))
}

fn expect_constant(field: &str, found: &str, expected: &str) -> Converted<()> {
    match found == expected {
        true => Ok(()),
        false => Err(fault(field, format!("is `{}`, only `{expected}` can be sent", excerpt(found)))),
    }
}

/// At most 64 characters of a peer's text, for error sentences.
pub(crate) fn excerpt(text: &str) -> String {
    text.chars().take(64).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}
