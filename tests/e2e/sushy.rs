//! Somebody else's Redfish service with a real virtual machine behind it: what our client makes of it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use helix_tests::libvirt::ForeignBmc;
use redfish_client::{BmcAddress, BootTarget, Client, Credentials, Pin, PowerState, Profile, ResetType, Tls};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// A power action of libvirt takes a second on a free core.
const POWER_WAIT: Duration = Duration::from_secs(60);

fn build_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../build")
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
    if let Some(missing) = ForeignBmc::missing() {
        eprintln!("SKIPPED: sushy-emulator with libvirt cannot be run here: {missing}");
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
