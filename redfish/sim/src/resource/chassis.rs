//! The server's chassis and the backplane, which is a chassis member of its own.

use serde_json::{Value, json};

use super::{
    CHASSIS, MANAGER, SYSTEM, View, collection, cooling, document, link, links, network, ok_status, pcie, power,
    processor, put, sensor, storage,
};

const BACKPLANE: &str = "/redfish/v1/Chassis/Enclosure.Internal.0-1";

/// `Chassis` and everything below.
#[must_use]
pub fn get(view: &View<'_>, segments: &[&str]) -> Option<Value> {
    let backplane = view.model().nvme.bays > 0;
    match segments {
        [] => {
            let mut members = vec![CHASSIS.to_owned()];
            if backplane {
                // Any order: the server's chassis must be picked by what it is, not by its place.
                members.insert(0, BACKPLANE.to_owned());
            }
            Some(collection("/redfish/v1/Chassis", "ChassisCollection", "Chassis Collection", links(members)))
        }
        ["Enclosure.Internal.0-1"] if backplane => Some(enclosure(view)),
        ["Enclosure.Internal.0-1", "PCIeDevices"] if backplane => Some(collection(
            format!("{BACKPLANE}/PCIeDevices"),
            "PCIeDeviceCollection",
            "PCIeDevice Collection",
            vec![],
        )),
        ["System.Embedded.1", rest @ ..] => match rest {
            [] => Some(server(view, backplane)),
            ["NetworkAdapters", rest @ ..] => network::adapters(view, rest),
            ["PCIeDevices", rest @ ..] => pcie::get(view, rest),
            ["PCIeSlots"] => Some(pcie::slots(view)),
            ["PowerSubsystem", rest @ ..] => power::subsystem(view, rest),
            ["Power"] => Some(power::legacy(view)),
            ["EnvironmentMetrics"] => Some(power::environment(view)),
            ["ThermalSubsystem", rest @ ..] => cooling::subsystem(view, rest),
            ["Thermal"] => Some(cooling::legacy(view)),
            ["Sensors", rest @ ..] => sensor::get(view, rest),
            _ => None,
        },
        _ => None,
    }
}

fn server(view: &View<'_>, backplane: bool) -> Value {
    let model = view.model();
    let health = view.hardware.health();
    let contained = links(backplane.then(|| BACKPLANE.to_owned()));
    let mut links_of = json!({
        "ComputerSystems": [link(SYSTEM)], "ComputerSystems@odata.count": 1,
        "ManagedBy": [link(MANAGER)], "ManagedBy@odata.count": 1,
        "ManagersInChassis": [link(MANAGER)], "ManagersInChassis@odata.count": 1,
    });
    put(&mut links_of, "Contains", contained);
    put(&mut links_of, "Drives", links(storage::boss_paths(view)));
    put(&mut links_of, "PCIeDevices", links(pcie::device_paths(view)));
    put(&mut links_of, "Processors", links(processor::paths(view)));
    put(&mut links_of, "Storage", links(storage::paths(view)));
    put(&mut links_of, "CooledBy", links((0..model.fans.ids.len()).map(|n| format!("{CHASSIS}/Thermal#/Fans/{n}"))));
    put(
        &mut links_of,
        "PoweredBy",
        links((0..model.power_supply.count).map(|n| format!("{CHASSIS}/Power#/PowerSupplies/{n}"))),
    );
    document(
        CHASSIS,
        "Chassis",
        "v1_25_1",
        "System.Embedded.1",
        "Computer System Chassis",
        json!({
            "Actions": {
                "#Chassis.Reset": {
                    "ResetType@Redfish.AllowableValues": ["On", "ForceOff", "PowerCycle"],
                    "target": format!("{CHASSIS}/Actions/Chassis.Reset"),
                },
                "Oem": {"#DellOemChassis.ExtendedReset": {
                    "ResetType@Redfish.AllowableValues": ["PowerCycle"],
                    "FinalPowerState@Redfish.AllowableValues": ["On", "Off"],
                    "target": format!("{CHASSIS}/Actions/Oem/DellOemChassis.ExtendedReset"),
                }},
            },
            "AssetTag": null,
            "ChassisType": "RackMount",
            "Description": "It represents the properties for physical components for any system.",
            "EnvironmentMetrics": link(format!("{CHASSIS}/EnvironmentMetrics")),
            "EnvironmentalClass": "A2",
            "IndicatorLED": "Lit",
            "Links": links_of,
            "Location": {
                "Info": ";;;;1", "InfoFormat": "DataCenter;RoomName;Aisle;RackName;RackSlot",
                "Placement": {"Rack": view.bmc.config.rack, "Row": ""}, "PostalAddress": {"Building": "", "Room": ""},
            },
            "LocationIndicatorActive": false,
            "Manufacturer": "Dell Inc.",
            "Memory": link(format!("{SYSTEM}/Memory")),
            "Model": model.product,
            "NetworkAdapters": link(format!("{CHASSIS}/NetworkAdapters")),
            "Oem": {"Dell": {
                "@odata.type": "#DellOem.v1_3_0.DellOemResources",
                "DellChassis": document(
                    format!("{CHASSIS}/Oem/Dell/DellChassis/mainsystemchassis"), "DellChassis", "v1_0_0", "mainsystemchassis", "DellChassis",
                    json!({
                        "CanBeFRUed": true,
                        "Description": "This resource shall provide information about the enclosure or chassis the system is in.",
                        "Links": {"ComputerSystem": link(SYSTEM)},
                        "SystemID": model.system_id,
                    }),
                ),
            }},
            "PCIeDevices": link(format!("{CHASSIS}/PCIeDevices")),
            "PCIeSlots": link(format!("{CHASSIS}/PCIeSlots")),
            "PartNumber": view.hardware.board_part(),
            "PhysicalSecurity": {"IntrusionSensor": "Normal", "IntrusionSensorNumber": 115, "IntrusionSensorReArm": "Manual"},
            "Power": link(format!("{CHASSIS}/Power")),
            "PowerState": if view.state.kept.power_on { "On" } else { "Off" },
            "PowerSubsystem": link(format!("{CHASSIS}/PowerSubsystem")),
            "SKU": view.tag,
            "Sensors": link(format!("{CHASSIS}/Sensors")),
            "SerialNumber": view.hardware.board_serial(),
            "Status": {"Health": health, "HealthRollup": health, "State": "Enabled"},
            "Thermal": link(format!("{CHASSIS}/Thermal")),
            "ThermalSubsystem": link(format!("{CHASSIS}/ThermalSubsystem")),
            "UUID": view.hardware.identity.uuid(&view.tag),
        }),
    )
}

fn enclosure(view: &View<'_>) -> Value {
    let nvme = &view.model().nvme;
    let version = &view.model().firmware.backplane;
    let mut links_of = json!({
        "ContainedBy": link(CHASSIS), "Contains": [], "Contains@odata.count": 0,
        "ManagedBy": [link(MANAGER)], "ManagedBy@odata.count": 1,
        "PCIeDevices": [], "PCIeDevices@odata.count": 0,
        "Storage": [link(format!("{SYSTEM}/Storage/CPU.1"))], "Storage@odata.count": 1,
    });
    put(&mut links_of, "Drives", links(storage::bay_paths(view)));
    document(
        BACKPLANE,
        "Chassis",
        "v1_25_1",
        "Enclosure.Internal.0-1",
        "PCIe SSD Backplane 1",
        json!({
            "AssetTag": "",
            "ChassisType": "StorageEnclosure",
            "Description": "PCIe SSD Backplane 1",
            "Links": links_of,
            "Manufacturer": null,
            "Model": "PCIe SSD Backplane 1",
            "Oem": {"Dell": {
                "@odata.type": "#DellOemEnclosureChassis.v1_0_0.DellOemEnclosureChassis",
                "DellChassisEnclosure": {
                    "AssetName": null, "BackplaneType": "NotShared", "Connector": 0, "LastSystemInventoryTime": view.inventory_time(),
                    "LastUpdateTime": view.inventory_time(), "ServiceTag": null, "SlotCount": nvme.bays, "TempProbeCount": 0,
                    "Version": version, "WiredOrder": 1,
                },
            }},
            "PCIeDevices": link(format!("{BACKPLANE}/PCIeDevices")),
            "PartNumber": null,
            "PowerState": "On",
            "PoweredByParent": true,
            "SKU": "",
            "SerialNumber": null,
            "Status": ok_status(),
        }),
    )
}
