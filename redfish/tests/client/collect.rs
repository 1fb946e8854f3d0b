//! A whole machine in one reading.

use std::collections::BTreeMap;

use redfish_client::{BootTarget, Client, Generation, Profile, Tls};
use serde_json::{Value, json};

use crate::bmc::{Bmc, SESSIONS, SYSTEM, collection, expanded};

#[tokio::test]
async fn a_machine_is_read_with_its_collections_expanded() {
    let bmc = Bmc::idrac().await;
    let snapshot = bmc.client().collect().await.unwrap();
    assert_eq!(snapshot.profile, Profile::Dell { generation: Generation::Idrac9 });
    assert_eq!(snapshot.system.identity(), Some("HLX0001"));
    assert_eq!(snapshot.system.host_name, None);
    let gpus: Vec<_> = snapshot.accelerators().map(|gpu| gpu.model.clone().unwrap()).collect();
    assert_eq!(gpus, ["NVIDIA L40"]);
    assert_eq!(snapshot.server_chassis().and_then(|chassis| chassis.id.as_deref()), Some("System.Embedded.1"));
    assert_eq!(snapshot.firmware[0].dell_id().unwrap().fqdd, "BIOS.Setup.1-1");
    assert_eq!(snapshot.bios.unwrap().boot_mode(), Some("Uefi"));
    assert_eq!(snapshot.idrac_attributes.unwrap().lockdown(), Some(false));
    assert!(bmc.seen().iter().all(|seen| !seen.path.starts_with(&format!("{SYSTEM}/Processors/"))));
    // The root was asked for before the meter of this reading ran, the session by it.
    assert_eq!(snapshot.requests, bmc.seen().len() as u64);
    assert!(snapshot.bytes > 1000);
}

#[tokio::test]
async fn a_reading_writes_nothing_but_the_login() {
    let bmc = Bmc::idrac().await;
    bmc.client().collect().await.unwrap();
    let writes: Vec<_> = bmc.seen().into_iter().filter(|seen| seen.method != "GET").collect();
    assert_eq!(writes.len(), 1);
    assert!(writes[0].is("POST", SESSIONS));
}

#[tokio::test]
async fn a_service_that_is_open_needs_no_credentials() {
    let bmc = Bmc::idrac().await;
    bmc.edit(|state| state.open = true);
    let client = Client::builder(&Tls::new(1).unwrap(), bmc.address.clone()).build();
    assert_eq!(client.collect().await.unwrap().processors.len(), 2);
    bmc.edit(|state| state.open = false);
    assert_eq!(client.collect().await.unwrap_err().code(), "bmc_no_credentials");
}

#[tokio::test]
async fn a_port_that_only_its_controller_links_to_is_read_too() {
    let bmc = Bmc::idrac().await;
    let adapters = "/redfish/v1/Chassis/System.Embedded.1/NetworkAdapters";
    let card = format!("{adapters}/InfiniBand.Slot.7");
    bmc.edit(|state| {
        let port = |id: &str| format!("{card}/NetworkPorts/{id}");
        let links = json!([{"@odata.id": port("InfiniBand.Slot.7-2")}, {"@odata.id": port("InfiniBand.Slot.7-1")}]);
        collection(&mut state.documents, &format!("{card}/NetworkPorts"), &[("InfiniBand.Slot.7-2", json!({"LinkStatus": "Up"}))]);
        let hidden = port("InfiniBand.Slot.7-1");
        state.documents.insert(hidden.clone(), json!({"@odata.id": hidden, "Id": "InfiniBand.Slot.7-1", "LinkStatus": "Down"}));
        let body = json!({"NetworkPorts": {"@odata.id": format!("{card}/NetworkPorts")}, "Controllers": [{"Links": {"NetworkPorts": links}}]});
        collection(&mut state.documents, adapters, &[("InfiniBand.Slot.7", body)]);
    });
    let snapshot = bmc.client().collect().await.unwrap();
    let up: Vec<_> = snapshot.network[0].ports.iter().map(|port| port.link_up()).collect();
    assert_eq!(up, [Some(false), Some(true)]);
}

#[tokio::test]
async fn the_generation_comes_from_the_box_also_on_idrac10() {
    let bmc = Bmc::idrac().await;
    bmc.edit(|state| {
        state.documents.get_mut(SYSTEM).unwrap()["Oem"]["Dell"]["DellSystem"]["SystemGeneration"] =
            json!("17G Monolithic")
    });
    let snapshot = bmc.client().collect().await.unwrap();
    assert_eq!(snapshot.profile, Profile::Dell { generation: Generation::Idrac10 });
}

/// A service as some other vendor or an emulator has it: no sessions, no expand, no Dell, other spellings.
fn generic() -> BTreeMap<String, Value> {
    let mut all = BTreeMap::new();
    let system = "/redfish/v1/Systems/c7a5fdbd";
    all.insert(
        "/redfish/v1".to_owned(),
        json!({"@odata.id": "/redfish/v1/", "@odata.type": "#ServiceRoot.v1_5_0.ServiceRoot", "RedfishVersion": "1.5.0",
            "Systems": {"@odata.id": "/redfish/v1/Systems"}, "Managers": {"@odata.id": "/redfish/v1/Managers"},
            "Chassis": {"@odata.id": "/redfish/v1/Chassis"}, "UpdateService": {"@odata.id": "/redfish/v1/UpdateService"}}),
    );
    collection(&mut all, "/redfish/v1/Managers", &[("58893887", json!({"Name": "Manager"}))]);
    collection(
        &mut all,
        "/redfish/v1/Chassis",
        &[("15693887", json!({"Links": {"ComputerSystems": [{"@odata.id": system}]}}))],
    );
    collection(
        &mut all,
        "/redfish/v1/Systems",
        &[(
            "c7a5fdbd",
            json!({"Name": "vm1", "UUID": "c7a5fdbd-cdaf-9455-926a-d65c16db1809", "PowerState": "Off",
                "Bios": {"@odata.id": format!("{system}/BIOS")}, "Memory": {"@odata.id": format!("{system}/Memory")},
                "VirtualMedia": {"@odata.id": format!("{system}/VirtualMedia")},
                "Boot": {"BootSourceOverrideEnabled": "Continuous", "BootSourceOverrideTarget": "Hdd",
                    "BootSourceOverrideTarget@Redfish.AllowableValues": ["Pxe", "Cd", "Hdd"]},
                "Links": {"Chassis": [{"@odata.id": "/redfish/v1/Chassis/15693887"}], "ManagedBy": [{"@odata.id": "/redfish/v1/Managers/58893887"}]}}),
        )],
    );
    all.insert(
        format!("{system}/BIOS"),
        json!({"@odata.id": format!("{system}/BIOS"), "Attributes": {"BootMode": "Uefi"}}),
    );
    collection(
        &mut all,
        &format!("{system}/VirtualMedia"),
        &[("Cd", json!({"MediaTypes": ["CD", "DVD"], "Inserted": false, "Image": ""}))],
    );
    all
}

async fn other_vendor(documents: BTreeMap<String, Value>) -> Bmc {
    Bmc::with(documents, |state, seen| {
        state.open = seen.authorization.is_some();
        None
    })
    .await
}

#[tokio::test]
async fn another_vendors_service_is_read_by_its_links() {
    let bmc = other_vendor(generic()).await;
    let client = bmc.client();
    let snapshot = client.collect().await.unwrap();
    assert_eq!(snapshot.profile, Profile::Generic);
    assert_eq!(snapshot.system.identity(), Some("c7a5fdbd-cdaf-9455-926a-d65c16db1809"));
    assert_eq!(snapshot.bios.as_ref().unwrap().boot_mode(), Some("Uefi"));
    assert!(snapshot.manager.is_some() && snapshot.server_chassis().is_some());
    assert!(snapshot.unread.is_empty() && snapshot.issues.is_empty(), "{:?} {:?}", snapshot.unread, snapshot.issues);
    assert!(bmc.seen().iter().all(|seen| !seen.path.contains("Dell") && seen.query.is_none()));
    assert_eq!(bmc.count("POST", SESSIONS), 0);
    let slot = client.media_slot().await.unwrap();
    assert_eq!(client.media_state(&slot).await.unwrap().attached, None);
    client.insert_media(&slot, "http://192.0.2.20/helix.iso").await.unwrap();
    client.set_boot_once(BootTarget::Cd).await.unwrap();
    assert_eq!(client.jobs().await.unwrap_err().code(), "bmc_not_supported");
}

#[tokio::test]
async fn an_address_that_serves_several_systems_is_not_guessed_at() {
    let mut documents = generic();
    collection(
        &mut documents,
        "/redfish/v1/Systems",
        &[("a", json!({"PowerState": "On"})), ("b", json!({"PowerState": "On"}))],
    );
    let error = other_vendor(documents).await.client().collect().await.unwrap_err();
    assert_eq!(error.code(), "bmc_system_ambiguous");
    assert!(error.to_string().contains("lists 2"), "{error}");
}

#[tokio::test]
async fn a_storage_resource_brings_drives_and_controllers_along() {
    let bmc = Bmc::idrac().await;
    let unit = format!("{SYSTEM}/Storage/BOSS.SL.12-1");
    bmc.edit(|state| {
        let drives = [("a", "6C1A0001"), ("b", "6C1A0002")];
        let links: Vec<_> = drives.iter().map(|(id, _)| json!({"@odata.id": format!("{unit}/Drives/{id}")})).collect();
        for (id, serial) in drives {
            let uri = format!("{unit}/Drives/{id}");
            state.documents.insert(uri.clone(), json!({"@odata.id": uri, "Id": id, "SerialNumber": serial, "CapacityBytes": 480_103_981_056_u64, "Location": []}));
        }
        collection(&mut state.documents, &format!("{unit}/Controllers"), &[("BOSS.SL.12-1", json!({"Model": "BOSS-N1 Monolithic", "FirmwareVersion": "2.1.13.2025"}))]);
        collection(&mut state.documents, &format!("{unit}/Volumes"), &[("Disk.Virtual.0:BOSS.SL.12-1", json!({"Name": "VD_0   ", "RAIDType": "RAID1", "CapacityBytes": 480_036_847_616_u64}))]);
        collection(&mut state.documents, &format!("{SYSTEM}/Storage"), &[("BOSS.SL.12-1", json!({"Name": "BOSS", "Drives": links,
            "Controllers": {"@odata.id": format!("{unit}/Controllers")}, "Volumes": {"@odata.id": format!("{unit}/Volumes")}}))]);
    });
    for expands in [true, false] {
        bmc.edit(|state| {
            state.expands = expands;
            state.seen.clear();
        });
        let snapshot = bmc.client().collect().await.unwrap();
        let [boss] = snapshot.storage.as_slice() else { panic!("{:?}", snapshot.storage) };
        assert_eq!(
            boss.drives.iter().map(|drive| drive.serial_number.clone().unwrap()).collect::<Vec<_>>(),
            ["6C1A0001", "6C1A0002"]
        );
        assert_eq!(boss.controllers[0].firmware_version.as_deref(), Some("2.1.13.2025"));
        assert_eq!(
            (boss.volumes[0].raid_type.as_deref(), boss.volumes[0].name.as_deref()),
            (Some("RAID1"), Some("VD_0"))
        );
        assert!(snapshot.issues.is_empty(), "{:?}", snapshot.issues);
    }
}

#[test]
fn the_test_bmc_expands_one_level() {
    let mut all = BTreeMap::new();
    collection(&mut all, "/a", &[("1", json!({"Links": {"Up": {"@odata.id": "/a"}}}))]);
    let whole = expanded(&all, &all["/a"]);
    assert_eq!(whole["Members"][0]["Id"], "1");
    assert_eq!(whole["Members"][0]["Links"]["Up"], json!({"@odata.id": "/a"}));
}
