//! BMCs that do not do what they should: what the admin is told, and that there is a way out.

use helix_api::access::CredentialSet;
use helix_api::client::NodeQuery;
use helix_api::enrol::{EnrolLine, EnrolRequest};
use helix_api::node::TrustRequest;
use serde_json::json;

use crate::site::Site;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_where_nothing_answers_makes_no_node() -> anyhow::Result<()> {
    let site = Site::start(&["R660"]).await?;
    // Port 9 of a loopback address: nothing listens there.
    let nobody = format!("{}:9", site.address(0));
    let items = site.enrol(&[&nobody]).await?;
    assert_eq!(items[0].state, "failed");
    assert_eq!(items[0].code.as_deref(), Some("bmc_unreachable"), "{:?}", items[0]);
    assert!(site.client.all_nodes(&NodeQuery::default()).await?.is_empty());
    // The way out: the right address.
    assert_eq!(site.enrol(&[&site.bmcs[0]]).await?[0].state, "done");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bmc_that_closes_every_connection_can_be_enrolled_once_it_is_well() -> anyhow::Result<()> {
    let site = Site::start(&["R660"]).await?;
    site.fleet.set(site.address(0), &json!({ "dead": true })).await?;
    let items = site.enrol(&[&site.bmcs[0]]).await?;
    assert_eq!(items[0].state, "failed", "{:?}", items[0]);
    assert!(items[0].message.as_deref().unwrap_or_default().contains("TLS"), "{:?}", items[0]);
    site.fleet.set(site.address(0), &json!({ "dead": false })).await?;
    assert_eq!(site.enrol(&[&site.bmcs[0]]).await?[0].state, "done");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_password_is_tried_twice_and_never_again_not_even_after_a_crash() -> anyhow::Result<()> {
    let mut site = Site::start(&["R660", "R660"]).await?;
    let address = site.address(0).to_owned();
    site.fleet.set(&address, &json!({ "password": "other" })).await?;
    let items = site.enrol(&[&site.bmcs[0]]).await?;
    assert_eq!(items[0].code.as_deref(), Some("wrong_password"), "{:?}", items[0]);
    let words = items[0].message.clone().unwrap_or_default();
    assert!(words.contains("2 tries") && words.contains("lock out"), "{words}");
    assert_eq!(site.fleet.counter(&address, "logins_refused").await?, 2);
    site.restart_controller().await?;
    // What would be tried again by itself is tried at the start; another BMC's enrolment shows that the loops run.
    assert_eq!(site.enrol(&[&site.bmcs[1]]).await?[0].state, "done");
    assert_eq!(site.fleet.counter(&address, "logins_refused").await?, 2, "a third login was tried");
    // The way out: the right password under the same name.
    let right = CredentialSet { username: "root".into(), password: "other".into() };
    site.client.set_credential("second", &right).await?;
    let line =
        EnrolLine { line: 1, address: site.bmcs[0].clone(), credential: Some("second".into()), ..EnrolLine::default() };
    let request = EnrolRequest { lines: vec![line], ..EnrolRequest::default() };
    let bulk = site.client.enrol(&request).await?.bulk.expect("a bulk object");
    let items = site.finished(&bulk).await?;
    assert_eq!(items[0].state, "done", "{:?}", items[0]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_certificate_stops_contact_until_a_person_trusts_it() -> anyhow::Result<()> {
    let site = Site::start(&["R660"]).await?;
    site.enrol_all().await?;
    let node = site.node().await?;
    site.fleet.set(site.address(0), &json!({ "new_certificate": true })).await?;
    let contact = site.client.contact_node(&node.id).await?;
    let stopped = contact.node.bmc.stopped.expect("contact is stopped");
    assert_eq!(stopped.code, "certificate_changed");
    assert!(stopped.next.iter().any(|next| next.contains("node trust")), "{stopped:?}");
    let now = site.fleet.bmc(site.address(0)).await?;
    let fingerprint = now["fingerprint"].as_str().expect("a fingerprint").to_owned();
    let trusted =
        site.client.trust_node(&node.id, &TrustRequest { fingerprint, reason: Some("factory reset".into()) }).await?;
    assert_eq!(trusted.node.bmc.stopped, None);
    assert_eq!(site.client.contact_node(&node.id).await?.node.bmc.failure, None);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn something_that_is_no_redfish_service_is_told_apart() -> anyhow::Result<()> {
    let site = Site::start(&["R660"]).await?;
    site.fleet.set(site.address(0), &json!({ "not_redfish": true })).await?;
    let items = site.enrol(&[&site.bmcs[0]]).await?;
    assert_eq!(items[0].code.as_deref(), Some("not_redfish"), "{:?}", items[0]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_service_tag_at_a_second_address_is_refused_with_the_way_out() -> anyhow::Result<()> {
    let site = Site::start(&["R660", "R660"]).await?;
    assert_eq!(site.enrol(&[&site.bmcs[0]]).await?[0].state, "done");
    let tag = site.node().await?.service_tag;
    site.fleet.set(site.address(1), &json!({ "duplicate_tag": tag })).await?;
    let items = site.enrol(&[&site.bmcs[1]]).await?;
    assert_eq!(items[0].code.as_deref(), Some("node_known_elsewhere"), "{:?}", items[0]);
    let said = format!("{:?} {:?}", items[0].message, items[0].next);
    assert!(said.contains("node edit") && said.contains("--address"), "{said}");
    assert_eq!(site.client.all_nodes(&NodeQuery::default()).await?.len(), 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn legacy_boot_and_secure_boot_are_refused_before_anything_is_touched() -> anyhow::Result<()> {
    let site = Site::start(&["R660", "R660"]).await?;
    site.fleet.set(site.address(0), &json!({ "legacy_boot": true })).await?;
    site.fleet.set(site.address(1), &json!({ "secure_boot": true })).await?;
    site.enrol_all().await?;
    // The plan needs an image that exists; its content does not matter for a refusal.
    let said = site.ctl.run(&["node", "provision", "--all", "--image", "none-such", "--dry-run"])?;
    assert_ne!(said.code, 0, "{said:?}");
    let Some(media) = crate::site::media_or_skip("legacy_boot_and_secure_boot_are_refused") else { return Ok(()) };
    site.import_image(&media).await?;
    let said = site.ctl.run(&["node", "provision", "--all", "--image", "debian-12", "--dry-run"])?;
    assert_eq!(said.code, 6, "{said:?}");
    assert!(said.stdout.contains("[boot_mode_legacy]") && said.stdout.contains("BootMode"), "{}", said.stdout);
    assert!(said.stdout.contains("[secure_boot_enabled]") && said.stdout.contains("up to 15 min"), "{}", said.stdout);
    for index in 0..2 {
        assert_eq!(site.fleet.counter(site.address(index), "resets").await?, 0);
        assert_eq!(site.fleet.counter(site.address(index), "inserts").await?, 0);
    }
    Ok(())
}
