//! The job queue: jobs with the clock-made ids of an iDRAC and the three vocabularies in which they are shown.
//! Only jobs that configure the BIOS run (at the next POST); firmware jobs are not simulated yet.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// Jobs an iDRAC keeps at most.
pub const MAX_JOBS: usize = 256;
/// Above this number it throws old finished ones away.
const AUTO_DELETE_ABOVE: usize = 128;
/// Job ids count ticks of 100 microseconds modulo this.
const TICKS: i64 = 1_000_000_000_000;

/// What a job does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Work {
    /// Applies the pending BIOS values.
    Bios,
    /// Restarts the host (`RID_` jobs).
    Reboot,
}

/// Where a job stands, in the words of `DellJob`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum JobState {
    /// Waits for the next POST.
    Scheduled,
    /// Is being done.
    Running,
    /// Done.
    Completed,
    /// Done, but not all of it.
    CompletedWithErrors,
    /// Not done.
    Failed,
    /// A reboot that was made.
    RebootCompleted,
}

impl JobState {
    /// The word of `DellJob.JobState`.
    #[must_use]
    pub fn dell(self) -> &'static str {
        match self {
            Self::Scheduled => "Scheduled",
            Self::Running => "Running",
            Self::Completed => "Completed",
            Self::CompletedWithErrors => "CompletedWithErrors",
            Self::Failed => "Failed",
            Self::RebootCompleted => "RebootCompleted",
        }
    }

    /// `JobState` and `JobStatus` of the DMTF job. A failed job reads `Completed` and `Critical` (quirk 67).
    #[must_use]
    pub fn dmtf(self) -> (&'static str, &'static str) {
        match self {
            Self::Scheduled => ("Pending", "OK"),
            Self::Running => ("Running", "OK"),
            Self::Completed | Self::RebootCompleted => ("Completed", "OK"),
            Self::CompletedWithErrors => ("Exception", "Critical"),
            Self::Failed => ("Completed", "Critical"),
        }
    }

    /// `TaskState` and `TaskStatus`.
    #[must_use]
    pub fn task(self) -> (&'static str, &'static str) {
        match self {
            Self::Scheduled => ("Starting", "OK"),
            Self::Running => ("Running", "OK"),
            Self::Completed | Self::RebootCompleted => ("Completed", "OK"),
            Self::CompletedWithErrors => ("Exception", "Warning"),
            Self::Failed => ("Exception", "Critical"),
        }
    }

    /// Whether the job reached its end.
    #[must_use]
    pub fn is_over(self) -> bool {
        !matches!(self, Self::Scheduled | Self::Running)
    }
}

/// One job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// `JID_…` or `RID_…`.
    pub id: String,
    /// What it does.
    pub work: Work,
    /// Where it stands.
    pub state: JobState,
    /// 0 to 100.
    pub percent: u8,
    /// When it was made.
    pub created: DateTime<Utc>,
    /// When it began to run.
    pub started: Option<DateTime<Utc>>,
    /// When it ended.
    pub ended: Option<DateTime<Utc>>,
}

impl Job {
    /// Name in the OEM view.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self.work {
            Work::Bios => "Configure: BIOS.Setup.1-1",
            Work::Reboot => "Reboot: Graceful OS shutdown only",
        }
    }

    /// Name in the DMTF view.
    #[must_use]
    pub fn dmtf_name(&self) -> &'static str {
        match self.work {
            Work::Bios => "ConfigBIOS:BIOS.Setup.1-1",
            Work::Reboot => "Reboot2",
        }
    }

    /// Dell's word for the kind of job.
    #[must_use]
    pub fn job_type(&self) -> &'static str {
        match self.work {
            Work::Bios => "BIOSConfiguration",
            Work::Reboot => "RebootNoForce",
        }
    }

    /// Message id without registry and its text.
    #[must_use]
    pub fn message(&self) -> (&'static str, &'static str) {
        match self.state {
            JobState::Scheduled => ("JCP001", "Task successfully scheduled."),
            JobState::Running => ("PR20", "Job in progress."),
            JobState::Completed => ("PR19", "Job completed successfully."),
            JobState::CompletedWithErrors => ("PR31", "Job completed with errors."),
            JobState::Failed => ("PR21", "Failed."),
            JobState::RebootCompleted => ("RED030", "Reboot is complete."),
        }
    }
}

/// The queue.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Queue {
    jobs: Vec<Job>,
    last_tick: i64,
}

impl Queue {
    /// All jobs, oldest first.
    #[must_use]
    pub fn all(&self) -> &[Job] {
        &self.jobs
    }

    /// The job with this id.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<&Job> {
        self.jobs.iter().find(|job| job.id == id)
    }

    /// The job with this id, to change it.
    pub fn get_mut(&mut self, id: &str) -> Option<&mut Job> {
        self.jobs.iter_mut().find(|job| job.id == id)
    }

    /// Makes a scheduled job and returns its id. Two jobs never share a tick.
    pub fn make(&mut self, work: Work) -> String {
        let now = Utc::now();
        let tick = (now.timestamp_micros() / 100).max(self.last_tick + 1);
        self.last_tick = tick;
        let letter = if work == Work::Reboot { 'R' } else { 'J' };
        let id = format!("{letter}ID_{:012}", tick % TICKS);
        if self.jobs.len() >= AUTO_DELETE_ABOVE
            && let Some(old) = self.jobs.iter().position(|job| job.state.is_over())
        {
            self.jobs.remove(old);
        }
        self.jobs.push(Job {
            id: id.clone(),
            work,
            state: JobState::Scheduled,
            percent: 0,
            created: now,
            started: None,
            ended: None,
        });
        id
    }

    /// The job that configures the BIOS and is not over.
    #[must_use]
    pub fn open_bios_job(&self) -> Option<&Job> {
        self.jobs.iter().find(|job| job.work == Work::Bios && !job.state.is_over())
    }

    /// Removes a job; false when there is none.
    pub fn remove(&mut self, id: &str) -> bool {
        let before = self.jobs.len();
        self.jobs.retain(|job| job.id != id);
        self.jobs.len() != before
    }

    /// Removes all jobs that are not running; `force` removes those too. Reboot jobs stay, as they do on an iDRAC.
    pub fn clear(&mut self, force: bool) {
        self.jobs.retain(|job| job.work == Work::Reboot || (!force && job.state == JobState::Running));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_jobs_of_the_same_moment_have_different_ids() {
        let mut queue = Queue::default();
        let ids: std::collections::BTreeSet<String> = (0..50).map(|_| queue.make(Work::Bios)).collect();
        assert_eq!(ids.len(), 50);
        assert!(ids.iter().all(|id| id.starts_with("JID_") && id.len() == 16), "{ids:?}");
    }

    #[test]
    fn a_failed_job_reads_completed_and_critical_in_the_dmtf_view() {
        assert_eq!(JobState::Failed.dmtf(), ("Completed", "Critical"));
        assert_eq!(JobState::Failed.dell(), "Failed");
    }
}
