//! Makes a bulk action.

use helix_inventory::id::{IdKind, PublicId};
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::store::StoreError;
use crate::store::bulks::{self, NewBulk};

/// Public ids drawn before giving up: at a million bulk actions one in a thousand is taken, so five never all are.
const DRAWS: usize = 5;

/// A bulk action that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Created {
    pub(crate) id: Uuid,
    /// What people call it.
    pub(crate) public_id: String,
}

/// Makes a bulk action without items, in the caller's transaction.
///
/// # Errors
/// When the database fails.
pub(crate) async fn create(
    conn: &mut PgConnection,
    kind: &str,
    title: &str,
    created_by: &str,
    request: &Value,
) -> Result<Created, StoreError> {
    for _ in 0..DRAWS {
        let id = Uuid::now_v7();
        let public_id = PublicId::random(IdKind::Bulk, &mut rand::rng());
        let new = NewBulk { id, public_id: public_id.as_str(), kind, title, created_by, request };
        if bulks::insert(&mut *conn, &new).await? {
            return Ok(Created { id, public_id: public_id.to_string() });
        }
    }
    Err(StoreError::NotFound { what: "free bulk id" })
}
