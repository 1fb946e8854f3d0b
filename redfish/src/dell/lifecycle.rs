//! State of the Lifecycle Controller: whether jobs may be submitted, and where the host is on its way up.

use serde::Deserialize;

use crate::lenient::opt;

/// Answer of `GetRemoteServicesAPIStatus`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct LifecycleStatus {
    /// The worst of all: `Ready`, `NotReady`, `ReloadingData`, `InUse`, `InRecovery`, `Disabled`.
    #[serde(rename = "Status", deserialize_with = "opt")]
    pub status: Option<String>,
    #[serde(rename = "LCStatus", deserialize_with = "opt")]
    pub lc_status: Option<String>,
    /// Real-time storage.
    #[serde(rename = "RTStatus", deserialize_with = "opt")]
    pub rt_status: Option<String>,
    /// `PoweredOff`, `InPOST`, `OutOfPOST`, `CollectingSystemInventory`, `AutomatedTaskExecution`, `HaltedF1/F2Prompt`, …
    #[serde(rename = "ServerStatus", deserialize_with = "opt")]
    pub server_status: Option<String>,
}

impl LifecycleStatus {
    /// Whether a job may be submitted.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.lc_status.as_deref() == Some("Ready") && self.status.as_deref() == Some("Ready")
    }

    /// Whether the host stands at a prompt and waits for a person.
    #[must_use]
    pub fn needs_a_person(&self) -> bool {
        self.server_status
            .as_deref()
            .is_some_and(|status| status.starts_with("Halted") || status.starts_with("Entered") || status == "LCUSC")
    }

    /// Whether POST is over.
    #[must_use]
    pub fn is_out_of_post(&self) -> bool {
        self.server_status.as_deref() == Some("OutOfPOST")
    }
}
