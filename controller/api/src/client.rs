//! Typed client of the public API, for `helixctl` and tests: nothing here that the API does not offer to everybody.
//!
//! HTTPS only, by a pinned certificate or a certificate authority ([`Trust`]). Every POST carries an idempotency key, so a
//! lost answer is asked for again without doing anything twice. A file per group of routes holds the calls themselves.
//! It keeps no state on disk and prints nothing.

mod access;
mod call;
mod error;
mod images;
mod nodes;
mod stream;
mod trust;
mod work;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use url::Url;

pub use error::ApiError;
pub use nodes::{NodeQuery, RemoveOptions};
pub use stream::{Feed, FeedStream};
pub use trust::{Trust, clean_fingerprint, fingerprint_in_words};
pub use work::WorkflowQuery;

/// A LAN answers a connect within milliseconds; 10 s leave room for a lost SYN or three (1, 3, 7 s).
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Idle connections are closed by the controller after a minute; ours go first, so that no request meets a closing one.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// One controller, as one user sees it. Cheap to clone.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    base: Url,
    token: Option<Arc<str>>,
    seen: trust::Seen,
    server_version: Arc<Mutex<Option<String>>>,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client")
            .field("base", &self.base.as_str())
            .field("signed_in", &self.token.is_some())
            .finish_non_exhaustive()
    }
}

impl Client {
    /// A client for `https://HOST:PORT`; a bare `HOST:PORT` is taken as https, and without a port 8443 is used.
    ///
    /// # Errors
    /// [`ApiError::Setup`] when the URL is none, is plain http, or the certificate authority does not parse.
    pub fn new(url: &str, trust: Trust, token: Option<String>) -> Result<Self, ApiError> {
        let base = base_url(url)?;
        let seen = trust::Seen::default();
        let tls = trust::tls_config(trust, seen.clone())?;
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .https_only(true)
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_idle_timeout(IDLE_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("helix-client/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| ApiError::Setup { reason: error::chain(&error) })?;
        Ok(Self { http, base, token: token.map(Arc::from), seen, server_version: Arc::default() })
    }

    /// Asks a controller for its certificate and sends nothing else: the SHA-256 of the certificate, lower-case hex, for a
    /// person to compare.
    ///
    /// # Errors
    /// [`ApiError::Unreachable`] when nobody answers, [`ApiError::Tls`] when the answer is no TLS.
    pub async fn probe(url: &str) -> Result<String, ApiError> {
        let client = Self::new(url, Trust::Probe, None)?;
        match client.healthz().await {
            Err(ApiError::Tls { fingerprint: Some(fingerprint), .. }) => Ok(fingerprint),
            Err(error) => Err(error),
            Ok(()) => Err(ApiError::Setup { reason: "a probe must not be answered".to_owned() }),
        }
    }

    /// The same client with another token.
    #[must_use]
    pub fn with_token(&self, token: impl Into<String>) -> Self {
        Self { token: Some(Arc::from(token.into())), ..self.clone() }
    }

    /// Where the controller is, e.g. `https://helix.example:8443/`.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.base
    }

    /// Version that the controller named in its last answer.
    #[must_use]
    pub fn server_version(&self) -> Option<String> {
        self.server_version.lock().ok().and_then(|version| version.clone())
    }
}

/// Port of the API when the URL names none.
const DEFAULT_PORT: u16 = 8443;

fn base_url(text: &str) -> Result<Url, ApiError> {
    let text = text.trim();
    let bad = |reason: String| ApiError::Setup { reason: format!("\"{text}\" is no controller URL: {reason}") };
    let with_scheme = if text.contains("://") { text.to_owned() } else { format!("https://{text}") };
    let mut url = Url::parse(&with_scheme).map_err(|error| bad(error.to_string()))?;
    if url.scheme() != "https" {
        return Err(bad("the API speaks https only".to_owned()));
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err(bad("it names no host".to_owned()));
    }
    // `url` drops the port when it is https's own, so look at what was written.
    let authority = with_scheme.trim_start_matches("https://").split(['/', '?', '#']).next().unwrap_or_default();
    if url.port().is_none() && !authority.ends_with(":443") {
        url.set_port(Some(DEFAULT_PORT)).map_err(|()| bad("it cannot have a port".to_owned()))?;
    }
    url.set_path("/");
    url.set_query(None);
    url.set_fragment(None);
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_host_is_taken_as_https_on_8443() {
        assert_eq!(base_url("helix").unwrap().as_str(), "https://helix:8443/");
        assert_eq!(base_url("10.0.0.1:9443").unwrap().as_str(), "https://10.0.0.1:9443/");
        assert_eq!(base_url("https://helix/api/v1?x=1").unwrap().as_str(), "https://helix:8443/");
        assert_eq!(base_url("https://helix:443").unwrap().as_str(), "https://helix/");
    }

    #[test]
    fn plain_http_is_refused_in_words() {
        let error = base_url("http://helix:8080").unwrap_err();
        assert!(error.to_string().contains("https only"), "{error}");
        assert_eq!(error.code(), "client_setup");
    }
}
