//! Somebody else's Redfish service: sushy-emulator with its fake driver. It has no sessions, no expand, no jobs, only lasting boot
//! overrides, and its BIOS is spelt `BIOS`. Runs when `HELIX_SUSHY_EMULATOR` names the program, and says so when not.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use redfish_client::{
    BmcAddress, BootTarget, Client, Credentials, Limits, Pin, PowerState, Profile, RedfishError, ResetType, Tls,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::bmc::{Identity, identity};

/// `admin` with the password `password`, bcrypt at its lowest cost: the emulator hashes at every request.
const PASSWORDS: &str = "admin:$2b$04$6qvNckIbJYKf2aRr9wKAxelJaReZTLpO8iMa6eUJtGbwQfe9TurDe\n";

/// The fake driver takes 1 to 11 s to change power; with a slow machine beneath it, three times that.
const PATIENCE: Duration = Duration::from_secs(30);

struct Emulator {
    process: Child,
    address: BmcAddress,
    _folder: tempfile::TempDir,
}

impl Drop for Emulator {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

async fn emulator() -> Option<Emulator> {
    let Some(program) = std::env::var_os("HELIX_SUSHY_EMULATOR").map(PathBuf::from) else {
        println!("skipped: HELIX_SUSHY_EMULATOR does not name a sushy-emulator");
        return None;
    };
    let folder = tempfile::tempdir().unwrap();
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    configure(folder.path(), port);
    let process = Command::new(program)
        .arg("--config")
        .arg(folder.path().join("conf.py"))
        .current_dir(folder.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let emulator = Emulator { process, address: BmcAddress::new("127.0.0.1", port), _folder: folder };
    let started = Instant::now();
    let tls = Tls::new(1).unwrap();
    while let Err(error) = Client::probe(&tls, &emulator.address, Pin::Unknown).await {
        assert!(started.elapsed() < PATIENCE, "the emulator does not come up: {error}");
        tokio::task::yield_now().await;
    }
    Some(emulator)
}

fn configure(folder: &Path, port: u16) {
    let Identity { certificate, key, .. } = identity();
    let file = |name: &str, text: String| {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let certificate = file("cert.pem", certificate.pem());
    let key = file("key.pem", key.serialize_pem());
    let passwords = file("htpasswd", PASSWORDS.to_owned());
    let state = folder.display();
    file(
        "conf.py",
        format!(
            "SUSHY_EMULATOR_LISTEN_IP = '127.0.0.1'\nSUSHY_EMULATOR_LISTEN_PORT = {port}\nSUSHY_EMULATOR_FAKE_DRIVER = True\n\
             SUSHY_EMULATOR_SSL_CERT = '{certificate}'\nSUSHY_EMULATOR_SSL_KEY = '{key}'\n\
             SUSHY_EMULATOR_AUTH_FILE = '{passwords}'\nSUSHY_EMULATOR_STATE_DIR = '{state}'\n"
        ),
    );
}

fn client(emulator: &Emulator, password: &str) -> Client {
    let credentials = Credentials { user: "admin".to_owned(), password: password.to_owned().into() };
    Client::builder(&Tls::new(1).unwrap(), emulator.address.clone())
        .credentials(credentials)
        .limits(Limits::default().scaled(100.0))
        .build()
}

/// Serves one small image to whoever asks.
async fn image_server() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut tcp, _)) = listener.accept().await {
            let mut request = [0; 4096];
            let asked = tcp.read(&mut request).await.unwrap_or(0);
            if asked > 0 {
                let answer = "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: 5\r\nConnection: close\r\n\r\nimage";
                drop(tcp.write_all(answer.as_bytes()).await);
            }
        }
    });
    format!("http://127.0.0.1:{port}/helix.iso")
}

#[tokio::test]
async fn sushy_emulator_is_read_driven_and_given_media() {
    let Some(emulator) = emulator().await else { return };
    let client = client(&emulator, "password");
    let snapshot = client.collect().await.unwrap();
    println!("sushy-emulator: {} requests, {:?}", snapshot.requests, snapshot.duration);
    assert_eq!(snapshot.profile, Profile::Generic);
    assert_eq!(client.session_uri(), None);
    assert!(snapshot.system.identity().is_some());
    assert!(snapshot.manager.is_some() && snapshot.server_chassis().is_some());
    println!("issues {:#?}, unread {:?}", snapshot.issues, snapshot.unread);

    let slot = client.media_slot().await.unwrap();
    let url = image_server().await;
    client.eject_media(&slot).await.unwrap();
    client.insert_media(&slot, &url).await.unwrap();
    let state = client.media_state(&slot).await.unwrap();
    assert_eq!((state.inserted, state.image.as_deref(), state.attached), (true, Some(url.as_str()), None));

    let shown = client.set_boot_once(BootTarget::Cd).await.unwrap();
    assert!(shown.is_continuous(BootTarget::Cd), "{shown:?}");
    let wanted = if client.power_state().await.unwrap().is_on() { ResetType::ForceOff } else { ResetType::On };
    let operation = client.reset(wanted).await.unwrap();
    assert_eq!(operation.handle, None);
    let expected = if wanted == ResetType::On { PowerState::On } else { PowerState::Off };
    let started = Instant::now();
    while client.power_state().await.unwrap() != expected {
        assert!(started.elapsed() < PATIENCE, "the power does not change");
    }
    client.eject_media(&slot).await.unwrap();
    assert!(!client.media_state(&slot).await.unwrap().inserted);
    let shown = client.set_boot_continuous(BootTarget::Hdd).await.unwrap();
    assert!(shown.is_continuous(BootTarget::Hdd));
}

#[tokio::test]
async fn sushy_emulator_refuses_a_wrong_password_once_a_try() {
    let Some(emulator) = emulator().await else { return };
    let client = client(&emulator, "wrong");
    for refused in 1..=2 {
        let error = client.power_state().await.unwrap_err();
        assert!(matches!(error, RedfishError::LoginRefused { refused: r, .. } if r == refused), "{error}");
    }
    assert!(matches!(client.power_state().await.unwrap_err(), RedfishError::LoginStopped { .. }));
}
