//! BIOS settings: pending until a job runs them inside POST.

use redfish_sim::Fleet;
use serde_json::json;

use crate::client::{Client, MANAGER, SYSTEM};

#[tokio::test(flavor = "multi_thread")]
async fn a_bios_change_waits_for_the_reboot_and_reads_back_after_it() {
    let fleet = Fleet::builder().time_scale(400).bmc("127.62.4.1", "R660").start().await.unwrap();
    let client = Client::basic(&fleet, "127.62.4.1");
    let settings = format!("{SYSTEM}/Bios/Settings");
    let wanted = json!({
        "Attributes": {"SysProfile": "PerfOptimized"}, "@Redfish.SettingsApplyTime": {"ApplyTime": "OnReset"},
    });
    let accepted = client.patch(&settings, wanted.clone()).await.expect(202);
    let task = accepted.header("Location").unwrap().to_owned();
    let id = task.rsplit('/').next().unwrap().to_owned();
    assert_eq!(client.get(&task).await.expect(200).body["TaskState"], "Starting");
    let job = format!("{MANAGER}/Oem/Dell/Jobs/{id}");
    assert_eq!(client.get(&job).await.expect(200).body["JobState"], "Scheduled");
    assert_eq!(client.get(&settings).await.body["Attributes"]["SysProfile"], "PerfOptimized");
    assert_eq!(
        client.get(&format!("{SYSTEM}/Bios")).await.body["Attributes"]["SysProfile"],
        "PerfPerWattOptimizedDapc"
    );
    // One committed set at a time.
    assert_eq!(client.patch(&settings, wanted).await.expect(400).ids()[0], "SYS011");

    client.reset("On").await.expect(204);
    let done = client.until(&job, "the end of the job", |body| body["JobState"] == "Completed").await;
    assert_eq!((done["MessageId"].as_str(), done["PercentComplete"].as_u64()), (Some("PR19"), Some(100)));
    client.until_progress("OSRunning").await;
    assert_eq!(client.get(&format!("{SYSTEM}/Bios")).await.body["Attributes"]["SysProfile"], "PerfOptimized");
    assert_eq!(client.get(&settings).await.body["Attributes"], json!({}));
    let counters = fleet.control().counters("127.62.4.1").unwrap();
    assert_eq!((counters.jobs, counters.jobs_finished, counters.posts), (1, 1, 2));
    fleet.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_spends_the_override_that_was_meant_for_another_boot() {
    let fleet = Fleet::builder().time_scale(400).bmc("127.62.4.2", "R660").start().await.unwrap();
    let client = Client::basic(&fleet, "127.62.4.2");
    let wanted = json!({
        "Attributes": {"ErrPrompt": "Disabled"}, "@Redfish.SettingsApplyTime": {"ApplyTime": "OnReset"},
    });
    client.patch(&format!("{SYSTEM}/Bios/Settings"), wanted).await.expect(202);
    client.patch(SYSTEM, json!({"Boot": {"BootSourceOverrideTarget": "BiosSetup"}})).await.expect(200);
    client.reset("On").await.expect(204);
    client.until_progress("OSRunning").await;
    assert_eq!(client.get(SYSTEM).await.body["Boot"]["BootSourceOverrideTarget"], "None");
    fleet.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn values_the_bios_does_not_know_are_refused_before_anything_is_pending() {
    let fleet = Fleet::builder().bmc("127.62.4.3", "R660").start().await.unwrap();
    let client = Client::basic(&fleet, "127.62.4.3");
    let settings = format!("{SYSTEM}/Bios/Settings");
    for (attributes, id) in [
        (json!({"MmioAbove4Gb": "Enabled"}), "SYS429"),
        (json!({"SysProfile": "Fast"}), "SYS426"),
        (json!({"SysProfile": 3}), "SYS424"),
        (json!({"SystemServiceTag": "HLX0001"}), "SYS410"),
    ] {
        let answer = client.patch(&settings, json!({"Attributes": attributes})).await.expect(400);
        assert_eq!(answer.ids()[0], id, "{}", answer.body);
    }
    // Without an apply time values are pending and nothing runs them; a job made later does, and a deleted job drops them.
    client.patch(&settings, json!({"Attributes": {"SysProfile": "PerfOptimized"}})).await.expect(200);
    let made =
        client.post(&format!("{MANAGER}/Oem/Dell/Jobs"), json!({"TargetSettingsURI": settings})).await.expect(200);
    let id = made.header("Location").unwrap().rsplit('/').next().unwrap().to_owned();
    client.delete(&format!("/redfish/v1/JobService/Jobs/{id}")).await.expect(200);
    assert_eq!(client.get(&settings).await.body["Attributes"], json!({}));
    fleet.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forced_clearing_empties_the_systems_for_a_while_and_they_come_back() {
    let fleet = Fleet::builder().time_scale(10).bmc("127.62.4.4", "R660").start().await.unwrap();
    let client = Client::basic(&fleet, "127.62.4.4");
    let clear = format!("{MANAGER}/Oem/Dell/DellJobService/Actions/DellJobService.DeleteJobQueue");
    client.post(&clear, json!({"JobID": "JID_CLEARALL_FORCE"})).await.expect(200);
    let systems = "/redfish/v1/Systems";
    assert_eq!(client.get(systems).await.body["Members@odata.count"], 1);
    client.until(systems, "no systems", |body| body["Members@odata.count"] == 0).await;
    client.until(systems, "the system again", |body| body["Members@odata.count"] == 1).await;
    fleet.shutdown().await;
}
