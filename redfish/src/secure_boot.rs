//! `SecureBoot`.

use serde::Deserialize;

use crate::lenient::opt;

/// Secure Boot of a system.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct SecureBoot {
    #[serde(rename = "@odata.id", deserialize_with = "opt")]
    pub uri: Option<String>,
    /// The setting; what holds at the next boot.
    #[serde(deserialize_with = "opt")]
    pub secure_boot_enable: Option<bool>,
    /// `Enabled` or `Disabled`: what the last boot did.
    #[serde(deserialize_with = "opt")]
    pub secure_boot_current_boot: Option<bool>,
    /// `DeployedMode`, `UserMode`, …
    #[serde(deserialize_with = "opt")]
    pub secure_boot_mode: Option<String>,
}

impl SecureBoot {
    /// Whether the next boot will check signatures: the setting, or where it is not shown what the last boot did.
    #[must_use]
    pub fn is_on(&self) -> Option<bool> {
        self.secure_boot_enable.or(self.secure_boot_current_boot)
    }
}
