//! The HTTP client to the controller's agents listener.
//!
//! Several base URLs are tried in order, beginning with the one that answered last; the server is known by its key
//! ([`crate::pin`]). With a client certificate the calls are mutually authenticated. It does not retry: callers know what may wait.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use helix_api::agent::{AgentReport, JoinRequest, JoinResponse, RenewRequest, RenewResponse, ReportResponse};
use helix_api::deploy::{ClaimRequest, ClaimResponse, DeployReport, Instruction};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::deploy::failure::chain;
use crate::pin::PinnedKey;

/// A LAN answers a connect within milliseconds; 10 s leave room for a lost SYN or three (1, 3, 7 s).
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Calls answer at once, except the long poll of `deploy/next`, which the controller holds for at most 25 s.
const CALL_TIMEOUT: Duration = Duration::from_secs(40);

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// No base URL answered.
    #[error("the controller does not answer: {0}")]
    Unreachable(String),
    /// The controller refused, with its stable code.
    #[error("the controller refused ({status}, {code}): {message}")]
    Refused { status: u16, code: String, message: String },
    /// The answer was not understood.
    #[error("the controller's answer to {call} was not understood: {reason}")]
    Answer { call: &'static str, reason: String },
    /// The client could not be set up.
    #[error("the connection to the controller cannot be set up: {0}")]
    Setup(String),
}

impl CallError {
    /// Whether the same call may succeed later without anybody doing anything.
    pub fn transient(&self) -> bool {
        match self {
            Self::Unreachable(_) => true,
            Self::Refused { status, .. } => *status >= 500 || *status == 429,
            Self::Answer { .. } | Self::Setup(_) => false,
        }
    }
}

/// A client certificate and its key.
pub struct ClientIdentity {
    pub certificate_pem: String,
    pub key_pem: String,
}

/// The controller, as a node sees it.
#[derive(Debug, Clone)]
pub struct Controller {
    http: reqwest::Client,
    urls: Arc<Vec<String>>,
    preferred: Arc<AtomicUsize>,
}

impl Controller {
    /// A client for these base URLs and this key.
    ///
    /// # Errors
    /// [`CallError::Setup`] when there is no URL, or key or certificate do not parse.
    pub fn new(urls: &[String], key_sha256: &str, identity: Option<&ClientIdentity>) -> Result<Self, CallError> {
        if urls.is_empty() {
            return Err(CallError::Setup("no controller address is given".into()));
        }
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls(key_sha256, identity)?)
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_max_idle_per_host(2)
            // Nodes reach the controller directly; a proxy variable in some image must not redirect them.
            .no_proxy()
            .build()
            .map_err(|error| CallError::Setup(chain(&error)))?;
        let urls = urls.iter().map(|url| url.trim_end_matches('/').to_owned()).collect();
        Ok(Self { http, urls: Arc::new(urls), preferred: Arc::new(AtomicUsize::new(0)) })
    }

    /// The plain HTTP client with the same TLS settings, for the image.
    pub fn http(&self) -> &reqwest::Client {
        &self.http
    }

    /// The base URL that answered last, or the first.
    pub fn url(&self) -> &str {
        let index = self.preferred.load(Ordering::Relaxed) % self.urls.len();
        &self.urls[index]
    }

    /// Claims this attempt; the token dies with the answer.
    ///
    /// # Errors
    /// `deploy_token_unknown`, `deploy_token_used`, `deploy_wrong_machine`, or no answer.
    pub async fn claim(&self, request: &ClaimRequest) -> Result<ClaimResponse, CallError> {
        self.post("claim", "/agent/v1/deploy/claim", None, request).await
    }

    /// The newest instruction after `after`; held by the controller until there is one, at most 25 s.
    ///
    /// # Errors
    /// A session that has ended, or no answer.
    pub async fn next(&self, session: &str, after: u64) -> Result<Instruction, CallError> {
        let path = format!("/agent/v1/deploy/next?after={after}");
        self.call("next", |http, base| http.get(format!("{base}{path}")).bearer_auth(session)).await
    }

    /// Says how far the deployment is.
    ///
    /// # Errors
    /// A session that has ended, or no answer.
    pub async fn deploy_report(&self, session: &str, report: &DeployReport) -> Result<(), CallError> {
        let _: serde_json::Value = self.post("report", "/agent/v1/deploy/report", Some(session), report).await?;
        Ok(())
    }

    /// Trades the one-time token for a client certificate.
    ///
    /// # Errors
    /// `join_token_unknown`, `join_token_used`, `join_wrong_machine`, or no answer.
    pub async fn join(&self, request: &JoinRequest) -> Result<JoinResponse, CallError> {
        self.post("join", "/agent/v1/join", None, request).await
    }

    /// Sends a report; needs a client certificate.
    ///
    /// # Errors
    /// A certificate that is not accepted, or no answer.
    pub async fn report(&self, report: &AgentReport) -> Result<ReportResponse, CallError> {
        self.post("report", "/agent/v1/report", None, report).await
    }

    /// Asks for a new certificate; needs the present one.
    ///
    /// # Errors
    /// A certificate that is not accepted, or no answer.
    pub async fn renew(&self, request: &RenewRequest) -> Result<RenewResponse, CallError> {
        self.post("renew", "/agent/v1/renew", None, request).await
    }

    async fn post<A: DeserializeOwned>(
        &self,
        call: &'static str,
        path: &str,
        session: Option<&str>,
        body: &impl Serialize,
    ) -> Result<A, CallError> {
        self.call(call, |http, base| {
            let request = http.post(format!("{base}{path}")).json(body);
            match session {
                Some(session) => request.bearer_auth(session),
                None => request,
            }
        })
        .await
    }

    async fn call<A: DeserializeOwned>(
        &self,
        call: &'static str,
        request: impl Fn(&reqwest::Client, &str) -> reqwest::RequestBuilder,
    ) -> Result<A, CallError> {
        let first = self.preferred.load(Ordering::Relaxed);
        let mut failures = Vec::new();
        for step in 0..self.urls.len() {
            let index = (first + step) % self.urls.len();
            let base = &self.urls[index];
            match request(&self.http, base).timeout(CALL_TIMEOUT).send().await {
                Ok(response) => {
                    self.preferred.store(index, Ordering::Relaxed);
                    return answer(call, response).await;
                }
                Err(error) => failures.push(format!("{base}: {}", chain(&error.without_url()))),
            }
        }
        Err(CallError::Unreachable(failures.join("; ")))
    }
}

async fn answer<A: DeserializeOwned>(call: &'static str, response: reqwest::Response) -> Result<A, CallError> {
    let status = response.status();
    let body = response.bytes().await.map_err(|error| CallError::Unreachable(chain(&error.without_url())))?;
    if status.is_success() {
        return serde_json::from_slice(&body).map_err(|error| CallError::Answer { call, reason: error.to_string() });
    }
    // Problem details (RFC 9457) with our `code` and `next`; anything else (a proxy's page) is named by its status.
    let problem: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
    let field = |name: &str| problem.get(name).and_then(serde_json::Value::as_str).map(str::to_owned);
    let mut lines: Vec<String> = ["title", "detail"].into_iter().filter_map(field).collect();
    if let Some(next) = problem.get("next").and_then(serde_json::Value::as_array) {
        lines.extend(next.iter().filter_map(serde_json::Value::as_str).map(str::to_owned));
    }
    lines.dedup();
    Err(CallError::Refused {
        status: status.as_u16(),
        code: field("code").unwrap_or_else(|| "no_code".to_owned()),
        message: if lines.is_empty() { status.to_string() } else { lines.join(" ") },
    })
}

fn tls(key_sha256: &str, identity: Option<&ClientIdentity>) -> Result<rustls::ClientConfig, CallError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| CallError::Setup(chain(&error)))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(PinnedKey::new(key_sha256, provider)));
    match identity {
        None => Ok(builder.with_no_client_auth()),
        Some(identity) => {
            let certificates = CertificateDer::pem_slice_iter(identity.certificate_pem.as_bytes())
                .collect::<Result<Vec<_>, _>>()
                .map_err(|error| CallError::Setup(format!("the agent's certificate does not parse: {error}")))?;
            let key = PrivateKeyDer::from_pem_slice(identity.key_pem.as_bytes())
                .map_err(|error| CallError::Setup(format!("the agent's key does not parse: {error}")))?;
            builder.with_client_auth_cert(certificates, key).map_err(|error| CallError::Setup(chain(&error)))
        }
    }
}
