//! BIOS attributes: the present values of a machine, pending ones, and what a BIOS job does with them.

use serde_json::{Map, Value, json};

use super::State;
use crate::hardware::Hardware;

/// Attributes nobody can set: they describe the machine.
const READ_ONLY: [&str; 14] = [
    "SystemBiosVersion",
    "SystemModelName",
    "SystemServiceTag",
    "SystemManufacturer",
    "SystemMeVersion",
    "SystemCpldVersion",
    "SysMemSize",
    "SysMemType",
    "SysMemSpeed",
    "TpmInfo",
    "TpmFirmware",
    "Proc1Brand",
    "Proc2Brand",
    "UefiComplianceVersion",
];

/// Attributes with their factory value and, for enumerations, all values (first column is the name).
/// Names and values are those of 16G machines; `MmioAbove4Gb` and `MemoryMappedIOH` are absent there.
static FACTORY: &[(&str, &str, &[&str])] = &[
    ("AcPwrRcvry", "Last", &["Last", "On", "Off"]),
    ("AcPwrRcvryDelay", "Immediate", &["Immediate", "Random", "User"]),
    ("AesNi", "Enabled", &["Enabled"]),
    ("AssetTag", "", &[]),
    ("BootMode", "Uefi", &["Bios", "Uefi"]),
    ("BootSeqRetry", "Enabled", &["Enabled", "Disabled", "Reset"]),
    ("ConTermType", "Vt100Vt220", &["Vt100Vt220", "Ansi"]),
    ("ControlledTurbo", "Disabled", &["Disabled", "Enabled"]),
    ("CpuInterconnectBusLinkPower", "Disabled", &["Disabled", "Enabled"]),
    ("CpuInterconnectBusSpeed", "MaxDataRate", &["MaxDataRate"]),
    ("DellAutoDiscovery", "PlatformDefault", &["PlatformDefault", "ManualOn", "ManualOff"]),
    ("EmbNic1Nic2", "Enabled", &["Enabled", "DisabledOs"]),
    ("EmbSata", "AhciMode", &["AhciMode", "RaidMode", "Off"]),
    ("EmbVideo", "Enabled", &["Enabled", "Disabled"]),
    ("EnergyPerformanceBias", "MaxPower", &["MaxPower", "BalancedPerformance", "BalancedEfficiency", "LowPower"]),
    ("ErrPrompt", "Enabled", &["Enabled", "Disabled"]),
    ("ExtSerialConnector", "Serial1", &["Serial1", "Serial2", "RemoteAccDevice"]),
    ("FailSafeBaud", "115200", &["115200", "57600", "19200", "9600"]),
    ("GenericUsbBoot", "Disabled", &["Disabled", "Enabled"]),
    ("HddFailover", "Disabled", &["Disabled", "Enabled"]),
    ("HddPlaceholder", "Disabled", &["Disabled", "Enabled"]),
    ("HttpDev1DhcpEnDis", "Enabled", &["Enabled", "Disabled"]),
    ("HttpDev1EnDis", "Disabled", &["Enabled", "Disabled"]),
    ("HttpDev1Interface", "NIC.Embedded.1-1-1", &[]),
    ("HttpDev1Protocol", "IPv4", &["IPv4", "IPv6"]),
    ("HttpDev1TlsMode", "None", &["None", "OneWay"]),
    ("HttpDev1Uri", "", &[]),
    ("HttpDev1VlanEnDis", "Disabled", &["Enabled", "Disabled"]),
    ("InBandManageabilityInterface", "Enabled", &["Enabled", "Disabled"]),
    ("IntelSgx", "Off", &["Off", "On"]),
    ("IntelTxt", "Off", &["Off", "On"]),
    ("LogicalProc", "Enabled", &["Enabled", "Disabled"]),
    ("MemFrequency", "MaxPerf", &["MaxPerf", "MaxReliability"]),
    ("MemOpMode", "OptimizerMode", &["OptimizerMode", "SpareMode", "MirrorMode", "FaultResilientMode"]),
    ("MemPatrolScrub", "Standard", &["Extended", "Standard", "Disabled"]),
    ("MemRefreshRate", "1x", &["1x", "2x"]),
    ("MemTest", "Disabled", &["Disabled", "Enabled"]),
    ("MemoryEncryption", "Disabled", &["Disabled", "SingleKey", "MultiKey"]),
    ("MemoryTraining", "MemoryTrainingFast", &["MemoryTrainingFast", "MemoryTrainingOnce", "MemoryTrainingEnable"]),
    ("MonitorMwait", "Enabled", &["Enabled", "Disabled"]),
    ("NodeInterleave", "Disabled", &["Disabled", "Enabled"]),
    ("NumLock", "On", &["On", "Off"]),
    ("NvmeMode", "NonRaid", &["NonRaid", "Raid"]),
    ("OneTimeBootMode", "Disabled", &["Disabled", "OneTimeUefiBootSeq"]),
    ("OsWatchdogTimer", "Disabled", &["Disabled", "Enabled"]),
    ("PasswordStatus", "Unlocked", &["Unlocked", "Locked"]),
    ("PcieAspmL1", "Disabled", &["Disabled", "Enabled"]),
    ("PowerCycleRequest", "None", &["None", "FullPowerCycle"]),
    ("ProcAdjCacheLine", "Enabled", &["Enabled", "Disabled"]),
    ("ProcC1E", "Disabled", &["Disabled", "Enabled"]),
    ("ProcCStates", "Disabled", &["Disabled", "Enabled", "Autonomous"]),
    ("ProcCores", "All", &[]),
    ("ProcHwPrefetcher", "Enabled", &["Enabled", "Disabled"]),
    ("ProcPwrPerf", "MaxPerf", &["MaxPerf", "SysDbpm", "OsDbpm"]),
    ("ProcTurboMode", "Enabled", &["Enabled", "Disabled"]),
    ("ProcVirtualization", "Enabled", &["Enabled", "Disabled"]),
    ("ProcX2Apic", "Enabled", &["Enabled", "Disabled"]),
    ("PwrButton", "Enabled", &["Enabled", "Disabled"]),
    ("PxeDev1EnDis", "Enabled", &["Enabled", "Disabled"]),
    ("PxeDev1Interface", "NIC.Embedded.1-1-1", &[]),
    ("PxeDev1Protocol", "IPv4", &["IPv4", "IPv6"]),
    ("PxeDev1VlanEnDis", "Disabled", &["Enabled", "Disabled"]),
    ("RedirAfterBoot", "Enabled", &["Enabled", "Disabled"]),
    ("SecureBoot", "Disabled", &["Enabled", "Disabled"]),
    ("SecureBootMode", "DeployedMode", &["UserMode", "DeployedMode", "AuditMode", "SetupMode"]),
    ("SecureBootPolicy", "Standard", &["Standard", "Custom"]),
    ("SerialComm", "OnConRedirAuto", &["Off", "OnNoConRedir", "OnConRedirAuto"]),
    ("SerialPortAddress", "Serial1Com2Serial2Com1", &["Serial1Com1Serial2Com2", "Serial1Com2Serial2Com1"]),
    ("SetBootOrderDis", "", &[]),
    ("SetBootOrderEn", "", &[]),
    ("SnoopHldOff", "Roll2KCycles", &["Roll256Cycles", "Roll512Cycles", "Roll1KCycles", "Roll2KCycles"]),
    ("SriovGlobalEnable", "Enabled", &["Enabled", "Disabled"]),
    ("SubNumaCluster", "Disabled", &["Disabled", "2-Way", "4-Way"]),
    (
        "SysProfile",
        "PerfPerWattOptimizedDapc",
        &["PerfPerWattOptimizedDapc", "PerfPerWattOptimizedOs", "PerfOptimized", "Custom"],
    ),
    ("Tpm2Algorithm", "SHA256", &["SHA1", "SHA256", "SHA384"]),
    ("Tpm2Hierarchy", "Enabled", &["Enabled", "Disabled", "Clear"]),
    ("TpmSecurity", "On", &["Off", "On"]),
    ("UefiVariableAccess", "Standard", &["Standard", "Controlled"]),
    ("UncoreFrequency", "MaxUFS", &["DynamicUFS", "MaxUFS"]),
    ("UpiPrefetch", "Enabled", &["Enabled", "Disabled"]),
    ("UsbManagedPort", "On", &["On", "Off"]),
    ("UsbPorts", "AllOn", &["AllOn", "AllOff", "OnlyBackPortsOn"]),
    ("WorkloadProfile", "NotConfigured", &["NotConfigured", "HpcProfile", "LowLatencyOptimizedProfile"]),
];

/// Integer attributes with factory value, lower and upper bound.
static NUMBERS: &[(&str, i64, i64, i64)] = &[
    ("AcPwrRcvryUserDelay", 120, 120, 600),
    ("ControlledTurboMinusBin", 0, 0, 16),
    ("HttpDev1VlanId", 1, 1, 4094),
    ("HttpDev1VlanPriority", 0, 0, 7),
    ("PxeDev1VlanId", 1, 1, 4094),
    ("PxeDev1VlanPriority", 0, 0, 7),
];

/// The values in force.
#[must_use]
pub fn current(state: &State, hardware: &Hardware<'_>, tag: &str) -> Map<String, Value> {
    let mut all = Map::new();
    for (name, value, _) in FACTORY {
        all.insert((*name).to_owned(), json!(value));
    }
    for (name, value, ..) in NUMBERS {
        all.insert((*name).to_owned(), json!(value));
    }
    for slot in &hardware.model.pcie_slots.numbers {
        all.insert(format!("Slot{slot}"), json!("Enabled"));
        all.insert(format!("Slot{slot}Bif"), json!("x16"));
    }
    let model = hardware.model;
    let memory_gib = u64::from(model.memory.modules) * model.memory.size_mib / 1024;
    for (name, value) in [
        ("SystemBiosVersion", model.firmware.bios.clone()),
        ("SystemModelName", model.product.clone()),
        ("SystemServiceTag", tag.to_owned()),
        ("SystemManufacturer", "Dell Inc.".to_owned()),
        ("SystemMeVersion", "6.1.4.89".to_owned()),
        ("SystemCpldVersion", model.firmware.cpld.clone()),
        ("SysMemSize", format!("{memory_gib} GB")),
        ("SysMemType", "ECC DDR5".to_owned()),
        ("SysMemSpeed", format!("{} MT/s", model.memory.speed_mhz)),
        ("TpmInfo", "Type: 2.0-NTC".to_owned()),
        ("TpmFirmware", model.firmware.tpm.clone()),
        ("Proc1Brand", model.cpu.model.clone()),
        ("Proc2Brand", model.cpu.model.clone()),
        ("UefiComplianceVersion", "2.7".to_owned()),
    ] {
        all.insert(name.to_owned(), json!(value));
    }
    for (name, value) in &state.kept.bios {
        all.insert(name.clone(), value.clone());
    }
    if state.kept.faults.bios_shows_pending {
        for (name, value) in &state.kept.bios_pending {
            all.insert(name.clone(), value.clone());
        }
    }
    if state.kept.faults.legacy_boot {
        all.insert("BootMode".to_owned(), json!("Bios"));
    }
    if state.kept.faults.secure_boot {
        all.insert("SecureBoot".to_owned(), json!("Enabled"));
    }
    all
}

/// One attribute in force.
#[must_use]
pub fn value_of(state: &State, name: &str) -> String {
    if name == "BootMode" && state.kept.faults.legacy_boot {
        return "Bios".to_owned();
    }
    if name == "SecureBoot" && state.kept.faults.secure_boot {
        return "Enabled".to_owned();
    }
    if let Some(value) = state.kept.bios.get(name).and_then(Value::as_str) {
        return value.to_owned();
    }
    FACTORY.iter().find(|(known, ..)| *known == name).map(|(_, value, _)| (*value).to_owned()).unwrap_or_default()
}

/// What is wrong with a wanted value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wrong {
    /// No such attribute.
    Unknown,
    /// The attribute describes the machine.
    ReadOnly,
    /// Wrong JSON type.
    Type,
    /// Not one of the values.
    Value,
}

/// Checks a wanted value.
///
/// # Errors
/// When the attribute does not exist or does not take the value.
pub fn check(current: &Map<String, Value>, name: &str, value: &Value) -> Result<(), Wrong> {
    if !current.contains_key(name) {
        return Err(Wrong::Unknown);
    }
    if READ_ONLY.contains(&name) {
        return Err(Wrong::ReadOnly);
    }
    if let Some((_, _, low, high)) = NUMBERS.iter().find(|(known, ..)| *known == name) {
        let number = value.as_i64().ok_or(Wrong::Type)?;
        return if (*low..=*high).contains(&number) { Ok(()) } else { Err(Wrong::Value) };
    }
    let text = value.as_str().ok_or(Wrong::Type)?;
    if let Some((_, _, values)) = FACTORY.iter().find(|(known, ..)| *known == name)
        && !values.is_empty()
        && !values.contains(&text)
    {
        return Err(Wrong::Value);
    }
    Ok(())
}

/// The attribute registry: every attribute with its type and values.
#[must_use]
pub fn registry(current: &Map<String, Value>) -> Vec<Value> {
    current
        .iter()
        .enumerate()
        .map(|(order, (name, value))| {
            let mut entry = json!({
                "AttributeName": name, "CurrentValue": null, "DisplayName": name, "DisplayOrder": order, "HelpText": "",
                "Hidden": false, "Immutable": READ_ONLY.contains(&name.as_str()), "MenuPath": "./",
                "ReadOnly": READ_ONLY.contains(&name.as_str()), "ResetRequired": true, "WriteOnly": false,
                "Type": if value.is_i64() { "Integer" } else { "String" },
            });
            if let Some((_, _, low, high)) = NUMBERS.iter().find(|(known, ..)| known == name) {
                entry["LowerBound"] = json!(low);
                entry["UpperBound"] = json!(high);
                entry["ScalarIncrement"] = json!(0);
            } else if let Some((_, _, values)) = FACTORY.iter().find(|(known, ..)| known == name)
                && !values.is_empty()
            {
                entry["Type"] = json!("Enumeration");
                entry["Value"] =
                    values.iter().map(|value| json!({"ValueName": value, "ValueDisplayName": value})).collect();
            }
            entry
        })
        .collect()
}

/// Applies what is pending; called when a BIOS job runs.
pub fn apply_pending(state: &mut State) {
    let pending = std::mem::take(&mut state.kept.bios_pending);
    for (name, value) in pending {
        // `Clear` empties the TPM once and reads `Enabled` afterwards.
        let value = if name == "Tpm2Hierarchy" && value == "Clear" { json!("Enabled") } else { value };
        state.kept.bios.insert(name, value);
    }
    if let Some(order) = state.kept.boot_order_pending.take() {
        state.kept.boot_order = Some(order);
    }
    state.live.dirty = true;
}
