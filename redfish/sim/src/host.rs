//! The host program: one child process that plays the operating systems of all simulated machines. JSON lines both ways:
//! it is told when a machine boots or loses its power, and it tells when a system runs, switches itself off or restarts.
//! When it dies it is started again, with growing pauses, and told anew which machines run.

use std::process::Stdio;
use std::sync::{Arc, Weak};
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::fleet::Fleet;
use crate::machine::boot::BootedFrom;
use crate::machine::{Bmc, State};
use crate::model::AdapterKind;

/// First pause before a restart; each further one doubles, up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// Longest pause before a restart.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// A child that lived this long starts over with the first pause.
const HEALTHY_AFTER: Duration = Duration::from_secs(60);
/// How long the child may take to end after its input was closed.
const PATIENCE_AT_END: Duration = Duration::from_secs(5);

/// What the host program says.
#[derive(Debug, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum Said {
    OsRunning { node: String },
    PowerOff { node: String },
    Reset { node: String },
    BootFailed { node: String, why: String },
}

/// The running host program.
#[derive(Debug)]
pub struct HostProgram {
    tell: mpsc::UnboundedSender<Value>,
    ended: CancellationToken,
}

impl HostProgram {
    /// Starts the program and keeps it running until `stop`.
    ///
    /// # Errors
    /// When it cannot be started the first time.
    pub fn start(command: &str, fleet: Weak<Fleet>, stop: CancellationToken) -> std::io::Result<Self> {
        let (tell, told) = mpsc::unbounded_channel();
        let ended = CancellationToken::new();
        let first = spawn(command)?;
        tokio::spawn(keep_running(command.to_owned(), first, fleet, told, stop, ended.clone()));
        Ok(Self { tell, ended })
    }

    /// Sends an event.
    pub fn tell(&self, event: Value) {
        if self.tell.send(event).is_err() {
            tracing::warn!("the host program is stopped; an event is lost");
        }
    }

    /// Waits until the child is gone.
    pub async fn stopped(&self) {
        self.ended.cancelled().await;
    }
}

fn spawn(command: &str) -> std::io::Result<Child> {
    Command::new("sh")
        .arg("-c")
        .arg(format!("exec {command}"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .kill_on_drop(true)
        .spawn()
}

async fn keep_running(
    command: String,
    first: Child,
    fleet: Weak<Fleet>,
    mut told: mpsc::UnboundedReceiver<Value>,
    stop: CancellationToken,
    ended: CancellationToken,
) {
    let mut child = Some(first);
    let mut pause = FIRST_PAUSE;
    while !stop.is_cancelled() {
        let running = match child.take() {
            Some(running) => Ok(running),
            None => spawn(&command),
        };
        match running {
            Ok(running) => {
                let began = std::time::Instant::now();
                // What was sent to the one before is stale; the machines that run are announced anew.
                while told.try_recv().is_ok() {}
                talk(running, &fleet, &mut told, &stop).await;
                if began.elapsed() > HEALTHY_AFTER {
                    pause = FIRST_PAUSE;
                }
            }
            Err(error) => tracing::error!(%command, %error, "cannot start the host program"),
        }
        if stop.is_cancelled() {
            break;
        }
        tracing::warn!(%command, again_in = ?pause, "the host program ended; it is started again");
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(pause) => {}
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
    ended.cancel();
}

async fn talk(
    mut child: Child,
    fleet: &Weak<Fleet>,
    told: &mut mpsc::UnboundedReceiver<Value>,
    stop: &CancellationToken,
) {
    let (Some(mut input), Some(output)) = (child.stdin.take(), child.stdout.take()) else { return };
    let mut lines = BufReader::new(output).lines();
    if let Some(fleet) = fleet.upgrade() {
        for event in running_machines(&fleet) {
            if write(&mut input, &event).await.is_err() {
                return;
            }
        }
    }
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            event = told.recv() => {
                let Some(event) = event else { break };
                if write(&mut input, &event).await.is_err() { return }
            }
            line = lines.next_line() => match line {
                Ok(Some(line)) => if let Some(fleet) = fleet.upgrade() { heard(&fleet, &line) },
                Ok(None) | Err(_) => break,
            },
        }
    }
    drop(input);
    if tokio::time::timeout(PATIENCE_AT_END, child.wait()).await.is_err()
        && let Err(error) = child.kill().await
    {
        tracing::warn!(%error, "cannot end the host program");
    }
}

async fn write(input: &mut tokio::process::ChildStdin, event: &Value) -> std::io::Result<()> {
    let mut line = event.to_string();
    line.push('\n');
    input.write_all(line.as_bytes()).await?;
    input.flush().await
}

/// Boot events of all machines whose operating system was started.
fn running_machines(fleet: &Fleet) -> Vec<Value> {
    fleet
        .bmcs()
        .iter()
        .filter(|bmc| !bmc.config.vm)
        .filter_map(|bmc| {
            let state = bmc.state();
            let from = state.kept.booted.clone().filter(|_| state.live.phase.has_os())?;
            Some(boot_event(bmc, &state, &from))
        })
        .collect()
}

fn heard(fleet: &Fleet, line: &str) {
    let said: Said = match serde_json::from_str(line) {
        Ok(said) => said,
        Err(error) => {
            tracing::warn!(%error, line, "the host program said something that is not understood");
            return;
        }
    };
    let node = match &said {
        Said::OsRunning { node } | Said::PowerOff { node } | Said::Reset { node } | Said::BootFailed { node, .. } => {
            node
        }
    };
    let Some(bmc) = fleet.find(node) else {
        tracing::warn!(%node, "the host program speaks of a machine that is not in the fleet");
        return;
    };
    match &said {
        Said::OsRunning { .. } => bmc.os_running(),
        Said::PowerOff { .. } => bmc.host_switched_off(),
        Said::Reset { .. } => bmc.host_reset_itself(),
        Said::BootFailed { why, .. } => bmc.boot_failed(why),
    }
}

/// `{"event":"power_off","node":…}`.
#[must_use]
pub fn power_off_event(tag: &str) -> Value {
    json!({"event": "power_off", "node": tag})
}

/// `{"event":"boot",…}` with the machine as its operating system would see it.
#[must_use]
pub fn boot_event(bmc: &Bmc, state: &State, from: &BootedFrom) -> Value {
    let tag = bmc.tag(state);
    let mut event = json!({"event": "boot", "node": tag, "machine": machine(bmc, state)});
    match from {
        BootedFrom::Disk => event["boot"] = json!("disk"),
        BootedFrom::Cd { url, .. } => {
            event["boot"] = json!("cd");
            event["media_url"] = json!(url);
        }
    }
    event
}

fn machine(bmc: &Bmc, state: &State) -> Value {
    let hardware = bmc.hardware(state);
    let model = bmc.model;
    let tag = bmc.tag(state);
    let ports = hardware.ports();
    let mut ethernet = 0;
    let mut nics = Vec::new();
    let mut infiniband = Vec::new();
    for port in &ports {
        if port.adapter.kind == AdapterKind::Infiniband {
            infiniband.push(json!({
                "device": format!("mlx5_{}", infiniband.len()),
                "guid": port.guid,
                "rate_gbps": if port.link_up { port.adapter.speed_mbps / 1000 } else { 0 },
                "pci_bus_id": format!("0000:{:02x}:00.0", port.adapter.bus),
            }));
        } else {
            ethernet += 1;
            let name = match port.adapter.slot {
                None => format!("eno{ethernet}"),
                Some(slot) => format!("ens{slot}np{}", port.number - 1),
            };
            nics.push(json!({"name": name, "mac": port.mac.to_lowercase(), "carrier": port.link_up}));
        }
    }
    let mut disks = vec![json!({
        "name": "nvme0n1", "model": format!("Dell {}", model.boss.model), "serial": hardware.boss_serial(),
        "size_bytes": hardware.volume_bytes, "boss": true,
    })];
    for bay in hardware.bays() {
        disks.push(json!({
            "name": format!("nvme{}n1", bay.number + 1), "model": model.nvme.model, "serial": bay.serial,
            "size_bytes": model.nvme.bytes, "boss": false,
        }));
    }
    let gpus: Vec<Value> = hardware
        .gpus()
        .enumerate()
        .map(|(index, gpu)| {
            json!({
                "index": index, "name": gpu.part.nvml_name, "uuid": format!("GPU-{}", hardware.gpu_uuid(&gpu)),
                "serial": hardware.gpu_serial(&gpu), "pci_bus_id": format!("00000000:{:02X}:00.0", gpu.place.bus),
                "memory_total_bytes": gpu.part.memory_bytes,
            })
        })
        .collect();
    let mut machine = json!({
        "manufacturer": "Dell Inc.", "product": model.product, "service_tag": tag, "uuid": bmc.identity(state).uuid(&tag),
        "bios_version": model.firmware.bios, "memory_bytes": u64::from(model.memory.modules) * model.memory.size_mib * 1024 * 1024,
        "logical_processors": model.cpu.threads * 2, "nics": nics, "disks": disks, "gpus": gpus, "infiniband": infiniband,
    });
    if let Some(changes) = &state.kept.faults.host {
        crate::fault::overlay(&mut machine, changes);
    }
    machine
}

impl Bmc {
    /// Takes up, after a restart of the simulator, what was going on: a POST that was cut short begins anew.
    /// Machines whose operating system runs are announced by the host program's driver.
    pub(crate) fn wake_up(self: &Arc<Self>) {
        let mut state = self.state();
        if state.kept.power_on && state.kept.booted.is_none() {
            self.begin(&mut state, crate::machine::post::Start::Warm);
        }
    }
}
