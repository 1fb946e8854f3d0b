//! Nodes on the wire: `/api/v1/nodes`.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use helix_inventory::hardware::Hardware;
use helix_inventory::words::{Contact, Health, Lifecycle, Power};
use serde::{Deserialize, Serialize};

use crate::agent::AgentReport;
use crate::deploy::BootNetwork;
use crate::workflow::WorkflowSummary;

/// One node, as lists and pages show it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Node {
    pub id: String,
    pub name: String,
    pub service_tag: String,
    pub model: Option<String>,
    pub manufacturer: Option<String>,
    pub rack: Option<String>,
    pub position: Option<i32>,
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// A simulated node says so wherever its name stands.
    pub simulated: bool,
    pub state: Lifecycle,
    pub state_reason: Option<String>,
    pub state_since: DateTime<Utc>,
    pub health: Health,
    pub health_reason: Option<String>,
    pub power: Power,
    pub power_watts: Option<f64>,
    pub power_seen_at: Option<DateTime<Utc>>,
    pub gpu: GpuSummary,
    pub image: Option<InstalledImage>,
    pub bmc: BmcStatus,
    pub agent: Option<AgentStatus>,
    /// The workflow that is not finished, when there is one.
    pub workflow: Option<WorkflowSummary>,
    /// Sent back in `If-Match` when the node is edited.
    pub version: i64,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

/// GPUs in one line.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct GpuSummary {
    /// As the BMC shows them.
    pub count: u32,
    /// `8× NVIDIA H100 80GB HBM3`
    pub summary: Option<String>,
    /// As the agent shows them; `None` without a driver or an agent.
    pub agent_count: Option<u32>,
}

/// What is installed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct InstalledImage {
    pub name: String,
    pub sha256: String,
    pub installed_at: Option<DateTime<Utc>>,
}

/// Contact with the BMC.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BmcStatus {
    /// `host` or `host:port` when the port is not 443.
    pub address: String,
    pub vendor: Option<String>,
    pub product: Option<String>,
    pub firmware_version: Option<String>,
    /// SHA-256 of the pinned certificate, lower-case hex.
    pub certificate_sha256: Option<String>,
    pub credential: Option<String>,
    pub contact: Contact,
    pub contact_at: Option<DateTime<Utc>>,
    pub failures: i32,
    pub failure: Option<String>,
    pub next_try_at: Option<DateTime<Utc>>,
    /// Contact was stopped on purpose: code, reason, and the way out.
    pub stopped: Option<ContactStopped>,
}

/// Why Helix does not talk to a BMC.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ContactStopped {
    /// `wrong_password`, `certificate_changed`, `board_swapped`
    pub code: String,
    pub reason: String,
    pub since: DateTime<Utc>,
    pub next: Vec<String>,
}

/// Contact with the agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AgentStatus {
    pub contact: Contact,
    pub report_at: Option<DateTime<Utc>>,
    pub joined_at: DateTime<Utc>,
    pub boot_id: Option<String>,
    pub agent_version: Option<String>,
    pub os_name: Option<String>,
    pub kernel: Option<String>,
    pub simulated: bool,
    /// `absent`, `loaded`, `failed`
    pub gpu_driver: Option<String>,
}

/// One node with everything known of it: `GET /api/v1/nodes/{node}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NodeDetail {
    #[serde(flatten)]
    pub node: Node,
    pub boot_network: Option<BootNetwork>,
    pub hardware: Option<Hardware>,
    pub report: Option<AgentReport>,
}

/// `PATCH /api/v1/nodes/{node}` with `If-Match`. An absent field stays; `null` clears where that makes sense.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct NodeEdit {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rack: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<i32>,
    /// Replaces the labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<BTreeMap<String, String>>,
    /// New address of the BMC, `host` or `host:port`; the same service tag must answer there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Name of a credential.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot_network: Option<BootNetwork>,
    /// `maintenance`, `ready`, `in_service`, `quarantined`, `retired`: what a person may set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<Lifecycle>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// `POST /api/v1/nodes/{node}/trust`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TrustRequest {
    /// SHA-256 of the new certificate, hex with or without colons.
    pub fingerprint: String,
    #[serde(default)]
    pub reason: Option<String>,
}

/// What to do with the host's power.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum PowerAction {
    On,
    /// Asks the operating system.
    Off,
    ForceOff,
    Restart,
    ForceRestart,
    Cycle,
}

/// `POST /api/v1/power`: for a selection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PowerRequest {
    pub selection: crate::select::Selection,
    pub action: PowerAction,
}

/// Answer of `DELETE /api/v1/nodes/{node}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Removed {
    pub name: String,
    pub service_tag: String,
    /// What stays behind on the BMC or the node, in words.
    pub left_behind: Vec<String>,
}

/// One event of a node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NodeEvent {
    pub id: i64,
    pub at: DateTime<Utc>,
    /// `helix`, `bmc`, `agent`
    pub source: String,
    /// `info`, `warning`, `critical`
    pub severity: String,
    pub code: Option<String>,
    pub message: String,
    pub workflow: Option<String>,
}

/// One change between two collections.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct HardwareChange {
    pub id: i64,
    pub at: DateTime<Utc>,
    pub section: String,
    pub part: String,
    pub kind: String,
    pub summary: String,
    pub before: Option<String>,
    pub after: Option<String>,
}
