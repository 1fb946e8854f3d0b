//! The simulator, which shares nothing with the client: what one believes of an iDRAC the other has to believe too.

use std::time::{Duration, Instant};

use redfish_client::{
    BmcAddress, BootFacts, BootTarget, Class, Client, Credentials, Limits, Log, PowerState, RedfishError, ResetType,
    Snapshot, Tls,
};
use redfish_sim::{Faults, Fleet, FleetHandle};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// Real time that anything the simulator does may take at its time scale.
const PATIENCE: Duration = Duration::from_secs(30);

struct Bench {
    fleet: FleetHandle,
    host: &'static str,
}

impl Bench {
    async fn with(host: &'static str, model: &str) -> Self {
        let fleet = Fleet::builder().seed(7).time_scale(200).bmc(host, model).start().await.unwrap();
        Self { fleet, host }
    }

    fn client(&self) -> Client {
        self.client_with("calvin")
    }

    fn client_with(&self, password: &str) -> Client {
        let credentials = Credentials { user: "root".to_owned(), password: password.to_owned().into() };
        Client::builder(&Tls::new(4).unwrap(), BmcAddress::new(self.host, self.fleet.port()))
            .credentials(credentials)
            .limits(Limits::default().scaled(200.0))
            .build()
    }

    fn fault(&self, change: impl FnOnce(&mut Faults)) {
        self.fleet.control().faults(self.host, change).unwrap();
    }

    fn counters(&self) -> redfish_sim::Counters {
        self.fleet.control().counters(self.host).unwrap()
    }
}

async fn wait_for<T, F: Future<Output = Option<T>>>(what: &str, mut look: impl FnMut() -> F) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(started.elapsed() < PATIENCE, "{what} does not happen");
    }
}

fn assert_is_clean(snapshot: &Snapshot) {
    assert!(snapshot.unread.is_empty(), "{:?}", snapshot.unread);
    assert!(snapshot.issues.is_empty(), "{:#?}", snapshot.issues);
}

#[tokio::test]
async fn every_model_is_read_whole_with_few_requests() {
    for (host, model, gpus, gpu) in [
        ("127.30.1.1", "XE9680", 8, "H100"),
        ("127.30.1.2", "XE8640", 4, "H100"),
        ("127.30.1.3", "R760xa", 4, "NVIDIA"),
        ("127.30.1.4", "R660", 0, ""),
    ] {
        let bench = Bench::with(host, model).await;
        let client = bench.client();
        let snapshot = client.collect().await.unwrap();
        println!("{model}: {} requests, {} bytes, {:?}", snapshot.requests, snapshot.bytes, snapshot.duration);
        assert_is_clean(&snapshot);
        assert!(snapshot.system.model.as_deref().unwrap().contains(model));
        assert_eq!(snapshot.system.identity(), Some(bench.fleet.control().service_tag(host).unwrap().as_str()));
        let found: Vec<_> = snapshot.accelerators().collect();
        assert_eq!(found.len(), gpus, "{model}");
        assert!(found.iter().all(|one| one.model.as_deref().unwrap().contains(gpu) && one.serial_number.is_some()));
        assert_eq!(snapshot.video.len(), gpus);
        assert!(!snapshot.memory.is_empty() && !snapshot.power_supplies.is_empty() && !snapshot.fans.is_empty());
        assert!(!snapshot.firmware.is_empty() && !snapshot.slots.is_empty() && !snapshot.licences.is_empty());
        assert!(snapshot.storage.iter().any(|unit| !unit.drives.is_empty() && !unit.volumes.is_empty()));
        let ports = snapshot.network.iter().map(|unit| unit.ports.len()).sum::<usize>();
        assert!(ports > 0 && snapshot.network.iter().all(|unit| !unit.functions.is_empty()));
        assert!(!snapshot.bios.as_ref().unwrap().attributes.is_empty());
        assert!(snapshot.requests <= 70, "{model} took {} requests", snapshot.requests);
        assert_eq!(bench.counters().writes, 0, "a reading writes nothing");
        client.close().await.unwrap();
        assert_eq!((bench.counters().logins, bench.counters().logouts), (1, 1));
        bench.fleet.shutdown().await;
    }
}

#[tokio::test]
async fn a_refused_expand_reads_the_same_machine() {
    let bench = Bench::with("127.30.2.1", "R760xa").await;
    let expanded = bench.client().collect().await.unwrap();
    bench.fault(|faults| faults.expand_refused = true);
    let single = bench.client().collect().await.unwrap();
    assert_is_clean(&single);
    assert!(single.requests > expanded.requests);
    assert_eq!(single.processors, expanded.processors);
    assert_eq!(single.memory, expanded.memory);
    assert_eq!(single.firmware, expanded.firmware);
    assert_eq!(
        single.storage.iter().map(|unit| &unit.drives).collect::<Vec<_>>(),
        expanded.storage.iter().map(|unit| &unit.drives).collect::<Vec<_>>()
    );
    assert_eq!(
        single.network.iter().map(|unit| &unit.ports).collect::<Vec<_>>(),
        expanded.network.iter().map(|unit| &unit.ports).collect::<Vec<_>>()
    );
    bench.fleet.shutdown().await;
}

/// Serves an image of `size` bytes with HEAD and ranges, as an iDRAC wants it.
async fn image_server(size: usize) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut tcp, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut request = vec![0; 8192];
                let read = tcp.read(&mut request).await.unwrap_or(0);
                let request = String::from_utf8_lossy(&request[..read]).to_lowercase();
                let range = request.lines().find_map(|line| {
                    let (from, to) = line.strip_prefix("range: bytes=")?.trim().split_once('-')?;
                    Some((from.parse().ok()?, to.parse().unwrap_or(size - 1).min(size - 1)))
                });
                let (from, to): (usize, usize) = range.unwrap_or((0, size - 1));
                let body = if request.starts_with("head") { Vec::new() } else { vec![0; to + 1 - from] };
                let status = if range.is_some() { "206 Partial Content" } else { "200 OK" };
                let head = format!(
                    "HTTP/1.1 {status}\r\nContent-Length: {}\r\nAccept-Ranges: bytes\r\nContent-Range: bytes {from}-{to}/{size}\r\nConnection: close\r\n\r\n",
                    to + 1 - from
                );
                drop(tcp.write_all(head.as_bytes()).await);
                drop(tcp.write_all(&body).await);
                drop(tcp.shutdown().await);
            });
        }
    });
    format!("http://127.0.0.1:{port}/media/7q2m4k/helix.iso")
}

#[tokio::test]
async fn a_machine_is_booted_from_virtual_media_in_the_order_that_works() {
    let bench = Bench::with("127.30.3.1", "R660").await;
    let client = bench.client();
    assert_eq!(client.boot_facts().await.unwrap(), BootFacts { uefi: Some(true), secure_boot: Some(false) });
    let slot = client.media_slot().await.unwrap();
    client.eject_media(&slot).await.unwrap();
    let url = image_server(1 << 20).await;
    client.insert_media(&slot, &url).await.unwrap();
    let state = client.media_state(&slot).await.unwrap();
    assert_eq!((state.inserted, state.image.as_deref()), (true, Some(url.as_str())));
    wait_for("the drive shows at the host", || async {
        client.media_state(&slot).await.unwrap().attached.unwrap().then_some(())
    })
    .await;
    assert!(client.set_boot_once(BootTarget::Cd).await.unwrap().is_once(BootTarget::Cd));
    let before = client.state().await.unwrap();
    assert_eq!(before.power, Some(PowerState::Off));
    client.reset(ResetType::On).await.unwrap();
    wait_for("the override is used up", || async {
        (!client.boot_override().await.unwrap().is_once(BootTarget::Cd)).then_some(())
    })
    .await;
    let after = client.state().await.unwrap();
    assert_eq!(after.power, Some(PowerState::On));
    assert_ne!(after.last_reset_time, before.last_reset_time);
    let status = client.lifecycle_status().await.unwrap();
    assert!(status.server_status.is_some() && !status.needs_a_person(), "{status:?}");
    client.reset(ResetType::ForceOff).await.unwrap();
    wait_for("the power goes off", || async { client.power_state().await.unwrap().is_off().then_some(()) }).await;
    client.eject_media(&slot).await.unwrap();
    wait_for("the slot is empty", || async { (!client.media_state(&slot).await.unwrap().inserted).then_some(()) })
        .await;
    let counters = bench.counters();
    assert_eq!((counters.inserts, counters.boot_overrides, counters.resets), (1, 1, 2));
    assert_eq!(counters.logins, 1);
    bench.fleet.shutdown().await;
}

#[tokio::test]
async fn an_image_that_the_bmc_cannot_reach_is_rac0904() {
    let bench = Bench::with("127.30.4.1", "R660").await;
    let client = bench.client();
    let slot = client.media_slot().await.unwrap();
    let error = client.insert_media(&slot, "http://127.0.0.1:9/helix.iso").await.unwrap_err();
    assert_eq!((error.message_id(), error.class()), (Some("RAC0904"), Class::Permanent));
    bench.fault(|faults| faults.media_in_use = true);
    let error = client.insert_media(&slot, &image_server(1 << 16).await).await.unwrap_err();
    assert_eq!((error.message_id(), error.class()), (Some("VRM0021"), Class::Busy));
    assert_eq!(bench.counters().inserts, 0);
    bench.fleet.shutdown().await;
}

#[tokio::test]
async fn an_insert_that_the_simulator_answers_too_late_is_seen_to_have_worked() {
    let bench = Bench::with("127.30.10.1", "R660").await;
    let credentials = Credentials { user: "root".to_owned(), password: "calvin".to_owned().into() };
    let limits = Limits { insert: Duration::from_millis(500), ..Limits::default() };
    let client = Client::builder(&Tls::new(1).unwrap(), BmcAddress::new(bench.host, bench.fleet.port()))
        .credentials(credentials)
        .limits(limits)
        .build();
    let slot = client.media_slot().await.unwrap();
    bench.fault(|faults| faults.insert_late = Some(3_600_000));
    let url = image_server(1 << 16).await;
    client.insert_media(&slot, &url).await.unwrap();
    let state = client.media_state(&slot).await.unwrap();
    assert_eq!((state.inserted, state.image.as_deref()), (true, Some(url.as_str())));
    bench.fleet.shutdown().await;
}

#[tokio::test]
async fn lockdown_of_a_simulated_bmc_is_no_passing_trouble() {
    let bench = Bench::with("127.30.11.1", "R660").await;
    let client = bench.client();
    bench.fault(|faults| faults.lockdown = true);
    let bios = client.bios().await.unwrap();
    let wanted = bios.attributes.into_iter().take(1).collect();
    let error = client.set_bios(&wanted).await.unwrap_err();
    assert_eq!((error.message_id(), error.class()), (Some("SYS406"), Class::Permanent));
    bench.fleet.shutdown().await;
}

#[tokio::test]
async fn the_simulated_lock_out_is_never_reached() {
    let bench = Bench::with("127.30.5.1", "R660").await;
    let client = bench.client_with("wrong");
    for _ in 0..5 {
        client.power_state().await.unwrap_err();
    }
    let counters = bench.counters();
    assert_eq!((counters.logins_refused, counters.lockouts), (2, 0));
    bench.client().power_state().await.unwrap();
    bench.fleet.shutdown().await;
}

#[tokio::test]
async fn faults_of_the_simulated_session_service_are_told_apart() {
    let bench = Bench::with("127.30.6.1", "R660").await;
    bench.fault(|faults| faults.sessions_full = true);
    assert_eq!(bench.client().login().await.unwrap_err().code(), "bmc_sessions_full");
    bench.fault(|faults| *faults = Faults { no_sessions: true, ..Faults::default() });
    let client = bench.client();
    client.power_state().await.unwrap();
    assert_eq!(client.session_uri(), None);
    bench.fault(|faults| *faults = Faults { not_redfish: true, ..Faults::default() });
    assert_eq!(bench.client().login().await.unwrap_err().code(), "bmc_not_redfish");
    bench.fault(|faults| *faults = Faults { dead: true, ..Faults::default() });
    let error = bench.client().login().await.unwrap_err();
    assert_eq!((error.code(), error.class()), ("bmc_tls_failed", Class::Retry));
    assert_eq!(bench.counters().logins_refused, 0);
    bench.fleet.shutdown().await;
}

#[tokio::test]
async fn a_simulated_bmc_that_is_not_ready_is_transient_whatever_its_status() {
    let bench = Bench::with("127.30.7.1", "R660").await;
    let client = bench.client();
    client.login().await.unwrap();
    for (id, faults) in [
        ("SWC0700", Faults { swc0700_400: true, ..Faults::default() }),
        ("SYS518", Faults { sys518: true, ..Faults::default() }),
    ] {
        bench.fault(|now| *now = faults);
        let error = client.system().await.unwrap_err();
        assert_eq!((error.message_id(), error.class()), (Some(id), Class::Retry));
    }
    bench.fault(|faults| *faults = Faults { on_conflict: true, ..Faults::default() });
    bench.fleet.shutdown().await;
}

#[tokio::test]
async fn a_new_certificate_of_a_simulated_bmc_is_refused() {
    let bench = Bench::with("127.30.8.1", "R660").await;
    let client = bench.client();
    client.power_state().await.unwrap();
    let known = client.fingerprint().unwrap();
    client.close().await.unwrap();
    bench.fleet.control().act(bench.host, "new_certificate", &serde_json::Value::Null).unwrap();
    let error = client.power_state().await.unwrap_err();
    assert!(matches!(error, RedfishError::CertificateChanged { pinned, .. } if pinned == known), "{error}");
    bench.fleet.shutdown().await;
}

#[tokio::test]
async fn a_bios_change_of_a_simulated_machine_becomes_a_job_and_can_be_taken_back() {
    let bench = Bench::with("127.30.9.1", "R660").await;
    let client = bench.client();
    let bios = client.bios().await.unwrap();
    let (name, value) = bios.attributes.iter().find(|(name, _)| *name == "BootMode").unwrap();
    let wanted = [(name.clone(), value.clone())].into_iter().collect();
    let operation = client.set_bios(&wanted).await.unwrap();
    let id = operation.job().unwrap().to_owned();
    assert!(!client.job(&id).await.unwrap().is_finished());
    assert!(client.jobs().await.unwrap().iter().any(|job| job.id.as_deref() == Some(id.as_str())));
    let error = client.set_bios(&wanted).await.unwrap_err();
    assert_eq!((error.message_id(), error.class()), (Some("SYS011"), Class::Busy));
    client.delete_job(&id).await.unwrap();
    assert!(client.log(Log::Lifecycle, 10).await.unwrap().len() <= 10);
    bench.fleet.shutdown().await;
}
