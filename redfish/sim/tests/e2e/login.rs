//! Sessions, basic authentication and the lock-out of those who guess.

use redfish_sim::Fleet;
use serde_json::json;

use crate::client::{Client, SYSTEM};

#[tokio::test(flavor = "multi_thread")]
async fn the_root_tells_tag_and_mac_to_anybody_and_nothing_else_does() {
    let fleet = Fleet::builder().bmc("127.62.1.1", "XE9680").start().await.unwrap();
    let stranger = Client::anonymous(&fleet, "127.62.1.1");
    let root = stranger.get("/redfish/v1").await.expect(200).body;
    assert_eq!(root["Oem"]["Dell"]["ServiceTag"], fleet.control().service_tag("127.62.1.1").unwrap());
    assert!(root["Oem"]["Dell"]["ManagerMACAddress"].as_str().unwrap().starts_with("02:"));
    let refused = stranger.get(SYSTEM).await.expect(401);
    assert!(refused.ids().contains(&"SYS416".to_owned()), "{}", refused.body);
    assert!(refused.header("WWW-Authenticate").unwrap().contains("RedfishService"));
    fleet.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_works_until_its_owner_ends_it() {
    let fleet = Fleet::builder().bmc("127.62.1.2", "R660").start().await.unwrap();
    let stranger = Client::anonymous(&fleet, "127.62.1.2");
    let opened = stranger.login("calvin").await.expect(201);
    let token = opened.header("X-Auth-Token").unwrap().to_owned();
    let location = opened.header("Location").unwrap().to_owned();
    assert_eq!(opened.body["UserName"], "root");
    assert_eq!(opened.body["@odata.id"], location);

    let client = Client::anonymous(&fleet, "127.62.1.2").with_token(&token);
    client.get(SYSTEM).await.expect(200);
    client.get(&location).await.expect(200);
    client.delete(&location).await.expect(200);
    client.get(SYSTEM).await.expect(401);
    let counters = fleet.control().counters("127.62.1.2").unwrap();
    assert_eq!((counters.logins, counters.logouts, counters.logins_refused), (1, 1, 0));
    fleet.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ninth_session_is_refused_as_too_many_and_not_as_a_wrong_password() {
    let fleet = Fleet::builder().bmc("127.62.1.3", "R660").start().await.unwrap();
    let stranger = Client::anonymous(&fleet, "127.62.1.3");
    for _ in 0..8 {
        stranger.login("calvin").await.expect(201);
    }
    let refused = stranger.login("calvin").await.expect(503);
    assert!(refused.ids().contains(&"RAC0218".to_owned()), "{}", refused.body);
    assert_eq!(fleet.control().counters("127.62.1.3").unwrap().logins_refused, 0);
    fleet.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn three_wrong_passwords_lock_the_caller_out_even_with_the_right_one() {
    // Sixty seconds of machine time are three here.
    let fleet = Fleet::builder().time_scale(20).bmc("127.62.1.4", "R660").start().await.unwrap();
    let stranger = Client::anonymous(&fleet, "127.62.1.4");
    for _ in 0..3 {
        let refused = stranger.login("wrong").await.expect(401);
        assert!(refused.ids().contains(&"SYS415".to_owned()), "{}", refused.body);
    }
    stranger.login("calvin").await.expect(401);
    Client::basic(&fleet, "127.62.1.4").get(SYSTEM).await.expect(401);
    let counters = fleet.control().counters("127.62.1.4").unwrap();
    assert_eq!((counters.lockouts, counters.logins), (1, 0));
    // The penalty ends by itself.
    Client::basic(&fleet, "127.62.1.4")
        .until(SYSTEM, "the end of the lock-out", |body| body["PowerState"] == "Off")
        .await;
    stranger.login("calvin").await.expect(201);
    fleet.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_with_credentials_in_the_header_too_is_refused() {
    let fleet = Fleet::builder().bmc("127.62.1.5", "R660").start().await.unwrap();
    let refused = Client::basic(&fleet, "127.62.1.5").login("calvin").await.expect(400);
    assert!(refused.ids().contains(&"SYS468".to_owned()), "{}", refused.body);
    fleet.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_verbs_wrong_paths_and_wrong_json_each_have_their_message() {
    let fleet = Fleet::builder().bmc("127.62.1.6", "R660").start().await.unwrap();
    let client = Client::basic(&fleet, "127.62.1.6");
    let answer = client.get("/redfish/v1/Systems/System.Embedded.9").await.expect(404);
    assert_eq!(answer.ids(), ["SYS403", "ResourceMissingAtURI"]);
    let answer = client.delete(SYSTEM).await.expect(405);
    assert_eq!(answer.ids()[0], "SYS402");
    assert!(answer.header("Allow").is_some());
    let answer = client.get(&format!("{SYSTEM}/Actions/ComputerSystem.Reset")).await.expect(405);
    assert_eq!(answer.header("Allow"), Some("POST"));
    let answer = client.patch(SYSTEM, json!([])).await.expect(400);
    assert_eq!(answer.ids()[0], "SYS405");
    let answer = client.patch(SYSTEM, json!({"Nonsense": 1})).await.expect(400);
    assert_eq!(answer.ids()[0], "SYS429");
    fleet.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn queries_choose_expand_and_page() {
    let fleet = Fleet::builder().bmc("127.62.1.7", "XE9680").start().await.unwrap();
    let client = Client::basic(&fleet, "127.62.1.7");
    let chosen = client.get(&format!("{SYSTEM}?$select=PowerState,BootProgress/LastState")).await.expect(200).body;
    assert_eq!(chosen["PowerState"], "Off");
    assert_eq!(chosen["BootProgress"]["LastState"], "None");
    assert!(chosen.get("Model").is_none());

    let slots = client.get(&format!("{SYSTEM}/Oem/Dell/DellSlots")).await.expect(200).body;
    assert_eq!(slots["Members"].as_array().unwrap().len(), 50);
    let total = slots["Members@odata.count"].as_u64().unwrap() as usize;
    let rest = client.get(slots["Members@odata.nextLink"].as_str().unwrap()).await.expect(200).body;
    assert_eq!(rest["Members"].as_array().unwrap().len(), total - 50);

    let firmware =
        client.get("/redfish/v1/UpdateService/FirmwareInventory?$expand=*($levels=1)").await.expect(200).body;
    let members = firmware["Members"].as_array().unwrap();
    assert!(members.iter().any(|member| member["SoftwareId"] == "159" && member["Version"] == "2.7.4"));
    client.get("/redfish/v1/UpdateService/FirmwareInventory?$expand=*($levels=2)").await.expect(400);
    fleet.shutdown().await;
}
