//! Somebody else's Redfish service with a real virtual machine behind it: what our client makes of it, and a whole provision.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use helix_api::access::CredentialSet;
use helix_api::client::NodeQuery;
use helix_api::enrol::{EnrolLine, EnrolRequest};
use helix_inventory::words::{Lifecycle, WorkflowState};
use helix_tests::libvirt::ForeignBmc;
use helix_tests::place;
use redfish_client::{BmcAddress, BootTarget, Client, Credentials, Pin, PowerState, Profile, ResetType, Tls};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::site::{LIMIT, Site, media_or_skip, skip};

/// A virtual machine boots in real time under emulation: the controller's limits must leave it minutes.
const TIME_SCALE: f64 = 6.0;
/// A power action of libvirt takes a second on a free core.
const POWER_WAIT: Duration = Duration::from_secs(60);

fn build_folder() -> PathBuf {
    place::workspace().join("build")
}

/// Whether the foreign service can be run here; else says that the test is skipped.
fn possible(test: &str) -> bool {
    let missing = ForeignBmc::missing();
    if let Some(missing) = &missing {
        skip(test, &format!("sushy-emulator with libvirt cannot be run here: {missing}"));
    }
    missing.is_none()
}

/// Serves some bytes as `/media.iso` to whoever asks, for as long as the test runs.
async fn serve_medium(bytes: Vec<u8>) -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
    let url = format!("http://{}/media.iso", listener.local_addr().expect("an address"));
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = vec![0; 4096];
            let length = stream.read(&mut request).await.unwrap_or(0);
            let head = request[..length].starts_with(b"HEAD ");
            let header = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", bytes.len());
            let body = if head { &[][..] } else { &bytes };
            if stream.write_all(&[header.as_bytes(), body].concat()).await.is_err() {
                eprintln!("the emulator hung up while it fetched the medium");
            }
        }
    });
    url
}

async fn wait_for_power(client: &Client, wanted: PowerState) {
    let reached = async {
        while client.power_state().await.expect("the power state") != wanted {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    tokio::time::timeout(POWER_WAIT, reached).await.unwrap_or_else(|_| panic!("the machine never was {wanted:?}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_service_is_inspected_and_takes_media_boot_device_and_power() {
    if !possible("a_foreign_service_is_inspected_and_takes_media_boot_device_and_power") {
        return;
    }
    let bmc = ForeignBmc::start(&build_folder()).await.unwrap();
    let tls = Tls::new(1).unwrap();
    let address: BmcAddress = bmc.address().parse().unwrap();

    let probe = Client::probe(&tls, &address, Pin::Unknown).await.unwrap();
    let credentials = Credentials { user: bmc.user().to_owned(), password: bmc.password().to_owned().into() };
    let client = Client::builder(&tls, address).pin(Pin::Sha256(probe.fingerprint)).credentials(credentials).build();
    client.login().await.unwrap();
    assert_eq!(client.session_uri(), None, "the service has no sessions: Basic authentication");

    let snapshot = client.collect().await.unwrap();
    assert!(matches!(snapshot.profile, Profile::Generic), "{:?}", snapshot.profile);
    assert_eq!(snapshot.system.identity().map(str::to_lowercase), Some(bmc.identity()), "no tag, no serial: the UUID");
    assert!(snapshot.bios.is_some(), "its BIOS is at another spelling: {:?}", snapshot.issues);
    assert_eq!(snapshot.ethernet_interfaces.len(), 1, "{:?}", snapshot.issues);
    assert_eq!(client.power_state().await.unwrap(), PowerState::Off);

    let slot = client.media_slot().await.unwrap();
    let url = serve_medium(vec![7; 3 << 20]).await;
    client.insert_media(&slot, &url).await.unwrap_or_else(|error| panic!("{error}\n{}", bmc.emulator_log()));
    assert!(client.media_state(&slot).await.unwrap().inserted);
    let set = client.set_boot_once(BootTarget::Cd).await.unwrap();
    assert!(set.is_continuous(BootTarget::Cd), "it knows lasting overrides only: {set:?}");

    client.reset(ResetType::On).await.unwrap();
    wait_for_power(&client, PowerState::On).await;
    client.reset(ResetType::ForceOff).await.unwrap();
    wait_for_power(&client, PowerState::Off).await;

    client.eject_media(&slot).await.unwrap();
    assert!(!client.media_state(&slot).await.unwrap().inserted);
    let set = client.set_boot_once(BootTarget::Hdd).await.unwrap();
    assert!(set.is_continuous(BootTarget::Hdd), "{set:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_virtual_machine_is_provisioned_through_somebody_elses_redfish() -> anyhow::Result<()> {
    let test = "a_virtual_machine_is_provisioned_through_somebody_elses_redfish";
    let Some(media) = media_or_skip(test) else { return Ok(()) };
    if !possible(test) {
        return Ok(());
    }
    let bmc = ForeignBmc::start(&build_folder()).await?;
    // The site's own machine is never enrolled; with `vm` the controller is told how guests reach it.
    let site = Site::start_with(&["R660"], TIME_SCALE, true).await?;
    let credential = CredentialSet { username: bmc.user().into(), password: bmc.password().into() };
    site.client.set_credential("foreign", &credential).await?;
    let line = EnrolLine { line: 1, address: bmc.address(), name: Some("foreign1".into()), ..EnrolLine::default() };
    let request = EnrolRequest {
        lines: vec![line],
        credential: Some("foreign".into()),
        inspect: true,
        ..EnrolRequest::default()
    };
    let accepted = site.client.enrol(&request).await?;
    anyhow::ensure!(accepted.refused.is_empty(), "refused: {:?}", accepted.refused);
    for item in site.finished(&accepted.bulk.context("no bulk object")?).await? {
        anyhow::ensure!(item.state == "done", "{item:?}\n{}", bmc.emulator_log());
    }
    helix_tests::wait::until("the node to be ready", LIMIT, || async {
        let nodes = site.client.all_nodes(&NodeQuery::default()).await?;
        Ok((nodes.len() == 1 && nodes[0].state == Lifecycle::Ready).then_some(()))
    })
    .await?;

    site.import_image(&media).await?;
    let workflow = site.provision(|_| {}).await?;
    let detail = site.settled(&workflow).await?;
    let console = bmc.console();
    assert_eq!(detail.summary.state, WorkflowState::Succeeded, "{:#?}\n{console}", detail.summary);
    let node = site.client.node(&site.node().await?.id).await?;
    assert_eq!(node.node.state, Lifecycle::InService);
    assert_eq!(node.node.service_tag.as_str().to_lowercase(), bmc.identity(), "no tag, no serial: the UUID");
    let report = node.report.context("no report of the agent")?;
    assert!(report.os.name.contains("Debian"), "{:?}", report.os);
    assert_eq!(report.os.hostname, "foreign1");
    Ok(())
}
