//! STS by `winterbaume-sts`, in process.

use bytes::Bytes;
use winterbaume_core::{MockRequest, MockResponse, MockService};
use winterbaume_sts::StsService;

use crate::front::Call;

/// The STS emulator and what its replies tell about sessions.
pub struct Sts {
    service: StsService,
}

/// Temporary credentials found in an STS reply.
pub struct IssuedCredentials {
    /// The id requests signed with them carry.
    pub access_key_id: String,
    /// The token such requests must send along.
    pub session_token: String,
}

impl Sts {
    /// An STS that knows no session yet.
    pub fn new() -> Self {
        Self {
            service: StsService::new(),
        }
    }

    /// Answers a call.
    pub async fn answer(&self, call: &Call) -> MockResponse {
        let request = MockRequest {
            method: call.parts.method.to_string(),
            uri: format!("https://sts.{}.amazonaws.com/", call.region()),
            headers: call.parts.headers.clone(),
            body: call.body.clone(),
        };
        self.service.handle(request).await
    }
}

/// The credentials in an STS reply, if it issued any.
pub fn issued_credentials(body: &Bytes) -> Option<IssuedCredentials> {
    let xml = std::str::from_utf8(body).ok()?;
    Some(IssuedCredentials {
        access_key_id: element(xml, "AccessKeyId")?.to_owned(),
        session_token: element(xml, "SessionToken")?.to_owned(),
    })
}

fn element<'a>(xml: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    let (text, _) = rest.split_once(&format!("</{name}>"))?;
    Some(text)
}
