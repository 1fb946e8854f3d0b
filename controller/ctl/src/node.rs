//! Nodes: the verbs, a file each where there is something to say.

pub mod edit;
pub mod enroll;
pub mod list;
pub mod power;
pub mod provision;
pub mod show;

use clap::{Args, Subcommand};
use helix_api::client::RemoveOptions;
use helix_api::node::TrustRequest;
use helix_api::workflow::InspectRequest;

use crate::args::{Follow, Global};
use crate::ask::{self, Change};
use crate::problem::{CtlError, Exit};
use crate::selection::{Select, exactly, names};

/// Verbs of nodes.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Nodes with state, health, power and contact
    List(list::List),
    /// One node: state, what it waits for, hardware, agent
    Show(show::Show),
    /// From a list of BMC addresses to nodes
    Enroll(enroll::Enroll),
    /// Read the hardware over Redfish; changes nothing
    Inspect(Inspect),
    /// Install an operating system; ERASES the root disk
    Provision(provision::Provision),
    /// Install the present image again, or another; ERASES the root disk
    Reprovision(provision::Provision),
    /// Switch hosts on and off
    #[command(subcommand)]
    Power(power::Verb),
    /// What happened to a node
    Events(show::Events),
    /// What changed in the hardware of a node
    History(show::History),
    /// Rename, move, label; new address, credential or state
    Edit(Box<edit::Edit>),
    /// Accept the new certificate of a BMC
    Trust(Trust),
    /// Try a BMC again that contact was stopped with
    Contact { node: String },
    /// Forget a node; keeps its history, never touches power or disks
    Remove(Remove),
}

/// `helixctl node inspect`
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  helixctl node inspect r01u05\n  helixctl node inspect 'r[01-02]u[1-40]' --wait")]
pub struct Inspect {
    #[command(flatten)]
    pub select: Select,
    #[command(flatten)]
    pub follow: Follow,
}

/// `helixctl node trust`
#[derive(Debug, Args)]
pub struct Trust {
    pub node: String,
    /// SHA-256 of the certificate, as the iDRAC itself shows it
    #[arg(long, value_name = "SHA256")]
    pub fingerprint: String,
    /// Why, for the audit
    #[arg(long)]
    pub reason: Option<String>,
}

/// `helixctl node remove`
#[derive(Debug, Args)]
pub struct Remove {
    pub node: String,
    /// Cancel the workflow under way first
    #[arg(long)]
    pub cancel_first: bool,
    /// Do not talk to the BMC: for one that is dead; says what stays behind
    #[arg(long)]
    pub no_contact: bool,
}

/// `helixctl node …`
///
/// # Errors
/// As each verb.
pub async fn run(global: &Global, verb: &Verb) -> Result<Exit, CtlError> {
    match verb {
        Verb::List(list) => list::run(global, list).await,
        Verb::Show(show) => show::run(global, show).await,
        Verb::Enroll(enroll) => enroll::run(global, enroll).await,
        Verb::Inspect(inspect) => self::inspect(global, inspect).await,
        Verb::Provision(provision) => provision::run(global, provision, false).await,
        Verb::Reprovision(provision) => provision::run(global, provision, true).await,
        Verb::Power(verb) => power::run(global, verb).await,
        Verb::Events(events) => show::events(global, events).await,
        Verb::History(history) => show::history(global, history).await,
        Verb::Edit(edit) => edit::run(global, edit).await,
        Verb::Trust(trust) => self::trust(global, trust).await,
        Verb::Contact { node } => contact(global, node).await,
        Verb::Remove(remove) => self::remove(global, remove).await,
    }
}

async fn inspect(global: &Global, inspect: &Inspect) -> Result<Exit, CtlError> {
    let client = crate::context::client(global)?;
    let nodes = inspect.select.nodes(&client).await?;
    let names = names(&nodes);
    if names.len() > ask::CONFIRM_ABOVE {
        let question = format!("Inspect {} nodes?", names.len());
        ask::confirm(global, &Change { question: &question, names: &names, destructive: false })?;
    }
    let bulk = client.inspect(&InspectRequest { selection: exactly(&nodes) }).await?;
    crate::follow::bulk::started(global, &client, bulk, &inspect.follow, true).await
}

async fn trust(global: &Global, trust: &Trust) -> Result<Exit, CtlError> {
    let client = crate::context::client(global)?;
    let names = [trust.node.clone()];
    let question = format!("Trust the certificate {} of the BMC of {} from now on?", trust.fingerprint, trust.node);
    ask::confirm(global, &Change { question: &question, names: &names, destructive: false })?;
    let request = TrustRequest { fingerprint: trust.fingerprint.clone(), reason: trust.reason.clone() };
    let node = client.trust_node(&trust.node, &request).await?;
    if !global.quiet {
        eprintln!("The new certificate of {} is pinned; contact goes on.", node.node.name);
    }
    Ok(Exit::Done)
}

async fn contact(global: &Global, node: &str) -> Result<Exit, CtlError> {
    let client = crate::context::client(global)?;
    let node = client.contact_node(node).await?.node;
    match node.bmc.stopped {
        None if node.bmc.failure.is_none() => {
            if !global.quiet {
                eprintln!("The BMC of {} answers.", node.name);
            }
            Ok(Exit::Done)
        }
        None => {
            Err(CtlError::new(Exit::Failed, "bmc_unreachable", format!("the BMC of {} does not answer", node.name))
                .because(node.bmc.failure.unwrap_or_default()))
        }
        Some(stopped) => {
            let mut error = CtlError::new(Exit::Failed, &stopped.code, stopped.reason);
            error.next = stopped.next;
            Err(error)
        }
    }
}

async fn remove(global: &Global, remove: &Remove) -> Result<Exit, CtlError> {
    let client = crate::context::client(global)?;
    let node = client.node(&remove.node).await?.node;
    let names = [node.name.clone()];
    let question = format!("Forget {} ({})? Power and disks stay as they are.", node.name, node.service_tag);
    ask::confirm(global, &Change { question: &question, names: &names, destructive: false })?;
    let options = RemoveOptions { cancel_first: remove.cancel_first, no_contact: remove.no_contact };
    let removed = client.remove_node(&node.id, options).await?;
    if !global.output.is_table() {
        crate::output::object(global.output, &removed, &removed.name)?;
    } else if !global.quiet {
        eprintln!("{} ({}) is removed; its history stays under the tag.", removed.name, removed.service_tag);
        for left in &removed.left_behind {
            eprintln!("  stays behind: {left}");
        }
    }
    Ok(Exit::Done)
}
