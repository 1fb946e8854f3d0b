//! What a node should be: the wish that a plan is made from.
//!
//! For now: which image goes onto which disk. Firmware, BIOS and power wishes join it later.

use serde::{Deserialize, Serialize};

/// Wish for one provision run.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct ProvisionSpec {
    /// Name of the image.
    pub image: String,
    /// SHA-256 of the image file as stored, frozen with the plan: a re-imported image of the same name is another image.
    pub image_sha256: String,
    /// Bytes on disk.
    pub image_raw_size_bytes: u64,
    /// Which disk; empty means the design's rule order.
    pub disk: DiskChoice,
    /// Clear signatures on conflicting disks.
    pub wipe_conflicting: bool,
    /// Public SSH keys for the image's default user, authorized_keys lines.
    pub ssh_keys: Vec<String>,
    /// More user data, a cloud-config document merged after Helix's own.
    pub user_data: Option<String>,
}

/// Which disk to take; every given condition must hold.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct DiskChoice {
    pub serial: Option<String>,
    pub by_id: Option<String>,
    pub name: Option<String>,
    pub model: Option<String>,
    pub min_size_bytes: Option<u64>,
    pub max_size_bytes: Option<u64>,
}

impl DiskChoice {
    /// Whether nothing was asked for.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The choice in words, for plans: `serial PHYJ123`, `BOSS volume, else the only disk`.
    #[must_use]
    pub fn in_words(&self) -> String {
        let mut words = Vec::new();
        if let Some(serial) = &self.serial {
            words.push(format!("serial {serial}"));
        }
        if let Some(by_id) = &self.by_id {
            words.push(format!("by-id {by_id}"));
        }
        if let Some(name) = &self.name {
            words.push(name.clone());
        }
        if let Some(model) = &self.model {
            words.push(format!("model containing \"{model}\""));
        }
        if let Some(size) = self.min_size_bytes {
            words.push(format!("at least {} GiB", size >> 30));
        }
        if let Some(size) = self.max_size_bytes {
            words.push(format!("at most {} GiB", size >> 30));
        }
        if words.is_empty() { "the BOSS volume, else the only disk".to_owned() } else { words.join(", ") }
    }
}
