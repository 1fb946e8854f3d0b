//! A whole way of a virtual machine behind a BMC: insert over HTTP, boot from the medium, eject, boot from the disk.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::VmSettings;
use crate::fleet::{BmcConfig, Fleet, FleetBuilder};
use crate::machine::media::InsertRequest;
use crate::machine::{Bmc, State};
use crate::vm::payload::{self, Then};

/// A boot of the firmware takes 4 s under emulation on a free core; on a busy machine thirty times that.
const BOOT_WAIT: Duration = Duration::from_secs(120);

async fn until(bmc: &Arc<Bmc>, what: &str, wanted: impl Fn(&State) -> bool) {
    let began = Instant::now();
    while !wanted(&bmc.state()) {
        assert!(began.elapsed() < BOOT_WAIT, "waited for {what}; the machine is in {:?}", bmc.state().live.phase);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn serve(image: Vec<u8>) -> String {
    let image = Arc::new(image);
    let answer = move |headers: HeaderMap| {
        let image = Arc::clone(&image);
        async move { piece(&image, &headers) }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/media/x/helix.iso", listener.local_addr().unwrap());
    let router = Router::new().route("/media/x/helix.iso", axum::routing::get(answer));
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

fn piece(image: &[u8], headers: &HeaderMap) -> Response {
    let range = headers.get(header::RANGE).and_then(|value| value.to_str().ok()).and_then(|value| {
        let (from, to) = value.strip_prefix("bytes=")?.split_once('-')?;
        Some((from.parse::<usize>().ok()?, to.parse::<usize>().ok()?))
    });
    match range {
        Some((from, to)) => (StatusCode::PARTIAL_CONTENT, image[from..=to].to_vec()).into_response(),
        None => image.to_vec().into_response(),
    }
}

fn overwrite_disk(folder: &Path, image: &Path) {
    let mut disk = fs::OpenOptions::new().write(true).open(folder.join("disk.raw")).unwrap();
    disk.write_all(&fs::read(image).unwrap()).unwrap();
}

fn with_virtual_host(address: &str, vms: &Path) -> FleetBuilder {
    let bmc = BmcConfig {
        address: address.parse().unwrap(),
        model: "R660".to_owned(),
        rack: String::new(),
        position: 0,
        vm: true,
        powered_on: false,
    };
    let settings = VmSettings { memory_mib: 512, cpus: 1, ..VmSettings::in_folder(vms) };
    Fleet::builder().time_scale(200).bmcs([bmc]).vms(settings)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_inserted_image_is_attached_again_after_a_restart_of_the_simulator() {
    if let Some(missing) = crate::vm::unavailable() {
        eprintln!("SKIPPED: no virtual machine can be made here: {missing}");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let url = serve(vec![5; 200_000]).await;
    let start =
        || with_virtual_host("127.63.1.2", &folder.path().join("vms")).state_dir(folder.path().join("state")).start();
    let fleet = start().await.unwrap();
    let bmc = Arc::clone(&fleet.fleet().bmcs()[0]);
    bmc.insert_media(0, "1", InsertRequest { image: url, user: None, password: None }).await.unwrap();
    until(&bmc, "an attached drive", |state| state.kept.media[0].is_attached()).await;
    fleet.shutdown().await;
    drop(bmc);
    let fleet = start().await.unwrap();
    let bmc = Arc::clone(&fleet.fleet().bmcs()[0]);
    until(&bmc, "the drive to be attached again", |state| state.kept.media[0].is_attached()).await;
    fleet.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_virtual_machine_boots_the_inserted_image_once_and_its_disk_afterwards() {
    if let Some(missing) = crate::vm::unavailable().or_else(payload::unavailable) {
        eprintln!("SKIPPED: no virtual machine can be booted here: {missing}");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let iso = payload::iso(folder.path(), "HELLO FROM THE MEDIUM", Then::PowerOff);
    let disk = payload::disk(folder.path(), "HELLO FROM THE DISK", Then::PowerOff);
    let url = serve(fs::read(iso).unwrap()).await;
    let vms = folder.path().join("vms");
    let fleet = with_virtual_host("127.63.1.1", &vms).start().await.unwrap();
    let bmc = Arc::clone(&fleet.fleet().bmcs()[0]);
    let own = vms.join(fleet.control().service_tag("127.63.1.1").unwrap());
    overwrite_disk(&own, &disk);

    bmc.insert_media(0, "1", InsertRequest { image: url, user: None, password: None }).await.unwrap();
    until(&bmc, "an attached drive", |state| state.kept.media[0].is_attached()).await;
    {
        let mut state = bmc.state();
        state.kept.boot.enabled = "Once".to_owned();
        state.kept.boot.target = "Cd".to_owned();
    }
    bmc.reset("On").unwrap();
    until(&bmc, "a boot from the medium", |state| state.kept.counters.boots_from_media == 1).await;
    // The program on the medium switches the machine off, and the BMC notices.
    until(&bmc, "the machine to go off by itself", |state| !state.kept.power_on).await;
    bmc.eject_media(0).unwrap();
    bmc.reset("On").unwrap();
    until(&bmc, "a boot from the disk", |state| state.kept.counters.boots_from_disk == 1).await;
    until(&bmc, "the machine to go off again", |state| !state.kept.power_on).await;
    fleet.shutdown().await;

    let console = fs::read_to_string(own.join("console.log")).unwrap();
    let (medium, disk) = (console.find("HELLO FROM THE MEDIUM"), console.find("HELLO FROM THE DISK"));
    assert!(medium.is_some() && medium < disk, "{console}");
}
