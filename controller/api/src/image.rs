//! OS images on the wire: `/api/v1/images`.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::deploy::Compression;

/// One image.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Image {
    /// Public id, `im-7Q2M4K`.
    pub id: String,
    pub name: String,
    /// `importing`, `ready`, `failed`
    pub state: String,
    /// File name or URL it came from.
    pub source: Option<String>,
    pub compression: Compression,
    /// SHA-256 of the file as stored.
    pub sha256: Option<String>,
    pub size_bytes: Option<u64>,
    /// SHA-256 and number of the bytes on disk.
    pub raw_sha256: Option<String>,
    pub raw_size_bytes: Option<u64>,
    pub facts: ImageFacts,
    pub progress: Option<crate::workflow::Progress>,
    pub error_code: Option<String>,
    pub error_message: Option<String>,
    /// Nodes that run it, and workflows under way that write it.
    pub used_by_nodes: u32,
    pub used_by_workflows: u32,
    pub created_by: String,
    pub created_at: DateTime<Utc>,
}

/// What the import found inside.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct ImageFacts {
    /// `PRETTY_NAME` of os-release, when it could be read.
    pub os_name: Option<String>,
    pub os_id: Option<String>,
    pub os_version: Option<String>,
    /// `ext4`, `xfs`, `btrfs`
    pub root_filesystem: Option<String>,
    /// File-system UUIDs and labels inside, for the conflict check.
    pub uuids: Vec<String>,
    pub labels: Vec<String>,
    /// `None` when the root file system could not be looked into.
    pub cloud_init: Option<bool>,
    pub notes: Vec<String>,
}

/// `POST /api/v1/images` with JSON: import from a URL. (With `application/octet-stream` the body is the file itself and
/// the name is in the query.)
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ImageImport {
    pub name: String,
    pub url: String,
    /// Expected SHA-256 of the file at the URL.
    #[serde(default)]
    pub sha256: Option<String>,
}
