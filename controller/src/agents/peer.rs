//! Which agent calls: by its client certificate, against what the database says of it.
//!
//! TLS has checked that the certificate is ours and in date; whether it still counts (not revoked, not replaced by a
//! later join) stands in the database only.

use axum::http::StatusCode;
use sha2::{Digest as _, Sha256};
use sqlx::PgConnection;

use super::Agents;
use super::reply::Refused;
use crate::listener::PeerCertificate;
use crate::store::agents::{self, AgentRow};

/// The agent behind a connection.
///
/// # Errors
/// 401 with the reason.
pub(crate) async fn agent(
    shared: &Agents,
    conn: &mut PgConnection,
    peer: Option<&PeerCertificate>,
) -> Result<AgentRow, Refused> {
    let refused = |code: &str, title: &str| Refused::new(StatusCode::UNAUTHORIZED, code, title);
    let Some(der) = peer.and_then(|peer| peer.0.as_deref()) else {
        return Err(refused("certificate_required", "this call needs the client certificate that a join gives"));
    };
    let sha256 = Sha256::digest(der);
    let Some(agent) = agents::of_certificate(conn, &sha256).await? else {
        return Err(refused(
            "certificate_unknown",
            "this certificate belongs to no node: it was replaced by a later join, or the node was removed",
        )
        .next("Provision the node again, or give it a new join token."));
    };
    if agent.revoked_at.is_some() {
        return Err(refused("certificate_revoked", "this agent's certificate was revoked")
            .next("Provision the node again, or give it a new join token."));
    }
    let is_next = agent.next_certificate_sha256.as_deref() == Some(sha256.as_slice());
    let not_after = if is_next { agent.next_not_after.unwrap_or(agent.not_after) } else { agent.not_after };
    if not_after <= shared.app.clock.now() {
        return Err(refused("certificate_expired", "this agent's certificate has expired")
            .because(format!("it was good until {not_after}"))
            .next("Give the node a new join token."));
    }
    if is_next {
        agents::take_next_certificate(conn, agent.node_id, &sha256).await?;
    }
    Ok(agent)
}
