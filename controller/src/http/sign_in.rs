//! Signing in: every route but the open ones wants a bearer token that still works.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use chrono::TimeDelta;

use super::actor::{Actor, Role};
use super::problem::Refused;
use crate::access::token;
use crate::app::App;
use crate::store::tokens;

/// Routes that need no token.
const OPEN: [&str; 3] = ["/api/v1/login", "/api/v1/openapi.json", "/api/v1/healthz"];
/// "Last used" is kept to this, so that reading costs no writes.
const USED_EVERY: TimeDelta = TimeDelta::seconds(60);

/// The answer to whom nobody knows.
pub(crate) fn not_signed_in() -> Refused {
    Refused::new(StatusCode::UNAUTHORIZED, "not_signed_in", "You are not signed in, or your sign-in has ended.")
        .next("helixctl login")
}

/// Lets a request through with its [`Actor`], or answers 401.
pub(crate) async fn layer(State(app): State<Arc<App>>, mut request: Request, next: Next) -> Response {
    if OPEN.contains(&request.uri().path()) {
        return next.run(request).await;
    }
    match actor(&app, request.headers()).await {
        Ok(actor) => {
            request.extensions_mut().insert(actor);
            next.run(request).await
        }
        Err(refused) => {
            let mut response = refused.into_response();
            if response.status() == StatusCode::UNAUTHORIZED {
                response
                    .headers_mut()
                    .insert(WWW_AUTHENTICATE, axum::http::HeaderValue::from_static("Bearer realm=\"helix\""));
            }
            response
        }
    }
}

async fn actor(app: &App, headers: &HeaderMap) -> Result<Actor, Refused> {
    let header = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let given = header
        .split_once(' ')
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, given)| given.trim())
        .filter(|given| given.starts_with(token::PREFIX))
        .ok_or_else(not_signed_in)?;
    let now = app.clock.now();
    let owner = tokens::owner(&app.db, &token::digest(given), now).await?.ok_or_else(not_signed_in)?;
    if owner.used_at.is_none_or(|used| now - used > USED_EVERY) {
        tokens::used(&app.db, owner.token_id, now).await?;
    }
    Ok(Actor {
        user_id: owner.user_id,
        token_id: owner.token_id,
        name: owner.user_name,
        role: Role::read(&owner.role),
        must_change_password: owner.must_change_password,
        request_id: None,
    })
}
