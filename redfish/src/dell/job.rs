//! Dell's job queue. Ids are clock readings that wrap (next on 2027-01-15): opaque, never sorted by.

use serde::Deserialize;

use crate::lenient::{opt, texts};
use crate::message::{Class, classify};
use crate::odata::resource;

/// A job of the Lifecycle Controller.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Job {
    #[serde(rename = "@odata.id", deserialize_with = "opt")]
    pub uri: Option<String>,
    /// `JID_726412301234`, `RID_…` for reboots.
    #[serde(deserialize_with = "opt")]
    pub id: Option<String>,
    /// `Configure: BIOS.Setup.1-1`.
    #[serde(deserialize_with = "opt")]
    pub name: Option<String>,
    /// `BIOSConfiguration`, `FirmwareUpdate`, …
    #[serde(deserialize_with = "opt")]
    pub job_type: Option<String>,
    #[serde(deserialize_with = "opt")]
    pub job_state: Option<String>,
    #[serde(deserialize_with = "opt")]
    pub percent_complete: Option<u32>,
    #[serde(deserialize_with = "opt")]
    pub message: Option<String>,
    /// Without registry: `PR19`.
    #[serde(deserialize_with = "opt")]
    pub message_id: Option<String>,
    #[serde(deserialize_with = "texts")]
    pub message_args: Vec<String>,
    /// The BMC's local time without offset, or `TIME_NOW`.
    #[serde(deserialize_with = "opt")]
    pub start_time: Option<String>,
    #[serde(deserialize_with = "opt")]
    pub end_time: Option<String>,
    #[serde(deserialize_with = "opt")]
    pub completion_time: Option<String>,
}

resource!(Job);

impl Job {
    /// How it stands. A job that hangs in `Scheduled` with PR30 never runs and counts as failed.
    #[must_use]
    pub fn class(&self) -> Class {
        let told = self.message_id.as_deref().and_then(classify);
        match self.job_state.as_deref() {
            Some("Completed" | "RebootCompleted") if told == Some(Class::Partial) => Class::Partial,
            Some("Completed" | "RebootCompleted") => Class::Done,
            Some("CompletedWithErrors") => Class::Partial,
            Some("Failed" | "RebootFailed") => Class::Failed,
            Some("UserIntervention") => Class::Act,
            Some("Scheduled" | "ReadyForExecution" | "Waiting" | "Paused" | "PendingActivation" | "RebootPending") => {
                if told == Some(Class::Failed) {
                    Class::Failed
                } else {
                    Class::Waiting
                }
            }
            _ => Class::Running,
        }
    }

    /// Whether it has ended, well or badly.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        matches!(self.class(), Class::Done | Class::Partial | Class::Failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(state: &str, message: &str) -> Job {
        Job { job_state: Some(state.into()), message_id: Some(message.into()), ..Job::default() }
    }

    #[test]
    fn a_job_that_hangs_in_scheduled_after_a_failed_start_has_failed() {
        assert_eq!(job("Scheduled", "PR30").class(), Class::Failed);
        assert_eq!(job("Scheduled", "JCP001").class(), Class::Waiting);
    }

    #[test]
    fn completed_with_errors_is_no_success() {
        assert_eq!(job("CompletedWithErrors", "PR31").class(), Class::Partial);
        assert_eq!(job("Completed", "PR19").class(), Class::Done);
        assert!(!job("New", "").is_finished());
    }
}
