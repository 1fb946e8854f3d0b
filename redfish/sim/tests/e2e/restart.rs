//! A restart of the simulator is not a new fleet.

use redfish_sim::Fleet;
use serde_json::json;

use crate::client::{Client, SYSTEM};
use crate::images::Images;

#[tokio::test(flavor = "multi_thread")]
async fn power_media_jobs_counters_and_certificate_survive_a_restart() {
    let images = Images::start().await;
    let folder = tempfile::tempdir().unwrap();
    let start =
        || Fleet::builder().seed(9).time_scale(300).state_dir(folder.path()).bmc("127.62.7.1", "XE9680").start();
    let fleet = start().await.unwrap();
    let client = Client::basic(&fleet, "127.62.7.1");
    client.reset("On").await.expect(204);
    client.until_progress("OSRunning").await;
    let url = images.url("kept");
    let slot = format!("{SYSTEM}/VirtualMedia/1");
    client.post(&format!("{slot}/Actions/VirtualMedia.InsertMedia"), json!({"Image": url})).await.expect(204);
    client.patch(SYSTEM, json!({"Boot": {"BootSourceOverrideTarget": "Cd"}})).await.expect(200);
    let settings = format!("{SYSTEM}/Bios/Settings");
    let wanted = json!({
        "Attributes": {"ErrPrompt": "Disabled"}, "@Redfish.SettingsApplyTime": {"ApplyTime": "OnReset"},
    });
    client.patch(&settings, wanted).await.expect(202);
    fleet.control().act("127.62.7.1", "pull_gpu", &json!({"slot": 28})).unwrap();
    let counters = fleet.control().counters("127.62.7.1").unwrap();
    let certificate = fleet.fleet().bmcs()[0].certificate().unwrap().fingerprint();
    let tag = fleet.control().service_tag("127.62.7.1").unwrap();
    fleet.shutdown().await;

    let fleet = start().await.unwrap();
    let client = Client::basic(&fleet, "127.62.7.1");
    assert_eq!(fleet.fleet().bmcs()[0].certificate().unwrap().fingerprint(), certificate);
    assert_eq!(fleet.control().service_tag("127.62.7.1").unwrap(), tag);
    let kept = fleet.control().counters("127.62.7.1").unwrap();
    assert_eq!(
        (kept.resets, kept.inserts, kept.jobs, kept.requests),
        (counters.resets, counters.inserts, counters.jobs, counters.requests)
    );
    let system = client.get(SYSTEM).await.expect(200).body;
    assert_eq!(
        (system["PowerState"].as_str(), system["BootProgress"]["LastState"].as_str()),
        (Some("On"), Some("OSRunning"))
    );
    assert_eq!(system["Boot"]["BootSourceOverrideTarget"], "Cd");
    assert_eq!(client.get(&slot).await.body["Image"], url);
    assert_eq!(client.get(&settings).await.body["Attributes"]["ErrPrompt"], "Disabled");
    client.get(&format!("{SYSTEM}/Processors/Video.Slot.28-1")).await.expect(404);
    fleet.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_post_that_was_cut_short_is_done_again() {
    let folder = tempfile::tempdir().unwrap();
    let start =
        |scale: u32| Fleet::builder().time_scale(scale).state_dir(folder.path()).bmc("127.62.7.2", "R660").start();
    let fleet = start(20).await.unwrap();
    let client = Client::basic(&fleet, "127.62.7.2");
    client.reset("On").await.expect(204);
    client.until_progress("MemoryInitializationStarted").await;
    fleet.shutdown().await;
    let fleet = start(400).await.unwrap();
    let client = Client::basic(&fleet, "127.62.7.2");
    assert_eq!(client.get(SYSTEM).await.body["PowerState"], "On");
    client.until_progress("OSRunning").await;
    fleet.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_seed_does_not_take_up_the_state_of_this_one() {
    let folder = tempfile::tempdir().unwrap();
    let start = |seed| Fleet::builder().seed(seed).state_dir(folder.path()).bmc("127.62.7.4", "R660").start();
    start(1).await.unwrap().shutdown().await;
    let error = start(2).await.unwrap_err();
    assert_eq!(error.code(), "fleet_other_state", "{error}");
    start(1).await.unwrap().shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_state_is_refused_and_not_taken_for_a_new_machine() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("127.62.7.3.json"), "{\"power_on\": tr").unwrap();
    let error = Fleet::builder().state_dir(folder.path()).bmc("127.62.7.3", "R660").start().await.unwrap_err();
    assert!(error.to_string().contains("127.62.7.3.json"), "{error}");
}
