//! Keep-alive connections of one lane, one for each address.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::error::Error;
use std::net::SocketAddr;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::plan::Planned;

type Sender = SendRequest<Full<Bytes>>;

/// The connections of one lane.
#[derive(Default)]
pub struct Connections(HashMap<SocketAddr, Sender>);

impl Connections {
    /// Sends `planned` and reads the answer to its end.
    ///
    /// # Errors
    /// No connection, a status that is no success, or an answer too short to be right.
    pub async fn send(&mut self, planned: &Planned) -> Result<(), Box<dyn Error>> {
        let sender = match self.0.entry(planned.address) {
            Entry::Occupied(there) => there.into_mut(),
            Entry::Vacant(free) => free.insert(connect(planned.address).await?),
        };
        let mut request = Request::new(Full::new(planned.body.clone()));
        *request.method_mut() = planned.method.clone();
        *request.uri_mut() = planned.uri.clone();
        *request.headers_mut() = planned.headers.clone();
        sender.ready().await?;
        let response = sender.send_request(request).await?;
        let status = response.status();
        let mut body = response.into_body();
        let mut length = 0;
        let mut start = Bytes::new();
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame?.into_data() else {
                continue;
            };
            length += data.len();
            if start.is_empty() {
                start = data;
            }
        }
        if !status.is_success() || length < planned.at_least {
            let (start, uri) = (String::from_utf8_lossy(&start), &planned.uri);
            return Err(format!("{status}, {length} bytes from {uri}: {start}").into());
        }
        Ok(())
    }
}

async fn connect(address: SocketAddr) -> Result<Sender, Box<dyn Error>> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (sender, connection) = handshake(TokioIo::new(stream)).await?;
    // What goes wrong with the connection, the request on it tells.
    tokio::spawn(async move { drop(connection.await) });
    Ok(sender)
}
