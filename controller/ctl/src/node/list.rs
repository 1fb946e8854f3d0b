//! `helixctl node list`: one line a node.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use clap::Args;
use helix_api::client::{Client, NodeQuery};
use helix_api::node::Node;
use helix_inventory::words::{Contact, Lifecycle, Power};

use crate::args::Global;
use crate::follow::{Tick, Ticker};
use crate::problem::{CtlError, Exit};
use crate::selection::Select;
use crate::style::Palette;
use crate::table::Table;
use crate::time;

/// `helixctl node list`
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  helixctl node list\n  helixctl node list 'r01u[01-16]' --state ready -o name\n  helixctl node list -w"
)]
pub struct List {
    #[command(flatten)]
    pub select: Select,
    /// In one state, e.g. ready, in_service, provisioning
    #[arg(long)]
    pub state: Option<String>,
    /// Of one model, e.g. XE9680
    #[arg(long)]
    pub model: Option<String>,
    /// In one rack
    #[arg(long)]
    pub rack: Option<String>,
    /// Sort by name, rack, model, state, power; - in front: from the end
    #[arg(long, value_name = "FIELD", allow_hyphen_values = true)]
    pub sort: Option<String>,
    /// Follow changes
    #[arg(short, long)]
    pub watch: bool,
}

/// Lists nodes.
///
/// # Errors
/// As the controller answers.
pub async fn run(global: &Global, list: &List) -> Result<Exit, CtlError> {
    let client = crate::context::client(global)?;
    let selection = list.select.selection()?;
    let query = NodeQuery {
        select: selection.forms,
        except: selection.except,
        state: list.state.clone(),
        model: list.model.clone(),
        rack: list.rack.clone(),
        sort: list.sort.clone(),
        limit: None,
        cursor: None,
    };
    let mut nodes = client.all_nodes(&query).await?;
    if let Some(limit) = selection.limit {
        nodes.truncate(limit as usize);
    }
    if list.watch {
        return watch(global, &client, &query, nodes).await;
    }
    if !global.output.is_table() {
        crate::output::list(global.output, &nodes, |node| node.name.clone())?;
    } else if nodes.is_empty() {
        eprintln!("No node matches.");
    } else {
        print(global, &nodes);
    }
    Ok(Exit::Done)
}

fn print(global: &Global, nodes: &[Node]) {
    let palette = Palette::detect(global.color, console::user_attended());
    let now = Utc::now();
    let wide = global.output == crate::output::Format::Wide;
    let mut table = Table::new(if wide {
        &["NAME", "TAG", "MODEL", "GPUS", "STATE", "HEALTH", ">POWER", ">SEEN", "BMC", "AGENT", "IMAGE", ""][..]
    } else {
        &["NAME", "TAG", "MODEL", "GPUS", "STATE", "HEALTH", ">POWER", ">SEEN", ""][..]
    });
    for node in nodes {
        let mut row = vec![
            node.name.clone(),
            node.service_tag.clone(),
            short_model(node.model.as_deref()),
            node.gpu.summary.as_deref().map(short_gpus).unwrap_or_default(),
            palette.lifecycle(node.state),
            palette.health(node.health),
            power(node),
            seen(node, now),
        ];
        if wide {
            row.push(node.bmc.address.clone());
            row.push(node.agent.as_ref().map(|agent| time::age(agent.report_at, now)).unwrap_or_default());
            row.push(node.image.as_ref().map(|image| image.name.clone()).unwrap_or_default());
        }
        row.push(note(node, now).unwrap_or_else(|| " ".to_owned()));
        table.row(row);
    }
    table.print(console::user_attended() && !wide, !global.no_headers);
    if console::user_attended() && !global.quiet && nodes.len() > 1 {
        let mut states: BTreeMap<Lifecycle, usize> = BTreeMap::new();
        for node in nodes {
            *states.entry(node.state).or_default() += 1;
        }
        let states: Vec<_> = states.iter().map(|(state, count)| format!("{count} {}", state.word())).collect();
        eprintln!("{}", palette.dim(&format!("{} nodes: {}", nodes.len(), states.join(", "))));
    }
}

/// `PowerEdge XE9680` → `XE9680`.
#[must_use]
pub fn short_model(model: Option<&str>) -> String {
    model.map(|model| model.trim_start_matches("PowerEdge ").to_owned()).unwrap_or_default()
}

/// `8× NVIDIA H100 80GB HBM3` → `8× H100 80GB HBM3`.
fn short_gpus(summary: &str) -> String {
    summary.replace("NVIDIA ", "")
}

/// Watts when they are known, else the word.
fn power(node: &Node) -> String {
    match (node.power, node.power_watts) {
        (Power::On, Some(watts)) if watts >= 1000.0 => format!("{:.2} kW", watts / 1000.0),
        (Power::On, Some(watts)) => format!("{watts:.0} W"),
        (Power::Unknown, _) => String::new(),
        (power, _) => power.word().to_owned(),
    }
}

/// The youngest sign of life, of BMC or agent.
fn seen(node: &Node, now: DateTime<Utc>) -> String {
    let agent = node.agent.as_ref().and_then(|agent| agent.report_at);
    let newest = node.bmc.contact_at.max(agent);
    if node.bmc.contact == Contact::NoContact && agent.is_none() {
        return Contact::NoContact.word().to_owned();
    }
    time::age(newest, now)
}

/// What a person should know: stopped contact, the workflow's state, the reason of the node's state.
#[must_use]
pub fn note(node: &Node, now: DateTime<Utc>) -> Option<String> {
    let simulated = if node.simulated { Some("simulated".to_owned()) } else { None };
    let said = if let Some(stopped) = &node.bmc.stopped {
        Some(stopped.reason.clone())
    } else if let Some(workflow) = &node.workflow {
        let what = workflow
            .error
            .as_ref()
            .map(|error| format!("needs you: {}", error.message))
            .or_else(|| {
                workflow.progress.as_ref().map(crate::follow::workflow::progress).filter(|text| !text.is_empty())
            })
            .or_else(|| workflow.waits_for.clone())
            .unwrap_or_default();
        let age = time::age(workflow.started_at, now);
        let step = workflow.step_title.to_lowercase();
        Some(if what.is_empty() { format!("{step}, {age}") } else { format!("{step}: {what}, {age}") })
    } else {
        node.state_reason.clone()
    };
    match (simulated, said) {
        (Some(simulated), Some(said)) => Some(format!("{simulated}; {said}")),
        (simulated, said) => simulated.or(said),
    }
}

async fn watch(global: &Global, client: &Client, query: &NodeQuery, nodes: Vec<Node>) -> Result<Exit, CtlError> {
    let terminal = console::user_attended() && global.output.is_table();
    let mut ticker = Ticker::new(client, &["node", "workflow"], None);
    let mut known: BTreeMap<String, String> = BTreeMap::new();
    let mut nodes = nodes;
    loop {
        let now = Utc::now();
        if terminal {
            console::Term::stdout()
                .clear_screen()
                .map_err(|error| CtlError::new(Exit::Failed, "terminal_unusable", error.to_string()))?;
            print(global, &nodes);
        } else {
            for node in &nodes {
                let waits = node.workflow.as_ref().and_then(|workflow| workflow.waits_for.clone());
                let step = node.workflow.as_ref().map(|workflow| (workflow.step, workflow.state));
                let mark = format!(
                    "{:?} {:?} {:?} {:?} {waits:?} {step:?}",
                    node.state, node.health, node.power, node.version
                );
                if known.insert(node.id.clone(), mark.clone()).as_ref() != Some(&mark) {
                    if global.output == crate::output::Format::Jsonl {
                        crate::output::object(global.output, node, &node.name)?;
                    } else {
                        let note = note(node, now).unwrap_or_default();
                        crate::output::line(&format!("{}  {}  {note}", node.name, node.state.word()));
                    }
                }
            }
        }
        match ticker.tick().await? {
            Tick::Look => nodes = client.all_nodes(query).await?,
            Tick::Interrupted | Tick::Over => return Ok(Exit::Interrupted),
        }
    }
}
