//! Boot settings of the system: the override, which acts at once, and the boot order, which is a BIOS job.

use std::sync::Arc;

use http::StatusCode;
use serde_json::{Map, Value};

use super::bios::schedule_bios_job;
use super::finish;
use crate::machine::Bmc;
use crate::machine::boot::{ENABLED, TARGETS};
use crate::message::Failure;
use crate::protocol::Answer;
use crate::resource::{self, View};

pub(super) fn patch_system(bmc: &Arc<Bmc>, body: &Map<String, Value>) -> Result<Answer, Failure> {
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

pub(super) fn patch_system_settings(bmc: &Arc<Bmc>, body: &Map<String, Value>) -> Result<Answer, Failure> {
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

pub(super) fn boot_order(bmc: &Arc<Bmc>, order: &Value, makes_job: bool) -> Result<Answer, Failure> {
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
