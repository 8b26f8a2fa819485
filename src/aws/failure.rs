//! Translates errors of the AWS SDK into errors of the store.

use std::error::Error as StdError;

use aws_credential_types::provider::error::CredentialsError;
use aws_runtime::retries::classifiers::THROTTLING_ERRORS;
use aws_sdk_dynamodb::config::http::HttpResponse;
use aws_sdk_dynamodb::types::error::{ProvisionedThroughputExceededException, ThrottlingException};
use aws_sdk_kms::error::{ErrorMetadata, ProvideErrorMetadata, SdkError};
use aws_sdk_kms::operation::RequestId;

use super::AwsClients;
use super::credentials::NotFound;
use crate::call;
use crate::error::{Cause, Error, Result, Service, Unset};

/// A call to AWS, to say what failed.
pub(super) struct Call<'a> {
    pub service: Service,
    /// The IAM action, which is the service and the operation: `kms:Decrypt`.
    pub action: &'static str,
    /// The key's ARN or the table's name.
    pub resource: &'a str,
    /// Set if nobody named the resource.
    pub unset: Option<Unset>,
    pub clients: &'a AwsClients,
}

impl<'a> Call<'a> {
    /// A call that is about to be made.
    pub(super) fn to(
        service: Service,
        action: &'static str,
        resource: &'a str,
        clients: &'a AwsClients,
    ) -> Call<'a> {
        call::asks(service, action);
        Call {
            service,
            action,
            resource,
            unset: None,
            clients,
        }
    }

    /// A call to a resource that may be the built-in default.
    pub(super) fn unless_set(self, unset: Option<Unset>) -> Call<'a> {
        Call { unset, ..self }
    }
}

/// Waits for the answer to a request. Catches a panic of the SDK, so that it does not spread to
/// others that wait for the same answer.
pub(super) fn reply<T, E>(
    sent: impl Future<Output = Reply<T, E>> + Send,
) -> impl Future<Output = Result<Reply<T, E>>> + Send {
    let sent = Box::pin(sent); // of some kilobytes, and wrapped more than once from here on
    call::guarded(async { Ok(sent.await) })
}

/// An answer, or the SDK's error.
pub(super) type Reply<T, E> = std::result::Result<T, SdkError<E>>;

impl Call<'_> {
    /// The answer to a request, or the store's error.
    pub(super) fn answer<T, E>(
        &self,
        sent: impl Future<Output = Reply<T, E>> + Send,
    ) -> impl Future<Output = Result<T>> + Send
    where
        T: Send,
        E: ProvideErrorMetadata + RequestId + StdError + Send + Sync + 'static,
    {
        let reply = reply(sent);
        async { reply.await?.map_err(|error| self.failed(&error)) }
    }

    /// An answer without AWS's request id does not come from AWS, whatever its status: it is a
    /// proxy's page or a captive portal.
    pub(super) fn answered<T: RequestId>(&self, reply: T) -> Result<T> {
        if reply.request_id().is_some() {
            Ok(reply)
        } else {
            Err(self.wrong_answer("it carries no request id of AWS"))
        }
    }

    /// An answer that does not fit the request.
    pub(super) fn wrong_answer(&self, what: &str) -> Error {
        Error::Unavailable {
            service: self.service,
            action: self.action,
            source: Some(Cause::new("WrongReply", format!("the answer: {what}"))),
        }
    }

    /// The store's error for an error of the SDK.
    pub(super) fn failed<E>(&self, error: &SdkError<E>) -> Error
    where
        E: ProvideErrorMetadata + RequestId + StdError + Send + Sync + 'static,
    {
        let source = Some(cause(error));
        let action = self.action;
        let without_reason = |retryable, source| Error::Credentials {
            action,
            reason: None,
            retryable,
            source,
        };
        if let Some(not_found) = chain(error).find_map(|error| error.downcast_ref::<NotFound>()) {
            return not_found.for_call(action);
        }
        if !call::sent() {
            match error {
                SdkError::TimeoutError(_) => return without_reason(true, source),
                // Nothing was sent, and the settings that were read do not change by themselves.
                SdkError::ConstructionFailure(_) | SdkError::DispatchFailure(_) => {
                    return Error::Config(format!(
                        "no request for {action} can be made of these settings; check the region, the endpoints and the AWS variables of the \
                         environment: {}",
                        last_of(error)
                    ));
                }
                _ => {}
            }
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
            // AWS General Reference, "Common Errors"; the names differ between the services'
            // protocols.
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
            ) => {
                self.clients.credentials_refused();
                without_reason(false, source)
            }
            ("AccessDeniedException" | "AccessDenied", service) => Error::AccessDenied {
                service,
                action,
                resource: self.resource.to_owned(),
                unset: self.unset.map(Box::new),
                source,
            },
            (code, service) if THROTTLING_ERRORS.contains(&code) => Error::Throttled {
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
                unset: self.unset.map(Box::new),
                action,
                source,
            },
            ("ResourceNotFoundException", Service::DynamoDb) => Error::TableNotFound {
                table: self.resource.to_owned(),
                region: self.clients.region().into(),
                unset: self.unset.map(Box::new),
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

/// AWS's own message; if there is none, the kind of failure and what the operating system or the
/// credential chain says. Other texts of the SDK are left out: some quote whole requests with
/// session ids.
fn cause<E>(error: &SdkError<E>) -> Cause
where
    E: ProvideErrorMetadata + RequestId + StdError + Send + Sync + 'static,
{
    let (kind, text) = match error {
        SdkError::ConstructionFailure(_) => {
            ("ConstructionFailure", "the request could not be made")
        }
        SdkError::TimeoutError(_) => ("TimeoutError", "no answer in time"),
        SdkError::DispatchFailure(_) => (
            "DispatchFailure",
            "the request could not be sent, or its answer not be received",
        ),
        _ => ("ResponseError", "the answer is not one of this service"),
    };
    let message = error.message().map_or_else(
        || match plain_texts(error) {
            texts if texts.is_empty() => text.to_owned(),
            texts => format!("{text}: {texts}"),
        },
        str::to_owned,
    );
    Cause {
        name: error.code().unwrap_or(kind).to_owned(),
        message: with_reasons(message, error),
        request_id: error.request_id().map(Box::from),
        retry_after_millis: error.raw_response().and_then(retry_after_millis),
    }
}

/// How long the service asks its callers to wait: AWS's header in milliseconds, or the
/// `Retry-After` of RFC 9110 in seconds, which proxies send. Its other form, a date, is not read.
fn retry_after_millis(response: &HttpResponse) -> Option<u32> {
    let number = |name| response.headers().get(name)?.trim().parse::<u32>().ok();
    number("x-amz-retry-after")
        .or_else(|| number("retry-after").map(|seconds| seconds.saturating_mul(1000)))
}

/// `DynamoDB` says which limit was exceeded: that of the table, of the account, or of one key.
fn with_reasons(message: String, error: &(dyn StdError + 'static)) -> String {
    let reasons = chain(error).find_map(|error| {
        let throttled = error
            .downcast_ref::<ThrottlingException>()
            .map(ThrottlingException::throttling_reasons);
        throttled.or_else(|| {
            error
                .downcast_ref::<ProvisionedThroughputExceededException>()
                .map(ProvisionedThroughputExceededException::throttling_reasons)
        })
    });
    let reasons: Vec<&str> = reasons
        .unwrap_or_default()
        .iter()
        .filter_map(|reason| reason.reason())
        .collect();
    if reasons.is_empty() {
        message
    } else {
        format!("{message} ({})", reasons.join(", "))
    }
}

/// The texts of errors that contain nothing of the request.
fn plain_text(error: &(dyn StdError + 'static)) -> Option<String> {
    let plain = error.is::<std::io::Error>()
        || error.is::<CredentialsError>()
        || error.is::<ErrorMetadata>();
    plain.then(|| error.to_string())
}

/// All of those.
pub(super) fn plain_texts(error: &(dyn StdError + 'static)) -> String {
    let texts: Vec<String> = chain(error).filter_map(plain_text).collect();
    texts.join(": ")
}

/// The innermost cause of an error that happened before any request: it can only mention settings.
fn last_of(error: &(dyn StdError + 'static)) -> String {
    chain(error)
        .last()
        .map(ToString::to_string)
        .unwrap_or_default()
}

pub(super) fn chain<'a>(
    error: &'a (dyn StdError + 'static),
) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |error: &&'a (dyn StdError + 'static)| {
        (*error).source()
    })
}
