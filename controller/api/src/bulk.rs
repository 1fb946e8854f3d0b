//! Bulk actions: an object to follow, with a result per line or node.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// One bulk action.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Bulk {
    /// Public id, `bk-7Q2M4K`.
    pub id: String,
    /// `enrol`, `inspect`, `provision`, `power`
    pub kind: String,
    pub title: String,
    pub created_by: String,
    pub created_at: DateTime<Utc>,
    pub finished_at: Option<DateTime<Utc>>,
    pub cancelled_at: Option<DateTime<Utc>>,
    pub counts: BulkCounts,
}

/// How many items are where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BulkCounts {
    pub total: u32,
    pub waiting: u32,
    pub running: u32,
    pub done: u32,
    pub failed: u32,
    /// Refused before anything was tried.
    pub refused: u32,
    pub cancelled: u32,
    /// Running items whose workflow needs a person.
    pub needs_human: u32,
}

/// One item of a bulk action.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BulkItem {
    /// Line of the file or place in the selection, from 1.
    pub position: u32,
    /// What a person calls it: node name or BMC address.
    pub label: String,
    pub node: Option<String>,
    pub workflow: Option<String>,
    /// State of the workflow, when there is one.
    pub workflow_state: Option<String>,
    /// `waiting`, `running`, `done`, `failed`, `refused`, `cancelled`
    pub state: String,
    pub code: Option<String>,
    pub message: Option<String>,
    pub next: Option<String>,
    pub started_at: Option<DateTime<Utc>>,
    pub finished_at: Option<DateTime<Utc>>,
}
