//! The agents listener: deploy ramdisks and installed agents.
//!
//! Both dial out to it; nothing is ever dialled. A ramdisk shows a one-time token and then the secret it got for it, an
//! installed agent joins with a one-time token and then shows its client certificate. What they say is stored and wakes
//! the workflow; what happens next is the workflow's business.

mod deploy;
mod identity;
mod join;
mod peer;
mod refusals;
mod reply;
mod report;
#[cfg(test)]
mod tests;
mod wake;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post};
use chrono::TimeDelta;
use secrecy::SecretString;
use sqlx::PgConnection;
use uuid::Uuid;

use self::refusals::Refusals;
use self::wake::Wake;
use crate::access::secrets::SecretsError;
use crate::access::token;
use crate::app::App;
use crate::store::{StoreError, join_tokens};

/// A report of an XE9680 with 8 GPUs, 12 InfiniBand ports and 40 disks has about 30 KiB; machine facts less.
const MOST_BODY_BYTES: usize = 1 << 20;
/// A join token waits while an image is written, the node boots (30 min of POST) and cloud-init runs. It dies with its
/// workflow anyway.
const JOIN_TOKEN_LIFETIME: TimeDelta = TimeDelta::hours(24);

/// What the handlers share.
pub(crate) struct Agents {
    pub(crate) app: Arc<App>,
    pub(crate) wake: Wake,
    pub(crate) refusals: Refusals,
}

/// Routes of the agents listener.
pub fn router(app: Arc<App>) -> Router {
    let agents = Arc::new(Agents { wake: Wake::spawn(&app), refusals: Refusals::new(), app });
    Router::new()
        .route("/agent/v1/deploy/claim", post(deploy::claim))
        .route("/agent/v1/deploy/next", get(deploy::next))
        .route("/agent/v1/deploy/report", post(deploy::report))
        .route("/agent/v1/join", post(join::join))
        .route("/agent/v1/report", post(report::report))
        .route("/agent/v1/renew", post(report::renew))
        .fallback(reply::no_such_route)
        .layer(DefaultBodyLimit::max(MOST_BODY_BYTES))
        .with_state(agents)
}

/// Why a join token could not be made.
#[derive(Debug, thiserror::Error)]
pub enum JoinTokenError {
    #[error("making a join token")]
    Random(#[from] SecretsError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A new one-time join token for a node.
///
/// # Errors
/// When the database cannot be asked.
pub async fn join_token(
    app: &App,
    conn: &mut PgConnection,
    node_id: Uuid,
    workflow_id: Option<Uuid>,
) -> Result<SecretString, JoinTokenError> {
    let (secret, digest) = token::generate()?;
    join_tokens::insert(conn, &digest, node_id, workflow_id, app.clock.now() + JOIN_TOKEN_LIFETIME).await?;
    Ok(secret)
}
