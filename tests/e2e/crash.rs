//! The controller is killed at every crash point of every step of `provision`, and the work is done once all the same.
//!
//! The points come from the engine's registry. In one run the controller dies at each of them in turn, which is harsher than
//! one death a run; with HELIX_TEST_ALL each point has a run of its own as well.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use helix_api::node::{PowerAction, PowerRequest};
use helix_api::select::Selection;
use helix_inventory::words::{Lifecycle, WorkflowState};
use helix_tests::crash::mark;
use tokio::time::Instant;

use crate::site::{LIMIT, Site, media_or_skip};

/// Some forty deaths with a start of two or three seconds each, and the provision itself.
const RUN_LIMIT: Duration = Duration::from_secs(900);

fn points() -> Vec<String> {
    helix_controller::workflow::crash_points()
        .iter()
        .filter(|point| point.usual)
        .map(|point| mark(&point.step, point.moment, point.effect))
        .collect()
}

fn marks(folder: &Path) -> anyhow::Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    for entry in std::fs::read_dir(folder)? {
        names.insert(entry?.file_name().to_string_lossy().into_owned());
    }
    Ok(names)
}

/// Runs one provision with a controller that dies where it is told, and starts it again each time.
async fn run(only: Option<&str>) -> anyhow::Result<BTreeSet<String>> {
    let Some(media) = media_or_skip("crash") else { return Ok(BTreeSet::new()) };
    let mut site = Site::start(&["R660"]).await?;
    site.enrol_all().await?;
    site.import_image(&media).await?;
    // A host that is on has to be switched off first: those points count, too.
    let node = site.node().await?;
    let request = PowerRequest { selection: Selection::one(&node.id), action: PowerAction::On };
    site.finished(&site.client.power(&request).await?).await?;
    site.fleet
        .until("the host through POST", site.address(0), LIMIT, |bmc| bmc["state"]["server_status"] == "OutOfPOST")
        .await?;
    site.controller.process.stop()?;
    let before = site.fleet.bmc(site.address(0)).await?["counters"].clone();

    let folder = site.path("crashes");
    std::fs::create_dir_all(&folder)?;
    site.setup.program = "helixd-crash".into();
    site.setup.environment.push(("HELIX_CRASH_MARKS".into(), folder.display().to_string()));
    if let Some(only) = only {
        site.setup.environment.push(("HELIX_CRASH_ONLY".into(), only.into()));
    }
    site.controller = site.setup.start().await?;
    site.client = site.controller.client().await?;
    let workflow = site.provision(|_| {}).await?;

    let end = Instant::now() + RUN_LIMIT;
    let detail = loop {
        anyhow::ensure!(Instant::now() < end, "not done after {RUN_LIMIT:?}; died at {:?}", marks(&folder)?);
        if site.controller.process.ended()?.is_some() {
            // It can die again while it starts: the engine goes on at once.
            match site.setup.start().await {
                Ok(controller) => site.controller = controller,
                Err(error) => {
                    anyhow::ensure!(format!("{error:#}").contains("signal: 9"), "{error:#}");
                    continue;
                }
            }
            if let Ok(client) = site.controller.client().await {
                site.client = client;
            }
        }
        if let Ok(detail) = site.client.workflow(&workflow).await {
            let state = detail.summary.state;
            if state.is_final() || state == WorkflowState::NeedsHuman {
                break detail;
            }
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    let died = marks(&folder)?;
    assert_eq!(detail.summary.state, WorkflowState::Succeeded, "died at {died:?}: {:#?}", detail.summary);
    assert_eq!(site.node().await?.state, Lifecycle::InService);
    let after = site.fleet.bmc(site.address(0)).await?["counters"].clone();
    let more = |name: &str| after[name].as_u64().unwrap_or(0) - before[name].as_u64().unwrap_or(0);
    assert_eq!(more("inserts"), 1, "one insert; died at {died:?}: {after}");
    // A ramdisk refuses a second order, so one boot from media is one write.
    assert_eq!(more("boots_from_media"), 1, "one write; died at {died:?}: {after}");
    assert_eq!(more("boots_from_disk"), 1, "one boot of the new system; died at {died:?}: {after}");
    assert_eq!(more("power_ons"), 2, "one start a boot; died at {died:?}: {after}");
    Ok(died)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_controller_that_dies_at_every_point_of_a_provision_does_everything_once() -> anyhow::Result<()> {
    let died = run(None).await?;
    if died.is_empty() {
        return Ok(());
    }
    let missed: Vec<_> = points().into_iter().filter(|point| !died.contains(point)).collect();
    assert!(missed.is_empty(), "never reached: {missed:?}");
    println!("died at {} points", died.len());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_single_death_at_each_point_costs_nothing() -> anyhow::Result<()> {
    if std::env::var_os("HELIX_TEST_ALL").is_none() {
        crate::site::skip(
            "a_single_death_at_each_point_costs_nothing",
            "one run a point takes long; make test-all runs it",
        );
        return Ok(());
    }
    for point in points() {
        run(Some(&point)).await.map_err(|error| error.context(format!("dying at {point}")))?;
    }
    Ok(())
}
