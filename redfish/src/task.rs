//! `Task` and the standard's `Job`. Tasks of an iDRAC vanish soon after they end; its job queue stays (`dell::job`).

use serde::Deserialize;

use crate::dell::job::Job as DellJob;
use crate::lenient::{object, objects, opt};
use crate::message::{Class, Message};
use crate::odata::{Oem, resource};

/// A task.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Task {
    #[serde(rename = "@odata.id", deserialize_with = "opt")]
    pub uri: Option<String>,
    #[serde(deserialize_with = "opt")]
    pub id: Option<String>,
    #[serde(deserialize_with = "opt")]
    pub name: Option<String>,
    /// `JobState` of a standard job.
    #[serde(rename = "TaskState", alias = "JobState", deserialize_with = "opt")]
    pub state: Option<String>,
    /// `OK`, `Warning`, `Critical`; `JobStatus` of a standard job.
    #[serde(rename = "TaskStatus", alias = "JobStatus", deserialize_with = "opt")]
    pub status: Option<String>,
    #[serde(deserialize_with = "opt")]
    pub percent_complete: Option<u32>,
    #[serde(deserialize_with = "opt")]
    pub start_time: Option<String>,
    #[serde(deserialize_with = "opt")]
    pub end_time: Option<String>,
    #[serde(deserialize_with = "objects")]
    pub messages: Vec<Message>,
    /// The whole Dell job, on an iDRAC.
    #[serde(deserialize_with = "object")]
    pub oem: Option<Oem<DellJob>>,
}

resource!(Task);

impl Task {
    /// How it stands: by Dell's job when it is there, else by state *and* status, for a failed job of an iDRAC reads
    /// `Completed` with status `Critical`.
    #[must_use]
    pub fn class(&self) -> Class {
        if let Some(job) = self.oem.as_ref().and_then(|oem| oem.dell.as_ref()).filter(|job| job.job_state.is_some()) {
            return job.class();
        }
        match self.state.as_deref() {
            Some("Completed") => match self.status.as_deref() {
                Some("Critical") => Class::Failed,
                Some("Warning") => Class::Partial,
                _ => Class::Done,
            },
            Some("Exception" | "Killed" | "Cancelled" | "Interrupted" | "Cancelling") => Class::Failed,
            Some("UserIntervention") => Class::Act,
            Some("Pending" | "Suspended" | "Service") => Class::Waiting,
            _ => Class::Running,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(text: &str) -> Task {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn a_failed_job_that_reads_completed_with_status_critical_has_failed() {
        assert_eq!(task(r#"{"JobState":"Completed","JobStatus":"Critical"}"#).class(), Class::Failed);
        assert_eq!(task(r#"{"JobState":"Completed","JobStatus":"OK"}"#).class(), Class::Done);
    }

    #[test]
    fn a_new_task_is_in_progress_and_an_unknown_state_does_not_break_the_reader() {
        assert_eq!(task(r#"{"TaskState":"New"}"#).class(), Class::Running);
        assert_eq!(task(r#"{"TaskState":"UserIntervention","PercentComplete":100}"#).class(), Class::Act);
        assert_eq!(task(r#"{"TaskState":"Pondering"}"#).class(), Class::Running);
    }

    #[test]
    fn dells_job_inside_a_task_decides() {
        let text = r#"{"TaskState":"Completed","TaskStatus":"OK","Oem":{"Dell":{"Id":"JID_1","JobState":"CompletedWithErrors"}}}"#;
        assert_eq!(task(text).class(), Class::Partial);
    }
}
