//! The one error type. [`Error::code`] is the stable name that callers branch on; the text, `SessionStoreError.detail` in JavaScript, says what to do next
//! and names the resource. The `message` that visitors may read depends on the code alone: `lib/errors.js` has it.
//!
//! No text here may hold a key, a session's content or a whole session id.

use std::fmt;

/// What a failing call gives.
#[non_exhaustive]
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// `ERR_CONFIG`: an option or an argument cannot be used; the text names it and says what it takes.
    #[error("{0}")]
    Config(String),
    /// `ERR_KMS_UNAVAILABLE`, `ERR_DYNAMODB_UNAVAILABLE`: no answer, or an answer that says "not now".
    #[error(
        "{action} got no usable answer from {service}; try again, and check the network path to its endpoint"
    )]
    Unavailable {
        /// Which service.
        service: Service,
        /// The IAM action, such as `kms:Decrypt`.
        action: &'static str,
        /// The error below.
        source: Option<Cause>,
    },
    /// `ERR_DYNAMODB_UNAVAILABLE`, from the local mode: its file cannot be read or written.
    #[error(
        "the local session store in {folder} cannot be read or written; check the disk and the folder's permissions"
    )]
    LocalFile {
        /// The folder of the local mode.
        folder: String,
        /// The error below.
        source: Option<Cause>,
    },
    /// `ERR_KMS_THROTTLED`, `ERR_DYNAMODB_THROTTLED`: the service refuses because of a quota or of capacity.
    #[error("{service} throttles {action}; try again later, or raise {}", match .service { Service::Kms => "the KMS request quota", Service::DynamoDb => "the capacity of the table" })]
    Throttled {
        /// Which service.
        service: Service,
        /// The IAM action, such as `kms:Decrypt`.
        action: &'static str,
        /// The error below.
        source: Option<Cause>,
    },
    /// `ERR_CONFLICT`: somebody else has changed the session since it was read.
    #[error(
        "the session was changed by somebody else since it was read; read it again and repeat the change, or make it with update()"
    )]
    Conflict,
    /// `ERR_KMS_KEY_UNUSABLE`: the key is disabled, pending deletion, absent, or of another kind.
    #[error(
        "the KMS key {key} cannot be used for {action}; it must exist in this region, be enabled, and be a symmetric encryption key: \
         check its state, or correct kmsKeyArn{}", Unset::hint(.unset.as_deref().copied())
    )]
    KmsKeyUnusable {
        /// The ARN of the key.
        key: String,
        /// Set if nobody named a key, and this is the built-in default.
        unset: Option<Box<Unset>>,
        /// The IAM action, such as `kms:Decrypt`.
        action: &'static str,
        /// The error below.
        source: Option<Cause>,
    },
    /// `ERR_ACCESS_DENIED`: the credentials lack an IAM action.
    #[error("the credentials may not do {action} on {resource}; allow it in the role's IAM policy{}{}", match .service { Service::Kms => " and in the key's policy", Service::DynamoDb => "" }, Unset::hint(.unset.as_deref().copied()))]
    AccessDenied {
        /// Which service.
        service: Service,
        /// The IAM action, such as `kms:Decrypt`.
        action: &'static str,
        /// The ARN of the key, or the name of the table.
        resource: String,
        /// Set if nobody named it, and it is the built-in default.
        unset: Option<Box<Unset>>,
        /// The error below.
        source: Option<Cause>,
    },
    /// `ERR_TABLE_NOT_FOUND`.
    #[error(
        "the DynamoDB table {table} does not exist in this account and region ({region}); create it, or correct tableName or region{}", Unset::hint(.unset.as_deref().copied())
    )]
    TableNotFound {
        /// The name of the table.
        table: String,
        /// The region that was asked.
        region: Box<str>,
        /// Set if nobody named a table, and this is the built-in default.
        unset: Option<Box<Unset>>,
        /// The error below.
        source: Option<Cause>,
    },
    /// `ERR_TABLE_SCHEMA`: the table has another key schema, or is not ACTIVE.
    #[error(
        "the DynamoDB table {table} cannot hold sessions: {reason}; it needs the partition key sessionId (String), no sort key, and to be ACTIVE"
    )]
    TableSchema {
        /// The name of the table.
        table: String,
        /// What is wrong with it.
        reason: String,
        /// The error below.
        source: Option<Cause>,
    },
    /// `ERR_CREDENTIALS`: none found, or AWS refuses them.
    #[error(
        "no usable AWS credentials for {action}{}; check the environment, the profile, the role of the instance or task, and this machine's clock",
        reason.as_deref().map(|reason| format!(": {reason}")).unwrap_or_default()
    )]
    Credentials {
        /// The IAM action, such as `kms:Decrypt`.
        action: &'static str,
        /// What is wrong with them, naming the setting, where that is known.
        reason: Option<Box<str>>,
        /// Whether the service that issues credentials failed to, or was too slow.
        retryable: bool,
        /// The error below.
        source: Option<Cause>,
    },
    /// `ERR_INTEGRITY`: one text, whichever check failed.
    #[error(
        "the sealed session failed its integrity check: it was changed, is not one of this store, or another KMS key sealed it; nothing was deleted"
    )]
    Integrity {
        /// KMS's refusal, if it was KMS that refused.
        source: Option<Cause>,
    },
    /// `ERR_VERSION`.
    #[error(
        "the record has a version that this store does not read; add it to acceptVersions, or upgrade connect-dynamodb-kms where the session is read"
    )]
    Version,
    /// `ERR_SESSION_TOO_LARGE`: both sizes in bytes.
    #[error(
        "the sealed session needs {size} bytes, a DynamoDB item holds {limit}; keep less in the session"
    )]
    SessionTooLarge {
        /// What the item would need, in bytes.
        size: usize,
        /// What an item holds, in bytes.
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
    #[error("the session store is closed; make a new one")]
    Closed,
}

/// The result of anything here that can fail.
pub type Result<T> = std::result::Result<T, Error>;

/// The two AWS services; the local mode stands in for both and reports as them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// AWS Key Management Service.
    Kms,
    /// Amazon `DynamoDB`.
    DynamoDb,
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Service::Kms => "AWS KMS",
            Service::DynamoDb => "DynamoDB",
        })
    }
}

/// What would have named a key or a table, and was not set, so that a call went to the built-in default. Those defaults are of one gateway and its AWS
/// account: anybody else meets them by having forgotten a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unset {
    /// The option of the store; none where no store is used.
    pub option: Option<&'static str>,
    /// The environment variable.
    pub variable: &'static str,
}

impl Unset {
    /// What to add to an error about the resource.
    fn hint(unset: Option<Unset>) -> String {
        match unset {
            None => String::new(),
            Some(Unset {
                option: None,
                variable,
            }) => format!(
                "; this is the built-in default, because the environment variable {variable} is not set: set it to your own"
            ),
            Some(Unset {
                option: Some(option),
                variable,
            }) => format!(
                "; this is the built-in default, because neither the option {option} nor the environment variable {variable} is set: \
                 set one of them to your own"
            ),
        }
    }
}

/// The error below one of ours: AWS's, or the operating system's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    /// AWS's error code (`AccessDeniedException`), or the kind of failure (`TimeoutError`).
    pub name: String,
    /// What it said.
    pub message: String,
    /// AWS's request id, for its support.
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
            Error::Unavailable {
                service: Service::Kms,
                ..
            } => "ERR_KMS_UNAVAILABLE",
            Error::Unavailable {
                service: Service::DynamoDb,
                ..
            }
            | Error::LocalFile { .. } => "ERR_DYNAMODB_UNAVAILABLE",
            Error::Throttled {
                service: Service::Kms,
                ..
            } => "ERR_KMS_THROTTLED",
            Error::Throttled {
                service: Service::DynamoDb,
                ..
            } => "ERR_DYNAMODB_THROTTLED",
            Error::KmsKeyUnusable { .. } => "ERR_KMS_KEY_UNUSABLE",
            Error::AccessDenied { .. } => "ERR_ACCESS_DENIED",
            Error::TableNotFound { .. } => "ERR_TABLE_NOT_FOUND",
            Error::TableSchema { .. } => "ERR_TABLE_SCHEMA",
            Error::Credentials { .. } => "ERR_CREDENTIALS",
            Error::Integrity { .. } => "ERR_INTEGRITY",
            Error::Version => "ERR_VERSION",
            Error::SessionTooLarge { .. } => "ERR_SESSION_TOO_LARGE",
            Error::Serialization(_) => "ERR_SERIALIZATION",
            Error::Conflict => "ERR_CONFLICT",
            Error::Internal => "ERR_INTERNAL",
            Error::Closed => "ERR_CLOSED",
        }
    }

    /// Whether the same call may succeed later without anybody changing anything.
    #[must_use]
    pub fn retryable(&self) -> bool {
        matches!(
            self,
            Error::Unavailable { .. }
                | Error::LocalFile { .. }
                | Error::Throttled { .. }
                | Error::Credentials {
                    retryable: true,
                    ..
                }
        )
    }

    /// How many milliseconds the service asks its callers to wait, where trying again makes sense and it says so.
    #[must_use]
    pub fn retry_after_millis(&self) -> Option<u32> {
        let cause = self.cause().filter(|_| self.retryable());
        cause.and_then(|cause| cause.retry_after_millis)
    }

    /// The error below, where there is one.
    #[must_use]
    pub fn cause(&self) -> Option<&Cause> {
        match self {
            Error::Unavailable { source, .. }
            | Error::LocalFile { source, .. }
            | Error::Throttled { source, .. }
            | Error::KmsKeyUnusable { source, .. }
            | Error::AccessDenied { source, .. }
            | Error::TableNotFound { source, .. }
            | Error::TableSchema { source, .. }
            | Error::Credentials { source, .. }
            | Error::Integrity { source } => source.as_ref(),
            _ => None,
        }
    }

    /// An integrity failure found here, not by AWS.
    #[must_use]
    pub fn integrity() -> Error {
        Error::Integrity { source: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_may_pass_by_itself_is_retryable() {
        let throttled = Error::Throttled {
            service: Service::DynamoDb,
            action: "dynamodb:GetItem",
            source: None,
        };
        assert!(throttled.retryable());
        assert_eq!(throttled.code(), "ERR_DYNAMODB_THROTTLED");
        assert!(!Error::integrity().retryable());
        assert!(!Error::Closed.retryable());
    }

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

    #[test]
    fn a_denied_action_is_named() {
        let error = Error::AccessDenied {
            service: Service::Kms,
            action: "kms:Decrypt",
            resource: "arn:aws:kms:us-east-1:1:key/k".into(),
            unset: None,
            source: None,
        };
        assert!(error.to_string().contains("kms:Decrypt"));
        assert!(error.to_string().contains("key's policy"));
    }
}
