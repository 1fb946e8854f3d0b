//! What a changing request led to: done at once, or something under way that is to be looked at later.
//!
//! Nothing waits here: who changes a machine polls, and does so across restarts. An answer without any handle means done as far
//! as the BMC tells, and the truth is what a fresh read says.

use serde::Deserialize;

use crate::client::{Client, location};
use crate::dell::job::Job;
use crate::error::RedfishError;
use crate::lenient::opt;
use crate::message::{self, Message};
use crate::task::Task;
use crate::transport::Answer;

/// Something under way on a BMC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Handle {
    /// A job of the Dell queue, by its id (`JID_…`, `RID_…`).
    Job(String),
    /// A task, by its path.
    Task(String),
}

impl Handle {
    /// What a `Location` points to. Whatever the path, Dell's ids are known by their look.
    #[must_use]
    pub fn of_location(path: &str) -> Self {
        let last = path.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
        if last.starts_with("JID_") || last.starts_with("RID_") {
            Self::Job(last.to_owned())
        } else {
            Self::Task(path.to_owned())
        }
    }
}

/// How an operation was answered.
#[derive(Debug, Clone, PartialEq)]
pub struct LongOperation {
    /// What to look at later; `None` when it was done at once.
    pub handle: Option<Handle>,
    /// What the BMC said, the telling message first.
    pub messages: Vec<Message>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Body {
    #[serde(rename = "@odata.id", deserialize_with = "opt")]
    uri: Option<String>,
    #[serde(rename = "@odata.type", deserialize_with = "opt")]
    odata_type: Option<String>,
}

impl LongOperation {
    /// Reads an answer: `Location` whatever the status, else a task or job as the body, else done.
    pub(crate) fn of(answer: &Answer) -> Self {
        let messages = message::parse(&answer.body);
        let handle = location(&answer.headers).map(|path| Handle::of_location(&path)).or_else(|| {
            let body = serde_json::from_slice::<Body>(&answer.body).ok()?;
            let kind = body.odata_type?;
            let running = ["#Task.", "#Job.", "#DellJob."].iter().any(|prefix| kind.starts_with(prefix));
            body.uri.filter(|_| running).map(|uri| Handle::of_location(&uri))
        });
        Self { handle, messages }
    }

    /// The id of the Dell job, when it is one.
    #[must_use]
    pub fn job(&self) -> Option<&str> {
        match &self.handle {
            Some(Handle::Job(id)) => Some(id),
            _ => None,
        }
    }
}

impl Client {
    /// Reads a task by its path. On older iDRACs it is gone a minute after it ended; look at the jobs then.
    ///
    /// # Errors
    /// What a request can end with.
    pub async fn task(&self, uri: &str) -> Result<Task, RedfishError> {
        Ok(self.read(uri).await?.value)
    }

    /// All tasks that the service shows.
    ///
    /// # Errors
    /// What a request can end with; `NotSupported` where there is no task service.
    pub async fn tasks(&self) -> Result<Vec<Task>, RedfishError> {
        let root = self.root().await?;
        let Some(service) = root.tasks.as_ref().and_then(crate::odata::Link::uri) else {
            return Err(self.not_supported("list the tasks", "the service has no task service"));
        };
        Ok(self.members(&format!("{service}/Tasks")).await?.members)
    }

    /// The Dell job queue, in the BMC's order: ids are no order.
    ///
    /// # Errors
    /// What a request can end with; `NotSupported` elsewhere than on Dell.
    pub async fn jobs(&self) -> Result<Vec<Job>, RedfishError> {
        let uri = self.jobs_uri().await?;
        Ok(self.members(&uri).await?.members)
    }

    /// One job of the Dell queue. Just after it was made it may not be found yet (three tries 10 s apart are enough).
    ///
    /// # Errors
    /// What a request can end with; `NotSupported` elsewhere than on Dell.
    pub async fn job(&self, id: &str) -> Result<Job, RedfishError> {
        let uri = self.jobs_uri().await?;
        Ok(self.read(&format!("{uri}/{id}")).await?.value)
    }

    /// Deletes a job that has not begun; its pending values are lost with it. One that is gone already is no error.
    ///
    /// # Errors
    /// JCP031 or JCP015 (`Permanent`) for a running job; what a request can end with.
    pub async fn delete_job(&self, id: &str) -> Result<(), RedfishError> {
        let uri = self.jobs_uri().await?;
        match self.send(http::Method::DELETE, &format!("{uri}/{id}"), None, None, self.limits().change).await {
            Ok(_) => Ok(()),
            Err(error) if error.is_missing() => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn jobs_uri(&self) -> Result<String, RedfishError> {
        let manager = self.dell_manager("read the job queue").await?;
        Ok(format!("{manager}/Oem/Dell/Jobs"))
    }

    /// Path of the iDRAC, or that this is none.
    pub(crate) async fn dell_manager(&self, what: &'static str) -> Result<String, RedfishError> {
        let dell = self.root().await?.is_dell();
        match &self.place().await?.manager {
            Some(manager) if dell => Ok(manager.clone()),
            _ => Err(self.not_supported(what, "only an iDRAC has it")),
        }
    }

    pub(crate) fn not_supported(&self, what: &'static str, why: &str) -> RedfishError {
        RedfishError::NotSupported { address: self.address().clone(), what, why: why.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::{HeaderMap, HeaderValue, StatusCode};

    use super::*;

    fn answer(status: u16, location: Option<&'static str>, body: &'static str) -> Answer {
        let mut headers = HeaderMap::new();
        if let Some(location) = location {
            headers.insert("location", HeaderValue::from_static(location));
        }
        Answer { status: StatusCode::from_u16(status).unwrap(), headers, body: Bytes::from_static(body.as_bytes()) }
    }

    #[test]
    fn a_job_is_found_in_the_location_whatever_the_status_and_path() {
        for (status, path) in [
            (200, "/redfish/v1/TaskService/Tasks/JID_726412301234"),
            (202, "/redfish/v1/Managers/iDRAC.Embedded.1/Jobs/JID_726412301234"),
            (202, "https://10.0.7.11/redfish/v1/JobService/Jobs/JID_726412301234/"),
        ] {
            assert_eq!(LongOperation::of(&answer(status, Some(path), "")).job(), Some("JID_726412301234"), "{path}");
        }
    }

    #[test]
    fn no_content_and_no_location_means_done() {
        assert_eq!(LongOperation::of(&answer(204, None, "")), LongOperation { handle: None, messages: Vec::new() });
    }

    #[test]
    fn a_task_in_the_body_is_a_handle_and_a_plain_resource_is_none() {
        let task = r##"{"@odata.id":"/redfish/v1/TaskService/Tasks/42","@odata.type":"#Task.v1_4_3.Task"}"##;
        assert_eq!(
            LongOperation::of(&answer(202, None, task)).handle,
            Some(Handle::Task("/redfish/v1/TaskService/Tasks/42".to_owned()))
        );
        let other = r##"{"@odata.id":"/redfish/v1/Systems/1","@odata.type":"#ComputerSystem.v1_1_0.ComputerSystem"}"##;
        assert_eq!(LongOperation::of(&answer(200, None, other)).handle, None);
    }
}
