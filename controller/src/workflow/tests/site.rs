//! A site in one process: a simulated BMC, the media listener, the engine, and a scripted host that plays ramdisk and
//! agent by what the BMC's counters say was booted.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use helix_api::agent::{AgentReport, OsFacts};
use helix_api::deploy::{BLOCK_MAGIC, BLOCK_SIZE, DeployReport, Phase};
use helix_api::machine::{DiskFacts, MachineFacts};
use helix_inventory::plan::{self, NodeFacts, WorkflowKind};
use helix_inventory::profile::ProvisionSpec;
use helix_inventory::words::{Lifecycle, Power};
use redfish_sim::{Counters, Fleet, FleetHandle};
use sqlx::PgPool;
use uuid::Uuid;

use crate::app::testing;
use crate::media;
use crate::store::workflows::{self, WorkflowRow};
use crate::store::{agents, bmcs, credentials, deploy_sessions, hardware, node_state, seed, steps};
use crate::workflow::engine::Engine;
use crate::workflow::settings::Settings;
use crate::workflow::start::{NewWorkflow, start};

/// Loopback addresses of the BMCs of this test program: each test its own, so that they run side by side.
static NEXT: AtomicU32 = AtomicU32::new(1);

/// SHA-256 that stands for an image; the scripted host fetches none.
const IMAGE: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

/// How the scripted host behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Host {
    /// As it should.
    Good,
    /// Boots and never calls.
    Silent,
    /// The ramdisk finds two disks and cannot choose.
    TwoDisks,
}

/// The site.
pub(super) struct Site {
    pub(super) app: testing::TestApp,
    pub(super) fleet: FleetHandle,
    pub(super) address: String,
    pub(super) node: Uuid,
    pub(super) bmc: Uuid,
    pub(super) db: PgPool,
    _media: tempfile::TempDir,
}

impl Site {
    /// A site with one node of this model, known and never read, whose credential is this password.
    pub(super) async fn start(db: PgPool, model: &str, password: &str) -> Self {
        // Several tests, and several of them a second time: a process has one provider.
        drop(rustls::crypto::ring::default_provider().install_default());
        let last = NEXT.fetch_add(1, Ordering::Relaxed);
        let address = Ipv4Addr::from(u32::from(Ipv4Addr::new(127, 77, 0, 0)) + last).to_string();
        let fleet = Fleet::builder().seed(7).time_scale(200.0).bmc(&address, model).start().await.unwrap();
        let tag = fleet.control().service_tag(&address).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let iso = deploy_iso(folder.path());
        let agent = folder.path().join("helix-agent");
        std::fs::write(&agent, b"no agent").unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at: SocketAddr = listener.local_addr().unwrap();
        let app = testing::app_with(db.clone(), |config| {
            config.media.listen = at;
            config.media.deploy_iso = Some(iso);
            config.media.agent_binary = Some(agent);
        })
        .await;
        let router = media::router(app.app.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        let bmc = seed::bmc(&db, &address, i32::from(fleet.port())).await;
        let credential = Uuid::now_v7();
        let sealed = app.app.secrets.seal(password.as_bytes(), &credentials::associated_data(credential)).unwrap();
        seed::credential(&db, bmc, credential, "root", &sealed).await;
        let node = seed::node_at(&db, "r01u05", &tag, bmc).await;
        seed::image(&db, "debian-12", IMAGE).await;
        let settings = Settings { at_once: 16, kept_for_single: 2, ..Settings::default() };
        tokio::spawn(Engine::new(app.app.clone(), crate::workflow::registry(), settings).run());
        Self { app, fleet, address, node, bmc, db, _media: folder }
    }

    pub(super) fn counters(&self) -> Counters {
        self.fleet.control().counters(&self.address).unwrap()
    }

    pub(super) async fn run(&self, kind: WorkflowKind) -> Uuid {
        let mut conn = self.db.acquire().await.unwrap();
        let plan = match kind {
            WorkflowKind::Inspect => plan::inspect(),
            WorkflowKind::Provision => {
                let found = hardware::get(&mut conn, self.node).await.unwrap();
                let spec = ProvisionSpec {
                    image: "debian-12".into(),
                    image_sha256: IMAGE.into(),
                    image_raw_size_bytes: 4000,
                    ..ProvisionSpec::default()
                };
                let node = NodeFacts { name: "r01u05", state: Lifecycle::Ready, power: Power::On, scheduler: false };
                plan::provision(node, found.as_ref(), &spec)
            }
        };
        let new = NewWorkflow { kind, node_id: self.node, plan, bulk_id: None, created_by: "test".to_owned() };
        start(&mut conn, new).await.unwrap().id
    }

    /// Reads the node, so that a plan can be made.
    pub(super) async fn inspected(&self) {
        let id = self.run(WorkflowKind::Inspect).await;
        self.until(id, "succeeded").await;
    }

    pub(super) async fn row(&self, id: Uuid) -> WorkflowRow {
        let mut conn = self.db.acquire().await.unwrap();
        workflows::get(&mut conn, id).await.unwrap().unwrap()
    }

    /// Waits until the workflow is in a state; another end or a minute and a half of waiting is a failure with all it knows.
    pub(super) async fn until(&self, id: Uuid, state: &str) -> WorkflowRow {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(90);
        let mut listener = sqlx::postgres::PgListener::connect_with(&self.db).await.unwrap();
        listener.listen("helix_changes").await.unwrap();
        loop {
            let row = self.row(id).await;
            if row.state == state {
                return row;
            }
            let over = matches!(row.state.as_str(), "needs_human" | "failed" | "succeeded" | "cancelled");
            if over || tokio::time::Instant::now() > deadline {
                let mut conn = self.db.acquire().await.unwrap();
                let steps = steps::of_workflow(&mut conn, id).await.unwrap();
                let steps: Vec<_> = steps.iter().map(|s| format!("{} {} {:?}", s.kind, s.state, s.message)).collect();
                panic!("{state} expected: {row:#?}\n{steps:#?}\n{:#?}", self.counters());
            }
            drop(tokio::time::timeout(Duration::from_millis(500), listener.recv()).await);
        }
    }

    /// Plays the host until the test ends.
    pub(super) fn play(&self, host: Host) {
        let db = self.db.clone();
        let node = self.node;
        let fleet = self.fleet.fleet().clone();
        let address: Ipv4Addr = self.address.parse().unwrap();
        let app = self.app.app.clone();
        tokio::spawn(async move {
            let mut script = Script { db, node, host, media: 0, disk: 0 };
            loop {
                let Some(bmc) = fleet.at(address) else { return };
                let counters = bmc.state().kept.counters.clone();
                script.look(&counters).await;
                tokio::select! {
                    () = app.shutdown.cancelled() => return,
                    () = tokio::time::sleep(Duration::from_millis(100)) => {}
                }
            }
        });
    }

    pub(super) async fn bmc_row(&self) -> bmcs::BmcRow {
        let mut conn = self.db.acquire().await.unwrap();
        bmcs::get(&mut conn, self.bmc).await.unwrap().unwrap()
    }

    pub(super) async fn agent(&self) -> Option<node_state::AgentSeen> {
        let mut conn = self.db.acquire().await.unwrap();
        node_state::agent(&mut conn, self.node).await.unwrap()
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.app.app.shutdown.cancel();
    }
}

/// What was played so far.
struct Script {
    db: PgPool,
    node: Uuid,
    host: Host,
    media: u64,
    disk: u64,
}

impl Script {
    async fn look(&mut self, counters: &Counters) {
        if self.host == Host::Silent {
            return;
        }
        let mut conn = self.db.acquire().await.unwrap();
        let Some(workflow) = workflows::open_of_node(&mut conn, self.node).await.unwrap() else { return };
        let session = deploy_sessions::latest(&mut conn, workflow.id).await.unwrap();
        let Some(session) = session.filter(|session| session.closed_at.is_none() || counters.boots_from_disk > 0)
        else {
            return;
        };
        if counters.boots_from_media > self.media && session.claimed_at.is_none() {
            self.media = counters.boots_from_media;
            let machine = serde_json::to_value(MachineFacts { uefi: true, ..MachineFacts::default() }).unwrap();
            seed::claim(&self.db, session.id, &format!("ramdisk-{}", self.media), &machine).await;
            workflows::wake(&mut conn, workflow.id).await.unwrap();
        }
        if let Some(write) = session.write_id.clone().filter(|_| session.phase.as_deref() == Some("claimed")) {
            let report = self.report(write);
            let value = serde_json::to_value(&report).unwrap();
            let phase = if report.error.is_some() { "failed" } else { "written" };
            deploy_sessions::note_report(&mut conn, session.id, phase, &value, chrono::Utc::now()).await.unwrap();
            workflows::wake(&mut conn, workflow.id).await.unwrap();
        }
        if counters.boots_from_disk > self.disk && session.phase.as_deref() == Some("written") {
            self.disk = counters.boots_from_disk;
            self.join(&mut conn, workflow.id).await;
            workflows::wake(&mut conn, workflow.id).await.unwrap();
        }
    }

    fn report(&self, write_id: String) -> DeployReport {
        let disk = |name: &str, serial: &str| DiskFacts {
            name: name.into(),
            serial: Some(serial.into()),
            model: Some("Dell NVMe".into()),
            size_bytes: 480 << 30,
            ..DiskFacts::default()
        };
        let two = self.host == Host::TwoDisks;
        DeployReport {
            write_id: Some(write_id),
            phase: if two { Phase::Failed } else { Phase::Written },
            disk: (!two).then(|| disk("nvme0n1", "PHYJ1")),
            bytes_done: 4000,
            bytes_total: 4000,
            bytes_per_second: 1000,
            digest: Some(IMAGE.to_owned()),
            disks: vec![disk("nvme0n1", "PHYJ1"), disk("nvme1n1", "PHYJ2")],
            error: two.then(|| helix_api::deploy::DeployError {
                code: "disk_ambiguous".into(),
                message: "two disks match: nvme0n1 and nvme1n1".into(),
                retryable: false,
            }),
            message: None,
        }
    }

    async fn join(&self, conn: &mut sqlx::PgConnection, workflow: Uuid) {
        let boot_id = format!("disk-{}", self.disk);
        let now = chrono::Utc::now();
        let joined = agents::Joined {
            node_id: self.node,
            certificate_sha256: &[7; 32],
            not_after: now + chrono::TimeDelta::days(30),
            boot_id: &boot_id,
            agent_version: "0.1.0",
            simulated: true,
            now,
        };
        agents::join(&mut *conn, &joined).await.unwrap();
        let report = AgentReport {
            boot_id: boot_id.clone(),
            machine: MachineFacts { uefi: true, ..MachineFacts::default() },
            os: OsFacts {
                name: "Debian GNU/Linux 12 (bookworm)".into(),
                id: "debian".into(),
                version: Some("12".into()),
                kernel: "6.1.0-40-amd64".into(),
                hostname: "r01u05".into(),
                instance_id: Some(workflow.to_string()),
            },
            ..AgentReport::default()
        };
        let reported = agents::Reported {
            node_id: self.node,
            boot_id: &boot_id,
            agent_version: "0.1.0",
            simulated: true,
            os_name: &report.os.name,
            kernel: &report.os.kernel,
            report: &serde_json::to_value(&report).unwrap(),
            now,
        };
        agents::note_report(conn, &reported).await.unwrap();
    }
}

/// A file that passes for the deploy ISO: nobody boots it here.
fn deploy_iso(folder: &std::path::Path) -> std::path::PathBuf {
    const OFFSET: usize = 32 * 1024;
    let mut bytes = vec![0u8; OFFSET + BLOCK_SIZE + 32 * 1024];
    bytes[OFFSET..OFFSET + 8].copy_from_slice(BLOCK_MAGIC);
    let path = folder.join("helix-deploy.iso");
    std::fs::write(&path, &bytes).unwrap();
    let description = serde_json::json!({
        "format": 1,
        "size_bytes": bytes.len(),
        "sha256": "00",
        "block_offset": OFFSET,
        "block_size": BLOCK_SIZE,
        "agent_version": "0.1.0",
        "kernel": "6.1.0",
    });
    std::fs::write(folder.join("helix-deploy.json"), description.to_string()).unwrap();
    path
}
