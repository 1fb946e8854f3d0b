//! One HTTP call: path, query, body, the answer or the reason why there is none.
//!
//! A transport failure is tried once more: reads always, changes because they carry an idempotency key. Everything else is
//! the caller's decision.

use std::time::Duration;

use reqwest::{Method, Response, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use super::error::chain;
use super::{ApiError, Client};
use crate::problem::Problem;

/// The API answers from its database, mostly within 100 ms; plans for a thousand nodes take some seconds.
const CALL_TIMEOUT: Duration = Duration::from_secs(60);
/// Calls that talk to a BMC before they answer (trust, contact, a new address, removal): an iDRAC needs up to 18 s a request
/// when it is busy, and such a call makes some of them.
pub(super) const BMC_CALL_TIMEOUT: Duration = Duration::from_secs(180);
/// Tries in all when the connection breaks.
const TRIES: u32 = 2;
/// A problem document is small; more is not ours.
const PROBLEM_LIMIT: usize = 64 * 1024;

/// A call in the making.
#[must_use]
pub(super) struct Call<'a> {
    client: &'a Client,
    method: Method,
    url: url::Url,
    name: String,
    body: Option<Vec<u8>>,
    headers: Vec<(&'static str, String)>,
    timeout: Duration,
}

impl Client {
    /// A call of `/api/v1/<segments…>`; segments are escaped.
    pub(super) fn call(&self, method: Method, segments: &[&str]) -> Call<'_> {
        let mut url = self.base.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(["api", "v1"]).extend(segments);
        }
        let name = format!("{method} {}", url.path());
        // A repeat of the same call after a lost answer carries the same key.
        let headers =
            if method == Method::POST { vec![("idempotency-key", Uuid::new_v4().to_string())] } else { Vec::new() };
        Call { client: self, method, url, name, body: None, headers, timeout: CALL_TIMEOUT }
    }

    pub(super) fn get(&self, segments: &[&str]) -> Call<'_> {
        self.call(Method::GET, segments)
    }

    pub(super) fn post(&self, segments: &[&str]) -> Call<'_> {
        self.call(Method::POST, segments)
    }

    /// Any call, for `helixctl api METHOD PATH`: the path may begin with `/api/v1` and may have a query.
    ///
    /// # Errors
    /// As every call.
    pub async fn raw(
        &self,
        method: &str,
        path: &str,
        body: Option<&serde_json::Value>,
    ) -> Result<serde_json::Value, ApiError> {
        let method = Method::from_bytes(method.to_ascii_uppercase().as_bytes())
            .map_err(|_| ApiError::Setup { reason: format!("\"{method}\" is no HTTP method") })?;
        let path = path.trim_start_matches('/');
        let path = path.strip_prefix("api/v1").unwrap_or(path).trim_start_matches('/');
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let mut call = self.call(method, &path.split('/').collect::<Vec<_>>()).timeout(BMC_CALL_TIMEOUT);
        if !query.is_empty() {
            call.url.set_query(Some(query));
        }
        if let Some(body) = body {
            call = call.json(body)?;
        }
        let (response, name) = call.send().await?;
        if response.status() == StatusCode::NO_CONTENT {
            return Ok(serde_json::Value::Null);
        }
        self.decode(response, &name).await
    }

    pub(super) fn unreachable(&self, error: &reqwest::Error) -> ApiError {
        let url = self.base.as_str().trim_end_matches('/').to_owned();
        if let Some(seen) = self.seen.lock().ok().and_then(|mut seen| seen.take()) {
            return ApiError::Tls {
                url,
                fingerprint: Some(seen.fingerprint),
                expected: seen.expected,
                reason: seen.reason,
            };
        }
        let reason = if error.is_timeout() { "no answer in time".to_owned() } else { chain(&error.without_url_ref()) };
        if reason.contains("InvalidContentType") || reason.contains("received corrupt message") {
            return ApiError::Tls {
                url,
                fingerprint: None,
                expected: None,
                reason: "it does not speak TLS".to_owned(),
            };
        }
        ApiError::Unreachable { url, reason }
    }

    pub(super) fn note_version(&self, response: &Response) {
        let version = response.headers().get(crate::VERSION_HEADER).and_then(|value| value.to_str().ok());
        if let (Some(version), Ok(mut known)) = (version, self.server_version.lock()) {
            *known = Some(version.to_owned());
        }
    }

    pub(super) async fn decode<T: DeserializeOwned>(&self, response: Response, call: &str) -> Result<T, ApiError> {
        let bytes = response.bytes().await.map_err(|error| self.unreachable(&error))?;
        serde_json::from_slice(&bytes).map_err(|error| self.not_understood(call, error.to_string()))
    }

    pub(super) fn not_understood(&self, call: &str, reason: String) -> ApiError {
        ApiError::Version {
            url: self.base.as_str().trim_end_matches('/').to_owned(),
            call: call.to_owned(),
            server: self.server_version(),
            reason,
        }
    }

    /// The refusal that an answer without success carries.
    pub(super) async fn refusal(&self, response: Response, call: &str) -> ApiError {
        let status = response.status().as_u16();
        let request_id =
            response.headers().get("x-request-id").and_then(|value| value.to_str().ok()).map(str::to_owned);
        let bytes = match response.bytes().await {
            Ok(bytes) => bytes,
            Err(error) => return self.unreachable(&error),
        };
        match serde_json::from_slice::<Problem>(&bytes[..bytes.len().min(PROBLEM_LIMIT)]) {
            Ok(mut problem) => {
                problem.status = status;
                problem.request_id = problem.request_id.or(request_id);
                ApiError::Problem(Box::new(problem))
            }
            Err(_) => self.not_understood(call, format!("status {status} without problem details")),
        }
    }
}

/// reqwest can only drop the URL from an owned error; the URL is said by our own message already.
trait WithoutUrl {
    fn without_url_ref(&self) -> Cause<'_>;
}

impl WithoutUrl for reqwest::Error {
    fn without_url_ref(&self) -> Cause<'_> {
        Cause(self)
    }
}

/// The causes below reqwest's own line.
#[derive(Debug)]
struct Cause<'a>(&'a reqwest::Error);

impl std::fmt::Display for Cause<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match std::error::Error::source(self.0) {
            Some(source) => f.write_str(&chain(source)),
            None => f.write_str("the connection broke"),
        }
    }
}

impl std::error::Error for Cause<'_> {}

impl Call<'_> {
    pub(super) fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    pub(super) fn query(mut self, name: &str, value: impl AsRef<str>) -> Self {
        self.url.query_pairs_mut().append_pair(name, value.as_ref());
        self
    }

    pub(super) fn query_opt(self, name: &str, value: Option<impl AsRef<str>>) -> Self {
        match value {
            Some(value) => self.query(name, value),
            None => self,
        }
    }

    pub(super) fn header(mut self, name: &'static str, value: String) -> Self {
        self.headers.push((name, value));
        self
    }

    pub(super) fn json(mut self, body: &impl Serialize) -> Result<Self, ApiError> {
        let bytes = serde_json::to_vec(body)
            .map_err(|error| ApiError::Setup { reason: format!("the request cannot be written as JSON: {error}") })?;
        self.body = Some(bytes);
        Ok(self)
    }

    /// The request without its body.
    pub(super) fn request(&self) -> reqwest::RequestBuilder {
        let mut request = self.client.http.request(self.method.clone(), self.url.clone()).timeout(self.timeout);
        request = request.header("accept", "application/json, application/problem+json");
        if let Some(token) = &self.client.token {
            request = request.bearer_auth(token);
        }
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        request
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Sends it; an answer without success becomes its refusal.
    async fn send(self) -> Result<(Response, String), ApiError> {
        let mut tries = 0;
        let response = loop {
            tries += 1;
            let mut request = self.request();
            if let Some(body) = &self.body {
                request = request.header("content-type", "application/json").body(body.clone());
            }
            match request.send().await {
                Ok(response) => break response,
                // Who refuses the connection or the certificate does so again; a connection that broke may not.
                Err(error) if tries < TRIES && !error.is_connect() && !error.is_timeout() => {}
                Err(error) => return Err(self.client.unreachable(&error)),
            }
        };
        self.client.note_version(&response);
        if response.status().is_success() {
            Ok((response, self.name))
        } else {
            Err(self.client.refusal(response, &self.name).await)
        }
    }

    /// Sends it and reads the JSON answer.
    pub(super) async fn answer<T: DeserializeOwned>(self) -> Result<T, ApiError> {
        let client = self.client;
        let (response, name) = self.send().await?;
        client.decode(response, &name).await
    }

    /// Sends it; the answer has no body that matters.
    pub(super) async fn done(self) -> Result<(), ApiError> {
        self.send().await.map(|_| ())
    }
}
