//! A simulated machine from its first boot to its agent's reports, by the program that plays the fleet.

use std::process::Stdio;

use helix_api::deploy::{Act, Compression, DiskRule, ImageSource, Phase, SeedFile, WriteOrder, encode_block};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::controller::TestController;

struct Fleet {
    _child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

impl Fleet {
    fn start(state: &std::path::Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_helix-agent"))
            .args(["simulate", "--time-scale", "500", "--state"])
            .arg(state)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let (input, output) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()).lines());
        Self { _child: child, input, output }
    }

    async fn tell(&mut self, event: Value) {
        self.input.write_all(format!("{event}\n").as_bytes()).await.unwrap();
    }

    async fn hear(&mut self) -> Value {
        let line = tokio::time::timeout(std::time::Duration::from_secs(60), self.output.next_line()).await;
        serde_json::from_str(&line.expect("an event within a minute").unwrap().unwrap()).unwrap()
    }
}

fn machine() -> Value {
    json!({
        "manufacturer": "Dell Inc.", "product": "PowerEdge XE9680", "service_tag": "HLX0001", "uuid": "4c4c4544-0048-4c10-8058-b7c04f303031",
        "nics": [{"name": "eno1", "mac": "02:00:5e:00:00:01", "carrier": true}],
        "disks": [
            {"name": "nvme0n1", "model": "Dell BOSS-N1", "serial": "BOSS1", "size_bytes": 480_103_981_056u64, "boss": true},
            {"name": "nvme1n1", "model": "Dell PM9A3", "serial": "D1", "size_bytes": 3_840_755_982_336u64, "boss": false}
        ],
        "gpus": [{"index": 0, "name": "NVIDIA H100 80GB HBM3", "uuid": "GPU-1", "serial": "1650000000001", "pci_bus_id": "00000000:19:00.0",
            "memory_total_bytes": 85_520_809_984u64}],
        "infiniband": [{"device": "mlx5_0", "guid": "0xb8", "rate_gbps": 400, "pci_bus_id": "0000:1a:00.0"}]
    })
}

/// A deploy medium with the block for this controller, behind a URL.
fn medium(controller: &TestController) -> String {
    const SECTOR: usize = 2048;
    let mut iso = vec![0u8; 24 * SECTOR];
    let descriptor = &mut iso[16 * SECTOR..17 * SECTOR];
    descriptor[0] = 1;
    descriptor[1..6].copy_from_slice(b"CD001");
    descriptor[40..72].copy_from_slice(format!("{:<32}", "HELIXDEPLOY").as_bytes());
    descriptor[158..162].copy_from_slice(&18u32.to_le_bytes());
    descriptor[166..170].copy_from_slice(&2048u32.to_le_bytes());
    let name = b"HELIX.BLK;1";
    let record = &mut iso[18 * SECTOR..19 * SECTOR];
    record[0] = 44;
    record[2..6].copy_from_slice(&20u32.to_le_bytes());
    record[32] = name.len() as u8;
    record[33..33 + name.len()].copy_from_slice(name);
    let block = encode_block(&controller.block()).unwrap();
    iso[20 * SECTOR..20 * SECTOR + block.len()].copy_from_slice(&block);
    controller.serve("r/helix.iso", iso, None)
}

fn order(controller: &TestController) -> WriteOrder {
    let file = vec![7u8; 300_000];
    let sha256 = hex::encode(Sha256::digest(&file));
    let agent = controller.serve("r/helix-agent", vec![1, 2, 3], None);
    let user_data = format!(
        "#cloud-config\nhostname: r01u05\nwrite_files:\n- path: /etc/helix/agent.toml\n  content: |\n    controller_urls = [\"{}\"]\n    \
         controller_key_sha256 = \"{}\"\n    token_file = \"/etc/helix/join.token\"\n- path: /etc/helix/join.token\n  content: join-token\n\
         runcmd:\n- [curl, -o, /usr/local/bin/helix-agent, \"{agent}\"]\n",
        controller.url, controller.key_sha256
    );
    WriteOrder {
        write_id: "w1".into(),
        image: ImageSource {
            name: "debian-12".into(),
            url: controller.serve("r/image", file, None),
            compression: Compression::None,
            raw_sha256: sha256.clone(),
            sha256,
            size_bytes: 300_000,
            raw_size_bytes: 300_000,
            identifiers: Vec::new(),
        },
        disk: DiskRule::default(),
        wipe_conflicting: false,
        seed: vec![
            SeedFile {
                path: "/var/lib/cloud/seed/nocloud/meta-data".into(),
                text: "instance-id: wf-7Q2M4K\n".into(),
                mode: 0o644,
            },
            SeedFile { path: "/var/lib/cloud/seed/nocloud/user-data".into(), text: user_data, mode: 0o600 },
        ],
        boot_entry: "Helix debian-12".into(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_simulated_machine_deploys_boots_and_reports_and_remembers_over_a_restart() {
    let controller = TestController::start().await;
    let state = tempfile::tempdir().unwrap();
    let mut fleet = Fleet::start(state.path());
    fleet.tell(json!({"event": "boot", "node": "HLX0001", "boot": "disk", "machine": machine()})).await;
    assert_eq!(fleet.hear().await["event"], "boot_failed", "nothing is installed yet");

    let url = medium(&controller);
    fleet.tell(json!({"event": "boot", "node": "HLX0001", "boot": "cd", "media_url": url, "machine": machine()})).await;
    controller.instruct(Act::Write(Box::new(order(&controller))));
    let end = controller.end().await;
    assert_eq!(end.phase, Phase::Written, "{:?}", end.error);
    assert_eq!(end.disk.unwrap().serial.as_deref(), Some("BOSS1"));
    assert!(end.message.unwrap().contains("fetched and hashed in full"), "the first node of an image reads all of it");
    assert!(controller.seen().claims[0].simulated);
    controller.instruct(Act::PowerOff);
    assert_eq!(fleet.hear().await, json!({"event": "power_off", "node": "HLX0001"}));

    // The simulator dies and comes back: what is installed stays installed.
    drop(fleet);
    let mut fleet = Fleet::start(state.path());
    fleet.tell(json!({"event": "boot", "node": "HLX0001", "boot": "disk", "machine": machine()})).await;
    assert_eq!(fleet.hear().await, json!({"event": "os_running", "node": "HLX0001"}));
    let seen = controller.until("a report", |seen| !seen.agent_reports.is_empty()).await;
    assert!(seen.joins[0].simulated && seen.joins[0].machine.service_tag.as_deref() == Some("HLX0001"));
    let report = &seen.agent_reports[0].0;
    assert!(report.simulated);
    assert_eq!(report.os.instance_id.as_deref(), Some("wf-7Q2M4K"));
    assert_eq!(report.gpus[0].serial.as_deref(), Some("1650000000001"));

    // It dies again while the system runs: a machine does not restart because its simulator did.
    let reports = controller.seen().agent_reports.len();
    drop(fleet);
    let mut fleet = Fleet::start(state.path());
    fleet.tell(json!({"event": "boot", "node": "HLX0001", "boot": "disk", "machine": machine()})).await;
    assert_eq!(fleet.hear().await["event"], "os_running");
    let seen = controller.until("reports to go on", |seen| seen.agent_reports.len() > reports + 1).await;
    assert_eq!(seen.agent_reports.last().map(|report| report.0.boot_id.clone()), Some(report.boot_id.clone()));

    fleet.tell(json!({"event": "power_off", "node": "HLX0001"})).await;
    let boot = report.boot_id.clone();
    fleet.tell(json!({"event": "boot", "node": "HLX0001", "boot": "disk", "machine": machine()})).await;
    assert_eq!(fleet.hear().await["event"], "os_running");
    let seen = controller
        .until("a report of the second boot", |seen| {
            seen.agent_reports.last().is_some_and(|report| report.0.boot_id != boot)
        })
        .await;
    assert_eq!(seen.joins.len(), 1, "the agent kept its certificate");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_medium_that_cannot_be_read_is_a_failed_boot() {
    let controller = TestController::start().await;
    let state = tempfile::tempdir().unwrap();
    let mut fleet = Fleet::start(state.path());
    let url = format!("{}/gone.iso", controller.media_url);
    fleet.tell(json!({"event": "boot", "node": "HLX0001", "boot": "cd", "media_url": url, "machine": machine()})).await;
    let event = fleet.hear().await;
    assert_eq!(event["event"], "boot_failed");
    assert!(event["why"].as_str().unwrap().contains("404"), "{event}");
}
