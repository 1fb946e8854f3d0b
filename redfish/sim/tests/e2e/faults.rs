//! Faults, as an outsider notices them, and the control API that switches them.

use redfish_sim::Fleet;
use serde_json::{Value, json};

use crate::client::{Client, SYSTEM};

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_bmc_closes_and_a_foreign_appliance_is_no_redfish() {
    let fleet = Fleet::builder().bmc("127.62.5.1", "R660").bmc("127.62.5.2", "R660").start().await.unwrap();
    fleet.control().faults("127.62.5.1", |faults| faults.dead = true).unwrap();
    let dead = Client::basic(&fleet, "127.62.5.1").try_send(reqwest::Method::GET, "/redfish/v1", None).await;
    assert!(dead.is_err());
    fleet.control().faults("127.62.5.2", |faults| faults.not_redfish = true).unwrap();
    let foreign = Client::basic(&fleet, "127.62.5.2").get("/redfish/v1").await.expect(404);
    assert_eq!((foreign.header("Content-Type"), &foreign.body), (Some("text/html"), &Value::Null));
    fleet.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_password_refuses_the_old_one() {
    let fleet = Fleet::builder().bmc("127.62.5.3", "R660").start().await.unwrap();
    fleet.control().faults("127.62.5.3", |faults| faults.password = Some("other".to_owned())).unwrap();
    Client::basic(&fleet, "127.62.5.3").get(SYSTEM).await.expect(401);
    Client::anonymous(&fleet, "127.62.5.3").with_password("other").get(SYSTEM).await.expect(200);
    fleet.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn legacy_boot_and_secure_boot_show_where_a_plan_looks_for_them() {
    let fleet = Fleet::builder().bmc("127.62.5.4", "R660").start().await.unwrap();
    let client = Client::basic(&fleet, "127.62.5.4");
    fleet
        .control()
        .faults("127.62.5.4", |faults| {
            faults.legacy_boot = true;
            faults.secure_boot = true;
        })
        .unwrap();
    let bios = client.get(&format!("{SYSTEM}/Bios")).await.body;
    assert_eq!(
        (bios["Attributes"]["BootMode"].as_str(), bios["Attributes"]["SecureBoot"].as_str()),
        (Some("Bios"), Some("Enabled"))
    );
    assert_eq!(client.get(SYSTEM).await.body["Boot"]["BootSourceOverrideMode"], "Legacy");
    let secure = client.get(&format!("{SYSTEM}/SecureBoot")).await.body;
    assert_eq!(
        (secure["SecureBootEnable"].as_bool(), secure["SecureBootCurrentBoot"].as_str()),
        (Some(true), Some("Enabled"))
    );
    fleet.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn readiness_faults_answer_with_their_odd_codes() {
    let fleet = Fleet::builder().bmc("127.62.5.5", "R660").start().await.unwrap();
    let client = Client::basic(&fleet, "127.62.5.5");
    fleet.control().faults("127.62.5.5", |faults| faults.swc0700_400 = true).unwrap();
    assert_eq!(client.get(SYSTEM).await.expect(400).ids()[0], "SWC0700");
    fleet
        .control()
        .faults("127.62.5.5", |faults| {
            faults.swc0700_400 = false;
            faults.sys518 = true;
        })
        .unwrap();
    assert_eq!(client.get(SYSTEM).await.expect(503).ids()[0], "SYS518");
    fleet
        .control()
        .faults("127.62.5.5", |faults| {
            faults.sys518 = false;
            faults.expand_refused = true;
        })
        .unwrap();
    client.get(&format!("{SYSTEM}/Memory?$expand=*($levels=1)")).await.expect(400);
    client.get(&format!("{SYSTEM}/Memory")).await.expect(200);
    fleet.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_control_api_lists_switches_and_pulls() {
    let fleet =
        Fleet::builder().bmc("127.62.5.6", "XE9680").control("127.0.0.1:0".parse().unwrap()).start().await.unwrap();
    let base = format!("http://{}", fleet.control_address().unwrap());
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let all: Value = http.get(format!("{base}/bmcs")).send().await.unwrap().json().await.unwrap();
    let tag = all[0]["service_tag"].as_str().unwrap().to_owned();
    assert_eq!((all[0]["address"].as_str(), all[0]["model"].as_str()), (Some("127.62.5.6"), Some("XE9680")));

    let client = Client::basic(&fleet, "127.62.5.6");
    let gpus = || async {
        let body = client.get(&format!("{SYSTEM}/Processors?$expand=*($levels=1)")).await.body;
        body["Members"].as_array().unwrap().iter().filter(|member| member["ProcessorType"] == "GPU").count()
    };
    assert_eq!(gpus().await, 8);
    let pulled = http.post(format!("{base}/bmcs/{tag}/actions/pull_gpu")).body(r#"{"index": 5}"#).send().await.unwrap();
    assert_eq!(pulled.status().as_u16(), 200);
    assert_eq!(gpus().await, 7);
    client.get(&format!("{SYSTEM}/Processors/Video.Slot.21-1")).await.expect(404);

    let before = all[0]["fingerprint"].clone();
    let changed: Value = http
        .patch(format!("{base}/bmcs/{tag}"))
        .json(&json!({"new_certificate": true, "slow": 1}))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_ne!(changed["fingerprint"], before);
    assert_eq!(changed["faults"]["slow"], 1);
    let wrong = http.patch(format!("{base}/bmcs/{tag}")).json(&json!({"slowly": 1})).send().await.unwrap();
    assert_eq!(wrong.status().as_u16(), 400);
    assert!(wrong.text().await.unwrap().contains("slowly"));

    let swapped =
        http.patch(format!("{base}/bmcs/127.62.5.6")).json(&json!({"swap_board": true})).send().await.unwrap();
    let swapped: Value = swapped.json().await.unwrap();
    assert_ne!(swapped["service_tag"], tag);
    fleet.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stuck_power_on_is_accepted_and_nothing_happens() {
    let fleet = Fleet::builder().time_scale(400).bmc("127.62.5.7", "R660").start().await.unwrap();
    let client = Client::basic(&fleet, "127.62.5.7");
    fleet.control().faults("127.62.5.7", |faults| faults.power_stuck = true).unwrap();
    client.reset("On").await.expect(204);
    assert_eq!(client.get(SYSTEM).await.body["PowerState"], "Off");
    fleet.control().faults("127.62.5.7", |faults| faults.power_stuck = false).unwrap();
    // Had the first one been under way, this would be refused.
    client.reset("On").await.expect(204);
    client.until_power("On").await;
    assert_eq!(fleet.control().counters("127.62.5.7").unwrap().power_ons, 1);
    fleet.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_parts_show_in_health_and_in_the_log() {
    let fleet = Fleet::builder().bmc("127.62.5.8", "XE9680").start().await.unwrap();
    let client = Client::basic(&fleet, "127.62.5.8");
    let before = client.get(&format!("{SYSTEM}/Memory/DIMM.Socket.A3")).await.body["SerialNumber"].clone();
    fleet.control().act("127.62.5.8", "swap_dimm", &json!({"dimm": "A3"})).unwrap();
    assert_ne!(client.get(&format!("{SYSTEM}/Memory/DIMM.Socket.A3")).await.body["SerialNumber"], before);
    fleet.control().act("127.62.5.8", "fail_psu", &json!({"psu": 2})).unwrap();
    let supplies = "/redfish/v1/Chassis/System.Embedded.1/PowerSubsystem/PowerSupplies";
    assert_eq!(client.get(&format!("{supplies}/PSU.Slot.2")).await.body["Status"]["Health"], "Critical");
    assert_eq!(client.get(SYSTEM).await.body["Status"]["Health"], "Critical");
    fleet.control().act("127.62.5.8", "drop_link", &json!({"port": "InfiniBand.Slot.38-1"})).unwrap();
    let port = "/redfish/v1/Chassis/System.Embedded.1/NetworkAdapters/InfiniBand.Slot.38/Ports/InfiniBand.Slot.38-1";
    assert_eq!(client.get(port).await.body["LinkStatus"], "LinkDown");
    let log = client
        .get("/redfish/v1/Managers/iDRAC.Embedded.1/LogServices/Lclog/Entries?$filter=Severity eq 'Critical'")
        .await
        .expect(200)
        .body;
    assert_eq!(log["Members"][0]["MessageId"], "IDRAC.2.9.PSU0003");
    fleet.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_may_be_as_odd_as_those_of_real_machines() {
    let fleet = Fleet::builder().bmc("127.62.5.9", "XE9680").start().await.unwrap();
    let client = Client::basic(&fleet, "127.62.5.9");
    let processors = format!("{SYSTEM}/Processors");
    let before = client.get(&processors).await.body["Members"].clone();
    fleet
        .control()
        .faults("127.62.5.9", |faults| {
            faults.shuffled_members = true;
            faults.dangling_links = true;
            faults.short_macs = true;
        })
        .unwrap();
    let mut after = client.get(&processors).await.body["Members"].as_array().unwrap().clone();
    assert_ne!(Value::Array(after.clone()), before);
    after.reverse();
    assert_eq!(Value::Array(after), before);
    let adapter = "/redfish/v1/Chassis/System.Embedded.1/NetworkAdapters/InfiniBand.Slot.38";
    let function = client.get(&format!("{adapter}/NetworkDeviceFunctions/InfiniBand.Slot.38-1")).await.expect(200).body;
    client.get(function["AssignablePhysicalPorts"][0]["@odata.id"].as_str().unwrap()).await.expect(404);
    assert!(function["Ethernet"]["MACAddress"].as_str().unwrap().starts_with("2:"), "{function}");
    fleet.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bios_may_show_what_is_pending_and_accept_it_twice() {
    let fleet = Fleet::builder().bmc("127.62.5.10", "R660").start().await.unwrap();
    let client = Client::basic(&fleet, "127.62.5.10");
    fleet
        .control()
        .faults("127.62.5.10", |faults| {
            faults.bios_repeat_is_200 = true;
            faults.bios_shows_pending = true;
        })
        .unwrap();
    let settings = format!("{SYSTEM}/Bios/Settings");
    let wanted =
        json!({"Attributes": {"ErrPrompt": "Disabled"}, "@Redfish.SettingsApplyTime": {"ApplyTime": "OnReset"}});
    client.patch(&settings, wanted.clone()).await.expect(202);
    assert_eq!(client.patch(&settings, wanted).await.expect(200).header("Location"), None);
    assert_eq!(client.get(&format!("{SYSTEM}/Bios")).await.body["Attributes"]["ErrPrompt"], "Disabled");
    fleet.shutdown().await;
}
