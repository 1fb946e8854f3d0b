//! `helixctl node edit`: what a person knows about a node and Helix does not.

use clap::Args;
use helix_api::deploy::BootNetwork;
use helix_api::node::NodeEdit;
use helix_inventory::words::Lifecycle;

use super::enroll::labels;
use crate::args::Global;
use crate::problem::{CtlError, Exit};

/// `helixctl node edit`
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  helixctl node edit r01u05 --rack r02 --position 7\n  helixctl node edit r01u05 --state maintenance --reason \
                        'DIMM swap'\n  helixctl node edit r01u05 --boot-mac 02:00:5e:10:00:01 --boot-ip 10.0.7.21/24"
)]
pub struct Edit {
    /// Name, service tag or BMC address
    pub node: String,
    /// New name: becomes the host name at the next provision
    #[arg(long)]
    pub name: Option<String>,
    #[arg(long)]
    pub rack: Option<String>,
    /// Rack unit
    #[arg(long)]
    pub position: Option<i32>,
    /// All labels anew, k=v;k=v ("" clears them)
    #[arg(long, value_name = "K=V;…")]
    pub labels: Option<String>,
    /// New address of the BMC; the same service tag must answer there
    #[arg(long, value_name = "HOST[:PORT]")]
    pub address: Option<String>,
    /// Credential of the BMC
    #[arg(long, value_name = "NAME")]
    pub credential: Option<String>,
    /// ready, in_service, maintenance, quarantined or retired
    #[arg(long)]
    pub state: Option<String>,
    /// Why the state changes
    #[arg(long)]
    pub reason: Option<String>,
    /// Interface that the deploy ramdisk uses
    #[arg(long, value_name = "MAC")]
    pub boot_mac: Option<String>,
    /// Its address with prefix length; DHCP when not given
    #[arg(long, value_name = "ADDRESS/LENGTH")]
    pub boot_ip: Option<String>,
    #[arg(long, value_name = "ADDRESS")]
    pub boot_gateway: Option<String>,
    #[arg(long, value_name = "ID")]
    pub boot_vlan: Option<u16>,
    #[arg(long, value_name = "ADDRESS")]
    pub boot_dns: Vec<String>,
}

/// Edits a node. The version read first goes along, so that a change by somebody else in between is noticed.
///
/// # Errors
/// Nothing to change, a value that is refused, or a change in between (exit 6).
pub async fn run(global: &Global, edit: &Edit) -> Result<Exit, CtlError> {
    let usage = |code: &str, message: String| CtlError::new(Exit::Usage, code, message);
    let state = edit.state.as_deref().map(str::parse::<Lifecycle>).transpose().map_err(|error| {
        usage("state_unknown", error.to_string()).next("one of ready, in_service, maintenance, quarantined, retired")
    })?;
    let network = BootNetwork {
        mac: edit.boot_mac.clone(),
        address: edit.boot_ip.clone(),
        gateway: edit.boot_gateway.clone(),
        vlan: edit.boot_vlan,
        dns: edit.boot_dns.clone(),
    };
    let change = NodeEdit {
        name: edit.name.clone(),
        rack: edit.rack.clone(),
        position: edit.position,
        labels: edit.labels.as_deref().map(labels).transpose().map_err(|message| usage("label_invalid", message))?,
        address: edit.address.clone(),
        credential: edit.credential.clone(),
        boot_network: (network != BootNetwork::default()).then_some(network),
        state,
        reason: edit.reason.clone(),
    };
    if change == NodeEdit::default() {
        return Err(usage("edit_empty", "nothing to change was given".into()).next("helixctl node edit --help"));
    }
    let client = crate::context::client(global)?;
    let before = client.node(&edit.node).await?.node;
    let after = client.edit_node(&before.id, before.version, &change).await?;
    if !global.output.is_table() {
        crate::output::object(global.output, &after, &after.node.name)?;
    } else if !global.quiet {
        eprintln!("{} is changed (version {}).", after.node.name, after.node.version);
    }
    Ok(Exit::Done)
}
