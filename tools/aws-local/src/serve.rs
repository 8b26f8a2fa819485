//! Loopback listeners and the accept loop.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::watch;

use crate::reply::Reply;

/// How long a request under way may hold up the end of the process.
pub const STOP_PATIENCE: Duration = Duration::from_secs(2);

/// Listens on 127.0.0.1 at `port`; 0 takes a free port.
///
/// `TCP_NODELAY` is set on the listener: accepted sockets inherit it, also those another
/// crate accepts.
///
/// # Errors
/// Whatever the system says, above all that the port is taken.
pub fn listen(port: u16) -> io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.set_nodelay(true)?;
    socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))?;
    socket.listen(1024)
}

/// Answers every request on `listener` by `handler` until `stop` turns true, then lets the
/// requests under way finish within [`STOP_PATIENCE`].
///
/// A handler's error means that the request could not be read; its connection is closed.
pub async fn serve<H, F>(listener: TcpListener, mut stop: watch::Receiver<bool>, handler: H)
where
    H: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
    F: Future<Output = Result<Reply, hyper::Error>> + Send + 'static,
{
    let connections = GracefulShutdown::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.wait_for(|stopped| *stopped) => break,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Out of file descriptors, say: let some close before the next try.
                eprintln!("aws-local: cannot accept a connection: {error}");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let connection = http1::Builder::new()
            .serve_connection(TokioIo::new(stream), service_fn(handler.clone()));
        let connection = connections.watch(connection);
        tokio::spawn(async move {
            // A client that hangs up in the middle is its own business.
            let _ = connection.await;
        });
    }
    drop(listener);
    let _ = tokio::time::timeout(STOP_PATIENCE, connections.shutdown()).await;
}
