//! Deploy sessions: the ramdisk's side of one boot attempt.
//!
//! A token is looked up by its digest and dies at its first claim, in one statement. The instruction grows its `seq` with
//! every change; a trigger notifies `helix_deploy` of it, which is a hint for long polls. Rows are the truth.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use super::StoreError;

/// One session.
#[derive(Debug, Clone)]
pub struct DeploySessionRow {
    pub id: Uuid,
    pub workflow_id: Uuid,
    pub node_id: Uuid,
    pub attempt: i32,
    pub created_at: DateTime<Utc>,
    /// When the ramdisk first called.
    pub claimed_at: Option<DateTime<Utc>>,
    pub boot_id: Option<String>,
    pub agent_version: Option<String>,
    /// `helix_api::machine::MachineFacts`
    pub machine: Option<Value>,
    /// Machine's clock less ours, seconds.
    pub clock_offset_seconds: Option<f64>,
    pub remote_address: Option<String>,
    pub seq: i64,
    /// What the ramdisk is told; a write order is sealed.
    pub instruction: Value,
    pub write_id: Option<String>,
    /// Phase of the newest report, `helix_api::deploy::Phase` as text.
    pub phase: Option<String>,
    /// Newest `helix_api::deploy::DeployReport`.
    pub report: Option<Value>,
    pub reported_at: Option<DateTime<Utc>>,
    pub closed_at: Option<DateTime<Utc>>,
}

/// What a claim leaves behind.
#[derive(Debug, Clone)]
pub struct Claim<'a> {
    pub now: DateTime<Utc>,
    pub session_sha256: &'a [u8],
    pub boot_id: &'a str,
    pub agent_version: &'a str,
    pub machine: &'a Value,
    pub clock_offset_seconds: f64,
    pub remote_address: &'a str,
}

/// Adds a session.
///
/// # Errors
/// When the database cannot be asked, or the attempt has one.
pub async fn insert(
    conn: &mut PgConnection,
    id: Uuid,
    workflow_id: Uuid,
    node_id: Uuid,
    attempt: i32,
    token_sha256: &[u8],
) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into deploy_sessions (id, workflow_id, node_id, attempt, token_sha256) values ($1, $2, $3, $4, $5)",
        id,
        workflow_id,
        node_id,
        attempt,
        token_sha256
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Takes the token: gives its session when nobody took it before.
///
/// # Errors
/// When the database cannot be asked.
pub async fn claim(
    conn: &mut PgConnection,
    token_sha256: &[u8],
    claim: &Claim<'_>,
) -> Result<Option<DeploySessionRow>, StoreError> {
    let row = sqlx::query_as!(
        DeploySessionRow,
        "update deploy_sessions set claimed_at = $2, session_sha256 = $3, boot_id = $4, agent_version = $5, machine = $6,
             clock_offset_seconds = $7, remote_address = $8, phase = 'claimed', reported_at = $2
         where token_sha256 = $1 and claimed_at is null and closed_at is null
         returning id, workflow_id, node_id, attempt, created_at, claimed_at, boot_id, agent_version, machine,
             clock_offset_seconds, remote_address, seq, instruction, write_id, phase, report, reported_at, closed_at",
        token_sha256,
        claim.now,
        claim.session_sha256,
        claim.boot_id,
        claim.agent_version,
        claim.machine,
        claim.clock_offset_seconds,
        claim.remote_address
    )
    .fetch_optional(conn)
    .await?;
    Ok(row)
}

/// The session of a token, taken or not.
///
/// # Errors
/// When the database cannot be asked.
pub async fn of_token(conn: &mut PgConnection, token_sha256: &[u8]) -> Result<Option<DeploySessionRow>, StoreError> {
    let row = sqlx::query_as!(
        DeploySessionRow,
        "select id, workflow_id, node_id, attempt, created_at, claimed_at, boot_id, agent_version, machine,
             clock_offset_seconds, remote_address, seq, instruction, write_id, phase, report, reported_at, closed_at
         from deploy_sessions where token_sha256 = $1",
        token_sha256
    )
    .fetch_optional(conn)
    .await?;
    Ok(row)
}

/// The session that a bearer secret opens, closed ones too.
///
/// # Errors
/// When the database cannot be asked.
pub async fn of_secret(conn: &mut PgConnection, secret_sha256: &[u8]) -> Result<Option<DeploySessionRow>, StoreError> {
    let row = sqlx::query_as!(
        DeploySessionRow,
        "select id, workflow_id, node_id, attempt, created_at, claimed_at, boot_id, agent_version, machine,
             clock_offset_seconds, remote_address, seq, instruction, write_id, phase, report, reported_at, closed_at
         from deploy_sessions where session_sha256 = $1",
        secret_sha256
    )
    .fetch_optional(conn)
    .await?;
    Ok(row)
}

/// One session by id.
///
/// # Errors
/// When the database cannot be asked.
pub async fn find(conn: &mut PgConnection, id: Uuid) -> Result<Option<DeploySessionRow>, StoreError> {
    let row = sqlx::query_as!(
        DeploySessionRow,
        "select id, workflow_id, node_id, attempt, created_at, claimed_at, boot_id, agent_version, machine,
             clock_offset_seconds, remote_address, seq, instruction, write_id, phase, report, reported_at, closed_at
         from deploy_sessions where id = $1",
        id
    )
    .fetch_optional(conn)
    .await?;
    Ok(row)
}

/// The session of one attempt of a workflow.
///
/// # Errors
/// When the database cannot be asked.
pub async fn of_attempt(
    conn: &mut PgConnection,
    workflow_id: Uuid,
    attempt: i32,
) -> Result<Option<DeploySessionRow>, StoreError> {
    let row = sqlx::query_as!(
        DeploySessionRow,
        "select id, workflow_id, node_id, attempt, created_at, claimed_at, boot_id, agent_version, machine,
             clock_offset_seconds, remote_address, seq, instruction, write_id, phase, report, reported_at, closed_at
         from deploy_sessions where workflow_id = $1 and attempt = $2",
        workflow_id,
        attempt
    )
    .fetch_optional(conn)
    .await?;
    Ok(row)
}

/// The newest session of a workflow.
///
/// # Errors
/// When the database cannot be asked.
pub async fn latest(conn: &mut PgConnection, workflow_id: Uuid) -> Result<Option<DeploySessionRow>, StoreError> {
    let row = sqlx::query_as!(
        DeploySessionRow,
        "select id, workflow_id, node_id, attempt, created_at, claimed_at, boot_id, agent_version, machine,
             clock_offset_seconds, remote_address, seq, instruction, write_id, phase, report, reported_at, closed_at
         from deploy_sessions where workflow_id = $1 order by attempt desc limit 1",
        workflow_id
    )
    .fetch_optional(conn)
    .await?;
    Ok(row)
}

/// Changes what the ramdisk is told. `false` when the session is closed.
///
/// # Errors
/// When the database cannot be asked.
pub async fn instruct(
    conn: &mut PgConnection,
    id: Uuid,
    write_id: Option<&str>,
    instruction: &Value,
) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "update deploy_sessions set seq = seq + 1, instruction = $3, write_id = coalesce($2, write_id)
         where id = $1 and closed_at is null",
        id,
        write_id,
        instruction
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Stores the newest report. `false` when the session is closed.
///
/// # Errors
/// When the database cannot be asked.
pub async fn note_report(
    conn: &mut PgConnection,
    id: Uuid,
    phase: &str,
    report: &Value,
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "update deploy_sessions set phase = $2, report = $3, reported_at = $4 where id = $1 and closed_at is null",
        id,
        phase,
        report,
        now
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Closes all sessions of a workflow: their tokens and secrets are dead.
///
/// # Errors
/// When the database cannot be asked.
pub async fn close(conn: &mut PgConnection, workflow_id: Uuid, now: DateTime<Utc>) -> Result<(), StoreError> {
    // The sequence grows, so that a ramdisk that waits hears of it.
    sqlx::query!(
        "update deploy_sessions set closed_at = $2, seq = seq + 1, instruction = '{\"act\":\"wait\"}'
         where workflow_id = $1 and closed_at is null",
        workflow_id,
        now
    )
    .execute(conn)
    .await?;
    Ok(())
}
