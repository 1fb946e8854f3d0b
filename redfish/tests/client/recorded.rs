//! A real iDRAC9, recorded: a PowerEdge R750 with one H100 and an InfiniBand card, served over TLS. The recording is no part of the
//! project; without it these tests say so and pass.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use redfish_client::{Generation, Log, Profile, Snapshot};
use serde_json::Value;

use crate::bmc::Bmc;

const ARCHIVE: &str = "../../shared/mockups/r750-idrac9-6.00.30.00.tar.xz";

/// Path → document of the recording.
fn tree() -> Option<&'static BTreeMap<String, Value>> {
    static TREE: OnceLock<Option<BTreeMap<String, Value>>> = OnceLock::new();
    TREE.get_or_init(|| {
        let archive = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(ARCHIVE);
        if !archive.exists() {
            println!("skipped: no recording at {}", archive.display());
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let unpacked = Command::new("tar").arg("xJf").arg(&archive).arg("-C").arg(folder.path()).status().unwrap();
        assert!(unpacked.success(), "unpack {}", archive.display());
        let mut tree = BTreeMap::new();
        let top = std::fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap().path();
        read(&top, &top, &mut tree);
        Some(tree)
    })
    .as_ref()
}

fn read(top: &Path, folder: &Path, tree: &mut BTreeMap<String, Value>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read(top, &path, tree);
        } else if path.ends_with("index.json") {
            let uri = format!("/{}", folder.strip_prefix(top).unwrap().display());
            tree.insert(uri, serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap());
        }
    }
}

/// The recording; pages are kept under their whole path with query.
async fn recorded(expands: bool) -> Option<Bmc> {
    let bmc = Bmc::with(tree()?.clone(), |state, seen| {
        let page = format!("{}?{}", seen.path, seen.query.as_deref()?);
        state.documents.get(&page).map(|document| crate::bmc::Reply::json(200, document))
    })
    .await;
    bmc.edit(|state| state.expands = expands);
    Some(bmc)
}

fn assert_is_the_r750(snapshot: &Snapshot) {
    assert_eq!(snapshot.profile, Profile::Dell { generation: Generation::Idrac9 });
    assert_eq!(snapshot.system.model.as_deref(), Some("PowerEdge R750"));
    assert_eq!(snapshot.system.identity(), Some("C18M3Z3"));
    assert_eq!(snapshot.manager.as_ref().unwrap().firmware_version.as_deref(), Some("6.00.30.00"));
    assert_eq!(snapshot.server_chassis().unwrap().id.as_deref(), Some("System.Embedded.1"));
    assert_eq!(snapshot.chassis.len(), 2);

    let gpus: Vec<_> = snapshot.accelerators().collect();
    let [gpu] = gpus.as_slice() else { panic!("{} GPUs", gpus.len()) };
    assert_eq!(gpu.model.as_deref(), Some("NVIDIA H100 PCIe"));
    assert_eq!(gpu.serial_number.as_deref(), Some("1408644368018"));
    assert_eq!(gpu.part_number.as_deref(), Some("699-21010-0200-600"));
    assert_eq!(snapshot.video[0].id, gpu.id);
    assert_eq!(snapshot.video[0].firmware_version.as_deref(), Some("96.00.30.00.01"));
    assert_eq!(snapshot.video[0].bus_number, Some(23));
    assert_eq!(snapshot.processors.len(), 3);
    assert_eq!(snapshot.memory.len(), 16);

    let card =
        snapshot.network.iter().find(|unit| unit.functions.iter().any(|function| function.is_infiniband())).unwrap();
    assert_eq!(card.adapter.id.as_deref(), Some("InfiniBand.Slot.7"));
    assert_eq!(card.adapter.firmware_version(), Some("20.31.10.14"));
    assert_eq!(card.functions.len(), 2);
    let product = card.functions[0].dell_device().unwrap().product_name.as_deref().unwrap();
    assert!(product.contains("ConnectX-6"), "{product}");
    assert_eq!(card.ports.len(), 2);
    assert_eq!((card.ports[0].link_up(), card.ports[0].speed_mbps()), (Some(true), None));
    let metrics = card.functions[0].dell().unwrap().infiniband_metrics.clone().unwrap();
    assert_eq!((metrics.link_speed.as_deref(), metrics.link_width.as_deref()), (Some("HDR"), Some("4X")));
    let dpu = snapshot.network.iter().find(|unit| unit.adapter.id.as_deref() == Some("NIC.Slot.5")).unwrap();
    assert_eq!(dpu.adapter.serial_number.as_deref(), Some("MT2242XZ00QA"), "padding is cut off");

    let drives: Vec<_> = snapshot.storage.iter().flat_map(|unit| &unit.drives).collect();
    assert_eq!(drives.len(), 3);
    assert_eq!(drives[0].manufacturer.as_deref(), Some("KIOXIA Corporation"));
    assert_eq!(drives[0].block_size_bytes, Some(0));
    assert_eq!(snapshot.storage.iter().map(|unit| unit.controllers.len()).sum::<usize>(), 2);
    assert_eq!(snapshot.storage.iter().map(|unit| unit.volumes.len()).sum::<usize>(), 3);
    assert_eq!(snapshot.power_supplies.len(), 2);
    assert_eq!(snapshot.power_supplies[0].power_capacity_watts, Some(2400.0));
    assert!(!snapshot.fans.is_empty());
    assert!(!snapshot.pcie_devices.is_empty());

    assert_eq!(snapshot.bios.as_ref().unwrap().attributes.len(), 455);
    assert_eq!(snapshot.bios.as_ref().unwrap().boot_mode(), Some("Uefi"));
    assert_eq!(snapshot.secure_boot.as_ref().unwrap().is_on(), Some(false));
    let running: Vec<_> = snapshot.firmware.iter().filter(|entry| entry.is_running()).collect();
    let bios = running.iter().find(|entry| entry.dell_id().is_some_and(|id| id.component == "159")).unwrap();
    assert_eq!(bios.version.as_deref(), Some("1.8.2"));
    assert!(snapshot.firmware.len() > running.len(), "rollback images are listed too");
    assert_eq!(snapshot.slots.len(), 67);
    assert_eq!(snapshot.licences[0].description, ["iDRAC9 15g Enterprise License"]);
    assert_eq!(snapshot.idrac_attributes.as_ref().unwrap().attributes.len(), 1109);
    assert_eq!(snapshot.idrac_attributes.as_ref().unwrap().media_attached(1), Some(false));
    assert_eq!(snapshot.manager_interfaces[0].ipv4_addresses[0].address.as_deref(), Some("198.51.100.246"));
    assert!(snapshot.unread.is_empty(), "{:?}", snapshot.unread);
    assert!(snapshot.issues.is_empty(), "{:#?}", snapshot.issues);
}

#[tokio::test]
async fn the_recorded_r750_is_read_one_resource_at_a_time() {
    let Some(bmc) = recorded(false).await else { return };
    let snapshot = bmc.client().collect().await.unwrap();
    println!("without $expand: {} requests, {} bytes, {:?}", snapshot.requests, snapshot.bytes, snapshot.duration);
    assert_is_the_r750(&snapshot);
    assert!(snapshot.requests < 220, "{}", snapshot.requests);
}

#[tokio::test]
async fn the_recorded_r750_is_read_with_few_requests_where_collections_expand() {
    let Some(bmc) = recorded(true).await else { return };
    let snapshot = bmc.client().collect().await.unwrap();
    println!("with $expand: {} requests, {} bytes, {:?}", snapshot.requests, snapshot.bytes, snapshot.duration);
    assert_is_the_r750(&snapshot);
    assert!(snapshot.requests <= 60, "{}", snapshot.requests);
}

#[tokio::test]
async fn the_recorded_r750_shows_its_slot_its_jobs_and_its_log() {
    let Some(bmc) = recorded(false).await else { return };
    let client = bmc.client();
    let slot = client.media_slot().await.unwrap();
    assert_eq!(slot.uri, "/redfish/v1/Systems/System.Embedded.1/VirtualMedia/1");
    assert!(!client.media_state(&slot).await.unwrap().inserted);
    assert_eq!(client.jobs().await.unwrap().len(), 1);
    assert!(client.tasks().await.unwrap().is_empty());
    let log = client.log(Log::Lifecycle, 3).await.unwrap();
    assert_eq!(log[0].message_id.as_deref(), Some("IDRAC.2.7.USR0030"));
    assert_eq!(client.boot_override().await.unwrap().target.as_deref(), Some("None"));
}
