//! `POST /agent/v1/join`: a one-time token and a key become a certificate.
//!
//! Of the certificate request only the key is taken; the subject is the node's. The token is bound to the key that used
//! it: the same agent may ask again when its answer was lost, another one may not.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{ConnectInfo, State};
use axum::http::StatusCode;
use chrono::{DateTime, TimeDelta, Utc};
use helix_api::agent::{JoinRequest, JoinResponse};
use helix_inventory::id::NodeId;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use sha2::{Digest as _, Sha256};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::reply::{Body, Refused, body};
use super::{Agents, identity};
use crate::access::ca::CaError;
use crate::access::token;
use crate::app::App;
use crate::store::agents::{self, Joined};
use crate::store::events::{self, NewEvent};
use crate::store::{join_tokens, workflows};

/// A node that was switched off for a quarter still comes back by itself; agents renew long before.
const CERTIFICATE_LIFETIME: TimeDelta = TimeDelta::days(90);
/// How often an agent reports: two lost reports make a node stale after a minute and a half.
const REPORT_EVERY: Duration = Duration::from_secs(30);

pub(super) async fn join(
    State(shared): State<Arc<Agents>>,
    ConnectInfo(remote): ConnectInfo<SocketAddr>,
    request: Body<JoinRequest>,
) -> Result<Json<JoinResponse>, Refused> {
    shared.refusals.check(remote.ip())?;
    let request = body(request)?;
    let app = &shared.app;
    let now = app.clock.now();
    let digest = token::digest(&request.token);
    let unknown = || {
        shared.refusals.count(remote.ip());
        Refused::new(
            StatusCode::UNAUTHORIZED,
            "join_token_unknown",
            "this join token is not known here, or has expired",
        )
        .next("Provision the node again, or give it a new join token.")
    };
    let mut conn = app.db.acquire().await?;
    let token =
        join_tokens::find(&mut conn, &digest).await?.filter(|token| token.expires_at > now).ok_or_else(unknown)?;
    let node = agents::node(&mut conn, token.node_id).await?.ok_or_else(unknown)?;
    let event = async |conn: &mut sqlx::PgConnection, severity: &str, code: &str, message: &str| {
        let event = NewEvent {
            node_id: node.id,
            source: "agent",
            severity,
            code: Some(code),
            message,
            workflow_id: token.workflow_id,
        };
        events::insert(conn, &event).await
    };
    if let Some(other) = identity::other_tag(&node, &request.machine) {
        shared.refusals.count(remote.ip());
        let message = format!(
            "A machine that calls itself {other} (from {}) tried to join as {} ({}); it was refused.",
            remote.ip(),
            node.name,
            node.service_tag
        );
        event(&mut conn, "critical", "join_wrong_machine", &message).await?;
        return Err(Refused::new(StatusCode::CONFLICT, "join_wrong_machine", message)
            .next("A disk was moved between chassis, or the BMC address belongs to another machine: provision the node again."));
    }
    let signed = Signed::new(app, &request.csr_pem, NodeId(node.id), now)?;
    drop(conn);
    let mut tx = app.db.begin().await?;
    if !join_tokens::redeem(&mut tx, &digest, &signed.key_sha256, now).await? {
        shared.refusals.count(remote.ip());
        let used = join_tokens::find(&mut tx, &digest).await?.and_then(|token| token.used_at);
        let when = used.map_or_else(String::new, |at| format!(" at {}", at.format("%Y-%m-%d %H:%M:%S UTC")));
        let message =
            format!("The join token of {} was used already{when}; {} tried it again.", node.name, remote.ip());
        event(&mut tx, "warning", "join_token_used", &message).await?;
        tx.commit().await?;
        return Err(Refused::new(StatusCode::CONFLICT, "join_token_used", message)
            .next("A join token serves one agent. Provision the node again, or give it a new join token."));
    }
    let joined = Joined {
        node_id: node.id,
        certificate_sha256: &signed.certificate_sha256,
        not_after: signed.not_after,
        boot_id: &request.boot_id,
        agent_version: &request.agent_version,
        simulated: request.simulated,
        now,
    };
    agents::join(&mut tx, &joined).await?;
    let simulated = if request.simulated { " (simulated)" } else { "" };
    let message = format!(
        "The agent of {} joined{simulated} from {}, version {}.",
        node.name,
        remote.ip(),
        request.agent_version
    );
    event(&mut tx, "info", "agent_joined", &message).await?;
    workflows::wake_node(&mut tx, node.id).await?;
    tx.commit().await?;
    Ok(Json(JoinResponse {
        certificate_pem: signed.pem,
        ca_pem: app.ca.certificate_pem().to_owned(),
        node_id: node.id.to_string(),
        node_name: node.name,
        report_interval_seconds: report_interval_seconds(app),
    }))
}

/// A certificate that was just made.
pub(super) struct Signed {
    pub(super) pem: String,
    pub(super) certificate_sha256: [u8; 32],
    /// Of the public key, SubjectPublicKeyInfo.
    key_sha256: [u8; 32],
    pub(super) not_after: DateTime<Utc>,
}

impl Signed {
    /// Signs a request for a node.
    ///
    /// # Errors
    /// 422 when the request is malformed or not signed by its own key.
    pub(super) fn new(app: &App, csr_pem: &str, node: NodeId, now: DateTime<Utc>) -> Result<Self, Refused> {
        let not_after = now + CERTIFICATE_LIFETIME;
        let pem = app.ca.sign(csr_pem, node, not_after).map_err(|error| match error {
            CaError::Request(_) => Refused::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                error.code(),
                "the certificate request is not valid, or not signed by its own key",
            ),
            other => Refused::internal("to sign a certificate", &other),
        })?;
        let der = CertificateDer::from_pem_slice(pem.as_bytes())
            .map_err(|error| Refused::internal("to read a certificate back", &error))?;
        let (_, parsed) =
            X509Certificate::from_der(&der).map_err(|error| Refused::internal("to read a certificate back", &error))?;
        Ok(Self {
            key_sha256: Sha256::digest(parsed.public_key().raw).into(),
            certificate_sha256: Sha256::digest(&der).into(),
            not_after,
            pem,
        })
    }
}

/// The interval under the time scale: agents take it as it is.
pub(super) fn report_interval_seconds(app: &App) -> u32 {
    u32::try_from(app.clock.scaled(REPORT_EVERY).as_secs()).unwrap_or(u32::MAX).max(1)
}
