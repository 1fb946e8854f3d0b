//! What the agent says of its node: one report.
//!
//! Measures this machine, and takes from the source what the source has. It sends nothing.

use chrono::Utc;
use helix_api::agent::AgentReport;

use crate::machine::infiniband::Ports;
use crate::machine::root::Root;
use crate::machine::{self, system, thermal};
use crate::source::Source;

/// Reads everything once.
pub async fn collect(root: &Root, source: &mut dyn Source, ports: &mut Ports) -> AgentReport {
    let readings = source.read().await;
    let mut machine = machine::facts(root);
    AgentReport {
        taken_at: Some(Utc::now()),
        boot_id: system::boot_id(root),
        agent_version: env!("CARGO_PKG_VERSION").to_owned(),
        simulated: source.simulated(),
        os: system::os(root),
        uptime_seconds: system::uptime_seconds(root),
        load_average: readings.load_average.unwrap_or_else(|| system::load_average(root)),
        memory_used_bytes: readings.memory_used_bytes.unwrap_or_else(|| system::memory(root).used_bytes),
        gpu_driver: readings.gpu_driver,
        gpus: readings.gpus,
        infiniband: readings.infiniband.unwrap_or_else(|| ports.read(root)),
        temperatures: readings.temperatures.unwrap_or_else(|| thermal::read(root)),
        // They stand in the report once: beside the machine, not in it as well.
        nics: std::mem::take(&mut machine.nics),
        disks: std::mem::take(&mut machine.disks),
        machine,
    }
}
