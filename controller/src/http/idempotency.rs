//! A POST with `Idempotency-Key` is done once: a repeat gets the answer of the first.
//!
//! The key belongs to the user; the same key with another body is refused. Files that are uploaded take part no more than
//! reads do: their body is not held in memory.

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use chrono::TimeDelta;
use sha2::{Digest, Sha256};

use super::actor::Actor;
use super::problem::Refused;
use super::router::BODY_LIMIT;
use crate::app::App;
use crate::store::idempotency;

/// Header of the request.
const KEY: &str = "idempotency-key";
/// Header of an answer that was given before.
const REPLAYED: HeaderValue = HeaderValue::from_static("true");
/// A key is a UUID or the like.
const LONGEST: usize = 128;
/// A request that gave no answer in this time died with its process; a plan for thousands of nodes takes seconds.
const STALE: TimeDelta = TimeDelta::minutes(10);

/// Does a POST once per key.
pub(crate) async fn layer(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let json = request
        .headers()
        .get(CONTENT_TYPE)
        .is_none_or(|value| value.to_str().is_ok_and(|text| text.starts_with("application/json")));
    let key = request.headers().get(KEY).cloned();
    let actor = request.extensions().get::<Actor>().map(|actor| actor.name.clone());
    match (key, actor) {
        (Some(key), Some(actor)) if request.method() == Method::POST && json => {
            once(&app, &key, &actor, request, next).await.unwrap_or_else(IntoResponse::into_response)
        }
        _ => next.run(request).await,
    }
}

async fn once(app: &App, key: &HeaderValue, actor: &str, request: Request, next: Next) -> Result<Response, Refused> {
    let key = key.to_str().ok().filter(|key| !key.is_empty() && key.len() <= LONGEST).ok_or_else(|| {
        Refused::bad_request(
            "idempotency_key_invalid",
            format!("An idempotency key is 1 to {LONGEST} visible characters."),
        )
    })?;
    let (parts, body) = request.into_parts();
    let bytes = to_bytes(body, BODY_LIMIT).await.map_err(|_| {
        Refused::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", "The body is too large or broke off.")
            .because(format!("At most {} MiB are taken.", BODY_LIMIT >> 20))
    })?;
    let mut hash = Sha256::new();
    hash.update(parts.uri.to_string().as_bytes());
    hash.update([0]);
    hash.update(&bytes);
    let digest: [u8; 32] = hash.finalize().into();
    let now = app.clock.now();
    if let Some(kept) = idempotency::begin(&app.db, actor, key, &digest, now, now - STALE).await? {
        return replay(&kept, &digest);
    }
    let request = Request::from_parts(parts, Body::from(bytes));
    let response = next.run(request).await;
    if response.status().is_server_error() {
        idempotency::forget(&app.db, actor, key).await?;
        return Ok(response);
    }
    let (parts, body) = response.into_parts();
    let bytes = to_bytes(body, usize::MAX).await.unwrap_or_default();
    let value = if bytes.is_empty() { serde_json::Value::Null } else { serde_json::from_slice(&bytes)? };
    idempotency::finish(&app.db, actor, key, i32::from(parts.status.as_u16()), &value).await?;
    Ok(Response::from_parts(parts, Body::from(bytes)))
}

fn replay(kept: &idempotency::Kept, digest: &[u8; 32]) -> Result<Response, Refused> {
    if kept.request_sha256 != digest {
        return Err(Refused::unprocessable(
            "idempotency_key_reused",
            "This idempotency key was used for another request. Nothing was done.",
        )
        .next("Use a new key for a new request."));
    }
    let status = kept.status.and_then(|status| u16::try_from(status).ok()).and_then(|s| StatusCode::from_u16(s).ok());
    let Some(status) = status else {
        return Err(Refused::conflict(
            "request_at_work",
            "The first request with this idempotency key is still at work.",
        )
        .next("Repeat in a moment to get its answer."));
    };
    let mut response = match &kept.response {
        None | Some(serde_json::Value::Null) => status.into_response(),
        Some(value) => (status, axum::Json(value)).into_response(),
    };
    if status.is_client_error() {
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    }
    response.headers_mut().insert("idempotency-replayed", REPLAYED);
    Ok(response)
}
