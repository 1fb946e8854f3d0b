//! What the BMC simulator and this process say to each other: one JSON object a line.

use serde::{Deserialize, Serialize};

use super::machine::Machine;

/// From the BMC simulator.
#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Told {
    /// The firmware starts an operating system.
    Boot {
        /// Service tag.
        node: String,
        boot: BootFrom,
        /// Where the virtual CD comes from.
        #[serde(default)]
        media_url: Option<String>,
        machine: Box<Machine>,
    },
    /// The machine has no power any more.
    PowerOff { node: String },
}

/// The device that firmware starts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BootFrom {
    Cd,
    Disk,
}

/// To the BMC simulator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Say {
    /// The operating system is up.
    OsRunning { node: String },
    /// The machine switched itself off.
    PowerOff { node: String },
    /// The machine restarted itself.
    Reset { node: String },
    /// There was nothing to start.
    BootFailed { node: String, why: String },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_boot_event_reads_as_the_simulator_writes_it() {
        let text = r#"{"event":"boot","node":"HLX0001","boot":"cd","media_url":"http://127.0.0.1:8080/media/x/helix.iso",
            "machine":{"manufacturer":"Dell Inc.","product":"PowerEdge XE9680","service_tag":"HLX0001","uuid":"u",
            "nics":[{"name":"eno1","mac":"02:00:5e:00:00:01","carrier":true}],
            "disks":[{"name":"nvme0n1","model":"Dell BOSS-N1","serial":"S1","size_bytes":480103981056,"boss":true}],
            "gpus":[{"index":0,"name":"NVIDIA H100 80GB HBM3","uuid":"GPU-1","serial":"16","pci_bus_id":"00000000:19:00.0","memory_total_bytes":85520809984}],
            "infiniband":[{"device":"mlx5_0","guid":"0xb8","rate_gbps":400,"pci_bus_id":"0000:1a:00.0"}]}}"#;
        let Told::Boot { node, boot, machine, .. } = serde_json::from_str(text).unwrap() else {
            panic!("a boot event")
        };
        assert_eq!((node.as_str(), boot), ("HLX0001", BootFrom::Cd));
        assert_eq!(machine.gpus.len(), 1);
        let off: Told = serde_json::from_str(r#"{"event":"power_off","node":"HLX0001"}"#).unwrap();
        assert!(matches!(off, Told::PowerOff { .. }));
    }

    #[test]
    fn what_is_said_is_one_flat_object() {
        let text = serde_json::to_string(&Say::BootFailed { node: "HLX0001".into(), why: "no disk".into() }).unwrap();
        assert_eq!(text, r#"{"event":"boot_failed","node":"HLX0001","why":"no disk"}"#);
    }
}
