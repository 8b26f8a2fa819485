//! The calls to make, in a file: `{"calls": [[request, request, …], …]}`. A call is its requests one after another.

use std::collections::HashMap;
use std::error::Error;
use std::net::SocketAddr;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use serde::Deserialize;

#[derive(Deserialize)]
struct PlanFile {
    calls: Vec<Vec<RequestFile>>,
}

#[derive(Deserialize)]
struct RequestFile {
    address: SocketAddr,
    method: String,
    path: String,
    headers: HashMap<String, String>,
    #[serde(default)]
    body: String,
    at_least: usize,
}

/// One request, ready to be sent any number of times.
pub struct Planned {
    /// To whom.
    pub address: SocketAddr,
    /// GET, POST.
    pub method: Method,
    /// The path.
    pub uri: Uri,
    /// All headers but `content-length`, which hyper writes.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
    /// How many bytes a right answer has at least.
    pub at_least: usize,
}

/// Reads the plan at `path`.
///
/// # Errors
/// It cannot be read, or makes no requests.
pub fn read(path: &str) -> Result<Vec<Vec<Planned>>, Box<dyn Error>> {
    let file: PlanFile = serde_json::from_slice(&std::fs::read(path)?)?;
    if file.calls.is_empty() {
        return Err("the plan has no calls".into());
    }
    file.calls
        .into_iter()
        .map(|call| call.into_iter().map(planned).collect())
        .collect()
}

fn planned(request: RequestFile) -> Result<Planned, Box<dyn Error>> {
    let mut headers = HeaderMap::new();
    headers.insert("host", HeaderValue::try_from(request.address.to_string())?);
    for (name, value) in request.headers {
        headers.insert(HeaderName::try_from(name)?, HeaderValue::try_from(value)?);
    }
    Ok(Planned {
        address: request.address,
        method: request.method.parse()?,
        uri: request.path.parse()?,
        headers,
        body: request.body.into(),
        at_least: request.at_least,
    })
}
