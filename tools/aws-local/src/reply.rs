//! HTTP replies in the shapes the three services use.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use serde_json::json;
use winterbaume_core::{MockResponse, xml_escape};

/// What every listener answers: a whole body, no streaming.
pub type Reply = Response<Full<Bytes>>;

/// The AWS services on offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// DynamoDB, awsJson 1.0.
    DynamoDb,
    /// Key Management Service, awsJson 1.1.
    Kms,
    /// Security Token Service, query protocol: form in, XML out.
    Sts,
}

impl Service {
    /// The prefix of the service's IAM actions.
    pub fn prefix(self) -> &'static str {
        match self {
            Self::DynamoDb => "dynamodb",
            Self::Kms => "kms",
            Self::Sts => "sts",
        }
    }

    /// The content type of the service's replies.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::DynamoDb => "application/x-amz-json-1.0",
            Self::Kms => "application/x-amz-json-1.1",
            Self::Sts => "text/xml",
        }
    }

    /// A fresh request id: 52 upper-case characters from DynamoDB, a UUID from the others.
    fn request_id(self) -> String {
        let id = uuid::Uuid::new_v4();
        match self {
            Self::DynamoDb => {
                let mut text = format!("{:X}{:X}", id.simple(), uuid::Uuid::new_v4().simple());
                text.truncate(52);
                text
            }
            Self::Kms | Self::Sts => id.to_string(),
        }
    }
}

/// The namespaces of DynamoDB's error types.
#[derive(Clone, Copy, Debug)]
pub enum ErrorNamespace {
    /// Errors of DynamoDB itself.
    DynamoDb,
    /// Errors of the framework in front of it, such as refused credentials.
    Framework,
    /// Requests that are wrong in themselves.
    Validation,
}

/// An error as `service` would word it.
///
/// `namespace` matters for DynamoDB alone: KMS sends the bare code, STS an XML element.
pub fn error(
    service: Service,
    namespace: ErrorNamespace,
    status: StatusCode,
    code: &str,
    message: &str,
) -> Reply {
    let request_id = service.request_id();
    let body = match service {
        Service::DynamoDb => {
            let namespace = match namespace {
                ErrorNamespace::DynamoDb => "com.amazonaws.dynamodb.v20120810",
                ErrorNamespace::Framework => "com.amazon.coral.service",
                ErrorNamespace::Validation => "com.amazon.coral.validate",
            };
            json!({"__type": format!("{namespace}#{code}"), "message": message}).to_string()
        }
        Service::Kms => json!({"__type": code, "message": message}).to_string(),
        Service::Sts => format!(
            "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\n  <Error>\n    \
             <Type>{}</Type>\n    <Code>{}</Code>\n    <Message>{}</Message>\n  </Error>\n  \
             <RequestId>{request_id}</RequestId>\n</ErrorResponse>\n",
            if status.is_server_error() {
                "Receiver"
            } else {
                "Sender"
            },
            xml_escape(code),
            xml_escape(message),
        ),
    };
    finish(service, status, &request_id, body.into())
}

/// A reply of `service` with `body` and a fresh request id.
pub fn from_body(service: Service, status: StatusCode, body: Bytes) -> Reply {
    finish(service, status, &service.request_id(), body)
}

/// The reply of an in-process emulator, with the headers the real service adds.
pub fn from_mock(service: Service, mock: MockResponse) -> Reply {
    let status = StatusCode::from_u16(mock.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    from_body(service, status, mock.body)
}

/// JSON from the control endpoint.
pub fn json(status: StatusCode, body: &serde_json::Value) -> Reply {
    let mut reply = Response::new(Full::new(body.to_string().into()));
    *reply.status_mut() = status;
    reply.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    reply
}

/// 204 without a body.
pub fn no_content() -> Reply {
    let mut reply = Response::new(Full::default());
    *reply.status_mut() = StatusCode::NO_CONTENT;
    reply
}

fn finish(service: Service, status: StatusCode, request_id: &str, body: Bytes) -> Reply {
    let mut reply = Response::new(Full::new(body));
    *reply.status_mut() = status;
    let headers = reply.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static(service.content_type()),
    );
    if let Ok(request_id) = HeaderValue::from_str(request_id) {
        headers.insert("x-amzn-requestid", request_id);
    }
    reply
}
