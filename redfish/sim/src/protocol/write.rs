//! Everything that is not a read: the table of POST, PATCH and DELETE targets, and for each the checks of its body.
//! What a write does is the machine's business; here it is only understood, refused or passed on.

use std::sync::Arc;

use http::{Method, StatusCode};
use serde_json::{Map, Value, json};

use super::{Answer, Call, authentication};
use crate::machine::boot::{ENABLED, TARGETS};
use crate::machine::job::{Job, JobState, Work};
use crate::machine::media::InsertRequest;
use crate::machine::post::Phase;
use crate::machine::power::RESET_TYPES;
use crate::machine::{Bmc, State, bios};
use crate::message::Failure;
use crate::resource::{self, View, attributes, session};

const BIOS_SETTINGS: &str = "/redfish/v1/Systems/System.Embedded.1/Bios/Settings";

/// Handles a write.
///
/// # Errors
/// The refusal.
pub(super) async fn handle(bmc: &Arc<Bmc>, call: Call) -> Result<Answer, Failure> {
    let path: Vec<&str> = call.path.iter().map(String::as_str).collect();
    let body = &call.body;
    match (&call.method, path.as_slice()) {
        (&Method::POST, ["SessionService", "Sessions"] | ["SessionService", "Sessions", "Members"] | ["Sessions"]) => {
            open_session(bmc, &call)
        }
        (&Method::DELETE, ["SessionService", "Sessions", id] | ["Sessions", id]) => close_session(bmc, id),
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
        (&Method::PATCH, ["Systems", "System.Embedded.1"]) => patch_system(bmc, body),
        (&Method::PATCH, ["Systems", "System.Embedded.1", "Settings"]) => patch_system_settings(bmc, body),
        (&Method::PATCH, ["Systems", "System.Embedded.1", "Bios", "Settings"]) => patch_bios(bmc, body),
        (
            &Method::POST,
            ["Systems", "System.Embedded.1", "Bios", "Settings", "Actions", "Oem", "DellManager.ClearPending"],
        ) => clear_pending(bmc),
        (&Method::POST, ["Systems", "System.Embedded.1", "Bios", "Actions", "Bios.ResetBios"]) => {
            finish(bmc, |state| {
                state.kept.bios.clear();
                state.log("BIOS001", "OK", "Configuration", "A reset of the BIOS to its defaults was requested.", &[]);
            });
            Ok(Answer::success())
        }
        (&Method::PATCH, ["Systems", "System.Embedded.1", "SecureBoot"]) => patch_secure_boot(bmc, body),
        (&Method::POST, ["Systems", "System.Embedded.1", "VirtualMedia", slot @ ("1" | "2"), "Actions", action]) => {
            let slot = usize::from(*slot == "2");
            media(bmc, slot, if slot == 0 { "1" } else { "2" }, action, body).await
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
            media(bmc, 0, device, action, body).await
        }
        (&Method::PATCH, ["Managers", "iDRAC.Embedded.1", "Oem", "Dell", "DellAttributes", group]) => {
            patch_attributes(bmc, group, body)
        }
        (&Method::PATCH, ["Managers", "iDRAC.Embedded.1", "Attributes"]) => {
            patch_attributes(bmc, "iDRAC.Embedded.1", body)
        }
        (
            &Method::POST,
            ["Managers", "iDRAC.Embedded.1", "Oem", "Dell", "Jobs"] | ["Managers", "iDRAC.Embedded.1", "Jobs"],
        ) => make_job(bmc, body),
        (
            &Method::DELETE,
            ["Managers", "iDRAC.Embedded.1", "Oem", "Dell", "Jobs", id]
            | ["Managers", "iDRAC.Embedded.1", "Jobs", id]
            | ["JobService", "Jobs", id],
        ) => delete_job(bmc, id),
        (&Method::POST, ["Managers", "iDRAC.Embedded.1", "Oem", "Dell", "DellJobService", "Actions", action]) => {
            job_service(bmc, action, body)
        }
        (&Method::POST, ["Managers", "iDRAC.Embedded.1", "LogServices", "Sel", "Actions", "LogService.ClearLog"]) => {
            finish(bmc, |state| {
                state.kept.sel.clear();
                state.kept.sel.write("LOG0000", "OK", "SEL", "Log cleared.", &[]);
            });
            Ok(Answer::success())
        }
        (&Method::PATCH, ["AccountService", "Accounts", "2"]) => patch_account(bmc, body),
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

fn open_session(bmc: &Arc<Bmc>, call: &Call) -> Result<Answer, Failure> {
    if bmc.state().kept.faults.no_sessions {
        return Err(Failure::not_allowed("GET, HEAD"));
    }
    if call.has_authorization {
        return Err(Failure::new(StatusCode::BAD_REQUEST, "SYS468"));
    }
    let user = text(&call.body, "UserName")?;
    let password = text(&call.body, "Password")?;
    authentication::verify(bmc, call.origin, user, password)?;
    let full = Failure::new(StatusCode::SERVICE_UNAVAILABLE, "RAC0218");
    let opened = {
        let mut state = bmc.state();
        if state.kept.faults.sessions_full {
            return Err(full);
        }
        let opened = state.live.logins.open(user, call.origin).ok_or(full)?;
        state.kept.counters.logins += 1;
        let address = call.origin.to_string();
        state.log(
            "USR0030",
            "OK",
            "Audit",
            "Successfully logged in using %1, from %2 and %3.",
            &[user, &address, "REDFISH"],
        );
        opened
    };
    Ok(Answer::json(session::document_of(&opened))
        .with_status(StatusCode::CREATED)
        .header(http::HeaderName::from_static("x-auth-token"), opened.token.clone())
        .location(format!("/redfish/v1/SessionService/Sessions/{}", opened.id)))
}

fn close_session(bmc: &Arc<Bmc>, id: &str) -> Result<Answer, Failure> {
    let mut state = bmc.state();
    let closed = id.parse().is_ok_and(|id| state.live.logins.close(id));
    if !closed {
        return Err(Failure::not_found(id));
    }
    state.kept.counters.logouts += 1;
    state.live.dirty = true;
    Ok(Answer::success())
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

fn patch_system(bmc: &Arc<Bmc>, body: &Map<String, Value>) -> Result<Answer, Failure> {
    let mut override_wanted = None;
    let mut order = None;
    let mut asset_tag = None;
    let mut mode_named = false;
    for (name, value) in body {
        match name.as_str() {
            "Boot" => {
                let boot = value.as_object().ok_or_else(|| Failure::bad_type("Boot"))?;
                for (name, value) in boot {
                    match name.as_str() {
                        "BootSourceOverrideTarget" => {
                            let target =
                                value.as_str().ok_or_else(|| Failure::bad_type("Boot/BootSourceOverrideTarget"))?;
                            if !TARGETS.contains(&target) {
                                return Err(Failure::bad_value("Boot/BootSourceOverrideTarget", target));
                            }
                            override_wanted.get_or_insert((None, None, None)).0 = Some(target.to_owned());
                        }
                        "BootSourceOverrideEnabled" => {
                            let enabled =
                                value.as_str().ok_or_else(|| Failure::bad_type("Boot/BootSourceOverrideEnabled"))?;
                            if !ENABLED.contains(&enabled) {
                                return Err(Failure::bad_value("Boot/BootSourceOverrideEnabled", enabled));
                            }
                            override_wanted.get_or_insert((None, None, None)).1 = Some(enabled.to_owned());
                        }
                        "UefiTargetBootSourceOverride" => {
                            let path =
                                value.as_str().ok_or_else(|| Failure::bad_type("Boot/UefiTargetBootSourceOverride"))?;
                            override_wanted.get_or_insert((None, None, None)).2 = Some(path.to_owned());
                        }
                        "BootSourceOverrideMode" => {
                            let mode =
                                value.as_str().ok_or_else(|| Failure::bad_type("Boot/BootSourceOverrideMode"))?;
                            if !["UEFI", "Legacy"].contains(&mode) {
                                return Err(Failure::bad_value("Boot/BootSourceOverrideMode", mode));
                            }
                            mode_named = true;
                        }
                        "BootOrder" => order = Some(value.clone()),
                        other => return Err(Failure::unknown_property(&format!("Boot/{other}"))),
                    }
                }
            }
            "AssetTag" => asset_tag = Some(value.as_str().ok_or_else(|| Failure::bad_type("AssetTag"))?.to_owned()),
            "HostName" | "LocationIndicatorActive" | "IndicatorLED" => {}
            other if other.starts_with('@') => {}
            other => return Err(Failure::unknown_property(other)),
        }
    }
    if let Some(order) = order {
        return boot_order(bmc, &order, true);
    }
    let mut job = None;
    finish(bmc, |state| {
        if let Some(tag) = asset_tag {
            state.kept.asset_tag = tag;
        }
        if let Some((target, enabled, uefi_path)) = override_wanted {
            let named = target.is_some();
            if let Some(target) = target {
                state.kept.boot.target = target;
            }
            // A target alone arms the override for the next boot.
            state.kept.boot.enabled = match enabled {
                Some(enabled) => enabled,
                None if named && state.kept.boot.enabled == "Disabled" => "Once".to_owned(),
                None => state.kept.boot.enabled.clone(),
            };
            if uefi_path.is_some() {
                state.kept.boot.uefi_path = uefi_path;
            }
            if state.kept.boot.target == "None" || state.kept.boot.enabled == "Disabled" {
                state.kept.boot = crate::machine::boot::BootOverride::default();
            } else {
                state.kept.counters.boot_overrides += 1;
            }
        }
        if mode_named && state.kept.faults.boot_mode_job && state.kept.jobs.open_bios_job().is_none() {
            job = Some(schedule_bios_job(state));
        }
    });
    Ok(match job {
        Some(id) => {
            Answer::success().with_status(StatusCode::ACCEPTED).location(format!("/redfish/v1/TaskService/Tasks/{id}"))
        }
        None => Answer::success(),
    })
}

fn patch_system_settings(bmc: &Arc<Bmc>, body: &Map<String, Value>) -> Result<Answer, Failure> {
    let on_reset = body
        .get("@Redfish.SettingsApplyTime")
        .and_then(|apply| apply.get("ApplyTime"))
        .and_then(Value::as_str)
        .is_some_and(|when| when == "OnReset");
    for (name, value) in body {
        match name.as_str() {
            "Boot" => {
                let boot = value.as_object().ok_or_else(|| Failure::bad_type("Boot"))?;
                for (name, value) in boot {
                    match name.as_str() {
                        "BootOrder" => return boot_order(bmc, value, on_reset),
                        "BootSourceOverrideMode" | "StopBootOnFault" => {}
                        // An iDRAC9 takes the override on the system itself only.
                        "BootSourceOverrideTarget" | "BootSourceOverrideEnabled" | "UefiTargetBootSourceOverride" => {
                            return Err(Failure::new(StatusCode::BAD_REQUEST, "SYS427")
                                .arg(name.clone())
                                .about(&format!("Boot/{name}")));
                        }
                        other => return Err(Failure::unknown_property(&format!("Boot/{other}"))),
                    }
                }
            }
            "AssetTag" => {
                let tag = value.as_str().ok_or_else(|| Failure::bad_type("AssetTag"))?.to_owned();
                finish(bmc, |state| state.kept.asset_tag = tag);
            }
            other if other.starts_with('@') => {}
            other => return Err(Failure::unknown_property(other)),
        }
    }
    Ok(Answer::success())
}

fn boot_order(bmc: &Arc<Bmc>, order: &Value, makes_job: bool) -> Result<Answer, Failure> {
    let wrong = || Failure::bad_type("Boot/BootOrder");
    let order: Vec<String> = order
        .as_array()
        .ok_or_else(wrong)?
        .iter()
        .map(|entry| entry.as_str().map(str::to_owned).ok_or_else(wrong))
        .collect::<Result<_, _>>()?;
    let (known, open) = {
        let state = bmc.state();
        let view = View::new(bmc, &state, &[]);
        (resource::system::boot_order(&view), state.kept.jobs.open_bios_job().is_some())
    };
    if let Some(unknown) = order.iter().find(|entry| !known.contains(entry)) {
        return Err(Failure::bad_value("Boot/BootOrder", unknown));
    }
    // The entries that were not named keep their order behind those that were.
    let mut wanted = order;
    for entry in &known {
        if !wanted.contains(entry) {
            wanted.push(entry.clone());
        }
    }
    if wanted == known {
        return Ok(Answer::success());
    }
    if open {
        return Err(Failure::new(StatusCode::BAD_REQUEST, "SYS011"));
    }
    let mut job = None;
    finish(bmc, |state| {
        state.kept.boot_order_pending = Some(wanted);
        if makes_job {
            job = Some(schedule_bios_job(state));
        }
    });
    Ok(match job {
        Some(id) => {
            Answer::success().with_status(StatusCode::ACCEPTED).location(format!("/redfish/v1/TaskService/Tasks/{id}"))
        }
        None => Answer::success(),
    })
}

fn schedule_bios_job(state: &mut State) -> String {
    let id = state.kept.jobs.make(Work::Bios);
    state.kept.counters.jobs += 1;
    state.log(
        "JCP027",
        "OK",
        "Configuration",
        "The (installation or configuration) job %1 is successfully created on iDRAC.",
        &[&id],
    );
    id
}

fn patch_bios(bmc: &Arc<Bmc>, body: &Map<String, Value>) -> Result<Answer, Failure> {
    let wanted = body
        .get("Attributes")
        .ok_or_else(|| Failure::missing_property("Attributes"))?
        .as_object()
        .ok_or_else(|| Failure::bad_type("Attributes"))?;
    let apply_time =
        body.get("@Redfish.SettingsApplyTime").and_then(|apply| apply.get("ApplyTime")).and_then(Value::as_str);
    if let Some(when) = apply_time
        && !["OnReset", "AtMaintenanceWindowStart", "InMaintenanceWindowOnReset"].contains(&when)
    {
        return Err(Failure::bad_value("@Redfish.SettingsApplyTime/ApplyTime", when));
    }
    {
        let state = bmc.state();
        let current = bios::current(&state, &bmc.hardware(&state), &bmc.tag(&state));
        for (name, value) in wanted {
            bios::check(&current, name, value).map_err(|wrong| {
                let property = format!("Attributes/{name}");
                match wrong {
                    bios::Wrong::Unknown => Failure::unknown_property(&property),
                    bios::Wrong::ReadOnly => {
                        Failure::new(StatusCode::BAD_REQUEST, "SYS410").arg(name.clone()).about(&property)
                    }
                    bios::Wrong::Type => Failure::bad_type(&property),
                    bios::Wrong::Value => Failure::bad_value(&property, value.as_str().unwrap_or("")),
                }
            })?;
        }
        if state.kept.jobs.open_bios_job().is_some() {
            return Err(Failure::new(StatusCode::BAD_REQUEST, "SYS011"));
        }
    }
    let mut job = None;
    finish(bmc, |state| {
        for (name, value) in wanted {
            state.kept.bios_pending.insert(name.clone(), value.clone());
        }
        state.kept.counters.bios_changes += 1;
        if apply_time.is_some() {
            job = Some(schedule_bios_job(state));
        }
    });
    Ok(match job {
        Some(id) => {
            Answer::success().with_status(StatusCode::ACCEPTED).location(format!("/redfish/v1/TaskService/Tasks/{id}"))
        }
        None => Answer::success(),
    })
}

fn clear_pending(bmc: &Arc<Bmc>) -> Result<Answer, Failure> {
    {
        let state = bmc.state();
        if state.kept.jobs.open_bios_job().is_some() {
            return Err(Failure::new(StatusCode::BAD_REQUEST, "BIOS011"));
        }
        if state.kept.bios_pending.is_empty() && state.kept.boot_order_pending.is_none() {
            return Err(Failure::new(StatusCode::BAD_REQUEST, "BIOS012"));
        }
    }
    finish(bmc, |state| {
        state.kept.bios_pending.clear();
        state.kept.boot_order_pending = None;
    });
    Ok(Answer::success())
}

fn patch_secure_boot(bmc: &Arc<Bmc>, body: &Map<String, Value>) -> Result<Answer, Failure> {
    let enable = body
        .get("SecureBootEnable")
        .ok_or_else(|| Failure::missing_property("SecureBootEnable"))?
        .as_bool()
        .ok_or_else(|| Failure::bad_type("SecureBootEnable"))?;
    if bmc.state().kept.jobs.open_bios_job().is_some() {
        return Err(Failure::new(StatusCode::BAD_REQUEST, "SYS011"));
    }
    finish(bmc, |state| {
        let value = if enable { "Enabled" } else { "Disabled" };
        state.kept.bios_pending.insert("SecureBoot".to_owned(), json!(value));
    });
    Ok(Answer::success())
}

async fn media(
    bmc: &Arc<Bmc>,
    slot: usize,
    device: &str,
    action: &str,
    body: &Map<String, Value>,
) -> Result<Answer, Failure> {
    match action {
        "VirtualMedia.InsertMedia" => {
            for (name, value) in body {
                let right = match name.as_str() {
                    "Image" | "UserName" | "Password" | "TransferMethod" | "TransferProtocolType" => {
                        value.is_string() || value.is_null()
                    }
                    "Inserted" | "WriteProtected" => value.is_boolean(),
                    other => return Err(Failure::unknown_property(other)),
                };
                if !right {
                    return Err(Failure::bad_type(name));
                }
            }
            if let Some(method) = body.get("TransferMethod").and_then(Value::as_str)
                && method != "Stream"
            {
                return Err(Failure::bad_value("TransferMethod", method));
            }
            let optional = |name: &str| body.get(name).and_then(Value::as_str).map(str::to_owned);
            let request = InsertRequest {
                image: text(body, "Image")?.to_owned(),
                user: optional("UserName"),
                password: optional("Password"),
            };
            bmc.insert_media(slot, device, request).await?;
            Ok(Answer::nothing())
        }
        "VirtualMedia.EjectMedia" => {
            bmc.eject_media(slot)?;
            Ok(Answer::nothing())
        }
        other => Err(Failure::not_found(other)),
    }
}

fn patch_attributes(bmc: &Arc<Bmc>, group: &str, body: &Map<String, Value>) -> Result<Answer, Failure> {
    let wanted = body
        .get("Attributes")
        .ok_or_else(|| Failure::missing_property("Attributes"))?
        .as_object()
        .ok_or_else(|| Failure::bad_type("Attributes"))?;
    {
        let state = bmc.state();
        let view = View::new(bmc, &state, &[]);
        let Some(current) = attributes::current(&view, group) else { return Err(Failure::not_found(group)) };
        for (name, value) in wanted {
            let property = format!("Attributes/{name}");
            let Some(now) = current.get(name) else { return Err(Failure::unknown_property(&property)) };
            if attributes::is_read_only(name) {
                return Err(Failure::new(StatusCode::BAD_REQUEST, "SYS410").arg(name.clone()).about(&property));
            }
            if now.is_number() != value.is_number() || value.is_object() || value.is_array() {
                return Err(Failure::bad_type(&property));
            }
        }
    }
    finish(bmc, |state| {
        for (name, value) in wanted {
            state.kept.attributes.insert(format!("{group} {name}"), value.clone());
        }
        state.kept.counters.attribute_changes += 1;
    });
    Ok(Answer::success())
}

fn make_job(bmc: &Arc<Bmc>, body: &Map<String, Value>) -> Result<Answer, Failure> {
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

fn delete_job(bmc: &Arc<Bmc>, id: &str) -> Result<Answer, Failure> {
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

fn job_service(bmc: &Arc<Bmc>, action: &str, body: &Map<String, Value>) -> Result<Answer, Failure> {
    match action {
        "DellJobService.DeleteJobQueue" => match text(body, "JobID")? {
            all @ ("JID_CLEARALL" | "JID_CLEARALL_FORCE") => {
                finish(bmc, |state| {
                    if state.kept.jobs.open_bios_job().is_some_and(|job| job.state == JobState::Scheduled) {
                        state.kept.bios_pending.clear();
                        state.kept.boot_order_pending = None;
                    }
                    state.kept.jobs.clear(all.ends_with("FORCE"));
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

fn patch_account(bmc: &Arc<Bmc>, body: &Map<String, Value>) -> Result<Answer, Failure> {
    for name in body.keys() {
        if !["Password", "UserName", "Enabled", "RoleId"].contains(&name.as_str()) {
            return Err(Failure::unknown_property(name));
        }
    }
    if let Some(password) = body.get("Password") {
        let password =
            password.as_str().filter(|text| !text.is_empty()).ok_or_else(|| Failure::bad_type("Password"))?;
        finish(bmc, |state| state.kept.password = Some(password.to_owned()));
    }
    Ok(Answer::success())
}
