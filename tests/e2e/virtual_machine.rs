//! A real machine: boots the deploy medium from virtual media, gets an image written, boots it, and its agent reports.

use helix_api::client::NodeQuery;
use helix_inventory::words::{Lifecycle, WorkflowState};

use crate::site::{Site, media_or_skip, skip};

/// A virtual machine boots in real time under emulation: the controller's limits must leave it minutes.
const TIME_SCALE: f64 = 3.0;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_virtual_machine_is_provisioned_through_a_simulated_idrac() -> anyhow::Result<()> {
    let test = "a_virtual_machine_is_provisioned_through_a_simulated_idrac";
    let Some(media) = media_or_skip(test) else { return Ok(()) };
    if !std::path::Path::new("/usr/bin/qemu-system-x86_64").exists() {
        skip(test, "qemu-system-x86_64 is not installed");
        return Ok(());
    }
    let site = Site::start_with(&["R660"], TIME_SCALE, true).await?;
    site.enrol_all().await?;
    site.import_image(&media).await?;
    let workflow = site.provision(|_| {}).await?;
    let detail = site.settled(&workflow).await?;
    assert_eq!(detail.summary.state, WorkflowState::Succeeded, "{:#?}", detail.summary);
    let nodes = site.client.all_nodes(&NodeQuery::default()).await?;
    let node = site.client.node(&nodes[0].id).await?;
    assert_eq!(node.node.state, Lifecycle::InService);
    let report = node.report.expect("a report of the agent");
    assert!(report.os.name.contains("Debian"), "{:?}", report.os);
    assert_eq!(report.os.hostname, node.node.name);
    assert_eq!(report.machine.service_tag.as_deref(), Some(node.node.service_tag.as_str()));
    let counters = site.fleet.bmc(site.address(0)).await?;
    assert_eq!(counters["counters"]["inserts"], 1, "{counters}");
    Ok(())
}
