//! What can be wrong with a resource: on this side before it is sent, on the other when it is read.

use palisade_model::documents::FieldError;

/// Why a resource or a policy cannot be sent or is not accepted. Its text is what a NACK carries.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// Not a message of its type.
    #[error("{resource}: malformed: {why}")]
    Malformed {
        /// The resource's name.
        resource: String,
        /// What the decoder says.
        why: String,
    },
    /// A value this version does not accept.
    #[error("{resource}: {error}")]
    Field {
        /// The resource's name.
        resource: String,
        /// The field's path, and what is wrong with it.
        error: FieldError,
    },
    /// It holds something this version does not understand (see the crate's documentation), or is not encoded
    /// deterministically.
    #[error("{resource}: holds fields this version does not know")]
    NotUnderstood {
        /// The resource's name.
        resource: String,
    },
    /// Its content is not what its version says.
    #[error("{resource}: content hash is {found}, not {expected}")]
    Hash {
        /// The resource's name.
        resource: String,
        /// The version it came with.
        expected: String,
        /// Its own hash.
        found: String,
    },
    /// It is called something else than what it says about itself.
    #[error("{resource}: is named {found} by its content")]
    Name {
        /// The resource's name.
        resource: String,
        /// The name its content has.
        found: String,
    },
    /// Over a limit of [`crate::limits`].
    #[error("{resource}: {found} is over the limit of {limit} {unit}")]
    TooLarge {
        /// What is too large.
        resource: String,
        /// How large it is.
        found: usize,
        /// How large it may be.
        limit: usize,
        /// `bytes`, `fragments`.
        unit: &'static str,
    },
    /// The parts do not make a policy.
    #[error("{resource}: {problem}")]
    Inconsistent {
        /// The resource's name.
        resource: String,
        /// What does not fit.
        problem: String,
    },
    /// The policy asks for what this version cannot do.
    #[error("the policy requires features this version does not have: {}", features.join(", "))]
    Features {
        /// The unknown features.
        features: Vec<String>,
    },
}

impl WireError {
    pub(crate) fn inconsistent(resource: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Inconsistent { resource: resource.into(), problem: problem.into() }
    }
}
