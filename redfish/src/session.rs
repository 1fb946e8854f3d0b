//! Logging in: a session where the service has them, Basic authentication where it has none.
//!
//! Only one login is under way at a time, and a refusal that others waited for is theirs too: two requests that start together
//! must not make two refusals. It decides nothing about *whether* to log in beyond its own limit; the gate does.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::AUTHORIZATION;
use http::{HeaderName, HeaderValue, Method, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;

use crate::client::{Client, location, refusal};
use crate::error::{RedfishError, Refusal};
use crate::gate::{LoginGate, LoginOutcome};
use crate::limits::REFUSED_LOGINS;
use crate::message::Class;
use crate::transport::{Answer, Call, lock};

const TOKEN: HeaderName = HeaderName::from_static("x-auth-token");

/// User name and password of a BMC.
#[derive(Debug, Clone)]
pub struct Credentials {
    pub user: String,
    pub password: SecretString,
}

/// Proof of a login, as it is sent along.
#[derive(Clone)]
pub(crate) struct Ticket {
    kind: Kind,
    serial: u64,
}

#[derive(Clone)]
enum Kind {
    Token { token: SecretString, session: Option<String> },
    Basic { header: SecretString },
}

impl Ticket {
    fn header(&self) -> Option<(HeaderName, HeaderValue)> {
        let (name, secret) = match &self.kind {
            Kind::Token { token, .. } => (TOKEN, token),
            Kind::Basic { header } => (AUTHORIZATION, header),
        };
        let mut value = HeaderValue::from_str(secret.expose_secret()).ok()?;
        value.set_sensitive(true);
        Some((name, value))
    }
}

pub(crate) struct Auth {
    credentials: Option<Credentials>,
    gate: Arc<dyn LoginGate>,
    ticket: Mutex<Option<Ticket>>,
    /// Held while a login is under way.
    turn: tokio::sync::Mutex<()>,
    serial: AtomicU64,
    /// Refusals in a row.
    refused: AtomicU32,
    /// Refusals ever, to see whether one came while waiting for the turn.
    refusals: AtomicU64,
    /// The service was found to have no sessions although its root names a place for them.
    sessionless: AtomicBool,
}

#[derive(Serialize)]
struct NewSession<'a> {
    #[serde(rename = "UserName")]
    user: &'a str,
    #[serde(rename = "Password")]
    password: &'a str,
}

/// How a login without a ticket ended.
enum Attempt {
    Accepted(Kind),
    /// The service has no sessions.
    NoSessions,
}

impl Auth {
    pub(crate) fn new(credentials: Option<Credentials>, gate: Arc<dyn LoginGate>) -> Self {
        Self {
            credentials,
            gate,
            ticket: Mutex::new(None),
            turn: tokio::sync::Mutex::new(()),
            serial: AtomicU64::new(0),
            refused: AtomicU32::new(0),
            refusals: AtomicU64::new(0),
            sessionless: AtomicBool::new(false),
        }
    }

    pub(crate) fn session_uri(&self) -> Option<String> {
        match lock(&self.ticket).as_ref().map(|ticket| &ticket.kind) {
            Some(Kind::Token { session, .. }) => session.clone(),
            _ => None,
        }
    }

    fn current(&self) -> Option<Ticket> {
        lock(&self.ticket).clone()
    }

    fn forget(&self, serial: u64) {
        let mut ticket = lock(&self.ticket);
        if ticket.as_ref().is_some_and(|held| held.serial == serial) {
            *ticket = None;
        }
    }

    fn accept(&self, kind: Kind) -> Ticket {
        self.refused.store(0, Ordering::Relaxed);
        let ticket = Ticket { kind, serial: self.serial.fetch_add(1, Ordering::Relaxed) };
        *lock(&self.ticket) = Some(ticket.clone());
        ticket
    }

    async fn told(&self, outcome: LoginOutcome) {
        self.gate.after_login(&outcome).await;
    }
}

impl Client {
    pub(crate) fn has_credentials(&self) -> bool {
        self.shared.auth.credentials.is_some()
    }

    /// The ticket in hand, or a new one.
    pub(crate) async fn ticket(&self) -> Result<Ticket, RedfishError> {
        match self.shared.auth.current() {
            Some(ticket) => Ok(ticket),
            None => self.log_in(None).await,
        }
    }

    /// One exchange with credentials. A 401 on a ticket that was good once means one new login, not a refusal.
    pub(crate) async fn authorised(&self, call: &Call) -> Result<Answer, RedfishError> {
        if self.shared.auth.credentials.is_none() {
            let answer = self.plain(call).await?;
            if answer.status == StatusCode::UNAUTHORIZED {
                return Err(RedfishError::NoCredentials {
                    address: self.address().clone(),
                    method: call.method.to_string(),
                    uri: call.uri.clone(),
                });
            }
            return Ok(answer);
        }
        let ticket = self.ticket().await?;
        let answer = self.with_ticket(call, &ticket).await?;
        if !is_stranger(call, &answer) {
            return Ok(answer);
        }
        let ticket = self.log_in(Some(&ticket)).await?;
        self.with_ticket(call, &ticket).await
    }

    async fn with_ticket(&self, call: &Call, ticket: &Ticket) -> Result<Answer, RedfishError> {
        let mut call = call.clone();
        call.headers.extend(ticket.header());
        self.plain(&call).await
    }

    /// Logs in; `dead` is the ticket that was just refused.
    async fn log_in(&self, dead: Option<&Ticket>) -> Result<Ticket, RedfishError> {
        let auth = &self.shared.auth;
        let Some(credentials) = &auth.credentials else {
            return Err(RedfishError::NoCredentials {
                address: self.address().clone(),
                method: Method::POST.to_string(),
                uri: "a session".to_owned(),
            });
        };
        // Before the turn is taken: the root is open, and whoever holds the turn needs it too.
        let sessions = self.root().await?.sessions();
        let before = auth.refusals.load(Ordering::Relaxed);
        let _turn = auth.turn.lock().await;
        if let Some(dead) = dead {
            auth.forget(dead.serial);
            if matches!(dead.kind, Kind::Basic { .. }) && auth.current().is_none() {
                // Basic sends the password each time: this 401 was the attempt.
                return Err(self.refuse(None).await);
            }
        }
        if let Some(ticket) = auth.current() {
            return Ok(ticket);
        }
        if auth.refusals.load(Ordering::Relaxed) != before {
            let refused = auth.refused.load(Ordering::Relaxed);
            return Err(RedfishError::LoginRefused { address: self.address().clone(), refused, message: None });
        }
        if let Some(uri) = sessions.filter(|_| !auth.sessionless.load(Ordering::Relaxed)) {
            self.knock().await?;
            match self.make_session(&uri, credentials).await? {
                Attempt::Accepted(kind) => return Ok(auth.accept(kind)),
                Attempt::NoSessions => auth.sessionless.store(true, Ordering::Relaxed),
            }
        }
        self.knock().await?;
        self.try_basic(credentials).await.map(|kind| auth.accept(kind))
    }

    /// Asks the gate and the client's own limit.
    async fn knock(&self) -> Result<(), RedfishError> {
        let auth = &self.shared.auth;
        let stopped = |reason: String| RedfishError::LoginStopped { address: self.address().clone(), reason };
        if auth.refused.load(Ordering::Relaxed) >= REFUSED_LOGINS {
            return Err(stopped(format!(
                "because {REFUSED_LOGINS} logins were refused and a third could make the BMC lock this controller out"
            )));
        }
        auth.gate.before_login().await.map_err(|why| stopped(why.reason))
    }

    async fn refuse(&self, refusal: Option<Refusal>) -> RedfishError {
        let auth = &self.shared.auth;
        auth.refusals.fetch_add(1, Ordering::Relaxed);
        let refused = auth.refused.fetch_add(1, Ordering::Relaxed) + 1;
        auth.told(LoginOutcome::Refused).await;
        let message = refusal.and_then(|refusal| refusal.messages.into_iter().next()).map(Box::new);
        RedfishError::LoginRefused { address: self.address().clone(), refused, message }
    }

    async fn make_session(&self, uri: &str, credentials: &Credentials) -> Result<Attempt, RedfishError> {
        let auth = &self.shared.auth;
        let body =
            self.encode(uri, &NewSession { user: &credentials.user, password: credentials.password.expose_secret() });
        let call = match body {
            Ok(body) => Call {
                method: Method::POST,
                uri: uri.to_owned(),
                headers: Vec::new(),
                body: Some(body),
                deadline: self.limits().login,
            },
            Err(error) => {
                auth.told(LoginOutcome::Unanswered).await;
                return Err(error);
            }
        };
        let answer = match self.plain(&call).await {
            Ok(answer) => answer,
            Err(error) => {
                auth.told(LoginOutcome::Unanswered).await;
                return Err(error);
            }
        };
        if answer.status.is_success() {
            let token = answer.headers.get(TOKEN).and_then(|value| value.to_str().ok());
            let Some(token) = token else {
                auth.told(LoginOutcome::Unanswered).await;
                return Err(RedfishError::Unreadable {
                    address: self.address().clone(),
                    uri: uri.to_owned(),
                    why: "a session was made without a token".to_owned(),
                    source: None,
                });
            };
            let session = location(&answer.headers);
            auth.told(LoginOutcome::Accepted { session: session.clone() }).await;
            return Ok(Attempt::Accepted(Kind::Token { token: SecretString::from(token.to_owned()), session }));
        }
        let refusal = refusal(&call, &answer);
        let class = refusal.class();
        if class == Class::Auth {
            return Err(self.refuse(Some(refusal)).await);
        }
        auth.told(LoginOutcome::Unanswered).await;
        if matches!(refusal.message_id(), Some("RAC0218" | "SessionLimitExceeded" | "CreateLimitReachedForResource")) {
            let refusal = Box::new(refusal);
            return Err(RedfishError::SessionsFull { address: self.address().clone(), refusal });
        }
        // 400 is what iDRAC8 says; a busy iDRAC9 says it too, but names a transient cause.
        if class == Class::Permanent && matches!(refusal.status, 400 | 404 | 405 | 501) {
            return Ok(Attempt::NoSessions);
        }
        Err(RedfishError::Refused { address: self.address().clone(), refusal: Box::new(refusal) })
    }

    /// Proves Basic credentials on the systems, which no service leaves open.
    async fn try_basic(&self, credentials: &Credentials) -> Result<Kind, RedfishError> {
        let auth = &self.shared.auth;
        let pair = format!("{}:{}", credentials.user, credentials.password.expose_secret());
        let kind = Kind::Basic { header: SecretString::from(format!("Basic {}", STANDARD.encode(pair))) };
        let uri = self.systems_uri().await?;
        let call = Call { method: Method::GET, uri, headers: Vec::new(), body: None, deadline: self.limits().login };
        let ticket = Ticket { kind: kind.clone(), serial: u64::MAX };
        let answer = match self.with_ticket(&call, &ticket).await {
            Ok(answer) => answer,
            Err(error) => {
                auth.told(LoginOutcome::Unanswered).await;
                return Err(error);
            }
        };
        if is_stranger(&call, &answer) {
            return Err(self.refuse(Some(refusal(&call, &answer))).await);
        }
        if answer.status.is_server_error() {
            auth.told(LoginOutcome::Unanswered).await;
            return Err(RedfishError::Refused {
                address: self.address().clone(),
                refusal: Box::new(refusal(&call, &answer)),
            });
        }
        auth.told(LoginOutcome::Accepted { session: None }).await;
        Ok(kind)
    }

    /// Deletes the session in hand, if there is one.
    pub(crate) async fn delete_own_session(&self) -> Result<(), RedfishError> {
        let Some(ticket) = self.shared.auth.current() else { return Ok(()) };
        self.shared.auth.forget(ticket.serial);
        let Kind::Token { session: Some(uri), .. } = &ticket.kind else { return Ok(()) };
        let call = Call {
            method: Method::DELETE,
            uri: uri.clone(),
            headers: Vec::new(),
            body: None,
            deadline: self.limits().login,
        };
        let answer = self.with_ticket(&call, &ticket).await?;
        // 401 and 404: it had ended by itself.
        if matches!(answer.status, StatusCode::UNAUTHORIZED | StatusCode::NOT_FOUND) {
            return Ok(());
        }
        self.judge(&call, answer).map(|_| ())
    }
}

/// Whether the BMC asks who is calling. By its message, for a missing licence is no question about the caller.
fn is_stranger(call: &Call, answer: &Answer) -> bool {
    answer.status == StatusCode::UNAUTHORIZED && refusal(call, answer).class() == Class::Auth
}
