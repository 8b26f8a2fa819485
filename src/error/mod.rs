//! The one error type. Callers branch on [`Error::code`], a stable name. The text,
//! `SessionStoreError.detail` in JavaScript, names the resource and says what to do next. The
//! `message` that visitors may read depends only on the code: it is in `lib/errors.js`.
//!
//! No text here may contain a key, a session's content or a whole session id.

mod service;

use std::fmt;

pub use service::{Kind, Resource, Service, ServiceError, Unset};

/// The error of a failed call.
#[non_exhaustive]
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// `ERR_CONFIG`: an option or an argument cannot be used. The text names it and says what it
    /// accepts.
    #[error("{0}")]
    Config(String),
    /// A call to AWS KMS or DynamoDB failed: `ERR_KMS_UNAVAILABLE`, `ERR_ACCESS_DENIED` and the
    /// other codes that [`ServiceError`] lists.
    #[error(transparent)]
    Service(Box<ServiceError>),
    /// `ERR_DYNAMODB_UNAVAILABLE` in local mode: its file cannot be read or written.
    #[error(
        "the local session store in {folder} cannot be read or written; check the disk and the folder's permissions"
    )]
    LocalFile {
        /// The folder of local mode.
        folder: String,
        /// The underlying error.
        source: Option<Cause>,
    },
    /// `ERR_CONFLICT`: somebody else has changed the session since it was read.
    #[error(
        "the session was changed by somebody else since it was read; read it again and repeat the change, or make it with update()"
    )]
    Conflict,
    /// `ERR_INTEGRITY`: the text is the same whichever check failed.
    #[error(
        "what was sealed failed its integrity check: it was changed, is not one of this store, or another KMS key sealed it; nothing was deleted"
    )]
    Integrity {
        /// The error of KMS, if KMS refused.
        source: Option<Cause>,
    },
    /// `ERR_VERSION`.
    #[error(
        "the record has a version that this store does not read; add it to acceptVersions, or upgrade connect-dynamodb-kms where the session is read"
    )]
    Version,
    /// `ERR_SESSION_TOO_LARGE`: both sizes in bytes.
    #[error("the sealed record needs {size} bytes, a DynamoDB item holds {limit}; keep less in it")]
    SessionTooLarge {
        /// The size that the item would have, in bytes.
        size: usize,
        /// The largest size of an item, in bytes.
        limit: usize,
    },
    /// `ERR_SERIALIZATION`.
    #[error("{0}")]
    Serialization(String),
    /// `ERR_INTERNAL`: a panic.
    #[error(
        "a defect of connect-dynamodb-kms or of a library in it; the process's standard error has its place: report it with that"
    )]
    Internal,
    /// `ERR_CLOSED`.
    #[error("the store is closed; make a new one")]
    Closed,
}

/// The result of all functions of this crate that can fail.
pub type Result<T> = std::result::Result<T, Error>;

/// The underlying error of an [`Error`]. It comes from AWS or from the operating system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    /// AWS's error code (`AccessDeniedException`), or the kind of failure (`TimeoutError`).
    pub name: String,
    /// Its message.
    pub message: String,
    /// AWS's request id, for AWS Support.
    pub request_id: Option<Box<str>>,
    /// How many milliseconds the service asks its callers to wait before they try again.
    pub retry_after_millis: Option<u32>,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.message)
    }
}

impl std::error::Error for Cause {}

impl Cause {
    /// A cause without a request id.
    pub fn new(name: impl Into<String>, message: impl fmt::Display) -> Cause {
        Cause {
            name: name.into(),
            message: message.to_string(),
            request_id: None,
            retry_after_millis: None,
        }
    }
}

impl Error {
    /// The stable code of `SessionStoreError.code`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Error::Config(_) => "ERR_CONFIG",
            Error::Service(failed) => failed.code(),
            Error::LocalFile { .. } => "ERR_DYNAMODB_UNAVAILABLE",
            Error::Integrity { .. } => "ERR_INTEGRITY",
            Error::Version => "ERR_VERSION",
            Error::SessionTooLarge { .. } => "ERR_SESSION_TOO_LARGE",
            Error::Serialization(_) => "ERR_SERIALIZATION",
            Error::Conflict => "ERR_CONFLICT",
            Error::Internal => "ERR_INTERNAL",
            Error::Closed => "ERR_CLOSED",
        }
    }

    /// Whether the same call may succeed later even if nobody changes anything.
    #[must_use]
    pub fn retryable(&self) -> bool {
        match self {
            Error::Service(failed) => failed.retryable(),
            Error::LocalFile { .. } => true,
            _ => false,
        }
    }

    /// What went wrong with a call to a service, if such a call failed.
    pub(crate) fn kind(&self) -> Option<Kind> {
        match self {
            Error::Service(failed) => Some(failed.kind),
            _ => None,
        }
    }

    /// How many milliseconds the service asks its callers to wait. `None` if it does not say, or if
    /// the error is not retryable.
    #[must_use]
    pub fn retry_after_millis(&self) -> Option<u32> {
        let cause = self.cause().filter(|_| self.retryable());
        cause.and_then(|cause| cause.retry_after_millis)
    }

    /// The underlying error, if there is one.
    #[must_use]
    pub fn cause(&self) -> Option<&Cause> {
        match self {
            Error::Service(failed) => failed.cause.as_ref(),
            Error::LocalFile { source, .. } | Error::Integrity { source } => source.as_ref(),
            _ => None,
        }
    }

    /// An integrity failure that was found here, not by AWS.
    #[must_use]
    pub fn integrity() -> Error {
        Error::Integrity { source: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cause_is_also_the_std_source() {
        let error = Error::Integrity {
            source: Some(Cause::new("IncorrectKeyException", "another key")),
        };
        let source = std::error::Error::source(&error).expect("a source");
        assert_eq!(source.to_string(), "IncorrectKeyException: another key");
        assert_eq!(
            error.cause().map(|cause| cause.name.as_str()),
            Some("IncorrectKeyException")
        );
    }
}
