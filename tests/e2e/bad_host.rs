//! Hosts that do not do what they should while they are provisioned. Each ends in words and a way out, and the way out works.

use helix_api::workflow::RetryRequest;
use helix_inventory::words::{Lifecycle, WorkflowState};
use serde_json::{Value, json};

use crate::site::{Site, media_or_skip};

fn disk(name: &str, serial: &str, gib: u64) -> Value {
    json!({ "name": name, "model": "Dell Ent NVMe", "serial": serial, "size_bytes": gib << 30, "boss": false })
}

/// A site with one node that is ready and the image imported, the host with these fields.
async fn ready(test: &str, host: &Value) -> anyhow::Result<Option<Site>> {
    let Some(media) = media_or_skip(test) else { return Ok(None) };
    let site = Site::start(&["R660"]).await?;
    site.enrol_all().await?;
    site.import_image(&media).await?;
    site.fleet.set(site.address(0), &json!({ "host": host })).await?;
    Ok(Some(site))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_is_too_small_is_named_with_both_sizes() -> anyhow::Result<()> {
    // The smallest disk that is a candidate at all has 8 GiB; the image is smaller, so a larger one is asked for.
    let Some(site) = ready("a_disk_that_is_too_small", &json!({ "disks": [disk("nvme0n1", "S1", 9)] })).await? else {
        return Ok(());
    };
    let workflow = site.provision(|request| request.disk.min_size_bytes = Some(100 << 30)).await?;
    let detail = site.stopped_with(&workflow, "disk_none_matches").await?;
    let error = detail.summary.error.expect("an error");
    assert!(format!("{error:?}").contains("nvme0n1"), "the disks found are not listed: {error:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_disks_that_match_are_listed_and_a_retry_with_a_serial_goes_on() -> anyhow::Result<()> {
    let disks = json!({ "disks": [disk("nvme0n1", "S1", 900), disk("nvme1n1", "S2", 900)] });
    let Some(site) = ready("two_disks_that_match", &disks).await? else { return Ok(()) };
    let workflow = site.provision(|_| {}).await?;
    let detail = site.stopped_with(&workflow, "disk_ambiguous").await?;
    let error = format!("{:?}", detail.summary.error);
    assert!(error.contains("S1") && error.contains("S2"), "{error}");
    let disk = helix_inventory::profile::DiskChoice { serial: Some("S2".into()), ..Default::default() };
    site.client.retry_workflow(&workflow, &RetryRequest { disk: Some(disk), wipe_conflicting: None }).await?;
    let detail = site.settled(&workflow).await?;
    assert_eq!(detail.summary.state, WorkflowState::Succeeded, "{:#?}", detail.summary);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_installation_on_another_disk_conflicts_until_it_is_wiped_on_purpose() -> anyhow::Result<()> {
    let mut old = disk("nvme1n1", "S2", 900);
    old["esp"] = json!(true);
    let mut target = disk("nvme0n1", "S1", 900);
    target["boss"] = json!(true);
    target["model"] = json!("Dell DC NVMe BOSS-N1");
    let Some(site) = ready("an_old_installation", &json!({ "disks": [target, old] })).await? else { return Ok(()) };
    let workflow = site.provision(|_| {}).await?;
    let detail = site.stopped_with(&workflow, "provision_disk_conflict").await?;
    assert!(format!("{:?}", detail.summary.error).contains("nvme1n1"), "{:?}", detail.summary.error);
    site.client.retry_workflow(&workflow, &RetryRequest { disk: None, wipe_conflicting: Some(true) }).await?;
    let detail = site.settled(&workflow).await?;
    assert_eq!(detail.summary.state, WorkflowState::Succeeded, "{:#?}", detail.summary);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ramdisk_that_never_calls_is_told_with_how_much_of_the_medium_was_read() -> anyhow::Result<()> {
    let Some(site) = ready("a_ramdisk_that_never_calls", &json!({ "ramdisk": "never_calls" })).await? else {
        return Ok(());
    };
    let workflow = site.provision(|_| {}).await?;
    let detail = site.stopped_with(&workflow, "ramdisk_never_called").await?;
    let error = format!("{:?}", detail.summary.error);
    assert!(error.contains("medium") || error.contains("ISO"), "{error}");
    // The way out works once the cause is gone.
    site.fleet.set(site.address(0), &json!({ "host": null })).await?;
    site.client.retry_workflow(&workflow, &RetryRequest::default()).await?;
    assert_eq!(site.settled(&workflow).await?.summary.state, WorkflowState::Succeeded);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_medium_that_the_bmc_cannot_reach_names_the_address() -> anyhow::Result<()> {
    let Some(site) = ready("a_medium_that_the_bmc_cannot_reach", &Value::Null).await? else { return Ok(()) };
    site.fleet.set(site.address(0), &json!({ "media_unreachable": true })).await?;
    let workflow = site.provision(|_| {}).await?;
    let detail = site.settled(&workflow).await?;
    let error = detail.summary.error.expect("an error");
    let said = format!("{error:?}");
    assert!(said.contains("RAC0904"), "{said}");
    assert!(said.contains("media.advertise") || said.contains(":24"), "{said}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn power_that_does_not_come_is_noticed() -> anyhow::Result<()> {
    let Some(site) = ready("power_that_does_not_come", &Value::Null).await? else { return Ok(()) };
    site.fleet.set(site.address(0), &json!({ "power_stuck": true })).await?;
    let workflow = site.provision(|_| {}).await?;
    site.stopped_with(&workflow, "power_did_not_come").await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_boots_its_old_system_instead_is_told_apart() -> anyhow::Result<()> {
    let Some(site) = ready("a_host_that_boots_its_old_system", &Value::Null).await? else { return Ok(()) };
    let workflow = site.provision(|_| {}).await?;
    assert_eq!(site.settled(&workflow).await?.summary.state, WorkflowState::Succeeded);
    site.fleet.set(site.address(0), &json!({ "boots_wrong_device": true })).await?;
    let workflow = site.provision(|_| {}).await?;
    site.stopped_with(&workflow, "booted_wrong_device").await?;
    assert_eq!(site.node().await?.state, Lifecycle::Provisioning);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_whose_clock_is_ten_years_off_is_provisioned_all_the_same() -> anyhow::Result<()> {
    let ten_years = -10 * 365 * 86_400;
    let Some(site) = ready("a_node_whose_clock_is_off", &json!({ "clock_offset_seconds": ten_years })).await? else {
        return Ok(());
    };
    let workflow = site.provision(|_| {}).await?;
    let detail = site.settled(&workflow).await?;
    assert_eq!(detail.summary.state, WorkflowState::Succeeded, "{:#?}", detail.summary);
    let events = site.client.node_events(&site.node().await?.id, Some(200), None).await?;
    assert!(events.items.iter().any(|event| event.message.contains("clock")), "the offset was not said");
    Ok(())
}
