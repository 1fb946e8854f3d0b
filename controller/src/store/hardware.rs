//! Hardware of nodes: the newest collection as a document, earlier ones as their differences.

use chrono::{DateTime, Utc};
use helix_inventory::diff::Change;
use helix_inventory::hardware::Hardware;
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use super::StoreError;

/// One change between two collections.
#[derive(Debug, Clone)]
pub struct ChangeRow {
    pub id: i64,
    pub at: DateTime<Utc>,
    pub section: String,
    pub part: String,
    pub kind: String,
    pub summary: String,
    pub before: Option<String>,
    pub after: Option<String>,
}

/// The newest collection of a node. One that an older version wrote and this one cannot read counts as none.
///
/// # Errors
/// When the database cannot be asked.
pub async fn get(conn: &mut PgConnection, node: Uuid) -> Result<Option<Hardware>, StoreError> {
    let document =
        sqlx::query_scalar!("select document from hardware where node_id = $1", node).fetch_optional(conn).await?;
    Ok(document.and_then(|document: Value| serde_json::from_value(document).ok()))
}

/// Keeps a collection and its differences from the one before: two statements, whatever their number.
///
/// # Errors
/// When the database cannot be asked.
pub async fn store(
    conn: &mut PgConnection,
    node: Uuid,
    hardware: &Hardware,
    changes: &[Change],
) -> Result<(), StoreError> {
    let document = serde_json::to_value(hardware).unwrap_or_default();
    let gpus = i32::try_from(hardware.gpus.len()).unwrap_or(i32::MAX);
    sqlx::query!(
        "insert into hardware (node_id, collected_at, document, provision_digest, gpu_count, gpu_summary)
         values ($1, coalesce($2, now()), $3, $4, $5, $6)
         on conflict (node_id) do update set collected_at = excluded.collected_at, document = excluded.document,
             provision_digest = excluded.provision_digest, gpu_count = excluded.gpu_count,
             gpu_summary = excluded.gpu_summary",
        node,
        hardware.collected_at,
        document,
        hardware.provision_digest(),
        gpus,
        hardware.gpu_summary()
    )
    .execute(&mut *conn)
    .await?;
    if changes.is_empty() {
        return Ok(());
    }
    let column = |field: fn(&Change) -> String| changes.iter().map(field).collect::<Vec<_>>();
    let before: Vec<_> = changes.iter().map(|change| change.before.clone()).collect();
    let after: Vec<_> = changes.iter().map(|change| change.after.clone()).collect();
    let kind = |change: &Change| match serde_json::to_value(change.kind) {
        Ok(Value::String(kind)) => kind,
        _ => "changed".to_owned(),
    };
    sqlx::query!(
        "insert into hardware_changes (node_id, section, part, kind, summary, before, after)
         select $1, * from unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[])",
        node,
        &column(|change| change.section.clone()),
        &column(|change| change.part.clone()),
        &changes.iter().map(kind).collect::<Vec<_>>(),
        &column(|change| change.summary.clone()),
        &before as &[Option<String>],
        &after as &[Option<String>]
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Changes of a node's hardware, newest first; `before` is the id of the last row of the page before.
///
/// # Errors
/// When the database cannot be asked.
pub async fn changes(
    conn: &mut PgConnection,
    node: Uuid,
    before: Option<i64>,
    limit: i64,
) -> Result<Vec<ChangeRow>, StoreError> {
    let rows = sqlx::query_as!(
        ChangeRow,
        "select id, at, section, part, kind, summary, before, after
         from hardware_changes where node_id = $1 and ($2::bigint is null or id < $2) order by id desc limit $3",
        node,
        before,
        limit
    )
    .fetch_all(conn)
    .await?;
    Ok(rows)
}
