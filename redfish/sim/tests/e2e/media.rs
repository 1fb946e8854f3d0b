//! Virtual media: what an insert asks of the image server, when the host sees the drive, and what it boots then.

use redfish_sim::Fleet;
use serde_json::json;

use crate::client::{Client, MANAGER, SYSTEM};
use crate::images::Images;

const SLOT: &str = "/redfish/v1/Systems/System.Embedded.1/VirtualMedia/1";

async fn insert(client: &Client, url: &str) -> crate::client::Answer {
    client.post(&format!("{SLOT}/Actions/VirtualMedia.InsertMedia"), json!({"Image": url})).await
}

async fn eject(client: &Client) -> crate::client::Answer {
    client.post(&format!("{SLOT}/Actions/VirtualMedia.EjectMedia"), json!({})).await
}

async fn until_attached(client: &Client) {
    let path = format!("{MANAGER}/Oem/Dell/DellAttributes/iDRAC.Embedded.1");
    client.until(&path, "an attached drive", |body| body["Attributes"]["RFS.1.MediaAttachState"] == "Attached").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_is_probed_inserted_attached_booted_once_and_ejected() {
    let images = Images::start().await;
    let fleet = Fleet::builder().time_scale(200).bmc("127.62.3.1", "XE9680").start().await.unwrap();
    let client = Client::basic(&fleet, "127.62.3.1");
    let url = images.url("one");
    insert(&client, &url).await.expect(204);
    let slot = client.get(SLOT).await.body;
    assert_eq!((slot["Inserted"].as_bool(), slot["Image"].as_str()), (Some(true), Some(url.as_str())));
    assert_eq!((slot["ImageName"].as_str(), slot["TransferProtocolType"].as_str()), (Some("helix.iso"), Some("HTTP")));
    // The old place shows the same share.
    assert_eq!(client.get(&format!("{MANAGER}/VirtualMedia/CD")).await.body["Image"], url);
    until_attached(&client).await;
    let boot = json!({"Boot": {"BootSourceOverrideTarget": "Cd", "BootSourceOverrideEnabled": "Once"}});
    client.patch(SYSTEM, boot).await.expect(200);
    client.reset("On").await.expect(204);
    client.until_progress("OSRunning").await;
    eject(&client).await.expect(204);
    assert_eq!(client.get(SLOT).await.body["Inserted"], false);
    assert_eq!(eject(&client).await.expect(500).ids()[0], "VRM0009");
    client.reset("ForceRestart").await.expect(204);
    let counters = || fleet.control().counters("127.62.3.1").unwrap();
    client.until(SYSTEM, "a boot from the disk", |_| counters().boots_from_disk == 1).await;
    let counters = counters();
    assert_eq!((counters.boots_from_media, counters.boots_from_disk), (1, 1));
    assert_eq!((counters.inserts, counters.ejects, counters.boot_overrides), (1, 1, 1));
    // HEAD, the first and the last 64 KiB.
    assert_eq!((counters.image_requests, counters.image_bytes), (3, 2 * 65_536));
    fleet.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reset_before_the_drive_is_attached_boots_the_disk() {
    let images = Images::start().await;
    // Slow enough that the reset comes long before the 55 seconds of the attach are over.
    let fleet = Fleet::builder().time_scale(50).bmc("127.62.3.2", "R660").start().await.unwrap();
    let client = Client::basic(&fleet, "127.62.3.2");
    client.patch(SYSTEM, json!({"Boot": {"BootSourceOverrideTarget": "Cd"}})).await.expect(200);
    insert(&client, &images.url("two")).await.expect(204);
    client.reset("On").await.expect(204);
    client
        .until(SYSTEM, "a boot", |body| body["BootProgress"]["LastState"].as_str().is_some_and(|s| s.starts_with("OS")))
        .await;
    let counters = fleet.control().counters("127.62.3.2").unwrap();
    assert_eq!((counters.boots_from_media, counters.boots_from_disk), (0, 1));
    assert_eq!(client.get(SYSTEM).await.body["Boot"]["BootSourceOverrideTarget"], "None");
    fleet.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn images_that_cannot_be_had_are_refused_by_what_is_wrong_with_them() {
    let images = Images::start().await;
    let fleet = Fleet::builder().bmc("127.62.3.3", "R660").start().await.unwrap();
    let client = Client::basic(&fleet, "127.62.3.3");
    let nobody = "http://127.0.0.1:9/media/x/helix.iso";
    assert_eq!(insert(&client, nobody).await.expect(400).ids()[0], "RAC0904");
    assert_eq!(insert(&client, &images.url("missing")).await.expect(400).ids()[0], "RAC0720");
    assert_eq!(insert(&client, &format!("{}?token=1", images.url("q"))).await.expect(400).ids()[0], "SYS425");
    assert_eq!(insert(&client, "http://127.0.0.1:9/x/disk.vmdk").await.expect(400).ids()[0], "SYS453");
    let no_image = client.post(&format!("{SLOT}/Actions/VirtualMedia.InsertMedia"), json!({})).await.expect(400);
    assert_eq!(no_image.ids()[0], "SYS428");
    images.take_ranges_away();
    assert_eq!(insert(&client, &images.url("plain")).await.expect(400).ids()[0], "RAC0720");
    let counters = fleet.control().counters("127.62.3.3").unwrap();
    assert_eq!((counters.inserts, counters.writes), (0, 0));
    assert_eq!(client.get(SLOT).await.body["Inserted"], false);
    fleet.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_insert_is_refused_while_the_first_image_is_in_the_drive() {
    let images = Images::start().await;
    let fleet = Fleet::builder().time_scale(50).bmc("127.62.3.4", "R660").start().await.unwrap();
    let client = Client::basic(&fleet, "127.62.3.4");
    insert(&client, &images.url("a")).await.expect(204);
    assert_eq!(insert(&client, &images.url("b")).await.expect(500).ids()[0], "VRM0012");
    client.post(&format!("{MANAGER}/Actions/Manager.Reset"), json!({"ResetType": "GracefulRestart"})).await.expect(204);
    // A restart of the iDRAC takes it away, then it is not ready, and it has forgotten the image.
    assert!(client.try_send(reqwest::Method::GET, SLOT, None).await.is_err());
    client.until(SLOT, "an iDRAC that is not ready", |body| body.to_string().contains("SWC0700")).await;
    client.until(SLOT, "an empty slot", |body| body["Inserted"] == false).await;
    insert(&client, &images.url("b")).await.expect(204);
    fleet.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_insert_that_seems_to_fail_may_have_worked() {
    let images = Images::start().await;
    let fleet = Fleet::builder().time_scale(200).bmc("127.62.3.5", "R660").start().await.unwrap();
    let client = Client::basic(&fleet, "127.62.3.5");
    fleet.control().faults("127.62.3.5", |faults| faults.insert_fails_but_attaches = true).unwrap();
    let url = images.url("late");
    assert_eq!(insert(&client, &url).await.expect(400).ids()[0], "RAC0720");
    assert_eq!(client.get(SLOT).await.body["Image"], url);
    until_attached(&client).await;
    fleet.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ejected_slot_may_read_as_inserted_for_a_while_and_the_next_insert_may_break() {
    let images = Images::start().await;
    let fleet = Fleet::builder().time_scale(10).bmc("127.62.3.6", "R660").start().await.unwrap();
    let client = Client::basic(&fleet, "127.62.3.6");
    fleet
        .control()
        .faults("127.62.3.6", |faults| {
            faults.stale_insert = true;
            faults.insert_5xx_after_eject = true;
        })
        .unwrap();
    insert(&client, &images.url("stale")).await.expect(204);
    eject(&client).await.expect(204);
    assert_eq!(client.get(SLOT).await.body["Inserted"], true);
    client.until(SLOT, "an empty slot", |body| body["Inserted"] == false).await;
    insert(&client, &images.url("next")).await.expect(500);
    insert(&client, &images.url("next")).await.expect(204);
    fleet.shutdown().await;
}
