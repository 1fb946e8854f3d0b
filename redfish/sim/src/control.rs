//! The side API for tests and demos: what a person with hands and cables could do to a rack, and a look behind the BMCs.
//! Plain HTTP with JSON on a loopback address; it is no part of what an iDRAC serves.

use std::sync::Arc;

use anyhow::{Context, bail};
use axum::extract::{Path, State as Shared};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use http::StatusCode;
use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;

use crate::fleet::Fleet;
use crate::machine::Bmc;
use crate::machine::boot::BootedFrom;

#[derive(Clone)]
struct App {
    fleet: Arc<Fleet>,
    port: u16,
}

/// Serves the control API until told to stop.
pub(crate) async fn serve(listener: tokio::net::TcpListener, fleet: Arc<Fleet>, port: u16, stop: CancellationToken) {
    let router = Router::new()
        .route("/bmcs", get(list))
        .route("/bmcs/{name}", get(show).patch(patch))
        .route("/bmcs/{name}/actions/{action}", post(action))
        .with_state(App { fleet, port });
    if let Err(error) = axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned()).await {
        tracing::error!(%error, "the control API stopped");
    }
}

fn answer(status: StatusCode, body: Value) -> Response {
    (status, Json(body)).into_response()
}

fn unknown(name: &str) -> Response {
    answer(StatusCode::NOT_FOUND, json!({"error": format!("no BMC has the address or service tag '{name}'")}))
}

async fn list(Shared(app): Shared<App>) -> Response {
    let all: Vec<Value> = app.fleet.bmcs().iter().map(|bmc| summary(bmc, app.port)).collect();
    answer(StatusCode::OK, Value::Array(all))
}

async fn show(Shared(app): Shared<App>, Path(name): Path<String>) -> Response {
    match app.fleet.find(&name) {
        Some(bmc) => answer(StatusCode::OK, details(bmc, app.port)),
        None => unknown(&name),
    }
}

async fn patch(Shared(app): Shared<App>, Path(name): Path<String>, Json(body): Json<Map<String, Value>>) -> Response {
    let Some(bmc) = app.fleet.find(&name) else { return unknown(&name) };
    match change(bmc, body) {
        Ok(()) => answer(StatusCode::OK, details(bmc, app.port)),
        Err(error) => answer(StatusCode::BAD_REQUEST, json!({"error": format!("{error:#}")})),
    }
}

async fn action(
    Shared(app): Shared<App>,
    Path((name, action)): Path<(String, String)>,
    body: axum::body::Bytes,
) -> Response {
    let Some(bmc) = app.fleet.find(&name) else { return unknown(&name) };
    let argument = if body.is_empty() { Ok(json!({})) } else { serde_json::from_slice(&body) };
    let outcome = argument.context("read the body of the action").and_then(|argument| act(bmc, &action, &argument));
    match outcome {
        Ok(()) => answer(StatusCode::OK, details(bmc, app.port)),
        Err(error) => answer(StatusCode::BAD_REQUEST, json!({"error": format!("{error:#}")})),
    }
}

/// Switches faults. Two names that are events and not switches are accepted here too, because tests read better so:
/// `new_certificate` and `swap_board`.
fn change(bmc: &Arc<Bmc>, mut body: Map<String, Value>) -> anyhow::Result<()> {
    for event in ["new_certificate", "swap_board"] {
        if body.remove(event) == Some(Value::Bool(true)) {
            act(bmc, event, &json!({}))?;
        }
    }
    {
        let mut state = bmc.state();
        let faults = state.kept.faults.patched(&body)?;
        state.kept.faults = faults;
        state.live.dirty = true;
    }
    bmc.save();
    Ok(())
}

/// Runs an action.
///
/// # Errors
/// When the action is not known or its argument does not fit; the message lists what there is.
pub fn act(bmc: &Arc<Bmc>, action: &str, argument: &Value) -> anyhow::Result<()> {
    {
        let mut state = bmc.state();
        let gpus: Vec<u32> = bmc.model.gpus.iter().map(|gpu| gpu.slot).collect();
        let dimms: Vec<String> = bmc.hardware(&state).dimms().into_iter().map(|dimm| dimm.label).collect();
        let ports: Vec<String> = bmc.hardware(&state).ports().into_iter().map(|port| port.id).collect();
        let supplies = 1..=bmc.model.power_supply.count;
        let number = |name: &str| argument.get(name).and_then(Value::as_u64).and_then(|n| u32::try_from(n).ok());
        let text = |name: &str| argument.get(name).and_then(Value::as_str).map(str::to_owned);
        match action {
            "pull_gpu" | "restore_gpu" => {
                let slot = match (number("slot"), number("index")) {
                    (Some(slot), _) => slot,
                    (None, Some(index)) => {
                        *gpus.get(index as usize).with_context(|| format!("there are {} GPUs", gpus.len()))?
                    }
                    (None, None) => *gpus.first().context("this model has no GPUs")?,
                };
                if !gpus.contains(&slot) {
                    bail!("no GPU slot {slot}; there are {gpus:?}");
                }
                if action == "pull_gpu" {
                    state.kept.parts.pulled_gpus.insert(slot);
                    let slot = slot.to_string();
                    state.log("PCI3018", "Critical", "System Health", "The GPU in slot %1 is gone.", &[&slot]);
                } else {
                    state.kept.parts.pulled_gpus.remove(&slot);
                }
            }
            "swap_dimm" => {
                let label = text("dimm").unwrap_or_else(|| "A1".to_owned());
                if !dimms.contains(&label) {
                    bail!("no module {label}; there are {dimms:?}");
                }
                *state.kept.parts.swapped_dimms.entry(label.clone()).or_default() += 1;
                state.log("PR7", "OK", "System Health", "New device detected: DIMM %1.", &[&label]);
            }
            "drop_link" | "restore_link" => {
                let port = text("port").or_else(|| ports.last().cloned()).context("this model has no ports")?;
                if !ports.contains(&port) {
                    bail!("no port {port}; there are {ports:?}");
                }
                if action == "drop_link" {
                    state.kept.parts.dropped_links.insert(port.clone());
                    state.log("NIC100", "Warning", "System Health", "The %1 network link is down.", &[&port]);
                } else {
                    state.kept.parts.dropped_links.remove(&port);
                    state.log("NIC101", "OK", "System Health", "The %1 network link is started.", &[&port]);
                }
            }
            "fail_psu" | "restore_psu" => {
                let psu = number("psu").unwrap_or(1);
                if !supplies.contains(&psu) {
                    bail!("no supply {psu}; there are {supplies:?}");
                }
                let shown = psu.to_string();
                if action == "fail_psu" {
                    state.kept.parts.failed_supplies.insert(psu);
                    state.log(
                        "PSU0003",
                        "Critical",
                        "System Health",
                        "The power input for power supply %1 is lost.",
                        &[&shown],
                    );
                    state.kept.sel.write(
                        "0b0801",
                        "Critical",
                        "SEL",
                        "The power input for power supply %1 is lost.",
                        &[&shown],
                    );
                } else {
                    state.kept.parts.failed_supplies.remove(&psu);
                    state.log("PSU0017", "OK", "System Health", "Power supply %1 is operating normally.", &[&shown]);
                }
            }
            "new_certificate" => state.kept.certificates += 1,
            "swap_board" => {
                state.kept.boards += 1;
                state.live.logins.close_all();
            }
            "expire_sessions" => state.live.logins.close_all(),
            "restart_bmc" => {
                drop(state);
                bmc.restart_bmc();
                return Ok(());
            }
            "power_off" => {
                drop(state);
                bmc.host_switched_off();
                return Ok(());
            }
            other => bail!(
                "no action '{other}'; there are pull_gpu, restore_gpu, swap_dimm, drop_link, restore_link, fail_psu, \
                 restore_psu, new_certificate, swap_board, expire_sessions, restart_bmc, power_off"
            ),
        }
        state.live.dirty = true;
    }
    bmc.save();
    Ok(())
}

/// One line of `idrac-sim list` and of `GET /bmcs`.
#[must_use]
pub fn summary(bmc: &Bmc, port: u16) -> Value {
    let fingerprint = bmc.certificate().map(|certificate| certificate.fingerprint()).ok();
    let state = bmc.state();
    json!({
        "address": bmc.address().to_string(),
        "port": port,
        "service_tag": bmc.tag(&state),
        "model": bmc.model.name,
        "rack": bmc.config.rack,
        "position": bmc.config.position,
        "vm": bmc.config.vm,
        "fingerprint": fingerprint,
    })
}

fn details(bmc: &Bmc, port: u16) -> Value {
    let mut body = summary(bmc, port);
    let mut state = bmc.state();
    let sessions = state.live.logins.sessions().len();
    let media: Vec<Value> = state
        .kept
        .media
        .iter()
        .map(|slot| json!({"image": slot.image, "attached": slot.is_attached(), "size_bytes": slot.size_bytes}))
        .collect();
    body["state"] = json!({
        "power": if state.kept.power_on { "On" } else { "Off" },
        "boot_progress": state.live.phase.boot_progress(),
        "server_status": state.live.phase.server_status(),
        "booted": match &state.kept.booted {
            None => Value::Null,
            Some(BootedFrom::Disk) => json!("disk"),
            Some(BootedFrom::Cd { url, .. }) => json!({"cd": url}),
        },
        "boot_override": {"enabled": state.kept.boot.enabled, "target": state.kept.boot.target},
        "media": media,
        "sessions": sessions,
        "jobs": state.kept.jobs.all().iter().map(|job| json!({"id": job.id, "state": job.state.dell()})).collect::<Vec<_>>(),
        "parts": state.kept.parts,
    });
    body["faults"] = json!(state.kept.faults);
    body["counters"] = json!(state.kept.counters);
    body
}
