//! Agents: one a node, known by its certificate; the newest report is kept.
//!
//! A renewed certificate lies beside the old one until it is used for the first time, so that a lost answer locks no
//! agent out.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use super::StoreError;

/// One agent.
#[derive(Debug, Clone)]
pub struct AgentRow {
    pub node_id: Uuid,
    pub certificate_sha256: Vec<u8>,
    pub not_after: DateTime<Utc>,
    pub next_certificate_sha256: Option<Vec<u8>>,
    pub next_not_after: Option<DateTime<Utc>>,
    pub revoked_at: Option<DateTime<Utc>>,
    pub joined_at: DateTime<Utc>,
    pub boot_id: Option<String>,
    pub agent_version: Option<String>,
    pub simulated: bool,
    pub os_name: Option<String>,
    pub kernel: Option<String>,
    /// Newest `helix_api::agent::AgentReport`.
    pub report: Option<Value>,
    pub report_at: Option<DateTime<Utc>>,
}

/// What a join leaves behind.
#[derive(Debug, Clone)]
pub struct Joined<'a> {
    pub node_id: Uuid,
    pub certificate_sha256: &'a [u8],
    pub not_after: DateTime<Utc>,
    pub boot_id: &'a str,
    pub agent_version: &'a str,
    pub simulated: bool,
    pub now: DateTime<Utc>,
}

/// What a report leaves behind.
#[derive(Debug, Clone)]
pub struct Reported<'a> {
    pub node_id: Uuid,
    pub boot_id: &'a str,
    pub agent_version: &'a str,
    pub simulated: bool,
    pub os_name: &'a str,
    pub kernel: &'a str,
    pub report: &'a Value,
    pub now: DateTime<Utc>,
}

/// The agent of a node.
///
/// # Errors
/// When the database cannot be asked.
pub async fn find(conn: &mut PgConnection, node_id: Uuid) -> Result<Option<AgentRow>, StoreError> {
    let row = sqlx::query_as!(
        AgentRow,
        "select node_id, certificate_sha256, not_after, next_certificate_sha256, next_not_after, revoked_at, joined_at,
             boot_id, agent_version, simulated, os_name, kernel, report, report_at
         from agents where node_id = $1",
        node_id
    )
    .fetch_optional(conn)
    .await?;
    Ok(row)
}

/// The agent that holds a certificate, the present or the next one.
///
/// # Errors
/// When the database cannot be asked.
pub async fn of_certificate(conn: &mut PgConnection, sha256: &[u8]) -> Result<Option<AgentRow>, StoreError> {
    let row = sqlx::query_as!(
        AgentRow,
        "select node_id, certificate_sha256, not_after, next_certificate_sha256, next_not_after, revoked_at, joined_at,
             boot_id, agent_version, simulated, os_name, kernel, report, report_at
         from agents where certificate_sha256 = $1 or next_certificate_sha256 = $1",
        sha256
    )
    .fetch_optional(conn)
    .await?;
    Ok(row)
}

/// A node joins; whatever agent it had before is forgotten, with its certificates and its report.
///
/// # Errors
/// When the database cannot be asked.
pub async fn join(conn: &mut PgConnection, joined: &Joined<'_>) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into agents (node_id, certificate_sha256, not_after, joined_at, boot_id, agent_version, simulated)
         values ($1, $2, $3, $4, $5, $6, $7)
         on conflict (node_id) do update set certificate_sha256 = excluded.certificate_sha256,
             not_after = excluded.not_after, next_certificate_sha256 = null, next_not_after = null, revoked_at = null,
             joined_at = excluded.joined_at, boot_id = excluded.boot_id, agent_version = excluded.agent_version,
             simulated = excluded.simulated, os_name = null, kernel = null, report = null, report_at = null",
        joined.node_id,
        joined.certificate_sha256,
        joined.not_after,
        joined.now,
        joined.boot_id,
        joined.agent_version,
        joined.simulated
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        "update nodes set simulated = $2, updated_at = $3 where id = $1 and simulated is distinct from $2",
        joined.node_id,
        joined.simulated,
        joined.now
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Stores the newest report.
///
/// # Errors
/// When the database cannot be asked.
pub async fn note_report(conn: &mut PgConnection, reported: &Reported<'_>) -> Result<(), StoreError> {
    sqlx::query!(
        "update agents set boot_id = $2, agent_version = $3, simulated = $4, os_name = $5, kernel = $6, report = $7,
             report_at = $8
         where node_id = $1",
        reported.node_id,
        reported.boot_id,
        reported.agent_version,
        reported.simulated,
        reported.os_name,
        reported.kernel,
        reported.report,
        reported.now
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        "update nodes set simulated = $2, updated_at = $3 where id = $1 and simulated is distinct from $2",
        reported.node_id,
        reported.simulated,
        reported.now
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Lays a renewed certificate beside the present one.
///
/// # Errors
/// When the database cannot be asked.
pub async fn offer_certificate(
    conn: &mut PgConnection,
    node_id: Uuid,
    sha256: &[u8],
    not_after: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "update agents set next_certificate_sha256 = $2, next_not_after = $3 where node_id = $1",
        node_id,
        sha256,
        not_after
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// The renewed certificate was used: the old one is dead.
///
/// # Errors
/// When the database cannot be asked.
pub async fn take_next_certificate(conn: &mut PgConnection, node_id: Uuid, sha256: &[u8]) -> Result<(), StoreError> {
    sqlx::query!(
        "update agents set certificate_sha256 = next_certificate_sha256, not_after = next_not_after,
             next_certificate_sha256 = null, next_not_after = null
         where node_id = $1 and next_certificate_sha256 = $2",
        node_id,
        sha256
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Revokes the agent's certificates.
///
/// # Errors
/// When the database cannot be asked.
pub async fn revoke(conn: &mut PgConnection, node_id: Uuid, now: DateTime<Utc>) -> Result<(), StoreError> {
    sqlx::query!("update agents set revoked_at = $2 where node_id = $1 and revoked_at is null", node_id, now)
        .execute(conn)
        .await?;
    Ok(())
}

/// A node as the protocols need it.
#[derive(Debug, Clone)]
pub struct NodeIdentity {
    pub id: Uuid,
    pub name: String,
    pub service_tag: String,
}

/// The identity of a node.
///
/// # Errors
/// When the database cannot be asked.
pub async fn node(conn: &mut PgConnection, node_id: Uuid) -> Result<Option<NodeIdentity>, StoreError> {
    let row = sqlx::query_as!(NodeIdentity, "select id, name, service_tag from nodes where id = $1", node_id)
        .fetch_optional(conn)
        .await?;
    Ok(row)
}

/// Public id of a workflow.
///
/// # Errors
/// When the database cannot be asked.
pub async fn workflow_public_id(conn: &mut PgConnection, workflow_id: Uuid) -> Result<Option<String>, StoreError> {
    let id = sqlx::query_scalar!("select public_id from workflows where id = $1", workflow_id);
    Ok(id.fetch_optional(conn).await?)
}

/// The node is a simulated one: said wherever its name stands.
///
/// # Errors
/// When the database cannot be asked.
pub async fn mark_simulated(conn: &mut PgConnection, node_id: Uuid, now: DateTime<Utc>) -> Result<(), StoreError> {
    sqlx::query!("update nodes set simulated = true, updated_at = $2 where id = $1 and not simulated", node_id, now)
        .execute(conn)
        .await?;
    Ok(())
}
