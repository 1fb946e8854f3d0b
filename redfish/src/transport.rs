//! Bytes to and from one BMC: connections, certificate check, deadlines, the limit on requests in flight.
//!
//! HTTP/1.1 over TLS on connections of our own instead of a general HTTP client: a BMC needs two of them at most, they must not
//! go through a proxy, the certificate must be judged by host *and* port before anything is sent, and a fleet cannot pay for a
//! pool, a resolver and a TLS configuration each. It knows nothing of sessions, JSON or retries.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE, HOST, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio_rustls::TlsConnector;

use crate::address::BmcAddress;
use crate::error::{RedfishError, Unreachable};
use crate::limits::{BODY_BYTES, Limits};
use crate::tls::{Fingerprint, Pin, Tls};

const AGENT: &str = concat!("helix/", env!("CARGO_PKG_VERSION"));

/// Largest response head and initial read buffer of a connection. iDRAC heads are under 1 KiB; hyper's default of 400 KiB would
/// be the larger part of what an idle fleet costs.
const BUFFER_BYTES: usize = 32 << 10;

/// One request, before authentication.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) method: Method,
    /// Path and query.
    pub(crate) uri: String,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) body: Option<Bytes>,
    pub(crate) deadline: Duration,
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// What a piece of work cost.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    requests: AtomicU64,
    bytes: AtomicU64,
}

impl Meter {
    pub(crate) fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}

type Sender = SendRequest<Full<Bytes>>;

struct Idle {
    sender: Sender,
    since: Instant,
}

#[derive(Default)]
struct Pool {
    idle: Vec<Idle>,
    reaped: bool,
}

pub(crate) struct Transport {
    address: BmcAddress,
    tls: Tls,
    pin: Mutex<Pin>,
    pool: Arc<Mutex<Pool>>,
    permits: Semaphore,
    pub(crate) limits: Limits,
}

impl Transport {
    pub(crate) fn new(tls: Tls, address: BmcAddress, pin: Pin, limits: Limits) -> Self {
        Self {
            permits: Semaphore::new(limits.in_flight.max(1)),
            pool: Arc::default(),
            pin: Mutex::new(pin),
            tls,
            address,
            limits,
        }
    }

    pub(crate) fn address(&self) -> &BmcAddress {
        &self.address
    }

    /// The certificate held to: given by the caller or seen at first contact.
    pub(crate) fn fingerprint(&self) -> Option<Fingerprint> {
        match *lock(&self.pin) {
            Pin::Unknown => None,
            Pin::Sha256(fingerprint) => Some(fingerprint),
        }
    }

    /// Sends one request and reads its whole answer. Waiting for a free slot does not count towards the deadline.
    pub(crate) async fn send(&self, call: &Call, meter: &Meter) -> Result<Answer, RedfishError> {
        let Ok(_permit) = self.permits.acquire().await else {
            return Err(self.interrupted(call, None));
        };
        let started = Instant::now();
        let outcome = self.exchange(call, meter).await;
        match &outcome {
            Ok(answer) => tracing::debug!(
                bmc = %self.address, method = %call.method, uri = call.uri, status = answer.status.as_u16(),
                bytes = answer.body.len(), millis = started.elapsed().as_millis() as u64, "answered"
            ),
            Err(error) => tracing::debug!(
                bmc = %self.address, method = %call.method, uri = call.uri, %error,
                millis = started.elapsed().as_millis() as u64, "not answered"
            ),
        }
        outcome
    }

    async fn exchange(&self, call: &Call, meter: &Meter) -> Result<Answer, RedfishError> {
        let mut request = self.request(call)?;
        loop {
            let (mut sender, kept) = match self.take_idle() {
                Some(sender) => (sender, true),
                None => (self.connect().await?, false),
            };
            meter.requests.fetch_add(1, Ordering::Relaxed);
            let exchange = async {
                if let Err(source) = sender.ready().await {
                    return Err((Some(source), Some(request)));
                }
                let response = match sender.try_send_request(request).await {
                    Ok(response) => response,
                    Err(mut error) => {
                        let unsent = error.take_message();
                        return Err((Some(error.into_error()), unsent));
                    }
                };
                let (head, mut body) = response.into_parts();
                let mut bytes = BytesMut::new();
                while let Some(frame) = body.frame().await {
                    if let Some(data) = frame.map_err(|source| (Some(source), None))?.data_ref() {
                        if bytes.len() + data.len() > BODY_BYTES {
                            return Err((None, None));
                        }
                        bytes.extend_from_slice(data);
                    }
                }
                Ok((head, bytes.freeze()))
            };
            match tokio::time::timeout(call.deadline, exchange).await {
                Ok(Ok((head, body))) => {
                    meter.bytes.fetch_add(body.len() as u64, Ordering::Relaxed);
                    self.keep(sender);
                    return Ok(Answer { status: head.status, headers: head.headers, body });
                }
                // A kept connection that the BMC closed meanwhile: nothing went out, so another one may be tried even for a POST.
                Ok(Err((_, Some(unsent)))) if kept => request = unsent,
                // The same, but the request crossed the BMC's goodbye: a GET may be sent again whatever became of it.
                Ok(Err((Some(_), None))) if kept && call.method == Method::GET => request = self.request(call)?,
                Ok(Err((source, _))) => return Err(self.interrupted(call, source)),
                Err(_) => {
                    return Err(RedfishError::Timeout {
                        address: self.address.clone(),
                        method: call.method.to_string(),
                        uri: call.uri.clone(),
                        after: call.deadline,
                    });
                }
            }
        }
    }

    fn interrupted(&self, call: &Call, source: Option<hyper::Error>) -> RedfishError {
        RedfishError::Interrupted {
            address: self.address.clone(),
            method: call.method.to_string(),
            uri: call.uri.clone(),
            source,
        }
    }

    fn request(&self, call: &Call) -> Result<Request<Full<Bytes>>, RedfishError> {
        let unreadable = |why: String| RedfishError::Unreadable {
            address: self.address.clone(),
            uri: call.uri.clone(),
            why,
            source: None,
        };
        let host = HeaderValue::from_str(&self.address.host_header())
            .map_err(|_| unreadable("the host cannot stand in a header".to_owned()))?;
        let mut request = Request::new(Full::new(call.body.clone().unwrap_or_default()));
        *request.method_mut() = call.method.clone();
        *request.uri_mut() =
            call.uri.parse().map_err(|_| unreadable("it is no path that can be asked for".to_owned()))?;
        let headers = request.headers_mut();
        headers.insert(HOST, host);
        headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        // Compression changes ETags on some builds, and a BMC's processor is slower than the wire.
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        headers.insert("odata-version", HeaderValue::from_static("4.0"));
        if call.body.is_some() {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        for (name, value) in &call.headers {
            headers.insert(name.clone(), value.clone());
        }
        Ok(request)
    }

    async fn connect(&self) -> Result<Sender, RedfishError> {
        let fail = |why, source| RedfishError::Unreachable { address: self.address.clone(), why, source };
        let connect = async {
            let tcp = TcpStream::connect((self.address.host(), self.address.port())).await.map_err(|source| {
                let why = match source.kind() {
                    std::io::ErrorKind::ConnectionRefused | std::io::ErrorKind::ConnectionReset => Unreachable::Refused,
                    std::io::ErrorKind::TimedOut => Unreachable::NoAnswer,
                    std::io::ErrorKind::HostUnreachable | std::io::ErrorKind::NetworkUnreachable => {
                        Unreachable::NoRoute
                    }
                    _ => Unreachable::UnknownHost,
                };
                fail(why, Some(source))
            })?;
            // Header and body leave in two writes; without this each POST waits for a delayed ACK.
            tcp.set_nodelay(true).map_err(|source| fail(Unreachable::NoRoute, Some(source)))?;
            let name = ServerName::try_from(self.address.host().to_owned())
                .map_err(|_| fail(Unreachable::UnknownHost, None))?;
            let tls = TlsConnector::from(self.tls.config())
                .connect(name, tcp)
                .await
                .map_err(|source| fail(Unreachable::Handshake, Some(source)))?;
            let certificate = tls.get_ref().1.peer_certificates().and_then(<[_]>::first);
            let seen = Fingerprint::of(certificate.ok_or_else(|| fail(Unreachable::Handshake, None))?);
            self.check(seen)?;
            let (sender, connection) = http1::Builder::new()
                .max_buf_size(BUFFER_BYTES)
                .handshake(TokioIo::new(tls))
                .await
                .map_err(|source| fail(Unreachable::Handshake, Some(std::io::Error::other(source))))?;
            let bmc = self.address.clone();
            tokio::spawn(async move {
                if let Err(error) = connection.await {
                    tracing::trace!(%bmc, %error, "connection ended");
                }
            });
            Ok(sender)
        };
        match tokio::time::timeout(self.limits.connect, connect).await {
            Ok(outcome) => outcome,
            Err(_) => Err(fail(Unreachable::NoAnswer, None)),
        }
    }

    fn check(&self, seen: Fingerprint) -> Result<(), RedfishError> {
        let mut pin = lock(&self.pin);
        match *pin {
            Pin::Unknown => {
                *pin = Pin::Sha256(seen);
                Ok(())
            }
            Pin::Sha256(pinned) if pinned == seen => Ok(()),
            Pin::Sha256(pinned) => {
                Err(RedfishError::CertificateChanged { address: self.address.clone(), pinned, seen })
            }
        }
    }

    fn take_idle(&self) -> Option<Sender> {
        let mut pool = lock(&self.pool);
        while let Some(Idle { sender, since }) = pool.idle.pop() {
            if !sender.is_closed() && since.elapsed() < self.limits.idle {
                return Some(sender);
            }
        }
        None
    }

    fn keep(&self, sender: Sender) {
        if sender.is_closed() {
            return;
        }
        let mut pool = lock(&self.pool);
        pool.idle.push(Idle { sender, since: Instant::now() });
        if !pool.reaped {
            pool.reaped = true;
            tokio::spawn(reap(Arc::downgrade(&self.pool), self.limits.idle));
        }
    }

    /// Closes the idle connections.
    pub(crate) fn hang_up(&self) {
        lock(&self.pool).idle.clear();
    }
}

/// Closes connections that nobody used for `idle`; ends when none is left or the client is gone.
async fn reap(pool: Weak<Mutex<Pool>>, idle: Duration) {
    loop {
        tokio::time::sleep(idle).await;
        let Some(pool) = pool.upgrade() else { return };
        let mut pool = lock(&pool);
        pool.idle.retain(|kept| !kept.sender.is_closed() && kept.since.elapsed() < idle);
        if pool.idle.is_empty() {
            pool.reaped = false;
            return;
        }
    }
}

/// Nothing that is locked here can be left half done, so a lock poisoned by a panic elsewhere is still good.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
