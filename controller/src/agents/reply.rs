//! Answers of the agents listener: JSON, and problem details when something is refused.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use helix_api::problem::Problem;

use crate::chain::Chain;
use crate::store::StoreError;

/// A refusal on its way out.
#[derive(Debug)]
pub(crate) struct Refused {
    problem: Box<Problem>,
    retry_after_seconds: Option<u32>,
}

impl Refused {
    pub(crate) fn new(status: StatusCode, code: &str, title: impl Into<String>) -> Self {
        Self { problem: Box::new(Problem::new(status.as_u16(), code, title)), retry_after_seconds: None }
    }

    pub(crate) fn next(mut self, line: impl Into<String>) -> Self {
        self.problem.next.push(line.into());
        self
    }

    pub(crate) fn because(mut self, detail: impl Into<String>) -> Self {
        self.problem.detail = Some(detail.into());
        self
    }

    pub(crate) fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after_seconds = Some(seconds);
        self
    }

    /// Something failed here that the caller cannot mend: said in full in the log, and in one line to the caller.
    pub(crate) fn internal(what: &'static str, error: &(dyn std::error::Error + 'static)) -> Self {
        tracing::error!(what, error = %Chain(error), "an agent's call failed");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", format!("the controller failed {what}"))
            .next("The reason stands in the controller's log.")
    }
}

impl From<StoreError> for Refused {
    fn from(error: StoreError) -> Self {
        tracing::error!(error = %Chain(&error), "an agent's call could not reach the database");
        // Agents try again by themselves.
        Self::new(StatusCode::SERVICE_UNAVAILABLE, error.code(), "the controller cannot reach its database now")
            .retry_after(5)
    }
}

impl From<sqlx::Error> for Refused {
    fn from(error: sqlx::Error) -> Self {
        StoreError::from(error).into()
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut answer = (status, Json(*self.problem)).into_response();
        answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = self.retry_after_seconds {
            answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        answer
    }
}

/// Anything that is no route of the protocol.
pub(crate) async fn no_such_route() -> Refused {
    Refused::new(StatusCode::NOT_FOUND, "no_such_route", "there is nothing at this address")
}

/// A body that was read, or why not: axum's own refusal has no problem details.
pub(crate) type Body<T> = Result<Json<T>, axum::extract::rejection::JsonRejection>;

/// The value of a body.
pub(crate) fn body<T>(body: Body<T>) -> Result<T, Refused> {
    match body {
        Ok(Json(value)) => Ok(value),
        Err(rejection) => Err(Refused::new(rejection.status(), "bad_request", "the request cannot be understood")
            .because(rejection.body_text())),
    }
}
