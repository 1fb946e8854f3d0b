//! Power, POST and what boots.

use redfish_sim::Fleet;
use serde_json::json;

use crate::client::{Client, MANAGER, SYSTEM};

#[tokio::test(flavor = "multi_thread")]
async fn power_on_goes_through_post_to_a_running_system() {
    // Slow enough that a busy machine still sees each phase go by.
    let fleet = Fleet::builder().time_scale(60).bmc("127.62.2.1", "R660").start().await.unwrap();
    let client = Client::basic(&fleet, "127.62.2.1");
    assert_eq!(client.get(SYSTEM).await.body["PowerState"], "Off");
    client.reset("On").await.expect(204);
    client.until_progress("MemoryInitializationStarted").await;
    let status = format!("{MANAGER}/Oem/Dell/DellLCService/Actions/DellLCService.GetRemoteServicesAPIStatus");
    assert_eq!(client.post(&status, json!({})).await.expect(200).body["ServerStatus"], "InPOST");
    client.until_progress("OSRunning").await;
    let ready = client.post(&status, json!({})).await.expect(200).body;
    assert_eq!((ready["ServerStatus"].as_str(), ready["LCStatus"].as_str()), (Some("OutOfPOST"), Some("Ready")));
    let counters = fleet.control().counters("127.62.2.1").unwrap();
    assert_eq!((counters.power_ons, counters.posts, counters.boots_from_disk, counters.resets), (1, 1, 1, 1));
    assert_eq!(counters.resets_by_type["On"], 1);
    fleet.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reset_that_does_not_fit_the_power_state_is_refused() {
    let fleet = Fleet::builder().time_scale(300).bmc("127.62.2.2", "R660").start().await.unwrap();
    let client = Client::basic(&fleet, "127.62.2.2");
    assert_eq!(client.reset("ForceOff").await.expect(409).ids()[0], "PSU502");
    client.reset("On").await.expect(204);
    client.until_power("On").await;
    assert_eq!(client.reset("On").await.expect(409).ids()[0], "PSU501");
    assert_eq!(client.reset("Sideways").await.expect(400).ids()[0], "SYS426");
    let counters = fleet.control().counters("127.62.2.2").unwrap();
    assert_eq!((counters.resets, counters.resets_refused), (1, 2));
    fleet.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_polite_shutdown_takes_its_time_and_a_forced_one_does_not_ask() {
    let fleet = Fleet::builder().time_scale(300).bmc("127.62.2.3", "R660").start().await.unwrap();
    let client = Client::basic(&fleet, "127.62.2.3");
    client.reset("On").await.expect(204);
    client.until_progress("OSRunning").await;
    client.reset("GracefulShutdown").await.expect(204);
    client.until_power("Off").await;

    client.reset("On").await.expect(204);
    client.until_progress("OSRunning").await;
    fleet.control().faults("127.62.2.3", |faults| faults.deaf_to_graceful = true).unwrap();
    client.reset("GracefulShutdown").await.expect(204);
    // A forced restart afterwards shows that the machine is still on: from off it would be refused.
    client.reset("ForceRestart").await.expect(204);
    client.until_progress("OSRunning").await;
    client.reset("ForceOff").await.expect(204);
    client.until_power("Off").await;
    assert_eq!(fleet.control().counters("127.62.2.3").unwrap().power_offs, 2);
    fleet.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forced_restart_keeps_the_power_on_and_moves_the_reset_time() {
    // Slow enough that the two resets lie in different seconds, which is as fine as an iDRAC tells it.
    let fleet = Fleet::builder().time_scale(100).bmc("127.62.2.4", "R660").start().await.unwrap();
    let client = Client::basic(&fleet, "127.62.2.4");
    client.reset("On").await.expect(204);
    let before = client.until_progress("OSRunning").await;
    client.reset("ForceRestart").await.expect(204);
    let moved = |body: &serde_json::Value| body["LastResetTime"] != before["LastResetTime"];
    let after = client.until(SYSTEM, "another reset time", moved).await;
    assert_eq!(after["PowerState"], "On");
    client.until_progress("OSRunning").await;
    let counters = fleet.control().counters("127.62.2.4").unwrap();
    assert_eq!((counters.power_ons, counters.power_offs, counters.posts), (1, 0, 2));
    fleet.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_override_into_setup_is_spent_and_stops_there() {
    let fleet = Fleet::builder().time_scale(400).bmc("127.62.2.5", "R660").start().await.unwrap();
    let client = Client::basic(&fleet, "127.62.2.5");
    client.patch(SYSTEM, json!({"Boot": {"BootSourceOverrideTarget": "BiosSetup"}})).await.expect(200);
    // A target alone arms the next boot.
    assert_eq!(client.get(SYSTEM).await.body["Boot"]["BootSourceOverrideEnabled"], "Once");
    client.reset("On").await.expect(204);
    let body = client.until_progress("SetupEntered").await;
    assert_eq!(body["Boot"]["BootSourceOverrideEnabled"], "Disabled");
    assert_eq!(body["Boot"]["BootSourceOverrideTarget"], "None");
    fleet.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ac_cycle_needs_the_host_to_be_off() {
    let fleet = Fleet::builder().time_scale(400).bmc("127.62.2.6", "R660").start().await.unwrap();
    let client = Client::basic(&fleet, "127.62.2.6");
    let cycle = "/redfish/v1/Chassis/System.Embedded.1/Actions/Oem/DellOemChassis.ExtendedReset";
    let body = json!({"ResetType": "PowerCycle", "FinalPowerState": "On"});
    client.reset("On").await.expect(204);
    client.until_power("On").await;
    assert_eq!(client.post(cycle, body.clone()).await.expect(409).ids()[0], "PSU507");
    client.reset("ForceOff").await.expect(204);
    client.until_power("Off").await;
    client.post(cycle, body).await.expect(204);
    client.until_power("On").await;
    fleet.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_post_that_hangs_shows_where_and_ends_only_with_the_power() {
    let fleet = Fleet::builder().time_scale(400).bmc("127.62.2.7", "R660").start().await.unwrap();
    let client = Client::basic(&fleet, "127.62.2.7");
    fleet.control().faults("127.62.2.7", |faults| faults.post_hangs = true).unwrap();
    client.reset("On").await.expect(204);
    client.until_progress("MemoryInitializationStarted").await;
    fleet.control().faults("127.62.2.7", |faults| faults.post_hangs = false).unwrap();
    client.reset("ForceRestart").await.expect(204);
    client.until_progress("OSRunning").await;
    let counters = fleet.control().counters("127.62.2.7").unwrap();
    assert_eq!((counters.posts, counters.boots_from_disk), (1, 1));
    fleet.shutdown().await;
}
