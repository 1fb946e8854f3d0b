//! The listener: one socket for the whole fleet, on every address of the loopback device. Which BMC a connection belongs
//! to is told by the *local* address of the accepted socket; each BMC has its own TLS configuration.
//! HTTP/1.1 only, small buffers, idle connections closed.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio_util::sync::CancellationToken;

use crate::fleet::Fleet;
use crate::machine::Bmc;
use crate::protocol;

/// Connections that may wait to be accepted.
const BACKLOG: u32 = 4096;
/// Time for the TLS handshake. Network time; a slow handshake on a loaded machine must not look like a dead BMC.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(30);
/// Time for a request's header, and so also how long an idle connection is kept (Apache on an iDRAC closes earlier).
const HEADER_TIMEOUT: Duration = Duration::from_secs(60);
/// Buffer of a connection. The smallest that hyper takes; bodies are small.
const BUFFER_BYTES: usize = 16 * 1024;

/// Opens the listener. It is bound to the loopback *device*, so that 0.0.0.0 does not show the fleet to a network.
///
/// # Errors
/// When the port is taken or the system refuses to bind to the device.
pub(crate) async fn listen(port: u16) -> std::io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind_device(Some(b"lo"))?;
    socket.bind(SocketAddr::from(([0, 0, 0, 0], port)))?;
    socket.listen(BACKLOG)
}

/// Serves until told to stop.
pub(crate) async fn serve(listener: TcpListener, fleet: Arc<Fleet>, stop: CancellationToken) {
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                let fleet = Arc::clone(&fleet);
                let stop = stop.clone();
                tokio::spawn(async move {
                    tokio::select! {
                        () = stop.cancelled() => {}
                        () = connection(stream, peer, &fleet) => {}
                    }
                });
            }
            Err(error) => {
                // Out of descriptors: the next one may work once a connection has ended.
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

async fn connection(stream: TcpStream, peer: SocketAddr, fleet: &Fleet) {
    let Ok(SocketAddr::V4(local)) = stream.local_addr() else { return };
    // Nobody lives at this address: the connection is closed, as by a host without this service.
    let Some(bmc) = fleet.at(*local.ip()) else { return };
    let (dead, black_hole) = unreachable(bmc);
    if dead {
        return;
    }
    if black_hole {
        std::future::pending::<()>().await;
    }
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(bmc = %local.ip(), %error, "cannot switch Nagle's algorithm off");
    }
    let certificate = match bmc.certificate() {
        Ok(certificate) => certificate,
        Err(error) => {
            tracing::error!(bmc = %local.ip(), %error, "a BMC has no certificate");
            return;
        }
    };
    let acceptor = tokio_rustls::TlsAcceptor::from(certificate.server_config);
    let tls = match tokio::time::timeout(HANDSHAKE_TIMEOUT, acceptor.accept(stream)).await {
        Ok(Ok(tls)) => tls,
        Ok(Err(error)) => {
            tracing::debug!(bmc = %local.ip(), %error, "a TLS handshake failed");
            return;
        }
        Err(_) => return,
    };
    let bmc = Arc::clone(bmc);
    let service = service_fn(move |request| answer(Arc::clone(&bmc), peer.ip(), request));
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(BUFFER_BYTES)
        .serve_connection(TokioIo::new(tls), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(bmc = %local.ip(), %error, "a connection ended early");
    }
}

/// A connection that is cut instead of answered.
#[derive(Debug, thiserror::Error)]
#[error("the BMC left the network")]
struct Cut;

/// Connections that were open before a BMC died are as dead as new ones.
async fn answer(bmc: Arc<Bmc>, peer: IpAddr, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Cut> {
    let (dead, black_hole) = unreachable(&bmc);
    if dead {
        return Err(Cut);
    }
    if black_hole {
        std::future::pending::<()>().await;
    }
    Ok(protocol::answer(&bmc, peer, request).await)
}

fn unreachable(bmc: &Bmc) -> (bool, bool) {
    let state = bmc.state();
    (state.kept.faults.dead || state.live.is_away(), state.kept.faults.black_hole)
}
