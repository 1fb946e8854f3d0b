//! `make bench`: enrol and inspect many simulated nodes, and the boots of a virtual machine with and without Helix.

use std::path::Path;
use std::time::Instant;

use helix_api::client::{Client, NodeQuery};
use helix_inventory::words::Lifecycle;
use helix_tests::controller::ControllerSetup;
use helix_tests::ctl::Ctl;
use helix_tests::fleet::{Bmc, FleetSetup};

/// Nodes of the enrolment benchmark.
const NODES: usize = 200;
const MODELS: [&str; 4] = ["XE9680", "XE8640", "R760xa", "R660"];

/// Runs every benchmark and prints its figures.
pub(crate) async fn run(folder: &Path) -> anyhow::Result<()> {
    if folder.exists() {
        std::fs::remove_dir_all(folder)?;
    }
    std::fs::create_dir_all(folder)?;
    Box::pin(enrol(folder)).await?;
    std::fs::remove_dir_all(folder)?;
    Ok(())
}

async fn enrol(folder: &Path) -> anyhow::Result<()> {
    let bmcs = (0..NODES)
        .map(|index| Bmc {
            address: format!("127.30.{}.{}", index / 40 + 1, index % 40 + 1),
            model: MODELS[index % MODELS.len()],
            rack: ["r01", "r02", "r03", "r04", "r05"][index / 40],
            position: u8::try_from(index % 40 + 1).unwrap_or(1),
            vm: false,
        })
        .collect();
    let setup =
        FleetSetup { folder: folder.join("fleet"), bmcs, port: 5443, control: 5480, time_scale: 50.0, hosts: false };
    let mut fleet = setup.start().await?;
    let mut controller = ControllerSetup {
        data_dir: folder.join("helixd"),
        time_scale: 1.0,
        ports: [0, 0, 0],
        vm_network: None,
        ..ControllerSetup::default()
    }
    .start()
    .await?;
    let ctl = Ctl::login(&controller, folder.join("helixctl"))?;
    let secret = folder.join("secret");
    std::fs::write(&secret, "calvin\n")?;
    let csv = folder.join("fleet.csv");
    std::fs::write(&csv, setup.fleet_csv("idrac"))?;
    let words = ["credential", "set", "idrac", "--username", "root", "--password-file"];
    let mut words: Vec<&str> = words.to_vec();
    let secret = secret.display().to_string();
    words.push(&secret);
    anyhow::ensure!(ctl.run(&words)?.code == 0, "the credential was refused");
    let client = controller.client().await?;
    let begun = Instant::now();
    let said = ctl.run(&["node", "enroll", &csv.display().to_string(), "--yes", "--wait=20m"])?;
    anyhow::ensure!(said.code == 0, "enrolment ended with {}: {}", said.code, said.stderr);
    let ready = all_read(&client).await?;
    let seconds = begun.elapsed().as_secs_f64();
    let mut requests = 0;
    for bmc in &setup.bmcs {
        requests += fleet.counter(&bmc.address, "requests").await?;
    }
    #[expect(clippy::cast_precision_loss, reason = "figures for eyes")]
    let (nodes, requests) = (ready as f64, requests as f64);
    println!("enrol + inspect of {ready} nodes at latency 0, simulator beside it: {seconds:.1} s");
    println!("  {:.0} nodes a minute, {:.1} Redfish requests a node", nodes * 60.0 / seconds, requests / nodes);
    controller.process.stop()?;
    fleet.process.stop()?;
    Ok(())
}

async fn all_read(client: &Client) -> anyhow::Result<usize> {
    helix_tests::wait::until("every node is read", std::time::Duration::from_secs(600), || async {
        let nodes = client.all_nodes(&NodeQuery::default()).await?;
        let read = nodes.iter().filter(|node| node.state == Lifecycle::Ready).count();
        Ok((read == NODES).then_some(read))
    })
    .await
}
