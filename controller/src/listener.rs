//! The three listeners: accept, TLS, HTTP, and an orderly end.
//!
//! `api` and `agents` speak TLS with certificates of Helix's own authority, `media` plain HTTP. Each has a limit on its
//! connections and a time-out for whoever connects and says nothing. Routes see the peer by `ConnectInfo<SocketAddr>`
//! and a client's certificate by [`PeerCertificate`]. What is answered is the routers' business.

use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use hyper::Request;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use nix::sys::socket::{setsockopt, sockopt};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use crate::config::Config;

/// A TLS handshake takes two round trips and a signature; 10 s is a satellite link with a slow BMC at its end.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// A request's head comes in one or two packets. It also ends connections that are idle this long.
const HEADER: Duration = Duration::from_secs(30);
/// Sent bytes that nobody acknowledges for this long end the connection: the peer was switched off. An iDRAC that
/// pauses for a minute while it resets its network is still there afterwards.
const UNACKNOWLEDGED: Duration = Duration::from_secs(120);
/// Pause after a failed accept: the usual cause is that file descriptors ran out, which takes a moment to pass.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);
/// How long an end waits for answers under way.
const DRAIN: Duration = Duration::from_secs(10);

/// The client certificate of a connection to the agents listener (DER), already found to be ours and in date; `None`
/// when the client showed none. A request extension.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerCertificate(pub Option<Vec<u8>>);

/// What keeps a listener from listening.
#[derive(Debug, thiserror::Error)]
pub enum ListenerError {
    /// The address is taken, not local, or not allowed.
    #[error("cannot listen on {listen} for {name} (setting {name}.listen)")]
    Bind {
        name: &'static str,
        listen: SocketAddr,
        #[source]
        source: std::io::Error,
    },
}

impl ListenerError {
    /// A stable word for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Bind { .. } => "listener_bind",
        }
    }
}

/// The three sockets, bound before anything else is started: a taken port is told at once.
#[derive(Debug)]
pub struct Bound {
    pub api: Socket,
    pub agents: Socket,
    pub media: Socket,
}

/// One bound socket and the address that it really has.
#[derive(Debug)]
pub struct Socket {
    pub name: &'static str,
    pub address: SocketAddr,
    listener: TcpListener,
}

impl Bound {
    /// Binds all three.
    ///
    /// # Errors
    /// When one address cannot be used.
    pub async fn bind(config: &Config) -> Result<Self, ListenerError> {
        Ok(Self {
            api: Socket::bind("api", config.api.listen).await?,
            agents: Socket::bind("agents", config.agents.listen).await?,
            media: Socket::bind("media", config.media.listen).await?,
        })
    }
}

impl Socket {
    async fn bind(name: &'static str, listen: SocketAddr) -> Result<Self, ListenerError> {
        let bind = |source| ListenerError::Bind { name, listen, source };
        let listener = TcpListener::bind(listen).await.map_err(bind)?;
        let address = listener.local_addr().map_err(bind)?;
        Ok(Self { name, address, listener })
    }

    /// Serves routes until `stop`, then waits for answers under way, but not for ever. With `tls`, over TLS.
    pub async fn serve(
        self,
        tls: Option<rustls::ServerConfig>,
        routes: Router,
        connections: u32,
        stop: CancellationToken,
    ) {
        let room = Arc::new(Semaphore::new(connections as usize));
        let open = TaskTracker::new();
        let tls = tls.map(|config| TlsAcceptor::from(Arc::new(config)));
        loop {
            // When there is no room, the next ones wait in the kernel's queue.
            let permit = tokio::select! {
                () = stop.cancelled() => break,
                permit = Arc::clone(&room).acquire_owned() => permit,
            };
            let accepted = tokio::select! {
                () = stop.cancelled() => break,
                accepted = self.listener.accept() => accepted,
            };
            let (stream, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(listener = self.name, %error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_AGAIN).await;
                    continue;
                }
            };
            let connection = Connection { name: self.name, peer, routes: routes.clone(), stop: stop.clone() };
            let tls = tls.clone();
            open.spawn(async move {
                connection.run(stream, tls).await;
                drop(permit);
            });
        }
        drop(self.listener);
        open.close();
        if tokio::time::timeout(DRAIN, open.wait()).await.is_err() {
            tracing::info!(listener = self.name, left = open.len(), "closing connections that are still at work");
        }
    }
}

struct Connection {
    name: &'static str,
    peer: SocketAddr,
    routes: Router,
    stop: CancellationToken,
}

impl Connection {
    async fn run(self, stream: TcpStream, tls: Option<TlsAcceptor>) {
        if let Err(error) = tune(&stream) {
            tracing::debug!(listener = self.name, peer = %self.peer, %error, "cannot tune a connection");
        }
        let Some(tls) = tls else {
            self.http(stream, PeerCertificate(None)).await;
            return;
        };
        match tokio::time::timeout(HANDSHAKE, tls.accept(stream)).await {
            Ok(Ok(stream)) => {
                let certificate =
                    stream.get_ref().1.peer_certificates().and_then(<[_]>::first).map(|first| first.to_vec());
                self.http(stream, PeerCertificate(certificate)).await;
            }
            // Port scans and browsers that do not trust the certificate: no news for the admin.
            Ok(Err(error)) => tracing::debug!(listener = self.name, peer = %self.peer, %error, "TLS handshake failed"),
            Err(_) => tracing::debug!(listener = self.name, peer = %self.peer, "TLS handshake took too long"),
        }
    }

    async fn http(self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, certificate: PeerCertificate) {
        let peer = self.peer;
        let routes = self.routes;
        let service = hyper::service::service_fn(move |request: Request<Incoming>| {
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(ConnectInfo(peer));
            request.extensions_mut().insert(certificate.clone());
            routes.clone().oneshot(request)
        });
        let mut server = auto::Builder::new(TokioExecutor::new());
        server.http1().timer(TokioTimer::new()).header_read_timeout(HEADER);
        server.http2().timer(TokioTimer::new()).keep_alive_interval(HEADER).keep_alive_timeout(HANDSHAKE);
        let connection = server.serve_connection_with_upgrades(TokioIo::new(stream), service);
        tokio::pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = self.stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                // Long answers are cut here, and not waited for by the listener.
                match tokio::time::timeout(DRAIN, connection).await {
                    Ok(ended) => ended,
                    Err(_) => return,
                }
            }
        };
        if let Err(error) = ended {
            tracing::debug!(listener = self.name, %peer, error, "connection ended");
        }
    }
}

/// Answers leave at once, and a peer that was switched off is noticed.
fn tune(stream: &TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let fd = stream.as_fd();
    setsockopt(&fd, sockopt::KeepAlive, &true)?;
    setsockopt(&fd, sockopt::TcpUserTimeout, &u32::try_from(UNACKNOWLEDGED.as_millis()).unwrap_or(u32::MAX))?;
    Ok(())
}

#[cfg(test)]
mod tests;
