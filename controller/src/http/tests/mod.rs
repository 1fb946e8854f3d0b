//! The API as a client sees it: requests through the router, over a real Postgres.

mod access;
mod client;
mod description;
mod enrolment;
mod idempotency;
mod known_bmc;
mod live;
mod nodes;
mod refusals;
mod seed;
mod stage;
mod work;

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Method, Request, StatusCode};
use helix_api::problem::Problem;
use secrecy::ExposeSecret;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tower::ServiceExt;
use uuid::Uuid;

use crate::access::token;
use crate::app::App;
use crate::app::testing::{self, TestApp};

/// The API with a signed-in admin, operator and viewer.
pub(crate) struct Api {
    pub(crate) test: TestApp,
    router: axum::Router,
    pub(crate) admin: String,
    pub(crate) operator: String,
    pub(crate) viewer: String,
}

/// An answer, read.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) bytes: Vec<u8>,
}

impl Answered {
    pub(crate) fn json<T: DeserializeOwned>(&self) -> T {
        serde_json::from_slice(&self.bytes)
            .unwrap_or_else(|error| panic!("{error}: {} {}", self.status, String::from_utf8_lossy(&self.bytes)))
    }

    /// The refusal, after a look at its shape.
    pub(crate) fn problem(&self) -> Problem {
        assert_eq!(self.headers["content-type"], "application/problem+json", "{self:?}");
        let problem: Problem = self.json();
        assert_eq!(problem.status, self.status.as_u16());
        assert_eq!(problem.request_id.as_deref(), self.headers["x-request-id"].to_str().ok());
        problem
    }
}

impl Api {
    pub(crate) async fn new(db: sqlx::PgPool) -> Self {
        let test = testing::app(db).await;
        let router = super::router(Arc::clone(&test.app));
        let admin = seed::token(&test.app, "ada", "admin").await;
        let operator = seed::token(&test.app, "olaf", "operator").await;
        let viewer = seed::token(&test.app, "vera", "viewer").await;
        Self { test, router, admin, operator, viewer }
    }

    pub(crate) fn app(&self) -> &Arc<App> {
        &self.test.app
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Answered {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = to_bytes(body, usize::MAX).await.unwrap().to_vec();
        Answered { status: parts.status, headers: parts.headers, bytes }
    }

    pub(crate) fn request(method: Method, path: &str, token: &str) -> axum::http::request::Builder {
        Request::builder().method(method).uri(path).header("authorization", format!("Bearer {token}"))
    }

    pub(crate) async fn get(&self, path: &str) -> Answered {
        self.send(Self::request(Method::GET, path, &self.viewer).body(Body::empty()).unwrap()).await
    }

    pub(crate) async fn call(&self, method: Method, path: &str, token: &str, body: &Value) -> Answered {
        let request = Self::request(method, path, token).header("content-type", "application/json");
        self.send(request.body(Body::from(body.to_string())).unwrap()).await
    }

    /// As the admin.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answered {
        self.call(Method::POST, path, &self.admin, body).await
    }
}
