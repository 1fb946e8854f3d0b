//! Writes down what was done: one line per change, in the transaction of the change.

use serde_json::Value;
use sqlx::PgExecutor;

use crate::store::StoreError;
use crate::store::audit::{NewAudit, insert};

/// The actor of what the controller does by itself.
pub const SYSTEM: &str = "system";

/// Records a change that was made. `detail` explains it and never holds a secret.
///
/// # Errors
/// When the database fails; the caller's transaction then fails with it, for nothing may happen unseen.
pub async fn record(
    db: impl PgExecutor<'_>,
    actor: &str,
    action: &str,
    object_kind: &str,
    object_id: Option<String>,
    object_name: Option<&str>,
    detail: Value,
) -> Result<(), StoreError> {
    let detail = if detail.is_null() { Value::Object(serde_json::Map::new()) } else { detail };
    let line = NewAudit {
        actor,
        action,
        object_kind,
        object_id,
        object_name: object_name.map(str::to_owned),
        outcome: "done",
        detail,
        request_id: None,
    };
    insert(db, &line).await
}
