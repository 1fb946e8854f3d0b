//! The host program: what it is told and what its words do.

use redfish_sim::Fleet;
use serde_json::{Value, json};

use crate::client::{Client, SYSTEM};
use crate::images::Images;

/// A host program in a few lines of shell: it writes down what it hears, lets a disk boot run, and switches a machine off
/// that booted from media, as a deploy ramdisk does when it is done.
fn script(heard: &std::path::Path) -> String {
    let program = format!(
        r#"while IFS= read -r line; do echo "$line" >> {heard}; node=$(echo "$line" | sed 's/.*"node":"\([^"]*\)".*/\1/'); case "$line" in *'"boot":"cd"'*) echo "{{\"event\":\"power_off\",\"node\":\"$node\"}}";; *'"boot":"disk"'*) echo "{{\"event\":\"os_running\",\"node\":\"$node\"}}";; esac; done"#,
        heard = heard.display()
    );
    format!("sh -c '{}'", program.replace('\'', r"'\''"))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_host_program_is_told_of_boots_and_its_words_move_the_machine() {
    let images = Images::start().await;
    let folder = tempfile::tempdir().unwrap();
    let heard = folder.path().join("heard");
    let fleet = Fleet::builder()
        .time_scale(300)
        .bmc("127.62.6.1", "XE9680")
        .host_program(script(&heard))
        .start()
        .await
        .unwrap();
    let client = Client::basic(&fleet, "127.62.6.1");
    let url = images.url("deploy");
    let slot = format!("{SYSTEM}/VirtualMedia/1");
    client.post(&format!("{slot}/Actions/VirtualMedia.InsertMedia"), json!({"Image": url})).await.expect(204);
    let attributes = "/redfish/v1/Managers/iDRAC.Embedded.1/Oem/Dell/DellAttributes/iDRAC.Embedded.1";
    client
        .until(attributes, "an attached drive", |body| body["Attributes"]["RFS.1.MediaAttachState"] == "Attached")
        .await;
    client.patch(SYSTEM, json!({"Boot": {"BootSourceOverrideTarget": "Cd"}})).await.expect(200);
    client.reset("On").await.expect(204);
    client.until_power("On").await;
    // The ramdisk switches the machine off by itself.
    client.until_power("Off").await;
    client.post(&format!("{slot}/Actions/VirtualMedia.EjectMedia"), json!({})).await.expect(204);
    client.reset("On").await.expect(204);
    client.until_progress("OSRunning").await;
    client.reset("ForceOff").await.expect(204);
    client.until_power("Off").await;
    let tag = fleet.control().service_tag("127.62.6.1").unwrap();
    fleet.shutdown().await;

    let text = std::fs::read_to_string(&heard).unwrap();
    let events: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let names: Vec<&str> = events.iter().filter_map(|event| event["event"].as_str()).collect();
    assert_eq!(names, ["boot", "boot", "power_off"], "{text}");
    assert_eq!((events[0]["boot"].as_str(), events[0]["media_url"].as_str()), (Some("cd"), Some(url.as_str())));
    let machine = &events[0]["machine"];
    assert_eq!(
        (machine["service_tag"].as_str(), machine["product"].as_str()),
        (Some(tag.as_str()), Some("PowerEdge XE9680"))
    );
    assert_eq!(machine["gpus"].as_array().unwrap().len(), 8);
    assert_eq!(machine["gpus"][0]["pci_bus_id"], "00000000:19:00.0");
    assert_eq!(machine["infiniband"].as_array().unwrap().len(), 8);
    assert_eq!(
        (machine["disks"][0]["boss"].as_bool(), machine["disks"][1]["boss"].as_bool()),
        (Some(true), Some(false))
    );
    assert_eq!(events[1]["boot"], "disk");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_program_that_dies_is_started_again_and_told_who_runs() {
    let folder = tempfile::tempdir().unwrap();
    let heard = folder.path().join("heard");
    // Ends after the first line it hears.
    let command = format!("sh -c 'IFS= read -r line; echo \"$line\" >> {}'", heard.display());
    let fleet = Fleet::builder().time_scale(400).bmc("127.62.6.2", "R660").host_program(command).start().await.unwrap();
    let client = Client::basic(&fleet, "127.62.6.2");
    client.reset("On").await.expect(204);
    let began = std::time::Instant::now();
    loop {
        let lines = std::fs::read_to_string(&heard).map(|text| text.lines().count()).unwrap_or(0);
        if lines >= 2 {
            break;
        }
        assert!(began.elapsed() < std::time::Duration::from_secs(60), "only {lines} announcements");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    fleet.shutdown().await;
}
