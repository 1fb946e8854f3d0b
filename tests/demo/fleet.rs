//! The demo's fleet: XE9680, XE8640, R760xa and R660 in two racks; two R660 are real virtual machines.

use std::path::Path;

use helix_api::client::{Client, NodeQuery};
use helix_api::node::{PowerAction, PowerRequest};
use helix_api::select::Selection;
use helix_inventory::words::{Lifecycle, Power};
use helix_tests::fleet::{Bmc, FleetSetup};

/// BMCs of virtual machines: their hosts reach this machine under another address.
pub(crate) const VM_NETWORK: &str = "127.20.0.0/16";

/// Per rack: model and rack unit. The GPU servers stand low, for their weight.
const RACK: [(&str, u8); 8] = [
    ("XE9680", 1),
    ("XE9680", 7),
    ("XE8640", 13),
    ("XE8640", 17),
    ("R760xa", 21),
    ("R760xa", 23),
    ("R660", 25),
    ("R660", 26),
];

pub(crate) fn setup(folder: &Path, time_scale: f64) -> FleetSetup {
    let mut bmcs = Vec::new();
    for (number, rack) in [(1, "r01"), (2, "r02")] {
        for (model, position) in RACK {
            // The last of each rack is a machine.
            let vm = position == 26;
            let network = if vm { 20 } else { 10 };
            bmcs.push(Bmc { address: format!("127.{network}.{number}.{position}"), model, rack, position, vm });
        }
    }
    FleetSetup { folder: folder.to_owned(), bmcs, port: 4443, control: 4480, time_scale, hosts: true }
}

/// Name that Helix gives the first virtual machine.
pub(crate) fn vm_name(setup: &FleetSetup) -> String {
    let vm = setup.bmcs.iter().find(|bmc| bmc.vm);
    vm.map(|bmc| format!("{}u{:02}", bmc.rack, bmc.position)).unwrap_or_default()
}

/// After a restart of everything hosts may be off: switch on those in service, as an admin would after an outage.
pub(crate) async fn wake_virtual_machines(client: &Client, setup: &FleetSetup) -> anyhow::Result<()> {
    let nodes = client.all_nodes(&NodeQuery::default()).await?;
    let names: Vec<String> = nodes
        .into_iter()
        .filter(|node| node.state == Lifecycle::InService && node.power != Power::On)
        .map(|node| node.id)
        .collect();
    if !names.is_empty() && names.len() <= setup.bmcs.len() {
        let selection = Selection { forms: names, ..Selection::default() };
        client.power(&PowerRequest { selection, action: PowerAction::On }).await?;
    }
    Ok(())
}
