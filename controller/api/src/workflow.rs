//! Workflows and plans on the wire.

use chrono::{DateTime, Utc};
use helix_inventory::plan::{Plan, StepKind, WorkflowKind};
use helix_inventory::profile::DiskChoice;
use helix_inventory::words::WorkflowState;
use serde::{Deserialize, Serialize};

use crate::select::Selection;

/// A workflow in one line, as it stands beside its node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WorkflowSummary {
    /// Public id, `wf-7Q2M4K`.
    pub id: String,
    pub kind: WorkflowKind,
    pub node: String,
    pub state: WorkflowState,
    /// Number of the step at work, from 1, and how many there are.
    pub step: u32,
    pub steps: u32,
    pub step_title: String,
    /// What it waits for, in words.
    pub waits_for: Option<String>,
    pub waits_since: Option<DateTime<Utc>>,
    pub waits_until: Option<DateTime<Utc>>,
    /// What happens when the wait runs out.
    pub then_what: Option<String>,
    pub progress: Option<Progress>,
    pub error: Option<WorkflowError>,
    pub created_by: String,
    pub created_at: DateTime<Utc>,
    pub started_at: Option<DateTime<Utc>>,
    pub finished_at: Option<DateTime<Utc>>,
}

/// How far the step at work is.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct Progress {
    /// `writing image`, `reading back`
    pub what: Option<String>,
    pub bytes_done: Option<u64>,
    pub bytes_total: Option<u64>,
    pub bytes_per_second: Option<u64>,
    pub percent: Option<f64>,
}

/// What failed, why, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WorkflowError {
    pub code: String,
    pub message: String,
    pub why: Option<String>,
    pub next: Vec<String>,
}

/// `GET /api/v1/workflows/{id}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WorkflowDetail {
    #[serde(flatten)]
    pub summary: WorkflowSummary,
    pub bulk: Option<String>,
    pub plan: Plan,
    pub step_list: Vec<Step>,
    pub attempts: Vec<Attempt>,
    pub cancel: Option<CancelStatus>,
    /// Where the node was left, once the workflow is over.
    pub left_behind: Option<String>,
}

/// One step of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Step {
    /// From 1.
    pub number: u32,
    pub kind: StepKind,
    pub title: String,
    /// `pending`, `running`, `waiting`, `done`, `skipped`, `failed`, `needs_human`
    pub state: String,
    pub attempts: u32,
    pub started_at: Option<DateTime<Utc>>,
    pub finished_at: Option<DateTime<Utc>>,
    pub progress: Option<Progress>,
    pub message: Option<String>,
    /// What skipping it means; absent when it may not be skipped.
    pub skip_consequence: Option<String>,
}

/// One attempt of a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Attempt {
    /// Number of the step, from 1.
    pub step: u32,
    /// Number of the attempt, from 1.
    pub number: u32,
    pub started_at: DateTime<Utc>,
    pub finished_at: Option<DateTime<Utc>>,
    pub outcome: Option<String>,
    pub error_code: Option<String>,
    pub error_message: Option<String>,
}

/// A cancellation that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CancelStatus {
    pub at: DateTime<Utc>,
    pub by: Option<String>,
    pub now: bool,
    pub reason: Option<String>,
}

/// `POST /api/v1/workflows/{id}/cancel`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default, deny_unknown_fields)]
pub struct CancelRequest {
    /// Abandon at once instead of at the next safe point; says what is left behind.
    pub now: bool,
    pub reason: Option<String>,
}

/// `POST /api/v1/workflows/{id}/retry`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default, deny_unknown_fields)]
pub struct RetryRequest {
    /// Take another disk.
    pub disk: Option<DiskChoice>,
    /// Clear signatures on conflicting disks.
    pub wipe_conflicting: Option<bool>,
}

/// `POST /api/v1/workflows/{id}/skip`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default, deny_unknown_fields)]
pub struct SkipRequest {
    /// Number of the step, from 1, so that a late click cannot skip the next one.
    pub step: u32,
    pub reason: Option<String>,
}

/// `POST /api/v1/inspections`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct InspectRequest {
    pub selection: Selection,
}

/// `POST /api/v1/provision-plans` (prints, changes nothing) and, with `plan`, `POST /api/v1/provisions`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default, deny_unknown_fields)]
pub struct ProvisionRequest {
    pub selection: Selection,
    /// Name of the image; absent means the node's present one (`reprovision`).
    pub image: Option<String>,
    pub disk: DiskChoice,
    pub wipe_conflicting: bool,
    pub ssh_keys: Vec<String>,
    pub user_data: Option<String>,
}

/// A plan for a selection: what would happen to each node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PlanSet {
    /// Public id, `pl-3MZK0T`: run exactly this with `POST /api/v1/provisions`.
    pub id: String,
    pub kind: WorkflowKind,
    pub expires_at: DateTime<Utc>,
    pub nodes: Vec<NodePlan>,
}

/// The plan for one node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NodePlan {
    pub node: String,
    pub service_tag: String,
    pub plan: Plan,
    /// Age of the facts, seconds.
    pub facts_age_seconds: Option<i64>,
    /// URL that the BMC will dial for the medium, without its secret part.
    pub media_url: String,
    /// URLs that the node will dial.
    pub agent_urls: Vec<String>,
}

/// `POST /api/v1/provisions`: runs a plan set that was shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct RunPlan {
    pub plan: String,
}
