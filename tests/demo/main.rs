//! `make demo`: the main job on one machine, from a list of BMC addresses to nodes that report.
//!
//! 16 simulated iDRACs in two racks; two of the nodes are real virtual machines. Drives `helixctl` as an admin would and
//! shows each command. Runs until Ctrl-C; `--once` ends after the last step. What it makes lies in one folder.

mod bench;
mod fleet;
mod stage;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use helix_inventory::words::Lifecycle;
use helix_tests::controller::ControllerSetup;
use helix_tests::ctl::Ctl;
use helix_tests::{place, wait};
use tokio::signal::unix::{SignalKind, signal};

use crate::stage::Stage;

/// How much faster than life the controller waits. Virtual machines boot in real time under emulation, and side by side on a
/// busy machine it can take minutes until the agent of the new system reports: 15 min are allowed, this leaves five.
const TIME_SCALE: f64 = 3.0;
/// The simulated machines' POST of 3 to 12 minutes takes 4 to 15 seconds.
const SIMULATOR_TIME_SCALE: f64 = 50.0;
/// Two virtual machines are written and booted side by side by emulation on two cores; this is several times that.
const PROVISION_LIMIT: &str = "--wait=30m";
/// A node that was in service reports within this after a restart of everything, boot included.
const REPORT_LIMIT: Duration = Duration::from_secs(300);
/// Name of the image.
const IMAGE: &str = "debian-12";

struct Options {
    once: bool,
    bench: bool,
    data: PathBuf,
}

fn options() -> anyhow::Result<Options> {
    let mut options = Options { once: false, bench: false, data: place::workspace().join("demo-data") };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        match word.as_str() {
            "--once" => options.once = true,
            "bench" => options.bench = true,
            "--data" => options.data = words.next().context("--data wants a folder")?.into(),
            other => anyhow::bail!("unknown argument {other}; usage: helix-demo [--once] [--data DIR] | bench"),
        }
    }
    Ok(options)
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    rustls::crypto::ring::default_provider()
        .install_default()
        .map_err(|_| anyhow::anyhow!("a TLS provider is installed already"))?;
    let options = options()?;
    if options.bench {
        return Box::pin(bench::run(&options.data.with_file_name("bench-data"))).await;
    }
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        outcome = Box::pin(show(&options)) => outcome,
        _ = terminate.recv() => stopped(),
        _ = interrupt.recv() => stopped(),
    }
}

/// Dropping what `show` holds stops every program that it started.
fn stopped() -> anyhow::Result<()> {
    println!("\nStopped. The data is kept: the next 'make demo' goes on from here, 'make demo-reset' forgets it.");
    Ok(())
}

async fn show(options: &Options) -> anyhow::Result<()> {
    let data = &options.data;
    std::fs::create_dir_all(data)?;
    let media = place::media().context("the deploy medium is not built: make media")?;
    let mut stage = Stage::begin(7);

    let setup = fleet::setup(&data.join("fleet"), SIMULATOR_TIME_SCALE);
    stage.step("16 simulated iDRACs in two racks, two of them in front of real virtual machines");
    let mut simulator = setup.start().await?;
    stage.done(&format!("fleet of {} on 127.10.x.y and 127.20.x.y, port {}", setup.bmcs.len(), setup.port));

    stage.step("helixd, the controller, with its embedded PostgreSQL");
    let mut controller = ControllerSetup {
        data_dir: data.join("helixd"),
        time_scale: TIME_SCALE,
        ports: [8443, 8444, 8080],
        vm_network: Some(fleet::VM_NETWORK.to_owned()),
        ..ControllerSetup::default()
    }
    .start()
    .await?;
    let ctl = Ctl::login(&controller, data.join("helixctl"))?;
    stage.done(&format!("{}, certificate {}…", controller.url, &controller.fingerprint[..16]));

    stage.step("Enrol the fleet from fleet.csv and read its hardware");
    let csv = data.join("fleet.csv");
    std::fs::write(&csv, setup.fleet_csv("idrac"))?;
    let secret = data.join("idrac-password");
    std::fs::write(&secret, "calvin\n")?;
    stage.run(&ctl, &["credential", "set", "idrac", "--username", "root", "--password-file", path(&secret)?])?;
    stage.run(&ctl, &["node", "enroll", path(&csv)?, "--yes", "--wait=5m"])?;
    let client = controller.client().await?;
    wait::until("every node is read", REPORT_LIMIT, || async {
        let nodes = client.all_nodes(&helix_api::client::NodeQuery::default()).await?;
        let read = nodes.iter().all(|node| !matches!(node.state, Lifecycle::Enrolled | Lifecycle::Inspecting));
        Ok((nodes.len() == setup.bmcs.len() && read).then_some(()))
    })
    .await?;
    stage.done("enrolled and inspected");

    stage.step("Import the operating system image");
    if client.images().await?.items.iter().any(|image| image.name == IMAGE && image.state == "ready") {
        stage.done("is there already");
    } else {
        stage.run(&ctl, &["image", "import", path(&media.os_image)?, "--name", IMAGE])?;
        stage.done("checked and stored");
    }

    stage.step("Provision every node: boot the deploy medium, write the image, boot it, wait for the agent");
    let open: Vec<String> = client
        .all_nodes(&helix_api::client::NodeQuery::default())
        .await?
        .into_iter()
        .filter(|node| node.state != Lifecycle::InService && node.workflow.is_none())
        .map(|node| node.name)
        .collect();
    stage.answer_what_waits(&ctl, &client).await?;
    if open.is_empty() {
        stage.done("nothing left to provision");
    } else {
        let confirm = match &open[..] {
            [only] => format!("--confirm={only}"),
            many => format!("--confirm={}", many.len()),
        };
        let mut words = vec!["node", "provision"];
        words.extend(open.iter().map(String::as_str));
        words.extend(["--image", IMAGE, "--yes", &confirm, PROVISION_LIMIT]);
        stage.run(&ctl, &words)?;
        stage.done(&format!("{} provisioned", open.len()));
    }

    stage.step("Wait until every agent reports");
    fleet::wake_virtual_machines(&client, &setup).await?;
    let began = chrono::Utc::now();
    wait::until("a fresh report of every node", REPORT_LIMIT, || async {
        let nodes = client.all_nodes(&helix_api::client::NodeQuery::default()).await?;
        let fresh = nodes.iter().filter(|node| {
            node.state == Lifecycle::InService
                && node.agent.as_ref().and_then(|agent| agent.report_at).is_some_and(|at| at > began)
        });
        Ok((fresh.count() == setup.bmcs.len()).then_some(()))
    })
    .await?;
    stage.done("all 16 report");

    stage.step("The fleet");
    stage.run(&ctl, &["node", "list"])?;
    stage.run(&ctl, &["node", "show", &fleet::vm_name(&setup)])?;
    stage.done("");

    println!("\nThe main job is done. The API is at {}", controller.url);
    println!("Sign in:  user admin, password in {}", controller.password_file().display());
    println!("Try:      export HELIX_CONFIG_DIR={}  PATH={}:$PATH", data.join("helixctl").display(), bin_folder()?);
    println!("          helixctl node list -w");
    println!("          helixctl node show {} --hardware", fleet::vm_name(&setup));
    println!("          helixctl reprovision {}", fleet::vm_name(&setup));
    if options.once {
        controller.process.stop()?;
        simulator.process.stop()?;
        println!("Everything is stopped; all {} nodes arrived in {}.", setup.bmcs.len(), stage.took());
        return Ok(());
    }
    println!("Ctrl-C stops all of it; the data is kept.");
    loop {
        controller.process.must_run()?;
        simulator.process.must_run()?;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

fn path(path: &std::path::Path) -> anyhow::Result<&str> {
    path.to_str().with_context(|| format!("{} is no UTF-8", path.display()))
}

fn bin_folder() -> anyhow::Result<String> {
    let program = place::program("helixctl")?;
    Ok(program.parent().unwrap_or(&program).display().to_string())
}
