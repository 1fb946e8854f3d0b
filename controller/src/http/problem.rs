//! Refusals: every answer that is no success is a problem document with a stable code.
//!
//! What goes wrong inside (database, disk) is logged once here with its causes and told to the client without them.

use axum::Json;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use helix_api::problem::Problem;

use super::request_id::RequestId;
use crate::access::password::PasswordError;
use crate::access::secrets::SecretsError;
use crate::chain::Chain;
use crate::store::StoreError;

/// Media type of a problem document (RFC 9457).
const PROBLEM_JSON: HeaderValue = HeaderValue::from_static("application/problem+json");
/// A refusal that axum wrote itself is one line of text.
const FOREIGN_LIMIT: usize = 4096;

/// A refusal on its way out.
#[derive(Debug, Clone)]
pub(crate) struct Refused(pub(crate) Box<Problem>);

impl Refused {
    /// A refusal with status, code and what was attempted.
    pub(crate) fn new(status: StatusCode, code: &str, title: impl Into<String>) -> Self {
        Self(Box::new(Problem::new(status.as_u16(), code, title)))
    }

    pub(crate) fn bad_request(code: &str, title: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, title)
    }

    pub(crate) fn unprocessable(code: &str, title: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, title)
    }

    pub(crate) fn not_found(code: &str, title: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, code, title)
    }

    pub(crate) fn conflict(code: &str, title: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, code, title)
    }

    /// Adds why.
    #[must_use]
    pub(crate) fn because(mut self, detail: impl Into<String>) -> Self {
        self.0.detail = Some(detail.into());
        self
    }

    /// Adds a way out.
    #[must_use]
    pub(crate) fn next(mut self, line: impl Into<String>) -> Self {
        self.0.next.push(line.into());
        self
    }

    /// Names the field that is wrong.
    #[must_use]
    pub(crate) fn field(mut self, field: impl Into<String>) -> Self {
        self.0.field = Some(field.into());
        self
    }

    /// Names the candidates of an ambiguous reference.
    #[must_use]
    pub(crate) fn candidates(mut self, candidates: Vec<String>) -> Self {
        self.0.candidates = candidates;
        self
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, Json(&self.0)).into_response();
        response.headers_mut().insert(CONTENT_TYPE, PROBLEM_JSON);
        if matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
            response.headers_mut().entry(RETRY_AFTER).or_insert(HeaderValue::from_static("5"));
        }
        response
    }
}

/// What went wrong inside: logged with its causes, told without them.
fn inside(error: &(dyn std::error::Error + 'static), code: &str) -> Refused {
    tracing::error!(error = %Chain(error), code, "a request failed");
    Refused::new(StatusCode::INTERNAL_SERVER_ERROR, code, "The controller failed to do this; its log says why.")
        .next("Look into the log of helixd for the request id.")
}

impl From<StoreError> for Refused {
    fn from(error: StoreError) -> Self {
        match &error {
            StoreError::NotFound { what } => {
                Self::not_found("not_found", format!("There is no such {what} (any more)."))
            }
            StoreError::Stale { what } => Self::conflict(
                "changed_meanwhile",
                format!("The {what} was changed by somebody else meanwhile. Nothing was changed."),
            )
            .next("Read it again and repeat."),
            StoreError::Unavailable(_) => {
                tracing::warn!(error = %Chain(&error), "a request met a database that cannot be reached");
                Self::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "database_unavailable",
                    "The controller cannot reach its database at the moment; it keeps trying.",
                )
                .next("Repeat the request in a few seconds.")
            }
            StoreError::Conflict { .. } | StoreError::Unreadable { .. } | StoreError::Statement(_) => {
                inside(&error, error.code())
            }
        }
    }
}

impl From<sqlx::Error> for Refused {
    fn from(error: sqlx::Error) -> Self {
        StoreError::from(error).into()
    }
}

impl From<SecretsError> for Refused {
    fn from(error: SecretsError) -> Self {
        inside(&error, error.code())
    }
}

impl From<PasswordError> for Refused {
    fn from(error: PasswordError) -> Self {
        match error {
            PasswordError::Length => {
                Self::unprocessable(error.code(), "The new password was not taken.").because(error.to_string())
            }
            PasswordError::Store(error) => error.into(),
            other => inside(&other, other.code()),
        }
    }
}

impl From<serde_json::Error> for Refused {
    fn from(error: serde_json::Error) -> Self {
        inside(&error, "json_unwritable")
    }
}

/// Gives every refusal its request id, and the shape of a problem to those that axum or a panic made.
pub(crate) async fn shape(request: Request, next: Next) -> Response {
    use futures::FutureExt as _;

    let id = request.extensions().get::<RequestId>().cloned();
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    let response = match std::panic::AssertUnwindSafe(next.run(request)).catch_unwind().await {
        Ok(response) => response,
        Err(panic) => {
            let text = panic
                .downcast_ref::<&str>()
                .map(|text| (*text).to_owned())
                .or_else(|| panic.downcast_ref::<String>().cloned())
                .unwrap_or_default();
            tracing::error!(%method, path, panic = text, "a request handler panicked");
            Refused::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "internal",
                "The controller failed to do this; its log says why.",
            )
            .into_response()
        }
    };
    if !response.status().is_client_error() && !response.status().is_server_error() {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let ours = parts.headers.get(CONTENT_TYPE) == Some(&PROBLEM_JSON);
    let bytes = to_bytes(body, if ours { usize::MAX } else { FOREIGN_LIMIT }).await.unwrap_or_default();
    let mut problem = if ours {
        serde_json::from_slice::<Problem>(&bytes).unwrap_or_default()
    } else {
        foreign(parts.status, &method, &path, &String::from_utf8_lossy(&bytes))
    };
    problem.request_id = id.map(|id| id.0);
    parts.headers.remove(axum::http::header::CONTENT_LENGTH);
    parts.headers.insert(CONTENT_TYPE, PROBLEM_JSON);
    Response::from_parts(parts, Body::from(serde_json::to_vec(&problem).unwrap_or_default()))
}

fn foreign(status: StatusCode, method: &axum::http::Method, path: &str, text: &str) -> Problem {
    let title = match status {
        StatusCode::NOT_FOUND => format!("There is no {path} in this API."),
        StatusCode::METHOD_NOT_ALLOWED => format!("{path} does not take {method}."),
        StatusCode::PAYLOAD_TOO_LARGE => format!("The body of this {method} {path} is too large."),
        _ => format!("{method} {path} was refused."),
    };
    let code = match status {
        StatusCode::NOT_FOUND => "route_unknown",
        StatusCode::METHOD_NOT_ALLOWED => "method_not_allowed",
        StatusCode::PAYLOAD_TOO_LARGE => "body_too_large",
        _ if status.is_client_error() => "bad_request",
        _ => "internal",
    };
    let problem = Problem::new(status.as_u16(), code, title);
    if text.is_empty() { problem } else { problem.because(text) }
}
