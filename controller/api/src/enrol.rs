//! Enrolment: from a list of BMC addresses to nodes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::deploy::BootNetwork;

/// Columns of the enrolment file; any order, unknown ones are refused.
pub const COLUMNS: &[&str] = &[
    "address",
    "credential",
    "name",
    "rack",
    "position",
    "labels",
    "boot_mac",
    "boot_ip",
    "boot_gateway",
    "boot_vlan",
    "boot_dns",
];

/// `POST /api/v1/enrolments`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default, deny_unknown_fields)]
pub struct EnrolRequest {
    /// Name of the file, for the title.
    pub source: Option<String>,
    pub lines: Vec<EnrolLine>,
    /// Credential for lines that name none.
    pub credential: Option<String>,
    /// Certificates that are accepted: address → SHA-256. When given, a BMC whose certificate is not listed is refused.
    pub fingerprints: BTreeMap<String, String>,
    /// Inspect each node once it is enrolled.
    pub inspect: bool,
    /// Check the lines and say what would happen; nothing is contacted.
    pub dry_run: bool,
}

/// One BMC to enrol.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default, deny_unknown_fields)]
pub struct EnrolLine {
    /// Line of the file, from 1 (the header is line 1).
    pub line: u32,
    /// `host` or `host:port`.
    pub address: String,
    pub credential: Option<String>,
    pub name: Option<String>,
    pub rack: Option<String>,
    pub position: Option<i32>,
    pub labels: BTreeMap<String, String>,
    pub boot_network: Option<BootNetwork>,
}

/// A line that was refused before anything was tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RefusedLine {
    pub line: u32,
    pub label: String,
    pub code: String,
    pub message: String,
}

/// Answer of an enrolment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EnrolAccepted {
    /// The bulk object to follow; absent for a dry run or when no line was good.
    pub bulk: Option<crate::bulk::Bulk>,
    pub refused: Vec<RefusedLine>,
    /// Lines whose BMC Helix does not know yet: their certificates will be pinned.
    pub new_bmcs: u32,
    /// Lines whose BMC is known: rack, position, labels and credential are updated.
    pub known_bmcs: u32,
}
