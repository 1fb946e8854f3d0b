//! BIOS settings: pending values, and the job that applies them at the next POST.

use std::sync::Arc;

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::finish;
use crate::machine::job::Work;
use crate::machine::{Bmc, State, bios};
use crate::message::Failure;
use crate::protocol::Answer;

pub(super) fn schedule_bios_job(state: &mut State) -> String {
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

pub(super) fn patch_bios(bmc: &Arc<Bmc>, body: &Map<String, Value>) -> Result<Answer, Failure> {
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
            let repeated = wanted.iter().all(|(name, value)| state.kept.bios_pending.get(name) == Some(value));
            return if repeated && state.kept.faults.bios_repeat_is_200 {
                Ok(Answer::success())
            } else {
                Err(Failure::new(StatusCode::BAD_REQUEST, "SYS011"))
            };
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

pub(super) fn clear_pending(bmc: &Arc<Bmc>) -> Result<Answer, Failure> {
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

pub(super) fn patch_secure_boot(bmc: &Arc<Bmc>, body: &Map<String, Value>) -> Result<Answer, Failure> {
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
