//! Deployments: claim → order → written or failed, as the controller and the disk see them.

use std::io::Write;
use std::sync::Arc;

use chrono::Utc;
use helix_agent::controller::{CallError, Controller};
use helix_agent::deploy::session::{self, Claimant, Ending, Pace};
use helix_api::deploy::{Act, Compression, DiskRule, ImageSource, Phase, SeedFile, WriteOrder};
use helix_api::machine::MachineFacts;
use sha2::{Digest, Sha256};

use crate::controller::TestController;
use crate::disk::{FileMachine, image};

const DISK: u64 = 16 << 30;
const IMAGE: usize = 24 << 20;

fn gzip(raw: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(raw).unwrap();
    encoder.finish().unwrap()
}

/// An order for this image, packed with gzip and served as `path`.
fn order(controller: &TestController, write_id: &str, raw: &[u8]) -> WriteOrder {
    let packed = gzip(raw);
    WriteOrder {
        write_id: write_id.into(),
        image: ImageSource {
            name: "debian-12".into(),
            compression: Compression::Gzip,
            sha256: hex::encode(Sha256::digest(&packed)),
            size_bytes: packed.len() as u64,
            raw_sha256: hex::encode(Sha256::digest(raw)),
            raw_size_bytes: raw.len() as u64,
            url: controller.serve("r/image.gz", packed, None),
            identifiers: Vec::new(),
        },
        disk: DiskRule::default(),
        wipe_conflicting: false,
        seed: vec![SeedFile {
            path: "/var/lib/cloud/seed/nocloud/user-data".into(),
            text: "#cloud-config\n".into(),
            mode: 0o600,
        }],
        boot_entry: "Helix debian-12".into(),
    }
}

fn claimant(token: &str) -> Claimant {
    Claimant {
        token: token.into(),
        machine: MachineFacts { service_tag: Some("HLX0001".into()), ..MachineFacts::default() },
        boot_id: "boot-1".into(),
        clock: Utc::now(),
        simulated: false,
    }
}

/// A claimed session that follows instructions in the background.
async fn deploying(
    controller: &TestController,
    machine: &FileMachine,
) -> tokio::task::JoinHandle<Result<Ending, CallError>> {
    let client = controller.client();
    let claimed = session::claim(&client, &claimant("deploy-token"), Pace::default()).await.unwrap();
    let host = Arc::new(machine.clone());
    tokio::spawn(async move { session::follow(host, client, &claimed.session, None, Pace::scaled(20.0)).await })
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_is_written_verified_grown_and_seeded_and_the_machine_waits_for_power_off() {
    let controller = TestController::start().await;
    let machine = FileMachine::new(&[("vda", DISK)], controller.client().http().clone());
    let session = deploying(&controller, &machine).await;
    let raw = image(IMAGE);
    let order = order(&controller, "w1", &raw);
    controller.instruct(Act::Write(Box::new(order.clone())));
    let end = controller.end().await;
    assert_eq!(end.phase, Phase::Written, "{:?}", end.error);
    assert_eq!(end.digest.as_deref(), Some(order.image.raw_sha256.as_str()));
    assert_eq!(end.disk.unwrap().serial.as_deref(), Some("S-vda"));

    let written = machine.first_bytes("vda", IMAGE);
    assert!(
        written[2048 * 512..IMAGE - 33 * 512] == raw[2048 * 512..IMAGE - 33 * 512],
        "the partitions hold the image's bytes"
    );
    let root = machine.table("vda").partitions().into_iter().find(|partition| partition.number == 1).unwrap();
    assert!(root.start_bytes() + root.size_bytes() > DISK - (1 << 20), "the root reaches to the end of the disk");
    let seed = std::fs::read_to_string(machine.path("root/var/lib/cloud/seed/nocloud/user-data")).unwrap();
    assert_eq!(seed, "#cloud-config\n");
    assert!(machine.path("esp/EFI/BOOT/BOOTX64.EFI").exists());

    let phases: Vec<Phase> = controller.seen().deploy_reports.iter().map(|report| report.phase).collect();
    assert!(phases.is_sorted(), "phases only move forward: {phases:?}");
    assert!(phases.contains(&Phase::DiskChosen), "the choice was on record before the disk changed: {phases:?}");
    assert!(!session.is_finished(), "it waits for the controller");
    controller.instruct(Act::PowerOff);
    assert_eq!(session.await.unwrap().unwrap(), Ending::PowerOff);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_order_is_refused_and_a_repeated_one_is_harmless() {
    let controller = TestController::start().await;
    let machine = FileMachine::new(&[("vda", DISK)], controller.client().http().clone());
    let _session = deploying(&controller, &machine).await;
    let first = order(&controller, "w1", &image(IMAGE));
    controller.instruct(Act::Write(Box::new(first.clone())));
    controller.end().await;
    let fetches = controller.seen().media_requests.len();
    controller.instruct(Act::Write(Box::new(WriteOrder { write_id: "w2".into(), ..first.clone() })));
    let refused = |report: &helix_api::deploy::DeployReport| {
        report.message.as_deref().is_some_and(|line| line.contains("w2 was refused"))
    };
    let seen = controller.until("the refusal", |seen| seen.deploy_reports.last().is_some_and(refused)).await;
    let last = seen.deploy_reports.last().unwrap();
    assert_eq!(
        (last.write_id.as_deref(), last.phase),
        (Some("w1"), Phase::Written),
        "it answers with the first order's state"
    );
    assert!(last.digest.is_some());
    let reports = seen.deploy_reports.len();
    controller.instruct(Act::Write(Box::new(first)));
    controller.until("an answer to the repeated order", |seen| seen.deploy_reports.len() > reports).await;
    assert_eq!(controller.seen().media_requests.len(), fetches, "nothing was fetched again");
}

/// The end of a deployment of this order onto a machine with these disks.
async fn outcome(controller: &TestController, machine: &FileMachine, order: WriteOrder) -> (String, String, bool) {
    let _session = deploying(controller, machine).await;
    controller.instruct(Act::Write(Box::new(order)));
    let end = controller.end().await;
    assert_eq!(end.phase, Phase::Failed);
    assert!(!machine.path("root").exists(), "no seed was written");
    assert!(!end.disks.is_empty(), "the disks found are listed");
    let error = end.error.unwrap();
    (error.code, error.message, error.retryable)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_checksum_stops_before_growth_and_seed() {
    let controller = TestController::start().await;
    let machine = FileMachine::new(&[("vda", DISK)], controller.client().http().clone());
    let mut order = order(&controller, "w1", &image(IMAGE));
    order.image.sha256 = "0".repeat(64);
    let (code, message, retryable) = outcome(&controller, &machine, order).await;
    assert_eq!((code.as_str(), retryable), ("image_checksum_mismatch", false));
    assert!(message.contains(&"0".repeat(64)) && message.contains("debian-12"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_gives_back_other_bytes_is_found() {
    let controller = TestController::start().await;
    let machine = FileMachine::new(&[("vda", DISK)], controller.client().http().clone());
    let mut order = order(&controller, "w1", &image(IMAGE));
    order.image.raw_sha256 = "1".repeat(64);
    let (code, message, _) = outcome(&controller, &machine, order).await;
    assert_eq!(code, "readback_mismatch");
    assert!(message.contains("S-vda"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_shorter_on_the_server_is_truncated() {
    let controller = TestController::start().await;
    let machine = FileMachine::new(&[("vda", DISK)], controller.client().http().clone());
    let raw = image(IMAGE);
    let mut order = order(&controller, "w1", &raw);
    let packed = gzip(&raw);
    order.image.url = controller.serve("r/short.gz", packed[..packed.len() / 2].to_vec(), None);
    let (code, message, retryable) = outcome(&controller, &machine, order).await;
    assert_eq!((code.as_str(), retryable), ("image_truncated", true));
    assert!(message.contains(&packed.len().to_string()), "it names the size expected: {message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_url_that_died_is_said_at_once() {
    let controller = TestController::start().await;
    let machine = FileMachine::new(&[("vda", DISK)], controller.client().http().clone());
    let mut order = order(&controller, "w1", &image(IMAGE));
    order.image.url = format!("{}/gone", controller.media_url);
    machine.put("vda", 0, b"precious");
    let (code, message, _) = outcome(&controller, &machine, order).await;
    assert_eq!(code, "image_unreachable");
    assert!(message.contains("404"), "{message}");
    assert_eq!(machine.first_bytes("vda", 8), b"precious", "no disk is wiped for an image that cannot be had");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_equal_disks_are_ambiguous_and_untouched() {
    let controller = TestController::start().await;
    let machine = FileMachine::new(&[("vda", DISK), ("vdb", DISK)], controller.client().http().clone());
    machine.put("vda", 0, b"precious");
    let order = order(&controller, "w1", &image(IMAGE));
    let (code, message, _) = outcome(&controller, &machine, order).await;
    assert_eq!(code, "disk_ambiguous");
    assert!(message.contains("S-vda") && message.contains("S-vdb"), "{message}");
    assert_eq!(machine.first_bytes("vda", 8), b"precious");
}

/// A file system label on a disk, as ext4 stores it.
fn put_label(machine: &FileMachine, disk: &str, label: &str) {
    machine.put(disk, 1024 + 0x38, &[0x53, 0xEF]);
    machine.put(disk, 1024 + 0x78, label.as_bytes());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_disk_with_the_images_label_stops_everything_until_its_clearing_is_asked_for() {
    let rule = DiskRule { serial: Some("S-vda".into()), ..DiskRule::default() };
    let conflicting = |controller: &TestController, machine: &FileMachine| {
        put_label(machine, "vdb", "rootfs");
        let mut order = order(controller, "w1", &image(IMAGE));
        order.image.identifiers = vec!["rootfs".into()];
        order.disk = rule.clone();
        order
    };
    let controller = TestController::start().await;
    let machine = FileMachine::new(&[("vda", DISK), ("vdb", DISK)], controller.client().http().clone());
    let order = conflicting(&controller, &machine);
    let (code, message, _) = outcome(&controller, &machine, order).await;
    assert_eq!(code, "provision_disk_conflict");
    assert!(
        message.contains("vdb") && message.contains("\"rootfs\"") && message.contains("--wipe-conflicting"),
        "{message}"
    );
    assert!(machine.first_bytes("vda", 1 << 20).iter().all(|byte| *byte == 0), "the target was not touched");

    let controller = TestController::start().await;
    let machine = FileMachine::new(&[("vda", DISK), ("vdb", DISK)], controller.client().http().clone());
    let order = WriteOrder { wipe_conflicting: true, ..conflicting(&controller, &machine) };
    let _session = deploying(&controller, &machine).await;
    controller.instruct(Act::Write(Box::new(order)));
    assert_eq!(controller.end().await.phase, Phase::Written);
    assert!(machine.first_bytes("vdb", 4096).iter().all(|byte| *byte == 0), "the old signature is gone");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_whose_labels_nobody_knew_is_compared_again_once_it_is_written() {
    let controller = TestController::start().await;
    let machine = FileMachine::new(&[("vda", DISK), ("vdb", DISK)], controller.client().http().clone());
    put_label(&machine, "vdb", "rootfs");
    let mut raw = image(IMAGE);
    let root = 6144 * 512;
    raw[root + 1024 + 0x38..root + 1024 + 0x3A].copy_from_slice(&[0x53, 0xEF]);
    raw[root + 1024 + 0x78..root + 1024 + 0x88].copy_from_slice(b"rootfs\0\0\0\0\0\0\0\0\0\0");
    let mut order = order(&controller, "w1", &raw);
    order.disk.serial = Some("S-vda".into());
    let (code, message, _) = outcome(&controller, &machine, order).await;
    assert_eq!(code, "provision_disk_conflict_late");
    assert!(message.contains("was written to vda") && message.contains("vdb"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transfer_that_breaks_is_taken_up_where_it_stopped() {
    let controller = TestController::start().await;
    let machine = FileMachine::new(&[("vda", DISK)], controller.client().http().clone());
    let raw = image(IMAGE);
    let mut order = order(&controller, "w1", &raw);
    let packed = gzip(&raw);
    let piece = packed.len() * 2 / 3;
    order.image.url = controller.serve("r/broken.gz", packed, Some(piece));
    let _session = deploying(&controller, &machine).await;
    controller.instruct(Act::Write(Box::new(order)));
    let end = controller.end().await;
    assert_eq!(end.phase, Phase::Written, "{:?}", end.error);
    let requests = controller.seen().media_requests;
    assert_eq!(requests.len(), 2, "{requests:?}");
    assert!(
        requests[1].1.as_deref().is_some_and(|range| range.starts_with("bytes=") && range != "bytes=0-"),
        "{requests:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_abort_ends_as_failed_with_the_controllers_words() {
    let controller = TestController::start().await;
    let machine = FileMachine::new(&[("vda", DISK)], controller.client().http().clone());
    let _session = deploying(&controller, &machine).await;
    controller.instruct(Act::Abort { reason: "cancelled by an admin".into() });
    let end = controller.end().await;
    let error = end.error.unwrap();
    assert_eq!(error.code, "deploy_aborted");
    assert!(error.message.contains("cancelled by an admin"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_serves_one_claim_and_one_machine() {
    let controller = TestController::start().await;
    let client = controller.client();
    let refused = async |token: &str| match session::claim(&client, &claimant(token), Pace::default()).await {
        Err(CallError::Refused { code, message, .. }) => (code, message),
        other => panic!("not refused: {other:?}"),
    };
    assert_eq!(refused("guessed").await.0, "deploy_token_unknown");
    controller.expect_service_tag("HLX0002");
    let (code, message) = refused("deploy-token").await;
    assert_eq!(code, "deploy_wrong_machine");
    assert!(message.contains("HLX0001") && message.contains("HLX0002"), "it names both: {message}");
    controller.expect_service_tag("HLX0001");
    session::claim(&client, &claimant("deploy-token"), Pace::default()).await.unwrap();
    assert_eq!(refused("deploy-token").await.0, "deploy_token_used");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_with_another_key_hears_no_token() {
    let controller = TestController::start().await;
    let impostor = Controller::new(std::slice::from_ref(&controller.url), &"0".repeat(64), None).unwrap();
    let error = session::claim(&impostor, &claimant("deploy-token"), Pace::scaled(100.0)).await.unwrap_err();
    assert!(error.to_string().contains("the server's key is not the controller's"), "{error}");
    assert!(controller.seen().claims.is_empty());
}
