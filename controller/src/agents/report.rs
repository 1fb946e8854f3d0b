//! `POST /agent/v1/report` and `/renew`: what an agent says once it has its certificate.

use std::sync::Arc;

use axum::extract::State;
use axum::{Extension, Json};
use helix_api::agent::{AgentReport, RenewRequest, RenewResponse, ReportResponse};
use helix_inventory::id::NodeId;
use serde_json::Value;

use super::join::{Signed, report_interval_seconds};
use super::reply::{Body, Refused, body};
use super::{Agents, peer};
use crate::listener::PeerCertificate;
use crate::store::agents::{self, Reported};
use crate::store::events::{self, NewEvent};
use crate::store::workflows;

/// `POST /agent/v1/report`
pub(super) async fn report(
    State(shared): State<Arc<Agents>>,
    peer: Option<Extension<PeerCertificate>>,
    request: Body<AgentReport>,
) -> Result<Json<ReportResponse>, Refused> {
    let app = &shared.app;
    let mut tx = app.db.begin().await?;
    let agent = peer::agent(&shared, &mut tx, peer.as_ref().map(|Extension(peer)| peer)).await?;
    let report = body(request)?;
    let document = serde_json::to_value(&report).unwrap_or(Value::Null);
    let reported = Reported {
        node_id: agent.node_id,
        boot_id: &report.boot_id,
        agent_version: &report.agent_version,
        simulated: report.simulated,
        os_name: &report.os.name,
        kernel: &report.os.kernel,
        report: &document,
        now: app.clock.now(),
    };
    agents::note_report(&mut tx, &reported).await?;
    let first = agent.report_at.is_none();
    let booted = agent.boot_id.as_deref() != Some(report.boot_id.as_str());
    if first || booted {
        let name = agents::node(&mut tx, agent.node_id).await?.map(|node| node.name).unwrap_or_default();
        let what = if first { "reports for the first time" } else { "reports after a new boot" };
        let message = format!("The agent of {name} {what}: {}, kernel {}.", report.os.name, report.os.kernel);
        let event = NewEvent {
            node_id: agent.node_id,
            source: "agent",
            severity: "info",
            code: Some(if first { "agent_first_report" } else { "node_booted" }),
            message: &message,
            workflow_id: workflows::open_of_node(&mut tx, agent.node_id).await?.map(|workflow| workflow.id),
        };
        events::insert(&mut tx, &event).await?;
    }
    // Every report is news to a workflow that waits for one; there is one a node at most, and rarely any.
    workflows::wake_node(&mut tx, agent.node_id).await?;
    tx.commit().await?;
    Ok(Json(ReportResponse { report_interval_seconds: report_interval_seconds(app) }))
}

/// `POST /agent/v1/renew`
pub(super) async fn renew(
    State(shared): State<Arc<Agents>>,
    peer: Option<Extension<PeerCertificate>>,
    request: Body<RenewRequest>,
) -> Result<Json<RenewResponse>, Refused> {
    let app = &shared.app;
    let mut tx = app.db.begin().await?;
    let agent = peer::agent(&shared, &mut tx, peer.as_ref().map(|Extension(peer)| peer)).await?;
    let request = body(request)?;
    let signed = Signed::new(app, &request.csr_pem, NodeId(agent.node_id), app.clock.now())?;
    agents::offer_certificate(&mut tx, agent.node_id, &signed.certificate_sha256, signed.not_after).await?;
    tx.commit().await?;
    Ok(Json(RenewResponse { certificate_pem: signed.pem, ca_pem: app.ca.certificate_pem().to_owned() }))
}
