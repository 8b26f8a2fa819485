//! Failed calls to AWS KMS or DynamoDB: one table for the codes, one for the texts.

use std::fmt;

use super::{Cause, Error};

/// The two AWS services. Local mode replaces both, and reports errors under their names.
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

/// A call to a service that failed.
#[derive(Clone, Debug)]
pub struct ServiceError {
    /// Which service.
    pub service: Service,
    /// The IAM action, such as `kms:Decrypt`.
    pub action: &'static str,
    /// What went wrong.
    pub kind: Kind,
    /// The key or table. Empty if the text does not name it.
    pub resource: Resource,
    /// What is wrong with the table or the credentials, if that is known.
    pub reason: Option<String>,
    /// The underlying error.
    pub cause: Option<Cause>,
}

/// What went wrong with a call to a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// No answer, or an answer that reports a temporary failure.
    Unavailable,
    /// A quota, or the capacity of the table, is used up.
    Throttled,
    /// The credentials lack an IAM action.
    AccessDenied,
    /// The key is disabled, pending deletion, absent, or of another type.
    KeyUnusable,
    /// There is no such table.
    TableNotFound,
    /// The table has another key schema, or is not ACTIVE.
    TableSchema,
    /// There are no credentials, or AWS refuses them.
    Credentials,
    /// The service that issues credentials failed, or was too slow.
    CredentialsLate,
}

/// The key or table that a call is about.
#[derive(Clone, Debug, Default)]
pub struct Resource {
    /// The ARN of the key, or the name of the table.
    pub name: String,
    /// The region of the request.
    pub region: String,
    /// Set if no setting names it, so that it is the built-in default.
    pub unset: Option<Unset>,
}

/// The settings that would have named a key or table, but were not set, so that a call went to the
/// built-in default. The defaults belong to one gateway and its AWS account. Anybody else who
/// reaches them has forgotten a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unset {
    /// The option of the store; `None` if no store is used.
    pub option: Option<&'static str>,
    /// The environment variable.
    pub variable: &'static str,
}

impl ServiceError {
    /// An error without a resource and without an underlying error.
    #[must_use]
    pub fn new(service: Service, action: &'static str, kind: Kind) -> ServiceError {
        ServiceError {
            service,
            action,
            kind,
            resource: Resource::default(),
            reason: None,
            cause: None,
        }
    }

    /// The same error, with this underlying error.
    #[must_use]
    pub fn because(self, cause: Cause) -> ServiceError {
        ServiceError {
            cause: Some(cause),
            ..self
        }
    }

    /// The stable code, and whether the same call may succeed later even if nobody changes
    /// anything.
    fn row(&self) -> (&'static str, bool) {
        let by_service = |kms, dynamodb| match self.service {
            Service::Kms => kms,
            Service::DynamoDb => dynamodb,
        };
        match self.kind {
            Kind::Unavailable => (
                by_service("ERR_KMS_UNAVAILABLE", "ERR_DYNAMODB_UNAVAILABLE"),
                true,
            ),
            Kind::Throttled => (
                by_service("ERR_KMS_THROTTLED", "ERR_DYNAMODB_THROTTLED"),
                true,
            ),
            Kind::AccessDenied => ("ERR_ACCESS_DENIED", false),
            Kind::KeyUnusable => ("ERR_KMS_KEY_UNUSABLE", false),
            Kind::TableNotFound => ("ERR_TABLE_NOT_FOUND", false),
            Kind::TableSchema => ("ERR_TABLE_SCHEMA", false),
            Kind::Credentials => ("ERR_CREDENTIALS", false),
            Kind::CredentialsLate => ("ERR_CREDENTIALS", true),
        }
    }

    pub(super) fn code(&self) -> &'static str {
        self.row().0
    }

    pub(super) fn retryable(&self) -> bool {
        self.row().1
    }
}

impl fmt::Display for ServiceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ServiceError {
            service,
            action,
            kind,
            resource: Resource { name, region, .. },
            reason,
            ..
        } = self;
        let hint = self.resource.hint();
        let reason = reason.as_deref();
        let by_service = |kms, dynamodb| match service {
            Service::Kms => kms,
            Service::DynamoDb => dynamodb,
        };
        match kind {
            Kind::Unavailable if reason.is_some() => f.write_str(reason.unwrap_or_default()),
            Kind::Unavailable => write!(
                f,
                "{action} got no usable answer from {service}; try again, and check the network path to its endpoint"
            ),
            Kind::Throttled => {
                let limit = by_service("the KMS request quota", "the capacity of the table");
                write!(
                    f,
                    "{service} throttles {action}; try again later, or raise {limit}"
                )
            }
            Kind::AccessDenied => {
                let policies = by_service(" and in the key's policy", "");
                write!(
                    f,
                    "the credentials may not do {action} on {name}; allow it in the role's IAM policy{policies}{hint}"
                )
            }
            Kind::KeyUnusable => write!(
                f,
                "the KMS key {name} cannot be used for {action}; it must exist in this region, be enabled, and be a symmetric encryption key: \
                 check its state, or correct kmsKeyArn{hint}"
            ),
            Kind::TableNotFound => write!(
                f,
                "the DynamoDB table {name} does not exist in this account and region ({region}); create it, or correct tableName or region{hint}"
            ),
            Kind::TableSchema => {
                let reason = reason.unwrap_or_default();
                write!(
                    f,
                    "the DynamoDB table {name} cannot hold sessions: {reason}; it needs the partition key sessionId (String), no sort key, and to be ACTIVE"
                )
            }
            Kind::Credentials | Kind::CredentialsLate => {
                let reason = reason.map(|reason| format!(": {reason}"));
                let reason = reason.unwrap_or_default();
                write!(
                    f,
                    "no usable AWS credentials for {action}{reason}; check the environment, the profile, the role of the instance or task, and this \
                     machine's clock"
                )
            }
        }
    }
}

impl std::error::Error for ServiceError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.cause.as_ref().map(|cause| cause as _)
    }
}

impl From<ServiceError> for Error {
    fn from(error: ServiceError) -> Error {
        Error::Service(Box::new(error))
    }
}

impl Resource {
    /// The text to add to an error about a built-in default.
    fn hint(&self) -> String {
        match self.unset {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_may_pass_by_itself_is_retryable() {
        let throttled = ServiceError::new(Service::DynamoDb, "dynamodb:GetItem", Kind::Throttled);
        let throttled = Error::from(throttled);
        assert!(throttled.retryable());
        assert_eq!(throttled.code(), "ERR_DYNAMODB_THROTTLED");
        assert!(!Error::integrity().retryable());
        assert!(!Error::Closed.retryable());
    }

    #[test]
    fn a_denied_action_is_named() {
        let error = ServiceError {
            resource: Resource {
                name: "arn:aws:kms:us-east-1:1:key/k".into(),
                ..Resource::default()
            },
            ..ServiceError::new(Service::Kms, "kms:Decrypt", Kind::AccessDenied)
        };
        assert!(error.to_string().contains("kms:Decrypt"));
        assert!(error.to_string().contains("key's policy"));
    }
}
