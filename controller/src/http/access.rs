//! Signing in and out, who one is, the own password.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Json;
use axum::extract::{ConnectInfo, Extension, State};
use axum::http::StatusCode;
use chrono::TimeDelta;
use helix_api::access::{LoginRequest, LoginResponse, PasswordChange, WhoAmI};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use uuid::Uuid;

use super::Answer;
use super::actor::{Actor, Role, Viewer};
use super::body::Body;
use super::problem::Refused;
use super::request_id::RequestId;
use super::throttle;
use crate::access::{password, token};
use crate::app::App;
use crate::store::{tokens, users};

/// A sign-in lasts a month: long enough for a laptop's daily use, short enough that a forgotten one ends.
const TOKEN_LIFE: TimeDelta = TimeDelta::days(30);
/// Longest name of a token.
const TOKEN_NAME: usize = 128;

/// Signs in with user and password; the answer holds a bearer token, shown once.
#[utoipa::path(post, path = "/api/v1/login", tag = "access", request_body = LoginRequest, security(()),
    responses((status = 200, body = LoginResponse), (status = "4XX", body = helix_api::problem::Problem)))]
pub(crate) async fn login(
    State(app): State<Arc<App>>,
    peer: Option<Extension<ConnectInfo<SocketAddr>>>,
    Extension(request_id): Extension<RequestId>,
    Body(request): Body<LoginRequest>,
) -> Answer<Json<LoginResponse>> {
    let now = app.clock.now();
    let address = peer.map(|Extension(ConnectInfo(address))| address.ip());
    if let Some(wait) = address.and_then(|address| throttle::wait_for(address, now)) {
        return Err(locked(wait.as_secs(), "Too many wrong passwords came from your address."));
    }
    let given = SecretString::from(request.password);
    let user = users::by_name(&app.db, &request.user).await?;
    if let Some(until) = user.as_ref().and_then(|user| user.locked_until).filter(|until| *until > now) {
        let left = u64::try_from((until - now).num_seconds().max(1)).unwrap_or(1);
        return Err(locked(left, "Too many wrong passwords in a row were given for this user."));
    }
    // Counted before the look at the password, so that a crash in between gives no free guess.
    let failed = match &user {
        Some(user) => users::login_attempted(&app.db, user.id).await?,
        None => 0,
    };
    let right = password::verify(&given, user.as_ref().map(|user| user.password_hash.clone())).await?;
    let user = match user {
        Some(user) if right && user.disabled_at.is_none() => user,
        user => {
            if let Some(address) = address {
                throttle::failed_from(address, now);
            }
            if let (Some(user), Some(lock)) = (&user, throttle::lock_after(failed)) {
                users::lock_until(&app.db, user.id, now + lock).await?;
            }
            // The name that was given is not written down: people type passwords there.
            let name = user.as_ref().map_or("unknown user", |user| user.name.as_str());
            let id = user.as_ref().map_or_else(String::new, |user| user.id.to_string());
            let nobody = nobody(name, request_id);
            let detail = json!({ "from": address });
            nobody.record_outcome(&app.db, "login", ("user", id, name), "refused", detail).await?;
            return Err(Refused::new(
                StatusCode::UNAUTHORIZED,
                "login_refused",
                "User or password is wrong, or the user is disabled.",
            )
            .next("Try again; after five wrong passwords each further one makes you wait.")
            .next("On the controller: helixd admin reset-password"));
        }
    };
    let (secret, digest) = token::generate()?;
    let name: String = request.token_name.unwrap_or_else(|| "sign-in".to_owned()).chars().take(TOKEN_NAME).collect();
    let expires_at = now + TOKEN_LIFE;
    let actor = Actor { user_id: user.id, ..nobody(&user.name, request_id) };
    let mut tx = app.db.begin().await?;
    users::login_succeeded(&mut *tx, user.id).await?;
    tokens::insert(&mut *tx, Uuid::now_v7(), user.id, &name, &digest, expires_at).await?;
    let detail = json!({ "token": name, "from": address });
    actor.record(&mut *tx, "login", ("user", user.id.to_string(), &user.name), detail).await?;
    tx.commit().await?;
    Ok(Json(LoginResponse {
        token: secret.expose_secret().to_owned(),
        expires_at,
        user: who(user.name, Role::read(&user.role), user.must_change_password),
    }))
}

fn locked(seconds: u64, why: &str) -> Refused {
    Refused::new(StatusCode::TOO_MANY_REQUESTS, "login_locked", "Signing in is blocked for a moment.")
        .because(why)
        .next(format!("Try again in {seconds} s."))
}

fn nobody(name: &str, request_id: RequestId) -> Actor {
    Actor {
        user_id: Uuid::nil(),
        token_id: Uuid::nil(),
        name: name.to_owned(),
        role: Role::Viewer,
        must_change_password: false,
        request_id: Some(request_id.0),
    }
}

fn who(name: String, role: Role, must_change_password: bool) -> WhoAmI {
    WhoAmI {
        name,
        role: role.as_str().to_owned(),
        must_change_password,
        server_version: env!("CARGO_PKG_VERSION").to_owned(),
    }
}

/// Ends the token that this was asked with.
#[utoipa::path(post, path = "/api/v1/logout", tag = "access",
    responses((status = 204), (status = "4XX", body = helix_api::problem::Problem)))]
pub(crate) async fn logout(Viewer(actor): Viewer, State(app): State<Arc<App>>) -> Answer<StatusCode> {
    let mut tx = app.db.begin().await?;
    tokens::revoke(&mut *tx, actor.token_id, app.clock.now()).await?;
    actor.record(&mut *tx, "logout", ("user", actor.user_id.to_string(), &actor.name), json!({})).await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Who is signed in.
#[utoipa::path(get, path = "/api/v1/whoami", tag = "access",
    responses((status = 200, body = WhoAmI), (status = "4XX", body = helix_api::problem::Problem)))]
pub(crate) async fn whoami(Viewer(actor): Viewer) -> Json<WhoAmI> {
    Json(who(actor.name, actor.role, actor.must_change_password))
}

/// Changes the own password. All other tokens of the user end.
#[utoipa::path(post, path = "/api/v1/password", tag = "access", request_body = PasswordChange,
    responses((status = 204), (status = "4XX", body = helix_api::problem::Problem)))]
pub(crate) async fn change_password(
    Viewer(actor): Viewer,
    State(app): State<Arc<App>>,
    Body(change): Body<PasswordChange>,
) -> Answer<StatusCode> {
    let user = users::by_id(&app.db, actor.user_id).await?.ok_or_else(super::sign_in::not_signed_in)?;
    let now = app.clock.now();
    if let Some(until) = user.locked_until.filter(|until| *until > now) {
        let left = u64::try_from((until - now).num_seconds().max(1)).unwrap_or(1);
        return Err(locked(left, "Too many wrong passwords in a row were given for this user."));
    }
    let failed = users::login_attempted(&app.db, user.id).await?;
    if !password::verify(&SecretString::from(change.old), Some(user.password_hash)).await? {
        if let Some(lock) = throttle::lock_after(failed) {
            users::lock_until(&app.db, user.id, now + lock).await?;
        }
        return Err(Refused::new(StatusCode::FORBIDDEN, "password_wrong", "The old password is wrong.").field("old"));
    }
    users::login_succeeded(&app.db, user.id).await?;
    let new = SecretString::from(change.new);
    password::change(&app, user.id, &user.name, &new, &actor.name, Some(actor.token_id)).await?;
    Ok(StatusCode::NO_CONTENT)
}
