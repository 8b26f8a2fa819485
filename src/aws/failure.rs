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
use super::proxy::UnusableProxy;
use crate::call;
use crate::error::{Cause, Error, Kind, Resource, Result, Service, ServiceError, Unset};

/// The meaning of an error code, and the service that uses it; `None` for codes of both services.
/// Both use the "Common Errors" of the AWS General Reference, under names that differ between their
/// protocols.
const MEANINGS: [(&[&str], Option<Service>, Kind); 6] = [
    (
        &[
            "UnrecognizedClientException",
            "InvalidClientTokenId",
            "InvalidSignatureException",
            "SignatureDoesNotMatch",
            "ExpiredToken",
            "ExpiredTokenException",
            "RequestExpired",
            "MissingAuthenticationToken",
            "MissingAuthenticationTokenException",
            "IncompleteSignature",
            "IncompleteSignatureException",
            "InvalidAccessKeyId",
            "OptInRequired",
        ],
        None,
        Kind::Credentials,
    ),
    (
        &["AccessDeniedException", "AccessDenied"],
        None,
        Kind::AccessDenied,
    ),
    (THROTTLING_ERRORS, None, Kind::Throttled),
    (
        // KMS API Reference, "GenerateDataKey" and "Decrypt": Errors.
        &[
            "NotFoundException",
            "DisabledException",
            "KMSInvalidStateException",
            "InvalidKeyUsageException",
            "InvalidArnException",
            "UnsupportedOperationException",
            "ValidationException",
        ],
        Some(Service::Kms),
        Kind::KeyUnusable,
    ),
    (
        &["ResourceNotFoundException"],
        Some(Service::DynamoDb),
        Kind::TableNotFound,
    ),
    (
        &["ValidationException"],
        Some(Service::DynamoDb),
        Kind::TableSchema,
    ),
];

/// KMS's codes for a wrapped key that another key wrapped. They say something about the session,
/// not about the service.
const OTHER_KEY: [&str; 2] = ["InvalidCiphertextException", "IncorrectKeyException"];

/// The meaning of an error code. An unknown code means "not now".
fn kind(code: &str, service: Service) -> Kind {
    let meaning = MEANINGS
        .iter()
        .find(|(codes, of, _)| of.is_none_or(|of| of == service) && codes.contains(&code));
    meaning.map_or(Kind::Unavailable, |(_, _, kind)| *kind)
}

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
        let cause = Cause::new("WrongReply", format!("the answer: {what}"));
        self.error(Kind::Unavailable).because(cause).into()
    }

    /// An error of this call.
    pub(super) fn error(&self, kind: Kind) -> ServiceError {
        ServiceError {
            resource: Resource {
                name: self.resource.to_owned(),
                region: self.clients.region().to_owned(),
                unset: self.unset,
            },
            ..ServiceError::new(self.service, self.action, kind)
        }
    }

    /// The store's error for an error of the SDK.
    pub(super) fn failed<E>(&self, error: &SdkError<E>) -> Error
    where
        E: ProvideErrorMetadata + RequestId + StdError + Send + Sync + 'static,
    {
        let action = self.action;
        if let Some(not_found) = chain(error).find_map(|error| error.downcast_ref::<NotFound>()) {
            return not_found.for_call(self.service, action);
        }
        if let Some(proxy) = chain(error).find_map(|error| error.downcast_ref::<UnusableProxy>()) {
            return Error::Config(proxy.to_string());
        }
        let cause = cause(error);
        if !call::sent() {
            match error {
                SdkError::TimeoutError(_) => {
                    return self.error(Kind::CredentialsLate).because(cause).into();
                }
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
        let code = error.code().unwrap_or_default();
        if self.service == Service::Kms && OTHER_KEY.contains(&code) {
            return Error::Integrity {
                source: Some(cause),
            };
        }
        let mut failed = self.error(kind(code, self.service)).because(cause);
        match failed.kind {
            Kind::Credentials => self.clients.credentials_refused(),
            Kind::TableSchema => failed.reason = Some(format!("it refuses {action}")),
            _ => {}
        }
        failed.into()
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
