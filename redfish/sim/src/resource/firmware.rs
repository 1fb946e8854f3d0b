//! Update service and firmware inventory. Ids follow Dell's grammar `<State>-<ComponentId>-<Version>__<FQDD>`; component id
//! 0 means that the part has none. Updates themselves are not simulated yet, so no update action is offered.

use serde_json::{Value, json};

use super::{View, collection, document, link, links};

const PATH: &str = "/redfish/v1/UpdateService";

struct Entry {
    state: &'static str,
    component: u32,
    version: String,
    fqdd: String,
    name: String,
    kind: &'static str,
}

impl Entry {
    fn id(&self) -> String {
        format!("{}-{}-{}__{}", self.state, self.component, self.version, self.fqdd)
    }

    fn path(&self) -> String {
        format!("{PATH}/FirmwareInventory/{}", self.id())
    }
}

fn entries(view: &View<'_>) -> Vec<Entry> {
    let model = view.model();
    let firmware = &model.firmware;
    let mut all = Vec::new();
    let mut add = |state, component, version: &str, fqdd: &str, name: &str, kind| {
        all.push(Entry {
            state,
            component,
            version: version.to_owned(),
            fqdd: fqdd.to_owned(),
            name: name.to_owned(),
            kind,
        });
    };
    let idrac = "Integrated Dell Remote Access Controller";
    for (state, version) in
        [("Installed", &firmware.bios), ("Current", &firmware.bios), ("Previous", &firmware.bios_previous)]
    {
        add(state, 159, version, "BIOS.Setup.1-1", "BIOS", "BIOS");
    }
    for (state, version) in [("Installed", &firmware.idrac), ("Previous", &firmware.idrac_previous)] {
        add(state, 25227, version, "iDRAC.Embedded.1-1", idrac, "FRMW");
    }
    add("Installed", 28897, &firmware.idrac, "USC.Embedded.1:LC.Embedded.1", "Lifecycle Controller", "APAC");
    add(
        "Installed",
        25806,
        &firmware.diagnostics,
        "Diagnostics.Embedded.1:LC.Embedded.1",
        "Dell 64 Bit uEFI Diagnostics",
        "APAC",
    );
    add(
        "Installed",
        18981,
        &firmware.driver_pack,
        "DriverPack.Embedded.1:LC.Embedded.1",
        "Dell OS Driver Pack",
        "APAC",
    );
    add(
        "Installed",
        104_684,
        &firmware.service_module,
        "ServiceModule.Embedded.1",
        "iDRAC Service Module Installer",
        "APAC",
    );
    add("Installed", 27763, &firmware.cpld, "CPLD.Embedded.1", "System CPLD", "FRMW");
    add("Installed", 109_673, &firmware.tpm, "TPM.Integrated.1-1", "TPM", "FRMW");
    for state in ["Installed", "Current"] {
        add(state, 107_649, &firmware.backplane, "RAID.Backplane.Firmware.1", "PCIe SSD Backplane 1", "FRMW");
    }
    add("Installed", 0, &model.boss.firmware, &model.boss.storage_id, &model.boss.model, "FRMW");
    for drive in view.hardware.boss_drives() {
        add("Installed", 0, &model.boss.drive_firmware, &drive.id, &model.boss.drive_model, "FRMW");
    }
    for bay in view.hardware.bays() {
        add("Installed", 0, &model.nvme.firmware, &bay.id, &model.nvme.model, "FRMW");
    }
    for supply in view.hardware.supplies() {
        add(
            "Installed",
            model.power_supply.component_id,
            &model.power_supply.firmware,
            &supply.id,
            &format!("Power Supply.Slot.{}", supply.number),
            "FRMW",
        );
    }
    for port in view.hardware.ports() {
        let adapter = port.adapter;
        let name = format!("{} - {}", adapter.product, port.mac);
        add("Installed", adapter.component_id, &adapter.firmware, &port.function, &name, "FRMW");
        if adapter.component_id != 0 {
            add("Current", adapter.component_id, &adapter.firmware, &port.function, &name, "FRMW");
        }
    }
    for gpu in view.hardware.gpus() {
        add("Installed", 0, &gpu.part.vbios, &gpu.fqdd(), &gpu.part.model, "FRMW");
    }
    all
}

fn path_of(view: &View<'_>, state: &str, component: u32) -> String {
    entries(view)
        .into_iter()
        .find(|entry| entry.state == state && entry.component == component)
        .map_or_else(|| format!("{PATH}/FirmwareInventory"), |entry| entry.path())
}

/// Path of the running BIOS.
#[must_use]
pub fn installed_bios(view: &View<'_>) -> String {
    path_of(view, "Installed", 159)
}

/// Path of the running iDRAC firmware.
#[must_use]
pub fn installed_idrac(view: &View<'_>) -> String {
    path_of(view, "Installed", 25227)
}

/// Paths of the iDRAC's images, the old one first.
#[must_use]
pub fn idrac_images(view: &View<'_>) -> Vec<String> {
    vec![path_of(view, "Previous", 25227), path_of(view, "Installed", 25227)]
}

/// `UpdateService` and everything below.
#[must_use]
pub fn get(view: &View<'_>, segments: &[&str]) -> Option<Value> {
    match segments {
        [] => Some(document(
            PATH,
            "UpdateService",
            "v1_14_1",
            "UpdateService",
            "Update Service",
            json!({
                "Description": "Represents the properties for the Update Service",
                "FirmwareInventory": link(format!("{PATH}/FirmwareInventory")),
                "MaxImageSizeBytes": null,
                "ServiceEnabled": true,
                "SoftwareInventory": link(format!("{PATH}/SoftwareInventory")),
                "Status": {"Health": "OK", "State": "Enabled"},
            }),
        )),
        ["FirmwareInventory"] => {
            let members = entries(view).into_iter().map(|entry| entry.path());
            Some(collection(
                format!("{PATH}/FirmwareInventory"),
                "SoftwareInventoryCollection",
                "Firmware Inventory Collection",
                links(members),
            ))
        }
        ["SoftwareInventory"] => Some(collection(
            format!("{PATH}/SoftwareInventory"),
            "SoftwareInventoryCollection",
            "Software Inventory Collection",
            vec![],
        )),
        ["FirmwareInventory", id] => {
            entries(view).into_iter().find(|entry| entry.id() == *id).map(|entry| one(view, &entry))
        }
        _ => None,
    }
}

fn one(view: &View<'_>, entry: &Entry) -> Value {
    let id = entry.id();
    let own = entry.path();
    let number = match entry.component {
        159 => "741",
        25806 | 28897 | 18981 | 104_684 => "802",
        27763 => "803",
        109_673 => "807",
        _ => "701",
    };
    let dell_id = format!("DCIM:{}_0x23_{number}__{}", entry.state.to_uppercase(), entry.fqdd);
    let status = if entry.state == "Installed" { "Installed" } else { "AvailableForInstallation" };
    let installed = view.state.kept.bmc_started.filter(|_| entry.state == "Installed");
    document(
        own.clone(),
        "SoftwareInventory",
        "v1_10_2",
        &id,
        &entry.name,
        json!({
            "Description": "Represents Firmware Inventory",
            "Oem": {"Dell": {
                "@odata.type": "#DellOem.v1_3_0.DellOemResources",
                "DellSoftwareInventory": document(
                    format!("{own}/Oem/Dell/DellSoftwareInventory/{dell_id}"), "DellSoftwareInventory", "v1_2_0", &dell_id,
                    "DellSoftwareInventory",
                    json!({
                        "BuildNumber": 0, "Classifications": [if entry.kind == "BIOS" { "BIOS/FCode" } else { "Firmware" }],
                        "Classifications@odata.count": 1, "ComponentID": entry.component.to_string(), "ComponentType": entry.kind,
                        "Description": "The DellSoftwareInventory resource is a representation of an available device firmware in the managed system.",
                        "DeviceID": null, "ElementName": entry.name, "HashValue": null,
                        "IdentityInfoType": ["OrgID:ComponentType:ComponentID"], "IdentityInfoType@odata.count": 1,
                        "IdentityInfoValue": [format!("DCIM:{}:{}", if entry.kind == "BIOS" { "BIOS" } else { "firmware" }, entry.component)],
                        "IdentityInfoValue@odata.count": 1,
                        "InstallationDate": installed.map_or_else(|| "NA".to_owned(), |at| at.format("%Y-%m-%dT%H:%M:%SZ").to_string()),
                        "IsEntity": true, "SidebandUpdateCapable": false, "Status": status, "SubDeviceID": null, "SubVendorID": null,
                        "VendorID": null, "impactsTPMmeasurements": entry.kind == "BIOS",
                    }),
                ),
            }},
            "ReleaseDate": if entry.component == 159 { format!("{}T00:00:00Z", view.model().firmware.bios_date) } else { "00:00:00Z".to_owned() },
            "SoftwareId": entry.component.to_string(),
            "Status": {"Health": "OK", "State": "Enabled"},
            "Updateable": true,
            "Version": entry.version,
        }),
    )
}
