//! `BootOption`: what the firmware could boot from. The order is `Boot.BootOrder` of the system, not that of the collection.

use serde::Deserialize;

use crate::lenient::opt;
use crate::odata::resource;

/// A boot entry.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct BootOption {
    #[serde(rename = "@odata.id", deserialize_with = "opt")]
    pub uri: Option<String>,
    #[serde(deserialize_with = "opt")]
    pub id: Option<String>,
    /// `Boot0003`.
    #[serde(deserialize_with = "opt")]
    pub boot_option_reference: Option<String>,
    #[serde(deserialize_with = "opt")]
    pub boot_option_enabled: Option<bool>,
    #[serde(deserialize_with = "opt")]
    pub display_name: Option<String>,
    #[serde(deserialize_with = "opt")]
    pub uefi_device_path: Option<String>,
}

resource!(BootOption);

impl BootOption {
    /// Whether the entry is a leftover of something that is no longer there.
    #[must_use]
    pub fn is_stale(&self) -> bool {
        self.display_name.as_deref().is_some_and(|name| name.starts_with("Unavailable"))
    }
}
