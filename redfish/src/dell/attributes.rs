//! `DellAttributes`: the iDRAC's own settings, of which a few are states.

use serde::Deserialize;

use crate::lenient::{Attributes, attributes, opt};
use crate::odata::resource;

/// One of the three attribute resources.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttributeGroup {
    /// `iDRAC.Embedded.1`.
    Idrac,
    /// `System.Embedded.1`: power and thermal settings.
    System,
    /// `LifecycleController.Embedded.1`.
    Lifecycle,
}

impl AttributeGroup {
    pub(crate) fn id(self) -> &'static str {
        match self {
            Self::Idrac => "iDRAC.Embedded.1",
            Self::System => "System.Embedded.1",
            Self::Lifecycle => "LifecycleController.Embedded.1",
        }
    }
}

/// Attributes of a group: `Group.Index.Name` → value, enumerations as the words that are shown.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct DellAttributes {
    #[serde(rename = "@odata.id", deserialize_with = "opt")]
    pub uri: Option<String>,
    #[serde(deserialize_with = "attributes")]
    pub attributes: Attributes,
}

resource!(DellAttributes);

impl DellAttributes {
    /// A text attribute.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.attributes.get(name)?.as_str().filter(|text| !text.is_empty())
    }

    /// Whether the host sees the drive of remote file share 1 or 2. True up to a minute later than `Inserted`.
    #[must_use]
    pub fn media_attached(&self, share: u8) -> Option<bool> {
        Some(self.text(&format!("RFS.{share}.MediaAttachState"))? == "Attached")
    }

    /// Whether System Lockdown is on, which makes writes fail.
    #[must_use]
    pub fn lockdown(&self) -> Option<bool> {
        Some(self.text("Lockdown.1.SystemLockdown")? == "Enabled")
    }

    /// Whether alerts leave the BMC at all.
    #[must_use]
    pub fn alerts_enabled(&self) -> Option<bool> {
        Some(self.text("IPMILan.1.AlertEnable")? == "Enabled")
    }

    /// Time zone, `CST6CDT` from the factory.
    #[must_use]
    pub fn time_zone(&self) -> Option<&str> {
        self.text("Time.1.Timezone")
    }
}
