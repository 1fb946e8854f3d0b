//! Everything that is not a read: the table of POST, PATCH and DELETE targets, and for each the checks of its body.
//! What a write does is the machine's business; here it is only understood, refused or passed on.

mod attributes;
mod bios;
mod boot;
mod job;
mod media;
mod session;

use std::sync::Arc;

use http::{Method, StatusCode};
use serde_json::{Map, Value, json};

use super::{Answer, Call};
use crate::machine::post::Phase;
use crate::machine::power::RESET_TYPES;
use crate::machine::{Bmc, State};
use crate::message::Failure;
use crate::resource::{self, View};

/// Handles a write.
///
/// # Errors
/// The refusal.
pub(super) async fn handle(bmc: &Arc<Bmc>, call: Call) -> Result<Answer, Failure> {
    let path: Vec<&str> = call.path.iter().map(String::as_str).collect();
    let body = &call.body;
    match (&call.method, path.as_slice()) {
        (&Method::POST, ["SessionService", "Sessions"] | ["SessionService", "Sessions", "Members"] | ["Sessions"]) => {
            session::open_session(bmc, &call)
        }
        (&Method::DELETE, ["SessionService", "Sessions", id] | ["Sessions", id]) => session::close_session(bmc, id),
        (&Method::POST, ["Managers", "iDRAC.Embedded.1", "Oem", "Dell", "DellLCService", "Actions", action])
        | (&Method::POST, ["Dell", "Managers", "iDRAC.Embedded.1", "DellLCService", "Actions", action]) => {
            lifecycle_action(bmc, action)
        }
        _ => {
            if bmc.state().kept.faults.lockdown {
                return Err(Failure::new(StatusCode::BAD_REQUEST, "SYS406"));
            }
            change(bmc, &call.method, &path, body).await
        }
    }
}

async fn change(bmc: &Arc<Bmc>, method: &Method, path: &[&str], body: &Map<String, Value>) -> Result<Answer, Failure> {
    match (method, path) {
        (&Method::POST, ["Systems", "System.Embedded.1", "Actions", "ComputerSystem.Reset"]) => {
            let kind = text(body, "ResetType")?;
            if !RESET_TYPES.contains(&kind) {
                return Err(Failure::bad_value("ResetType", kind));
            }
            bmc.reset(kind)?;
            Ok(Answer::nothing())
        }
        (&Method::POST, ["Chassis", "System.Embedded.1", "Actions", "Chassis.Reset"]) => {
            match text(body, "ResetType")? {
                "PowerCycle" => bmc.ac_cycle(true)?,
                kind @ ("On" | "ForceOff") => bmc.reset(kind)?,
                other => return Err(Failure::bad_value("ResetType", other)),
            }
            Ok(Answer::nothing())
        }
        (&Method::POST, ["Chassis", "System.Embedded.1", "Actions", "Oem", "DellOemChassis.ExtendedReset"]) => {
            if text(body, "ResetType")? != "PowerCycle" {
                return Err(Failure::bad_value("ResetType", text(body, "ResetType")?));
            }
            bmc.ac_cycle(body.get("FinalPowerState").and_then(Value::as_str) == Some("On"))?;
            Ok(Answer::nothing())
        }
        (&Method::POST, ["Managers", "iDRAC.Embedded.1", "Actions", "Manager.Reset"]) => {
            let kind = text(body, "ResetType")?;
            if kind != "GracefulRestart" {
                return Err(Failure::bad_value("ResetType", kind));
            }
            bmc.restart_bmc();
            Ok(Answer::nothing())
        }
        (&Method::PATCH, ["Systems", "System.Embedded.1"]) => boot::patch_system(bmc, body),
        (&Method::PATCH, ["Systems", "System.Embedded.1", "Settings"]) => boot::patch_system_settings(bmc, body),
        (&Method::PATCH, ["Systems", "System.Embedded.1", "Bios", "Settings"]) => bios::patch_bios(bmc, body),
        (
            &Method::POST,
            ["Systems", "System.Embedded.1", "Bios", "Settings", "Actions", "Oem", "DellManager.ClearPending"],
        ) => bios::clear_pending(bmc),
        (&Method::POST, ["Systems", "System.Embedded.1", "Bios", "Actions", "Bios.ResetBios"]) => {
            finish(bmc, |state| {
                state.kept.bios.clear();
                state.log("BIOS001", "OK", "Configuration", "A reset of the BIOS to its defaults was requested.", &[]);
            });
            Ok(Answer::success())
        }
        (&Method::PATCH, ["Systems", "System.Embedded.1", "SecureBoot"]) => bios::patch_secure_boot(bmc, body),
        (&Method::POST, ["Systems", "System.Embedded.1", "VirtualMedia", slot @ ("1" | "2"), "Actions", action]) => {
            let slot = usize::from(*slot == "2");
            media::act(bmc, slot, if slot == 0 { "1" } else { "2" }, action, body).await
        }
        (
            &Method::POST,
            ["Managers", "iDRAC.Embedded.1", "VirtualMedia", device @ ("CD" | "RemovableDisk"), "Actions", action],
        ) => {
            // Both members are views of one remote file share.
            if *action == "VirtualMedia.InsertMedia" && bmc.state().kept.faults.managers_media_refused {
                bmc.state().kept.counters.inserts_refused += 1;
                return Err(Failure::new(StatusCode::BAD_REQUEST, "RAC0904"));
            }
            media::act(bmc, 0, device, action, body).await
        }
        (&Method::PATCH, ["Managers", "iDRAC.Embedded.1", "Oem", "Dell", "DellAttributes", group]) => {
            attributes::patch_attributes(bmc, group, body)
        }
        (&Method::PATCH, ["Managers", "iDRAC.Embedded.1", "Attributes"]) => {
            attributes::patch_attributes(bmc, "iDRAC.Embedded.1", body)
        }
        (
            &Method::POST,
            ["Managers", "iDRAC.Embedded.1", "Oem", "Dell", "Jobs"] | ["Managers", "iDRAC.Embedded.1", "Jobs"],
        ) => job::make_job(bmc, body),
        (
            &Method::DELETE,
            ["Managers", "iDRAC.Embedded.1", "Oem", "Dell", "Jobs", id]
            | ["Managers", "iDRAC.Embedded.1", "Jobs", id]
            | ["JobService", "Jobs", id],
        ) => job::delete_job(bmc, id),
        (&Method::POST, ["Managers", "iDRAC.Embedded.1", "Oem", "Dell", "DellJobService", "Actions", action]) => {
            job::job_service(bmc, action, body)
        }
        (&Method::POST, ["Managers", "iDRAC.Embedded.1", "LogServices", "Sel", "Actions", "LogService.ClearLog"]) => {
            finish(bmc, |state| {
                state.kept.sel.clear();
                state.kept.sel.write("LOG0000", "OK", "SEL", "Log cleared.", &[]);
            });
            Ok(Answer::success())
        }
        (&Method::PATCH, ["AccountService", "Accounts", "2"]) => session::patch_account(bmc, body),
        _ => Err(no_such_write(bmc, path)),
    }
}

/// 404 for a resource that is not there, 405 for one that cannot be written this way.
fn no_such_write(bmc: &Arc<Bmc>, path: &[&str]) -> Failure {
    let mut state = bmc.state();
    let sessions = state.live.logins.sessions().to_vec();
    let view = View::new(bmc, &state, &sessions);
    if resource::get(&view, path).is_some() {
        Failure::not_allowed("GET, HEAD")
    } else {
        Failure::not_found(path.last().copied().unwrap_or_default())
    }
}

/// Changes the state, counts the write and saves.
fn finish(bmc: &Arc<Bmc>, act: impl FnOnce(&mut State)) {
    {
        let mut state = bmc.state();
        act(&mut state);
        state.kept.counters.writes += 1;
        state.live.dirty = true;
    }
    bmc.save();
}

fn text<'a>(body: &'a Map<String, Value>, name: &str) -> Result<&'a str, Failure> {
    match body.get(name) {
        None | Some(Value::Null) => Err(Failure::missing_property(name)),
        Some(Value::String(text)) => Ok(text),
        Some(_) => Err(Failure::bad_type(name)),
    }
}

fn lifecycle_action(bmc: &Arc<Bmc>, action: &str) -> Result<Answer, Failure> {
    if action != "DellLCService.GetRemoteServicesAPIStatus" {
        return Err(Failure::not_found(action));
    }
    let state = bmc.state();
    let server = state.live.phase.server_status();
    let busy = state.live.phase == Phase::AutomatedTask;
    let status = if busy {
        "InUse"
    } else if server == "InPOST" {
        "NotReady"
    } else {
        "Ready"
    };
    let mut body = crate::message::success();
    body["LCStatus"] = json!(if busy { "InUse" } else { "Ready" });
    body["RTStatus"] = json!("Ready");
    body["SEKMServiceStatus"] = json!("NotReady");
    body["ServerStatus"] = json!(server);
    body["Status"] = json!(status);
    body["TelemetryServiceStatus"] = json!("NotReady");
    Ok(Answer::json(body))
}
