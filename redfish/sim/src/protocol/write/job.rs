//! The job queue: making, deleting and ordering jobs.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::StatusCode;
use serde_json::{Map, Value};

use super::bios::schedule_bios_job;
use super::{finish, text};
use crate::machine::Bmc;
use crate::machine::job::{Job, JobState, Work};
use crate::message::Failure;
use crate::protocol::Answer;

const BIOS_SETTINGS: &str = "/redfish/v1/Systems/System.Embedded.1/Bios/Settings";

pub(super) fn make_job(bmc: &Arc<Bmc>, body: &Map<String, Value>) -> Result<Answer, Failure> {
    let target = text(body, "TargetSettingsURI")?;
    if target.trim_end_matches('/') != BIOS_SETTINGS {
        return Err(Failure::bad_value("TargetSettingsURI", target));
    }
    {
        let state = bmc.state();
        if state.kept.jobs.open_bios_job().is_some() {
            return Err(Failure::new(StatusCode::BAD_REQUEST, "SYS011"));
        }
        if state.kept.bios_pending.is_empty() && state.kept.boot_order_pending.is_none() {
            return Err(Failure::new(StatusCode::BAD_REQUEST, "BIOS008"));
        }
    }
    let mut id = String::new();
    finish(bmc, |state| id = schedule_bios_job(state));
    Ok(Answer::success().location(format!("/redfish/v1/Managers/iDRAC.Embedded.1/Oem/Dell/Jobs/{id}")))
}

pub(super) fn delete_job(bmc: &Arc<Bmc>, id: &str) -> Result<Answer, Failure> {
    let job: Job = bmc.state().kept.jobs.get(id).cloned().ok_or_else(|| Failure::not_found(id))?;
    if job.state == JobState::Running {
        return Err(Failure::new(StatusCode::BAD_REQUEST, "JCP015").arg(id));
    }
    finish(bmc, |state| {
        // The pending values of a job that never ran go with it.
        if job.work == Work::Bios && !job.state.is_over() {
            state.kept.bios_pending.clear();
            state.kept.boot_order_pending = None;
        }
        state.kept.jobs.remove(id);
        state.log("JCP036", "OK", "Configuration", "The job %1 was deleted.", &[id]);
    });
    Ok(Answer::success())
}

pub(super) fn job_service(bmc: &Arc<Bmc>, action: &str, body: &Map<String, Value>) -> Result<Answer, Failure> {
    match action {
        "DellJobService.DeleteJobQueue" => match text(body, "JobID")? {
            all @ ("JID_CLEARALL" | "JID_CLEARALL_FORCE") => {
                finish(bmc, |state| {
                    if state.kept.jobs.open_bios_job().is_some_and(|job| job.state == JobState::Scheduled) {
                        state.kept.bios_pending.clear();
                        state.kept.boot_order_pending = None;
                    }
                    let force = all.ends_with("FORCE");
                    state.kept.jobs.clear(force);
                    if force {
                        // The data service restarts: the systems are gone from ten seconds later for a minute.
                        let scale = bmc.shared.scale;
                        let from = Instant::now() + scale.shorten(Duration::from_secs(10));
                        state.live.empty_systems = Some((from, from + scale.shorten(Duration::from_secs(60))));
                    }
                    state.log("JCP045", "OK", "Configuration", "The job queue was cleared.", &[]);
                });
                Ok(Answer::success())
            }
            id => delete_job(bmc, id),
        },
        "DellJobService.CreateRebootJob" => {
            let kind = text(body, "RebootJobType")?;
            if !["GracefulRebootWithForcedShutdown", "GracefulRebootWithoutForcedShutdown", "PowerCycle"]
                .contains(&kind)
            {
                return Err(Failure::bad_value("RebootJobType", kind));
            }
            let mut id = String::new();
            finish(bmc, |state| {
                id = state.kept.jobs.make(Work::Reboot);
                state.kept.counters.jobs += 1;
            });
            Ok(Answer::success().location(format!("/redfish/v1/Managers/iDRAC.Embedded.1/Oem/Dell/Jobs/{id}")))
        }
        "DellJobService.SetupJobQueue" => {
            let jobs =
                body.get("JobArray").and_then(Value::as_array).ok_or_else(|| Failure::missing_property("JobArray"))?;
            let mut reboot = false;
            {
                let state = bmc.state();
                for id in jobs {
                    let id = id.as_str().ok_or_else(|| Failure::bad_type("JobArray"))?;
                    let job = state
                        .kept
                        .jobs
                        .get(id)
                        .ok_or_else(|| Failure::new(StatusCode::BAD_REQUEST, "JCP007").arg(id))?;
                    reboot |= job.work == Work::Reboot;
                }
            }
            let on = bmc.state().kept.power_on;
            if reboot && on {
                bmc.reset("ForceRestart")?;
            }
            Ok(Answer::success())
        }
        other => Err(Failure::not_found(other)),
    }
}
