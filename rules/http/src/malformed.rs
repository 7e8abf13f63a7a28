//! Why a message is refused before any engine sees it.

/// A message that cannot be read in exactly one way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// What is wrong.
    pub cause: Cause,
    /// Where, e.g. `header transfer-encoding`; never bytes of the message.
    pub place: String,
}

/// Every way a message can be malformed. Closed: each has a row in `docs/denials.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    /// Placeholder of the face until the guard lands.
    MissingHost,
}
