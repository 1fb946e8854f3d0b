//! The agent protocol: what an installed node says to the controller.
//!
//! A node joins once with a one-time token and a certificate request, then reports over mutual TLS. It dials out only.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::machine::{DiskFacts, MachineFacts, NicFacts};

/// `POST /agent/v1/join`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct JoinRequest {
    pub token: String,
    /// PKCS #10 request, PEM. The controller decides the subject; only the key is taken from it.
    pub csr_pem: String,
    pub machine: MachineFacts,
    pub boot_id: String,
    pub agent_version: String,
    #[serde(default)]
    pub simulated: bool,
}

/// Answer to a join.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct JoinResponse {
    pub certificate_pem: String,
    /// Helix's own certificate authority, PEM.
    pub ca_pem: String,
    pub node_id: String,
    pub node_name: String,
    pub report_interval_seconds: u32,
}

/// `POST /agent/v1/renew`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RenewRequest {
    pub csr_pem: String,
}

/// Answer to a renewal.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RenewResponse {
    pub certificate_pem: String,
    pub ca_pem: String,
}

/// `POST /agent/v1/report`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AgentReport {
    pub taken_at: Option<DateTime<Utc>>,
    pub boot_id: String,
    pub agent_version: String,
    /// Readings are replayed or invented, not measured.
    #[serde(default)]
    pub simulated: bool,
    pub machine: MachineFacts,
    pub os: OsFacts,
    /// Seconds since boot.
    pub uptime_seconds: u64,
    /// Load averages over 1, 5 and 15 minutes.
    pub load_average: [f64; 3],
    pub memory_used_bytes: u64,
    pub gpu_driver: GpuDriver,
    #[serde(default)]
    pub gpus: Vec<GpuReading>,
    #[serde(default)]
    pub infiniband: Vec<InfinibandReading>,
    #[serde(default)]
    pub temperatures: Vec<TemperatureReading>,
    #[serde(default)]
    pub nics: Vec<NicFacts>,
    #[serde(default)]
    pub disks: Vec<DiskFacts>,
}

/// The operating system that the agent runs on.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct OsFacts {
    /// `PRETTY_NAME` of os-release.
    pub name: String,
    /// `ID` of os-release.
    pub id: String,
    /// `VERSION_ID` of os-release.
    pub version: Option<String>,
    /// Kernel release, e.g. `6.1.0-40-amd64`.
    pub kernel: String,
    pub hostname: String,
    /// Identity of the installation: cloud-init's instance id when there is one.
    pub instance_id: Option<String>,
}

/// Whether GPU readings are to be had.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum GpuDriver {
    /// No NVIDIA driver is installed on this node: a state, not an error.
    #[default]
    Absent,
    Loaded {
        driver_version: String,
        cuda_version: Option<String>,
        nvml_version: Option<String>,
    },
    /// A driver is there and does not answer.
    Failed {
        reason: String,
    },
}

/// One GPU as NVML shows it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct GpuReading {
    /// NVML index: CUDA order by PCI bus, not the slot order of the BMC.
    pub index: u32,
    pub name: String,
    /// `GPU-…`
    pub uuid: String,
    pub serial: Option<String>,
    /// `00000000:19:00.0`
    pub pci_bus_id: String,
    pub vbios_version: Option<String>,
    pub memory_total_bytes: Option<u64>,
    pub memory_used_bytes: Option<u64>,
    pub utilization_percent: Option<f64>,
    pub power_watts: Option<f64>,
    pub power_limit_watts: Option<f64>,
    pub temp_celsius: Option<f64>,
    pub memory_temp_celsius: Option<f64>,
    pub sm_clock_mhz: Option<u32>,
    pub ecc_uncorrected_total: Option<u64>,
    pub ecc_corrected_total: Option<u64>,
    pub remapped_rows_pending: Option<bool>,
    pub pcie_link_generation: Option<u32>,
    pub pcie_link_width: Option<u32>,
    /// Active reasons for reduced clocks, NVML's words in snake case.
    #[serde(default)]
    pub throttle_reasons: Vec<String>,
    /// Readings that this GPU or driver refused, with NVML's reason.
    #[serde(default)]
    pub unavailable: Vec<String>,
}

/// One InfiniBand port from sysfs.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct InfinibandReading {
    /// `mlx5_0`
    pub device: String,
    pub port: u32,
    /// `InfiniBand` or `Ethernet`.
    pub link_layer: Option<String>,
    /// `ACTIVE`, `DOWN`, `INIT`, …
    pub state: Option<String>,
    /// `LinkUp`, `Polling`, …
    pub physical_state: Option<String>,
    pub rate_gbps: Option<f64>,
    pub node_guid: Option<String>,
    pub firmware_version: Option<String>,
    pub pci_address: Option<String>,
    pub lid: Option<u32>,
    pub symbol_errors: Option<u64>,
    pub link_downed: Option<u64>,
    pub port_rcv_errors: Option<u64>,
    pub port_rcv_data_bytes: Option<u64>,
    pub port_xmit_data_bytes: Option<u64>,
}

/// One temperature from hwmon or a thermal zone.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TemperatureReading {
    /// `coretemp/Package id 0`, `nvme0/Composite`
    pub sensor: String,
    pub temp_celsius: f64,
    pub critical_celsius: Option<f64>,
}

/// Answer to a report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportResponse {
    pub report_interval_seconds: u32,
}
