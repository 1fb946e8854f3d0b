//! Power: the subsystem with its supplies, the deprecated `Power` document, and the environment metrics.

use serde_json::{Value, json};

use super::{CHASSIS, SYSTEM, View, attributes, collection, document, link, links, put, sensor};
use crate::hardware::Supply;

/// An iDRAC gives the capacity as 1.4 times the sum of the ratings.
const CAPACITY_FACTOR: f64 = 1.4;

fn capacity(view: &View<'_>) -> f64 {
    let supply = &view.model().power_supply;
    f64::from(supply.watts) * f64::from(supply.count) * CAPACITY_FACTOR
}

fn status(supply: &Supply) -> Value {
    json!({"Health": if supply.failed { "Critical" } else { "OK" }, "State": "Enabled"})
}

fn watts_of(view: &View<'_>, supply: &Supply) -> f64 {
    if supply.failed {
        return 0.0;
    }
    let carrying = view.hardware.supplies().iter().filter(|other| !other.failed).count().max(1) as f64;
    (sensor::system_watts(view) / carrying * 4.0).round() / 4.0
}

/// `PowerSubsystem` and everything below.
#[must_use]
pub fn subsystem(view: &View<'_>, segments: &[&str]) -> Option<Value> {
    let path = format!("{CHASSIS}/PowerSubsystem");
    let supplies = view.hardware.supplies();
    match segments {
        [] => Some(document(
            path.clone(),
            "PowerSubsystem",
            "v1_1_2",
            "PowerSubsystem",
            "Power Subsystem for Chassis",
            json!({
                "Allocation": {
                    "AllocatedWatts": view.model().power_cap_max_watts,
                    "RequestedWatts": f64::from(view.model().system_load_watts) * 1.04,
                },
                "CapacityWatts": capacity(view),
                "Description": "Represents the properties of a Power Subsystem of the Chassis",
                "PowerSupplies": link(format!("{path}/PowerSupplies")),
                "PowerSupplyRedundancy": [],
                "PowerSupplyRedundancy@odata.count": 0,
                "Status": {"Health": view.hardware.health(), "State": "Enabled"},
            }),
        )),
        ["PowerSupplies"] => {
            let members = supplies.iter().map(|supply| format!("{path}/PowerSupplies/{}", supply.id));
            Some(collection(
                format!("{path}/PowerSupplies"),
                "PowerSupplyCollection",
                "PowerSupply Collection",
                links(members),
            ))
        }
        ["PowerSupplies", id] => {
            supplies.iter().find(|supply| supply.id == *id).map(|supply| modern(view, &path, supply))
        }
        ["PowerSupplies", id, "Metrics"] => {
            supplies.iter().find(|supply| supply.id == *id).map(|supply| metrics(view, &path, supply))
        }
        _ => None,
    }
}

fn modern(view: &View<'_>, path: &str, supply: &Supply) -> Value {
    let part = &view.model().power_supply;
    let own = format!("{path}/PowerSupplies/{}", supply.id);
    document(
        own.clone(),
        "PowerSupply",
        "v1_6_0",
        &supply.id,
        &format!("PS{} Status", supply.number),
        json!({
            "Description": "An instance of PowerSupply",
            "FirmwareVersion": part.firmware,
            "HotPluggable": true,
            "InputNominalVoltageType": "AC100To240V",
            "InputRanges": [{"CapacityWatts": part.watts, "NominalVoltageType": "AC240V"}],
            "LineInputStatus": if supply.failed { "LossOfInput" } else { "Normal" },
            "Manufacturer": "DELL",
            "Metrics": link(format!("{own}/Metrics")),
            "Model": part.model,
            "Oem": {"Dell": {
                "@odata.type": "#DellOem.v1_3_0.DellOemResources",
                "DellPowerSupplyView": supply_view(view, supply, &own),
            }},
            "PartNumber": part.part_number,
            "PowerCapacityWatts": part.watts,
            "PowerSupplyType": "AC",
            "SerialNumber": supply.serial,
            "SparePartNumber": part.part_number,
            "Status": status(supply),
        }),
    )
}

fn supply_view(view: &View<'_>, supply: &Supply, own: &str) -> Value {
    document(
        format!("{own}/Oem/Dell/DellPowerSupplyInventory/{}", supply.id),
        "DellPowerSupplyView",
        "v1_3_0",
        &supply.id,
        "DellPowerSupplyView",
        json!({
            "DetailedState": if supply.failed { "Presence Detected, Power supply AC lost" } else { "Presence Detected" },
            "DeviceDescription": format!("Power Supply {}", supply.number),
            "LastSystemInventoryTime": view.inventory_time(),
            "LastUpdateTime": view.inventory_time(),
            "PMBusMonitoring": "Capable",
            "Range1MaxInputPowerWatts": view.model().power_supply.watts + view.model().power_supply.watts / 10,
            "RedMinNumberNeeded": 1,
            "RedundancyStatus": "Unknown",
        }),
    )
}

fn metrics(view: &View<'_>, path: &str, supply: &Supply) -> Value {
    let own = format!("{path}/PowerSupplies/{}/Metrics", supply.id);
    let n = supply.number;
    let input = watts_of(view, supply);
    let reading =
        |id: String, reading: f64| json!({"DataSourceUri": format!("{CHASSIS}/Sensors/{id}"), "Reading": reading});
    document(
        own,
        "PowerSupplyMetrics",
        "v1_1_0",
        "Metrics",
        &format!("Metrics for Power Supply {n}"),
        json!({
            "Description": "Represents the properties of Power supply Metrics",
            "FrequencyHz": reading(format!("{}_MaximumFrequency", supply.id), 63.0),
            "InputCurrentAmps": reading(format!("PS{n}Current{n}"), (input / 230.0 * 5.0).round() / 5.0),
            "InputPowerWatts": reading(format!("{}_InputPower", supply.id), input),
            "InputVoltage": reading(format!("PS{n}Voltage"), if supply.failed { 0.0 } else { 230.0 }),
            "OutputPowerWatts": reading(format!("{}_OutputPower", supply.id), (input * 0.93 * 4.0).round() / 4.0),
            "Status": status(supply),
        }),
    )
}

/// `Power`, deprecated and complete.
#[must_use]
pub fn legacy(view: &View<'_>) -> Value {
    let path = format!("{CHASSIS}/Power");
    let part = &view.model().power_supply;
    let watts = sensor::system_watts(view);
    let supplies: Vec<Value> = view
        .hardware
        .supplies()
        .iter()
        .enumerate()
        .map(|(index, supply)| {
            let input = watts_of(view, supply);
            json!({
                "@odata.id": format!("{path}#/PowerSupplies/{index}"),
                "@odata.type": "#Power.v1_7_3.PowerSupply",
                "EfficiencyPercent": 93.0,
                "FirmwareVersion": part.firmware,
                "HotPluggable": true,
                "InputRanges": [{
                    "InputType": "AC", "MaximumFrequencyHz": 63, "MaximumVoltage": 264, "MinimumFrequencyHz": 47, "MinimumVoltage": 90,
                    "OutputWattage": part.watts,
                }],
                "LastPowerOutputWatts": (input * 0.93 * 4.0).round() / 4.0,
                "LineInputVoltage": if supply.failed { 0 } else { 230 },
                "LineInputVoltageType": "AC240V",
                "Manufacturer": "DELL",
                "MemberId": index.to_string(),
                "Model": part.model,
                "Name": format!("PS{} Status", supply.number),
                "Oem": {"Dell": {
                    "@odata.type": "#DellOem.v1_3_0.DellOemResources",
                    "DellPowerSupplyView": supply_view(view, supply, &path),
                }},
                "PartNumber": part.part_number,
                "PowerCapacityWatts": part.watts,
                "PowerInputWatts": input,
                "PowerOutputWatts": (input * 0.93 * 4.0).round() / 4.0,
                "PowerSupplyType": "AC",
                "Redundancy": [],
                "Redundancy@odata.count": 0,
                "RelatedItem": [link(CHASSIS)],
                "SerialNumber": supply.serial,
                "SparePartNumber": part.part_number,
                "Status": status(supply),
            })
        })
        .collect();
    let mut body = json!({
        "Description": "Power",
        "PowerControl": [{
            "@odata.id": format!("{path}#/PowerControl/0"),
            "@odata.type": "#Power.v1_7_3.PowerControl",
            "MemberId": "0",
            "Name": "System Power Control",
            "PowerAllocatedWatts": view.model().power_cap_max_watts,
            "PowerAvailableWatts": 0,
            "PowerCapacityWatts": capacity(view),
            "PowerConsumedWatts": watts,
            "PowerLimit": {"CorrectionInMs": 0, "LimitException": "HardPowerOff", "LimitInWatts": attributes::power_cap(view).1},
            "PowerMetrics": {
                "AverageConsumedWatts": watts, "IntervalInMin": 1, "MaxConsumedWatts": watts + 4.0, "MinConsumedWatts": (watts - 4.0).max(0.0),
            },
            "PowerRequestedWatts": f64::from(view.model().system_load_watts) * 1.04,
            "RelatedItem": [link(CHASSIS), link(SYSTEM)],
        }],
        "PowerControl@odata.count": 1,
        "Redundancy": [],
        "Redundancy@odata.count": 0,
        "Voltages": [],
        "Voltages@odata.count": 0,
    });
    put(&mut body, "PowerSupplies", supplies);
    document(path, "Power", "v1_7_3", "Power", "Power", body)
}

/// `EnvironmentMetrics`.
#[must_use]
pub fn environment(view: &View<'_>) -> Value {
    document(
        format!("{CHASSIS}/EnvironmentMetrics"),
        "EnvironmentMetrics",
        "v1_3_2",
        "EnvironmentMetrics",
        "Chassis Environment Metrics",
        json!({
            "Description": "Represents the environment metrics of the chassis",
            "PowerWatts": {
                "DataSourceUri": format!("{CHASSIS}/Sensors/SystemBoardPwrConsumption"), "Reading": sensor::system_watts(view),
            },
        }),
    )
}
