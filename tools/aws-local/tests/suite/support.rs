//! A running `aws-local` and the requests to it.

use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, ChildStdout, Command};

/// The access key id requests are signed with unless a test says otherwise.
pub const ACCESS_KEY_ID: &str = "AKIDEXAMPLE";

/// How long a process may take to end before a test gives up on it.
const PATIENCE: Duration = Duration::from_secs(20);

/// A command for the binary, killed when dropped.
pub fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_aws-local"));
    command
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// An answer, its body parsed if it is JSON and as a string if not.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Value,
}

impl Answer {
    /// The body of an answer that must be 200.
    #[track_caller]
    pub fn ok(self) -> Value {
        assert_eq!(self.status, StatusCode::OK, "{}", self.body);
        self.body
    }

    /// Status and error code without namespace.
    pub fn error(&self) -> (u16, &str) {
        let code = self.body["__type"].as_str().unwrap_or_default();
        let code = code.rsplit('#').next().unwrap_or_default();
        (self.status.as_u16(), code)
    }
}

/// Credentials as they show in a request.
#[derive(Clone, Copy)]
pub struct Signer<'a> {
    pub access_key_id: &'a str,
    pub session_token: Option<&'a str>,
    pub region: &'a str,
}

impl Default for Signer<'_> {
    fn default() -> Self {
        Self {
            access_key_id: ACCESS_KEY_ID,
            session_token: None,
            region: "us-east-1",
        }
    }
}

/// A running `aws-local`.
pub struct AwsLocal {
    child: Child,
    stdout: BufReader<ChildStdout>,
    client: Client<HttpConnector, Full<Bytes>>,
    /// The line printed at the start.
    pub announced: Value,
}

impl AwsLocal {
    /// Starts it and waits for its line.
    pub async fn start(arguments: &[&str]) -> Self {
        let mut child = command(arguments)
            .stderr(Stdio::inherit())
            .spawn()
            .expect("the binary starts");
        let mut stdout = BufReader::new(child.stdout.take().expect("stdout is piped"));
        let mut line = String::new();
        stdout.read_line(&mut line).await.expect("a line");
        Self {
            child,
            stdout,
            client: Client::builder(TokioExecutor::new()).build_http(),
            announced: serde_json::from_str(&line).expect("a line of JSON"),
        }
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id().expect("it runs")
    }

    /// Ends its input, waits, and returns how it ended.
    pub async fn end(mut self) -> ExitStatus {
        drop(self.child.stdin.take());
        self.wait().await.0
    }

    /// Waits for its end without touching its input; also returns what it printed after the line.
    pub async fn wait(mut self) -> (ExitStatus, String) {
        let input = self.child.stdin.take(); // `Child::wait` would close it.
        let mut rest = String::new();
        let ended = async {
            self.stdout.read_to_string(&mut rest).await.expect("UTF-8");
            self.child.wait().await.expect("a child to wait for")
        };
        let status = tokio::time::timeout(PATIENCE, ended)
            .await
            .expect("it ends in time");
        drop(input);
        (status, rest)
    }

    /// Sends a request and reads the answer.
    pub async fn send(
        &self,
        listener: &str,
        method: Method,
        path: &str,
        headers: HeaderMap,
        body: impl Into<Bytes>,
    ) -> Answer {
        let base = self.announced[listener].as_str().expect("an address");
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{base}{path}"))
            .body(Full::new(body.into()))
            .expect("a request from valid parts");
        *request.headers_mut() = headers;
        let answer = self.client.request(request).await.expect("an answer");
        let (parts, body) = answer.into_parts();
        let body = body.collect().await.expect("a body").to_bytes();
        Answer {
            status: parts.status,
            headers: parts.headers,
            body: serde_json::from_slice(&body)
                .unwrap_or_else(|_| String::from_utf8_lossy(&body).into()),
        }
    }

    /// A DynamoDB operation.
    pub async fn dynamodb(&self, operation: &str, input: Value) -> Answer {
        self.dynamodb_as(Signer::default(), operation, input).await
    }

    /// A DynamoDB operation under the signer's name.
    pub async fn dynamodb_as(&self, signer: Signer<'_>, operation: &str, input: Value) -> Answer {
        let mut headers = signed(signer, "dynamodb");
        headers.insert("content-type", value("application/x-amz-json-1.0"));
        let target = format!("DynamoDB_20120810.{operation}");
        headers.insert("x-amz-target", value(&target));
        self.send("dynamodb", Method::POST, "/", headers, input.to_string())
            .await
    }

    /// A KMS operation.
    pub async fn kms(&self, operation: &str, input: Value) -> Answer {
        self.kms_as(Signer::default(), operation, input).await
    }

    /// A KMS operation under the signer's name.
    pub async fn kms_as(&self, signer: Signer<'_>, operation: &str, input: Value) -> Answer {
        let mut headers = signed(signer, "kms");
        headers.insert("content-type", value("application/x-amz-json-1.1"));
        headers.insert("x-amz-target", value(&format!("TrentService.{operation}")));
        self.send("kms", Method::POST, "/", headers, input.to_string())
            .await
    }

    /// An STS operation, `form` being its parameters.
    pub async fn sts_as(&self, signer: Signer<'_>, form: &str) -> Answer {
        let mut headers = signed(signer, "sts");
        headers.insert("content-type", value("application/x-www-form-urlencoded"));
        let body = format!("Version=2011-06-15&{form}");
        self.send("sts", Method::POST, "/", headers, body).await
    }

    /// A request to the control endpoint.
    pub async fn control(&self, method: Method, path: &str, input: Value) -> Answer {
        let body = if input.is_null() {
            String::new()
        } else {
            input.to_string()
        };
        self.send("control", method, path, HeaderMap::new(), body)
            .await
    }

    /// Adds a fault that must be taken.
    pub async fn add_fault(&self, fault: Value) {
        let answer = self.control(Method::POST, "/faults", fault).await;
        assert_eq!(answer.status, StatusCode::NO_CONTENT, "{}", answer.body);
    }

    /// The counts so far.
    pub async fn calls(&self) -> Value {
        self.control(Method::GET, "/calls", Value::Null).await.ok()
    }
}

fn signed(signer: Signer<'_>, service: &str) -> HeaderMap {
    let Signer {
        access_key_id,
        session_token,
        region,
    } = signer;
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential={access_key_id}/20260101/{region}/{service}/aws4_request, \
         SignedHeaders=host;x-amz-date, Signature=00"
    );
    let mut headers = HeaderMap::new();
    headers.insert("authorization", value(&authorization));
    headers.insert("x-amz-date", value("20260101T000000Z"));
    if let Some(token) = session_token {
        headers.insert("x-amz-security-token", value(token));
    }
    headers
}

fn value(text: &str) -> http::HeaderValue {
    text.parse().expect("a header value")
}
