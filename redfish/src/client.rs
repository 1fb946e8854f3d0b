//! The client of one BMC: who it is, what it knows, and how one request goes out.
//!
//! Cheap to clone; clones share connections, session and limits. A GET is repeated while the BMC says "not now"; anything else is
//! sent once, and again only where the BMC certainly did not take it (its answer was "who are you?").

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::header::{IF_MATCH, LOCATION, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use serde::Serialize;
use tokio::sync::OnceCell;

use crate::address::BmcAddress;
use crate::error::{RedfishError, Refusal};
use crate::gate::{LoginGate, OpenGate};
use crate::lenient;
use crate::limits::{Limits, PROBE};
use crate::message::{self, Class};
use crate::profile::{Place, Profile};
use crate::service_root::{ROOT, ServiceRoot};
use crate::session::{Auth, Credentials};
use crate::tls::{Fingerprint, Pin, Tls};
use crate::transport::{Answer, Call, Meter, Transport};

/// Longest pause that a BMC may ask for by `Retry-After` within one GET; beyond that the caller decides.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(20);

/// Redirects followed for one GET: some services send `/redfish/v1` to `/redfish/v1/`, none sends twice.
const REDIRECTS: usize = 3;

/// A client of one BMC.
#[derive(Clone)]
pub struct Client {
    pub(crate) shared: Arc<Shared>,
    pub(crate) meter: Arc<Meter>,
}

pub(crate) struct Shared {
    pub(crate) transport: Transport,
    pub(crate) auth: Auth,
    pub(crate) root: OnceCell<ServiceRoot>,
    pub(crate) place: OnceCell<Place>,
    expand: AtomicU8,
    /// `$select` was refused although it is advertised.
    pub(crate) unselective: AtomicBool,
}

/// Whether `$expand` works here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Expand {
    /// Advertised, not yet tried.
    Untried = 0,
    Works = 1,
    /// Refused, or answered as if it had not been asked for.
    Useless = 2,
}

/// Settings of a client to be.
pub struct ClientBuilder {
    tls: Tls,
    address: BmcAddress,
    pin: Pin,
    credentials: Option<Credentials>,
    gate: Arc<dyn LoginGate>,
    limits: Limits,
}

impl ClientBuilder {
    /// What is known of the BMC's certificate. Default: [`Pin::Unknown`], trust on first use.
    #[must_use]
    pub fn pin(mut self, pin: Pin) -> Self {
        self.pin = pin;
        self
    }

    /// User name and password. Without them only what is open can be read.
    #[must_use]
    pub fn credentials(mut self, credentials: Credentials) -> Self {
        self.credentials = Some(credentials);
        self
    }

    /// The hook around login attempts. Default: [`OpenGate`].
    #[must_use]
    pub fn gate(mut self, gate: Arc<dyn LoginGate>) -> Self {
        self.gate = gate;
        self
    }

    /// Deadlines and pauses. Default: the constants of [`crate::limits`].
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// The client. Nothing is sent yet.
    #[must_use]
    pub fn build(self) -> Client {
        Client {
            shared: Arc::new(Shared {
                transport: Transport::new(self.tls, self.address, self.pin, self.limits),
                auth: Auth::new(self.credentials, self.gate),
                root: OnceCell::new(),
                place: OnceCell::new(),
                expand: AtomicU8::new(Expand::Untried as u8),
                unselective: AtomicBool::new(false),
            }),
            meter: Arc::default(),
        }
    }
}

/// What an address shows without a login.
#[derive(Debug, Clone)]
pub struct Probe {
    /// Of the certificate seen: to be stored as the pin of this address.
    pub fingerprint: Fingerprint,
    /// The open service root.
    pub root: ServiceRoot,
    /// As far as the root tells: a Dell's generation is known only after a login.
    pub profile: Profile,
}

impl Client {
    /// Starts a client of `address` that shares the TLS configuration.
    #[must_use]
    pub fn builder(tls: &Tls, address: BmcAddress) -> ClientBuilder {
        ClientBuilder {
            tls: tls.clone(),
            address,
            pin: Pin::Unknown,
            credentials: None,
            gate: Arc::new(OpenGate),
            limits: Limits::default(),
        }
    }

    /// Looks at an address without logging in: certificate, vendor, product, on Dell even the service tag.
    ///
    /// # Errors
    /// `Unreachable`, `Timeout`, `CertificateChanged` when `pin` names another certificate, `NotRedfish` when something else
    /// answers.
    pub async fn probe(tls: &Tls, address: &BmcAddress, pin: Pin) -> Result<Probe, RedfishError> {
        let limits = Limits { get: PROBE, pauses: Vec::new(), ..Limits::default() };
        let client = Self::builder(tls, address.clone()).pin(pin).limits(limits).build();
        let root = client.root().await?.clone();
        let fingerprint = client.fingerprint().ok_or_else(|| RedfishError::NotRedfish {
            address: address.clone(),
            why: "it shows no certificate".to_owned(),
        })?;
        client.shared.transport.hang_up();
        let profile = Profile::of_root(&root);
        Ok(Probe { fingerprint, root, profile })
    }

    /// Address of the BMC.
    #[must_use]
    pub fn address(&self) -> &BmcAddress {
        self.shared.transport.address()
    }

    /// The certificate held to: the pin given, or the one seen at first contact. `None` before that.
    #[must_use]
    pub fn fingerprint(&self) -> Option<Fingerprint> {
        self.shared.transport.fingerprint()
    }

    /// Path of the session in use, for whoever wants to delete it after a crash. `None` before a login and with Basic
    /// authentication.
    #[must_use]
    pub fn session_uri(&self) -> Option<String> {
        self.shared.auth.session_uri()
    }

    /// Logs in unless already done, so that credentials are judged before anything else is tried.
    ///
    /// # Errors
    /// `LoginRefused`, `LoginStopped`, `SessionsFull`, or what reaching the BMC can end with.
    pub async fn login(&self) -> Result<(), RedfishError> {
        self.ticket().await.map(|_| ())
    }

    /// Deletes the session, closes the connections. The client may be used again: it logs in anew.
    ///
    /// # Errors
    /// When the session could not be deleted; it then ends by its idle time-out (30 min on an iDRAC).
    pub async fn close(&self) -> Result<(), RedfishError> {
        let outcome = self.delete_own_session().await;
        self.shared.transport.hang_up();
        outcome
    }

    /// Deletes a session left over from an earlier process, known by its path. One that is gone already is no error.
    ///
    /// # Errors
    /// What a request can end with.
    pub async fn delete_session(&self, uri: &str) -> Result<(), RedfishError> {
        match self.send(Method::DELETE, uri, None, None, self.limits().login).await {
            Ok(_) => Ok(()),
            Err(error) if error.is_missing() => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// The service root, read once.
    ///
    /// # Errors
    /// `NotRedfish` when what answers is none.
    pub async fn root(&self) -> Result<&ServiceRoot, RedfishError> {
        self.shared.root.get_or_try_init(|| self.read_root()).await
    }

    async fn read_root(&self) -> Result<ServiceRoot, RedfishError> {
        let not_redfish = |why: String| RedfishError::NotRedfish { address: self.address().clone(), why };
        let answer = match self.get_answer(ROOT, self.limits().get, false).await {
            Ok(answer) => answer,
            Err(RedfishError::Refused { refusal, .. }) if refusal.class() != Class::Retry => {
                return Err(not_redfish(format!("it answers HTTP {} to it", refusal.status)));
            }
            Err(RedfishError::Interrupted { source: Some(source), .. }) if source.is_parse() => {
                return Err(not_redfish("what it speaks is not HTTP".to_owned()));
            }
            Err(error) => return Err(error),
        };
        let (root, _) = lenient::parse::<ServiceRoot>(&answer.body)
            .map_err(|_| not_redfish("what it sends is not JSON".to_owned()))?;
        if root.is_redfish() { Ok(root) } else { Err(not_redfish("what it sends is no service root".to_owned())) }
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.shared.transport.limits
    }

    /// The same client with a meter of its own.
    pub(crate) fn metered(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), meter: Arc::default() }
    }

    pub(crate) fn expand(&self) -> Expand {
        match self.shared.expand.load(Ordering::Relaxed) {
            0 => Expand::Untried,
            1 => Expand::Works,
            _ => Expand::Useless,
        }
    }

    pub(crate) fn set_expand(&self, found: Expand) {
        self.shared.expand.store(found as u8, Ordering::Relaxed);
    }

    /// A GET, repeated while the BMC or the connection says "not now".
    pub(crate) async fn get_answer(&self, uri: &str, deadline: Duration, login: bool) -> Result<Answer, RedfishError> {
        let mut call = Call { method: Method::GET, uri: uri.to_owned(), headers: Vec::new(), body: None, deadline };
        let mut redirects = 0;
        let mut tries = 0;
        let mut pauses = self.limits().pauses.iter();
        loop {
            let outcome = if login { Box::pin(self.authorised(&call)).await } else { self.plain(&call).await };
            let error = match outcome {
                Ok(answer) if answer.status.is_redirection() && redirects < REDIRECTS => {
                    let Some(target) = location(&answer.headers) else {
                        return self.judge(&call, answer);
                    };
                    redirects += 1;
                    call.uri = target;
                    continue;
                }
                Ok(answer) => match self.judge(&call, answer) {
                    Ok(answer) => return Ok(answer),
                    Err(error) => error,
                },
                Err(error) => error,
            };
            let retry_after = match &error {
                RedfishError::Interrupted { source, .. } if !source.as_ref().is_some_and(hyper::Error::is_parse) => {
                    None
                }
                RedfishError::Refused { refusal, .. } if refusal.class() == Class::Retry => refusal.retry_after,
                _ => return Err(error),
            };
            // A bare 500 is a defect more often than a passing state: one more try, not twenty seconds of them.
            let passing = !matches!(&error, RedfishError::Refused { refusal, .. } if refusal.is_bare_500());
            if !passing && tries > 0 {
                return Err(error);
            }
            tries += 1;
            let Some(pause) = pauses.next() else { return Err(error) };
            let pause = match retry_after {
                Some(asked) if asked > LONGEST_RETRY_AFTER => return Err(error),
                Some(asked) => asked.max(*pause),
                None => *pause,
            };
            // Half to one and a half times, so that a fleet that was cut off together does not come back together.
            let pause = pause.mul_f64(rand::random_range(0.5..1.5));
            tracing::debug!(bmc = %self.address(), uri, %error, millis = pause.as_millis() as u64, "will ask again");
            tokio::time::sleep(pause).await;
        }
    }

    /// Any other request: sent once.
    pub(crate) async fn send(
        &self,
        method: Method,
        uri: &str,
        body: Option<Bytes>,
        etag: Option<&str>,
        deadline: Duration,
    ) -> Result<Answer, RedfishError> {
        let mut headers = Vec::new();
        if let Some(etag) = etag.and_then(|etag| HeaderValue::from_str(etag).ok()) {
            headers.push((IF_MATCH, etag));
        }
        let call = Call { method, uri: uri.to_owned(), headers, body, deadline };
        let answer = self.authorised(&call).await?;
        self.judge(&call, answer)
    }

    /// An action. Never with `If-Match`: newer firmware answers 412 to it whatever the tag.
    pub(crate) async fn post(
        &self,
        uri: &str,
        body: &impl Serialize,
        deadline: Duration,
    ) -> Result<Answer, RedfishError> {
        let body = self.encode(uri, body)?;
        self.send(Method::POST, uri, Some(body), None, deadline).await
    }

    /// A change of a resource just read, with the tag that it had, if any.
    pub(crate) async fn patch(
        &self,
        uri: &str,
        body: &impl Serialize,
        etag: Option<&str>,
    ) -> Result<Answer, RedfishError> {
        let body = self.encode(uri, body)?;
        self.send(Method::PATCH, uri, Some(body), etag, self.limits().change).await
    }

    pub(crate) fn encode(&self, uri: &str, body: &impl Serialize) -> Result<Bytes, RedfishError> {
        serde_json::to_vec(body).map(Bytes::from).map_err(|source| RedfishError::Unreadable {
            address: self.address().clone(),
            uri: uri.to_owned(),
            why: "the request could not be written as JSON".to_owned(),
            source: Some(source),
        })
    }

    /// One exchange without credentials.
    pub(crate) async fn plain(&self, call: &Call) -> Result<Answer, RedfishError> {
        self.shared.transport.send(call, &self.meter).await
    }

    /// Turns an answer with an error status into the error.
    pub(crate) fn judge(&self, call: &Call, answer: Answer) -> Result<Answer, RedfishError> {
        if answer.status.is_success() {
            return Ok(answer);
        }
        let refusal = refusal(call, &answer);
        // "Nothing was to be done" is as good as done.
        if refusal.class() == Class::NoOp && call.method != Method::GET {
            return Ok(Answer { status: StatusCode::OK, ..answer });
        }
        Err(RedfishError::Refused { address: self.address().clone(), refusal: Box::new(refusal) })
    }
}

/// An error answer, taken apart.
pub(crate) fn refusal(call: &Call, answer: &Answer) -> Refusal {
    Refusal {
        method: call.method.to_string(),
        uri: call.uri.clone(),
        status: answer.status.as_u16(),
        messages: message::parse(&answer.body),
        retry_after: answer
            .headers
            .get(RETRY_AFTER)
            .and_then(|value| value.to_str().ok()?.trim().parse().ok())
            .map(Duration::from_secs),
    }
}

/// The path in a `Location` header. Where a service writes a whole URL, host and scheme are dropped: behind a port forward they are
/// wrong, and another host is never followed.
pub(crate) fn location(headers: &HeaderMap) -> Option<String> {
    let text = headers.get(LOCATION)?.to_str().ok()?.trim();
    let path = match text.split_once("://") {
        Some((_, rest)) => &rest[rest.find('/')?..],
        None => text,
    };
    path.starts_with('/').then(|| path.to_owned())
}
