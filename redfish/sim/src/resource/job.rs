//! Jobs in the three vocabularies an iDRAC has for them, and the services around them.

use chrono::Utc;
use serde_json::{Value, json};

use super::{MANAGER, View, collection, document, link, links};
use crate::clock;
use crate::machine::job::{Job, MAX_JOBS};
use crate::message::DELL_REGISTRY;

/// How long a finished job is still shown as a task, seconds of machine time (older firmware: about a minute).
const TASK_LINGERS_SECONDS: u64 = 60;
/// With the fault `job_404`, a new job cannot be read for this long, seconds of machine time.
const HIDDEN_SECONDS: u64 = 10;

fn visible<'a>(view: &View<'a>) -> Vec<&'a Job> {
    let hidden = std::time::Duration::from_secs(HIDDEN_SECONDS);
    let hidden = view.bmc.shared.scale.shorten(hidden);
    let jobs = view.state.kept.jobs.all().iter();
    jobs.filter(|job| {
        !view.state.kept.faults.job_404 || (Utc::now() - job.created).to_std().is_ok_and(|age| age >= hidden)
    })
    .collect()
}

fn find<'a>(view: &View<'a>, id: &str) -> Option<&'a Job> {
    visible(view).into_iter().find(|job| job.id == id)
}

fn dell_job(job: &Job) -> Value {
    let (message_id, message) = job.message();
    document(
        format!("{MANAGER}/Oem/Dell/Jobs/{}", job.id),
        "DellJob",
        "v1_5_0",
        &job.id,
        job.name(),
        json!({
            "ActualRunningStartTime": job.started.map(clock::without_offset),
            "ActualRunningStopTime": job.ended.map(clock::without_offset),
            "CompletionTime": job.ended.map(clock::without_offset),
            "Description": "Job Instance",
            "EndTime": "TIME_NA",
            "JobState": job.state.dell(),
            "JobType": job.job_type(),
            "Message": message,
            "MessageArgs": [],
            "MessageArgs@odata.count": 0,
            "MessageId": message_id,
            "PercentComplete": job.percent,
            "StartTime": clock::without_offset(job.created),
            "TargetSettingsURI": null,
        }),
    )
}

/// `Oem/Dell/Jobs`.
#[must_use]
pub fn dell_jobs(view: &View<'_>, segments: &[&str]) -> Option<Value> {
    let path = format!("{MANAGER}/Oem/Dell/Jobs");
    match segments {
        [] => {
            let members = visible(view).into_iter().map(|job| format!("{path}/{}", job.id));
            let mut all = collection(path.clone(), "DellJobCollection", "JobQueue", links(members));
            all["Description"] = json!("Collection of Job Instances");
            Some(all)
        }
        [id] => find(view, id).map(dell_job),
        _ => None,
    }
}

/// `DellJobService`.
#[must_use]
pub fn dell_job_service(view: &View<'_>) -> Value {
    let path = format!("{MANAGER}/Oem/Dell/DellJobService");
    let target = |action: &str| format!("{path}/Actions/DellJobService.{action}");
    document(
        path.clone(),
        "DellJobService",
        "v1_2_0",
        "Job Service",
        "DellJobService",
        json!({
            "Actions": {
                "#DellJobService.CreateRebootJob": {
                    "RebootJobType@Redfish.AllowableValues": ["GracefulRebootWithForcedShutdown", "GracefulRebootWithoutForcedShutdown", "PowerCycle"],
                    "target": target("CreateRebootJob"),
                },
                "#DellJobService.DeleteJobQueue": {"target": target("DeleteJobQueue")},
                "#DellJobService.SetupJobQueue": {"target": target("SetupJobQueue")},
            },
            "CurrentNumberOfJobs": view.state.kept.jobs.all().len(),
            "DeleteOnCompletionTimeoutMinutes": 2880,
            "Description": "The DellJobService resource provides some actions to support Job management functionality.",
            "MaximumNumberOfJobs": MAX_JOBS,
            "StartAutoDeleteAtThreshold": 128,
        }),
    )
}

fn messages(job: &Job) -> Value {
    let (message_id, message) = job.message();
    json!([{"Message": message, "MessageArgs": [], "MessageArgs@odata.count": 0, "MessageId": format!("{DELL_REGISTRY}.{message_id}")}])
}

/// `JobService`.
#[must_use]
pub fn jobs(view: &View<'_>, segments: &[&str]) -> Option<Value> {
    let path = "/redfish/v1/JobService";
    match segments {
        [] => Some(document(
            path,
            "JobService",
            "v1_0_5",
            "JobService",
            "Job Service",
            json!({
                "DateTime": super::system::now(),
                "Description": "Represent a job service for a Redfish",
                "Jobs": link(format!("{path}/Jobs")),
                "Log": link(format!("{MANAGER}/LogServices/Lclog")),
                "ServiceCapabilities": {"MaxJobs": MAX_JOBS, "MaxSteps": 1, "Scheduling": true},
                "ServiceEnabled": true,
                "Status": {"Health": "OK", "State": "Enabled"},
            }),
        )),
        ["Jobs"] => {
            let members = visible(view).into_iter().map(|job| format!("{path}/Jobs/{}", job.id));
            Some(collection(format!("{path}/Jobs"), "JobCollection", "JobCollection", links(members)))
        }
        ["Jobs", id] => find(view, id).map(|job| {
            let (state, status) = job.state.dmtf();
            document(
                format!("{path}/Jobs/{id}"),
                "Job",
                "v1_2_3",
                id,
                job.dmtf_name(),
                json!({
                    "Description": "Job Instance",
                    "EndTime": job.ended.map(clock::with_offset),
                    "JobState": state,
                    "JobStatus": status,
                    "Messages": messages(job),
                    "Messages@odata.count": 1,
                    "PercentComplete": job.percent,
                    "StartTime": clock::with_offset(job.created),
                }),
            )
        }),
        _ => None,
    }
}

/// `TaskService`. A task is there while its job waits or runs, and a little longer; then only the job remains.
#[must_use]
pub fn tasks(view: &View<'_>, segments: &[&str]) -> Option<Value> {
    let path = "/redfish/v1/TaskService";
    let lingers = view.bmc.shared.scale.shorten(std::time::Duration::from_secs(TASK_LINGERS_SECONDS));
    let alive: Vec<&Job> = visible(view)
        .into_iter()
        .filter(|job| job.ended.is_none_or(|ended| (Utc::now() - ended).to_std().is_ok_and(|age| age < lingers)))
        .collect();
    match segments {
        [] => Some(document(
            path,
            "TaskService",
            "v1_2_1",
            "TaskService",
            "Task Service",
            json!({
                "CompletedTaskOverWritePolicy": "Oldest",
                "DateTime": super::system::now(),
                "Description": "Represents the properties for the service itself and has links to the actual list of Tasks",
                "ServiceEnabled": true,
                "Status": {"Health": "OK", "State": "Enabled"},
                "Tasks": link(format!("{path}/Tasks")),
            }),
        )),
        ["Tasks"] => {
            let members = alive.into_iter().map(|job| format!("{path}/Tasks/{}", job.id));
            Some(collection(format!("{path}/Tasks"), "TaskCollection", "Task Collection", links(members)))
        }
        ["Tasks", id] => alive.into_iter().find(|job| job.id == *id).map(|job| {
            let (state, status) = job.state.task();
            document(
                format!("{path}/Tasks/{id}"),
                "Task",
                "v1_7_1",
                id,
                job.name(),
                json!({
                    "Description": "Server Configuration and other Tasks running on iDRAC are listed here",
                    "EndTime": job.ended.map_or_else(String::new, clock::with_offset),
                    "Messages": messages(job),
                    "Messages@odata.count": 1,
                    "Oem": {"Dell": dell_job(job)},
                    "PercentComplete": job.percent,
                    "StartTime": clock::with_offset(job.created),
                    "TaskState": state,
                    "TaskStatus": status,
                }),
            )
        }),
        _ => None,
    }
}
