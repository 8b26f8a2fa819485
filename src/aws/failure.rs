//! What an error of the AWS SDK means to the caller of the store.

use std::error::Error as StdError;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_kms::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_kms::operation::RequestId;

use crate::error::{Cause, Error, Service};

/// A call to AWS, to say what failed.
pub(super) struct Call<'a> {
    pub service: Service,
    /// The IAM action, which is the service and the operation: `kms:Decrypt`.
    pub action: &'static str,
    /// The key's ARN or the table's name.
    pub resource: &'a str,
    pub region: &'a str,
}

impl Call<'_> {
    /// The store's error for an error of the SDK.
    pub(super) fn failed<E>(&self, error: &SdkError<E>) -> Error
    where
        E: ProvideErrorMetadata + RequestId + StdError + Send + Sync + 'static,
    {
        let source = Some(cause(error));
        let action = self.action;
        if has_credentials_error(error) {
            return Error::Credentials { action, source };
        }
        let unavailable = |source| Error::Unavailable {
            service: self.service,
            action,
            source,
        };
        let Some(code) = error.code() else {
            return unavailable(source);
        };
        match (code, self.service) {
            // AWS General Reference, "Common Errors"; the names differ between the services' protocols.
            (
                "UnrecognizedClientException"
                | "InvalidClientTokenId"
                | "InvalidSignatureException"
                | "SignatureDoesNotMatch"
                | "ExpiredToken"
                | "ExpiredTokenException"
                | "RequestExpired"
                | "MissingAuthenticationToken"
                | "MissingAuthenticationTokenException"
                | "IncompleteSignature"
                | "IncompleteSignatureException"
                | "InvalidAccessKeyId"
                | "OptInRequired",
                _,
            ) => Error::Credentials { action, source },
            ("AccessDeniedException" | "AccessDenied", service) => Error::AccessDenied {
                service,
                action,
                resource: self.resource.to_owned(),
                source,
            },
            (
                "ThrottlingException"
                | "Throttling"
                | "TooManyRequestsException"
                | "LimitExceededException"
                | "RequestLimitExceeded"
                | "ProvisionedThroughputExceededException",
                service,
            ) => Error::Throttled {
                service,
                action,
                source,
            },
            ("InvalidCiphertextException" | "IncorrectKeyException", Service::Kms) => {
                Error::Integrity { source }
            }
            // KMS API Reference, "GenerateDataKey" and "Decrypt": Errors.
            (
                "NotFoundException"
                | "DisabledException"
                | "KMSInvalidStateException"
                | "InvalidKeyUsageException"
                | "InvalidArnException"
                | "UnsupportedOperationException"
                | "ValidationException",
                Service::Kms,
            ) => Error::KmsKeyUnusable {
                key: self.resource.to_owned(),
                action,
                source,
            },
            ("ResourceNotFoundException", Service::DynamoDb) => Error::TableNotFound {
                table: self.resource.to_owned(),
                region: self.region.to_owned(),
                source,
            },
            ("ValidationException", Service::DynamoDb) => Error::TableSchema {
                table: self.resource.to_owned(),
                reason: format!("it refuses {action}"),
                source,
            },
            _ => unavailable(source),
        }
    }
}

/// Display texts alone: `Debug` of an SDK error prints whole replies.
fn cause<E>(error: &SdkError<E>) -> Cause
where
    E: ProvideErrorMetadata + RequestId + StdError + Send + Sync + 'static,
{
    let name = error.code().unwrap_or(match error {
        SdkError::ConstructionFailure(_) => "ConstructionFailure",
        SdkError::TimeoutError(_) => "TimeoutError",
        SdkError::DispatchFailure(_) => "DispatchFailure",
        _ => "ResponseError",
    });
    let message = error.message().map_or_else(
        || {
            chain(error)
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join(": ")
        },
        str::to_owned,
    );
    Cause {
        name: name.to_owned(),
        message,
        request_id: error.request_id().map(str::to_owned),
    }
}

fn has_credentials_error(error: &(dyn StdError + 'static)) -> bool {
    chain(error).any(<dyn StdError>::is::<CredentialsError>)
}

fn chain<'a>(
    error: &'a (dyn StdError + 'static),
) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |error: &&'a (dyn StdError + 'static)| {
        (*error).source()
    })
}
