//! Node events: what an admin wants to read about a node, newest first.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use super::StoreError;

/// One event.
#[derive(Debug, Clone)]
pub struct EventRow {
    pub id: i64,
    pub node_id: Uuid,
    pub at: DateTime<Utc>,
    /// `helix`, `bmc`, `agent`.
    pub source: String,
    /// `info`, `warning`, `critical`.
    pub severity: String,
    pub code: Option<String>,
    pub message: String,
    pub workflow_id: Option<Uuid>,
    pub detail: Value,
}

/// A new event.
#[derive(Debug, Clone)]
pub struct NewEvent<'a> {
    pub node_id: Uuid,
    pub source: &'a str,
    pub severity: &'a str,
    pub code: Option<&'a str>,
    pub message: &'a str,
    pub workflow_id: Option<Uuid>,
}

/// Adds an event.
///
/// # Errors
/// When the database cannot be asked.
pub async fn insert(conn: &mut PgConnection, new: &NewEvent<'_>) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into node_events (node_id, source, severity, code, message, workflow_id) values ($1, $2, $3, $4, $5, $6)",
        new.node_id,
        new.source,
        new.severity,
        new.code,
        new.message,
        new.workflow_id
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Events of a node, newest first; `before` is the id of the last event of the page before.
///
/// # Errors
/// When the database cannot be asked.
pub async fn of_node(
    conn: &mut PgConnection,
    node: Uuid,
    before: Option<i64>,
    limit: i64,
) -> Result<Vec<EventRow>, StoreError> {
    let rows = sqlx::query_as!(
        EventRow,
        "select id, node_id, at, source, severity, code, message, workflow_id, detail
         from node_events where node_id = $1 and ($2::bigint is null or id < $2) order by id desc limit $3",
        node,
        before,
        limit
    )
    .fetch_all(conn)
    .await?;
    Ok(rows)
}
