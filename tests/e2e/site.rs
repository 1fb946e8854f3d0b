//! A small site for a test: a fleet, a controller, a signed-in client and command line, all in one folder that goes away.

use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use anyhow::Context;
use helix_api::access::CredentialSet;
use helix_api::bulk::{Bulk, BulkItem};
use helix_api::client::{Client, NodeQuery};
use helix_api::enrol::{EnrolLine, EnrolRequest};
use helix_api::node::Node;
use helix_api::select::Selection;
use helix_api::workflow::{ProvisionRequest, WorkflowDetail};
use helix_inventory::words::{Lifecycle, WorkflowState};
use helix_tests::controller::{Controller, ControllerSetup};
use helix_tests::ctl::Ctl;
use helix_tests::fleet::{Bmc, Fleet, FleetSetup};
use helix_tests::{place, wait};

/// Simulated machines: minutes of POST become seconds.
pub(crate) const TIME_SCALE: f64 = 60.0;
/// A condition that has not come by then does not come: the machines are shared and slow.
pub(crate) const LIMIT: Duration = Duration::from_secs(300);

/// Each site has its own ports and its own loopback network.
static NEXT: AtomicU16 = AtomicU16::new(0);
/// TLS is set up once a process.
static TLS: Mutex<bool> = Mutex::new(false);

/// A running site.
pub(crate) struct Site {
    pub(crate) fleet: Fleet,
    pub(crate) controller: Controller,
    pub(crate) setup: ControllerSetup,
    pub(crate) client: Client,
    pub(crate) ctl: Ctl,
    pub(crate) bmcs: Vec<String>,
    folder: tempfile::TempDir,
}

/// Says that a test is skipped, and why.
pub(crate) fn skip(test: &str, why: &str) {
    println!("SKIPPED {test}: {why}");
}

/// Whether the media are there; else says that the test is skipped.
pub(crate) fn media_or_skip(test: &str) -> Option<place::Media> {
    let media = place::media();
    if media.is_none() {
        skip(test, "the deploy medium and the OS image are not built (make media)");
    }
    media
}

/// Sets TLS up, once a process.
pub(crate) fn tls() -> anyhow::Result<()> {
    let mut done = TLS.lock().map_err(|_| anyhow::anyhow!("TLS could not be set up"))?;
    if !*done {
        rustls::crypto::ring::default_provider()
            .install_default()
            .map_err(|_| anyhow::anyhow!("another TLS provider is installed"))?;
        *done = true;
    }
    Ok(())
}

impl Site {
    /// Starts a fleet of these models and a controller.
    pub(crate) async fn start(models: &[&'static str]) -> anyhow::Result<Self> {
        Self::start_with(models, TIME_SCALE, false).await
    }

    /// Starts a fleet and a controller; with `vm` the hosts are virtual machines.
    pub(crate) async fn start_with(models: &[&'static str], time_scale: f64, vm: bool) -> anyhow::Result<Self> {
        tls()?;
        // Tests of one process take numbers in turn; those of other processes are told apart by the process id.
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let slot = u16::try_from((std::process::id() + u32::from(number) * 7) % 900)?;
        let folder = tempfile::Builder::new().prefix("helix-e2e.").tempdir()?;
        let bmcs: Vec<Bmc> = (1..)
            .zip(models)
            .map(|(index, model)| Bmc {
                address: format!("127.{}.{}.{index}", 40 + slot / 250, slot % 250 + 1),
                model,
                rack: "r01",
                position: index,
                vm,
            })
            .collect();
        let fleet_setup = FleetSetup {
            folder: folder.path().join("fleet"),
            bmcs: bmcs.clone(),
            port: 20_000 + slot,
            control: 21_000 + slot,
            time_scale: if vm { 10.0 } else { TIME_SCALE },
            hosts: true,
        };
        let fleet = fleet_setup.start().await?;
        let setup = ControllerSetup {
            data_dir: folder.path().join("helixd"),
            time_scale,
            ports: [22_000 + slot, 23_000 + slot, 24_000 + slot],
            vm_network: vm.then(|| "127.0.0.0/8".to_owned()),
            ..ControllerSetup::default()
        };
        let controller = setup.start().await?;
        let client = controller.client().await?;
        client.set_credential("idrac", &CredentialSet { username: "root".into(), password: "calvin".into() }).await?;
        let ctl = Ctl::login(&controller, folder.path().join("helixctl"))?;
        let bmcs = bmcs.iter().map(|bmc| format!("{}:{}", bmc.address, fleet_setup.port)).collect();
        Ok(Self { fleet, controller, setup, client, ctl, bmcs, folder })
    }

    /// A path in the site's folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Address of a BMC without its port, as the control API knows it.
    pub(crate) fn address(&self, index: usize) -> &str {
        self.bmcs[index].split(':').next().unwrap_or_default()
    }

    /// Kills the controller as a crash would and starts it again on the same data.
    pub(crate) async fn restart_controller(&mut self) -> anyhow::Result<()> {
        self.controller.process.kill()?;
        self.controller = self.setup.start().await?;
        self.client = self.controller.client().await?;
        Ok(())
    }

    /// Enrols addresses and waits for the end of it.
    pub(crate) async fn enrol(&self, addresses: &[&str]) -> anyhow::Result<Vec<BulkItem>> {
        let lines = (1..).zip(addresses).map(|(line, address)| EnrolLine {
            line,
            address: (*address).to_owned(),
            rack: Some("r01".into()),
            position: address.rsplit('.').next().and_then(|last| last.split(':').next()?.parse().ok()),
            ..EnrolLine::default()
        });
        let request = EnrolRequest {
            lines: lines.collect(),
            credential: Some("idrac".into()),
            inspect: true,
            ..EnrolRequest::default()
        };
        let accepted = self.client.enrol(&request).await?;
        anyhow::ensure!(accepted.refused.is_empty(), "refused: {:?}", accepted.refused);
        let bulk = accepted.bulk.context("no bulk object")?;
        self.finished(&bulk).await
    }

    /// Enrols the whole fleet and waits until every node is ready.
    pub(crate) async fn enrol_all(&self) -> anyhow::Result<()> {
        let addresses: Vec<&str> = self.bmcs.iter().map(String::as_str).collect();
        for item in self.enrol(&addresses).await? {
            anyhow::ensure!(item.state == "done", "{item:?}");
        }
        self.until_node_states(Lifecycle::Ready).await
    }

    /// Waits until all nodes are in a state.
    pub(crate) async fn until_node_states(&self, state: Lifecycle) -> anyhow::Result<()> {
        wait::until(&format!("every node {state}"), LIMIT, || async {
            let nodes = self.client.all_nodes(&NodeQuery::default()).await?;
            Ok((nodes.len() == self.bmcs.len() && nodes.iter().all(|node| node.state == state)).then_some(()))
        })
        .await
    }

    /// Waits for the end of a bulk action.
    pub(crate) async fn finished(&self, bulk: &Bulk) -> anyhow::Result<Vec<BulkItem>> {
        wait::until(&format!("the end of {}", bulk.title), LIMIT, || async {
            Ok(self.client.bulk(&bulk.id).await?.finished_at.is_some().then_some(()))
        })
        .await?;
        Ok(self.client.bulk_items(&bulk.id, None).await?.items)
    }

    /// The first node.
    pub(crate) async fn node(&self) -> anyhow::Result<Node> {
        let nodes = self.client.all_nodes(&NodeQuery::default()).await?;
        nodes.into_iter().next().context("no node")
    }

    /// Imports the real OS image.
    pub(crate) async fn import_image(&self, media: &place::Media) -> anyhow::Result<()> {
        self.client.upload_image("debian-12", None, &media.os_image, |_, _| {}).await?;
        wait::until("the image", LIMIT, || async {
            let image = self.client.image("debian-12").await?;
            anyhow::ensure!(image.state != "failed", "the image was refused: {:?}", image.error_message);
            Ok((image.state == "ready").then_some(()))
        })
        .await
    }

    /// Starts to provision the first node and gives its workflow.
    pub(crate) async fn provision(&self, change: impl FnOnce(&mut ProvisionRequest)) -> anyhow::Result<String> {
        let node = self.node().await?;
        let mut request = ProvisionRequest {
            selection: Selection::one(&node.id),
            image: Some("debian-12".into()),
            ..ProvisionRequest::default()
        };
        change(&mut request);
        let plan = self.client.plan_provision(&request).await?;
        let refusals: Vec<_> = plan.nodes.iter().flat_map(|node| &node.plan.refusals).collect();
        anyhow::ensure!(refusals.is_empty(), "the plan is refused: {refusals:?}");
        let bulk = self.client.run_plan(&plan.id).await?;
        let items = self.client.bulk_items(&bulk.id, None).await?.items;
        items.first().and_then(|item| item.workflow.clone()).context("no workflow")
    }

    /// Waits until a workflow is over or needs a person.
    pub(crate) async fn settled(&self, workflow: &str) -> anyhow::Result<WorkflowDetail> {
        wait::until(&format!("the end of {workflow}"), LIMIT * 2, || async {
            let workflow = self.client.workflow(workflow).await?;
            let state = workflow.summary.state;
            Ok((state.is_final() || state == WorkflowState::NeedsHuman).then_some(workflow))
        })
        .await
    }

    /// A workflow that stopped: its code, and that the node has a way out.
    pub(crate) async fn stopped_with(&self, workflow: &str, code: &str) -> anyhow::Result<WorkflowDetail> {
        let detail = self.settled(workflow).await?;
        let error = detail.summary.error.clone().with_context(|| format!("no error: {:?}", detail.summary))?;
        anyhow::ensure!(error.code == code, "expected {code}, got {error:?}");
        anyhow::ensure!(!error.next.is_empty(), "no way out: {error:?}");
        Ok(detail)
    }
}
