//! `helixctl node provision` and `reprovision`: the plan first, then the question, then the work.

use std::path::PathBuf;

use clap::Args;
use helix_api::client::Client;
use helix_api::node::Node;
use helix_api::workflow::{NodePlan, PlanSet, ProvisionRequest};
use helix_inventory::profile::DiskChoice;

use crate::args::{Follow, Global};
use crate::ask::{self, Change};
use crate::output::line;
use crate::problem::{CtlError, Exit};
use crate::selection::{Select, exactly};
use crate::time;

/// Which disk is erased.
#[derive(Debug, Clone, Default, Args)]
pub struct Disk {
    /// Take the disk with this serial number
    #[arg(long, value_name = "SERIAL")]
    pub disk_serial: Option<String>,
    /// Take the disk with this link below /dev/disk/by-id
    #[arg(long, value_name = "ID")]
    pub disk_by_id: Option<String>,
    /// Take the disk whose model contains this
    #[arg(long, value_name = "TEXT")]
    pub disk_model: Option<String>,
    /// Take the disk with this kernel name; names can move between boots
    #[arg(long, value_name = "NAME")]
    pub disk: Option<String>,
    /// Take a disk of at least this many GiB
    #[arg(long, value_name = "GIB")]
    pub disk_min_gib: Option<u64>,
    /// Take a disk of at most this many GiB
    #[arg(long, value_name = "GIB")]
    pub disk_max_gib: Option<u64>,
}

impl Disk {
    /// The choice as the API takes it.
    #[must_use]
    pub fn choice(&self) -> DiskChoice {
        DiskChoice {
            serial: self.disk_serial.clone(),
            by_id: self.disk_by_id.clone(),
            name: self.disk.clone(),
            model: self.disk_model.clone(),
            min_size_bytes: self.disk_min_gib.map(|gib| gib << 30),
            max_size_bytes: self.disk_max_gib.map(|gib| gib << 30),
        }
    }
}

/// `helixctl node provision`
#[derive(Debug, Args)]
#[command(
    after_help = "Without a disk the BOSS volume is taken, else the only disk; several are refused.\n\nExamples:\n  helixctl node provision \
                        r01u05 --image debian-12 --dry-run\n  helixctl node provision 'r01u[01-16]' --image debian-12 --yes --confirm=16"
)]
pub struct Provision {
    #[command(flatten)]
    pub select: Select,
    /// Name of the image; reprovision takes the present one
    #[arg(long, value_name = "NAME")]
    pub image: Option<String>,
    #[command(flatten)]
    pub disk: Disk,
    /// Clear signatures of other disks that conflict with the image
    #[arg(long)]
    pub wipe_conflicting: bool,
    /// Public SSH keys for the image's default user, a file of authorized_keys lines
    #[arg(long, value_name = "FILE")]
    pub ssh_keys: Option<PathBuf>,
    /// cloud-config that is merged after Helix's own
    #[arg(long, value_name = "FILE")]
    pub user_data: Option<PathBuf>,
    /// Leave out nodes whose plan is refused instead of stopping
    #[arg(long)]
    pub skip_refused: bool,
    /// Print the plan, change nothing
    #[arg(short = 'n', long)]
    pub dry_run: bool,
    #[command(flatten)]
    pub follow: Follow,
}

/// Provisions nodes.
///
/// # Errors
/// Nothing selected, plan refused, not confirmed; as the controller answers.
pub async fn run(global: &Global, provision: &Provision, again: bool) -> Result<Exit, CtlError> {
    if provision.image.is_none() && !again {
        return Err(CtlError::new(Exit::Usage, "image_required", "which image?")
            .next("--image NAME; helixctl image list shows those there are"));
    }
    let client = crate::context::client(global)?;
    let nodes = provision.select.nodes(&client).await?;
    let mut plan = plan(&client, provision, &nodes).await?;
    let refused: Vec<_> =
        plan.nodes.iter().filter(|node| !node.plan.is_runnable()).map(|node| node.node.clone()).collect();
    if provision.dry_run {
        if global.output.is_table() {
            print(&plan);
        } else {
            crate::output::object(global.output, &plan, &plan.id)?;
        }
        return Ok(if refused.is_empty() { Exit::Done } else { Exit::Conflict });
    }
    if !refused.is_empty() {
        print_refusals(&plan);
        if !provision.skip_refused || refused.len() == plan.nodes.len() {
            return Err(CtlError::new(
                Exit::Conflict,
                "plan_refused",
                format!(
                    "{} of {} nodes cannot be provisioned as they are; nothing was touched",
                    refused.len(),
                    plan.nodes.len()
                ),
            )
            .next("mend what is named above, or leave those nodes out with --skip-refused"));
        }
        let rest: Vec<_> = nodes.iter().filter(|node| !refused.contains(&node.name)).cloned().collect();
        plan = self::plan(&client, provision, &rest).await?;
    }
    if !global.quiet {
        eprint_plan(&plan);
    }
    let names: Vec<_> = plan.nodes.iter().map(|node| node.node.clone()).collect();
    let question = match &names[..] {
        [only] => format!("This erases the root disk of {only}."),
        many => format!("This erases the root disks of {} nodes.", many.len()),
    };
    ask::confirm(global, &Change { question: &question, names: &names, destructive: true })?;
    let bulk = client.run_plan(&plan.id).await?;
    if let [only] = &names[..]
        && console::user_attended_stderr()
        && !provision.follow.detach
    {
        let items = client.bulk_items(&bulk.id, None).await?.items;
        if let Some(workflow) = items.first().and_then(|item| item.workflow.clone()) {
            eprintln!("{workflow} on {only} started. Ctrl-C stops watching, not the work.");
            return crate::follow::workflow::follow(global, &client, &workflow, provision.follow.wait).await;
        }
    }
    crate::follow::bulk::started(global, &client, bulk, &provision.follow, true).await
}

async fn plan(client: &Client, provision: &Provision, nodes: &[Node]) -> Result<PlanSet, CtlError> {
    let text = |path: &PathBuf| std::fs::read_to_string(path).map_err(|error| CtlError::file(path, "read", &error));
    let keys = provision.ssh_keys.as_ref().map(text).transpose()?.unwrap_or_default();
    let request = ProvisionRequest {
        selection: exactly(nodes),
        image: provision.image.clone(),
        disk: provision.disk.choice(),
        wipe_conflicting: provision.wipe_conflicting,
        ssh_keys: keys
            .lines()
            .map(str::trim)
            .filter(|key| !key.is_empty() && !key.starts_with('#'))
            .map(str::to_owned)
            .collect(),
        user_data: provision.user_data.as_ref().map(text).transpose()?,
    };
    Ok(client.plan_provision(&request).await?)
}

/// The plan as lines: steps of the first node that can run, with how many nodes each line is for.
fn lines(plan: &PlanSet) -> Vec<String> {
    let runnable: Vec<&NodePlan> = plan.nodes.iter().filter(|node| node.plan.is_runnable()).collect();
    let ages: Vec<i64> = runnable.iter().filter_map(|node| node.facts_age_seconds).collect();
    let facts = match (ages.iter().min(), ages.iter().max()) {
        (Some(min), Some(max)) if min != max => {
            format!(", from facts read {} to {} ago", time::duration(*min), time::duration(*max))
        }
        (Some(min), Some(_)) => format!(", from facts read {} ago", time::duration(*min)),
        _ => String::new(),
    };
    let whom = match &plan.nodes[..] {
        [only] => only.node.clone(),
        many => format!("{} nodes", many.len()),
    };
    let mut lines = vec![format!("Plan {} for {whom}{facts}", plan.id)];
    if let Some(first) = runnable.first() {
        for (index, step) in first.plan.steps.iter().enumerate() {
            // Nodes can differ in one step (some are off already): count who shares the words.
            let same = runnable
                .iter()
                .filter(|node| node.plan.steps.get(index).is_some_and(|other| other.effect == step.effect))
                .count();
            let share =
                if same == runnable.len() { String::new() } else { format!(" ({same} of {} nodes)", runnable.len()) };
            lines.push(format!("  {:>2}  {:<22} {}{share}", index + 1, step.title, step.effect));
        }
        lines.push(format!("  BMC dials {}, node dials {}", first.media_url, first.agent_urls.join(" or ")));
    }
    let mut warnings: Vec<_> = plan.nodes.iter().flat_map(|node| node.plan.warnings.iter().cloned()).collect();
    warnings.sort();
    warnings.dedup();
    lines.extend(warnings.into_iter().map(|warning| format!("  Note: {warning}")));
    lines
}

fn refusal_lines(plan: &PlanSet) -> Vec<String> {
    let mut lines = Vec::new();
    for node in &plan.nodes {
        for refusal in &node.plan.refusals {
            lines.push(format!("  {}  {}   [{}]", node.node, refusal.message, refusal.code));
            lines.push(format!("      {}", refusal.next));
        }
    }
    if !lines.is_empty() {
        lines.insert(0, "Refused before anything is touched:".to_owned());
    }
    lines
}

fn print(plan: &PlanSet) {
    for text in lines(plan).iter().chain(&refusal_lines(plan)) {
        line(text);
    }
}

fn eprint_plan(plan: &PlanSet) {
    for text in lines(plan) {
        eprintln!("{text}");
    }
}

fn print_refusals(plan: &PlanSet) {
    for text in refusal_lines(plan) {
        eprintln!("{text}");
    }
}

#[cfg(test)]
mod tests {
    use helix_inventory::hardware::{BootFacts, BootMode, Hardware};
    use helix_inventory::plan::{self, NodeFacts, WorkflowKind};
    use helix_inventory::profile::ProvisionSpec;
    use helix_inventory::words::{Lifecycle, Power};

    use super::*;

    fn node(name: &str, power: Power, mode: BootMode) -> NodePlan {
        let hardware =
            Hardware { boot: BootFacts { mode: Some(mode), secure_boot: Some(false) }, ..Hardware::default() };
        let facts = NodeFacts { name, state: Lifecycle::Ready, power, scheduler: false };
        let spec = ProvisionSpec { image: "debian-12".into(), ..ProvisionSpec::default() };
        NodePlan {
            node: name.into(),
            service_tag: "HLX0001".into(),
            plan: plan::provision(facts, Some(&hardware), &spec),
            facts_age_seconds: Some(4),
            media_url: "http://192.0.2.5:8080/media/…/helix.iso".into(),
            agent_urls: vec!["https://192.0.2.5:8444".into()],
        }
    }

    fn set(nodes: Vec<NodePlan>) -> PlanSet {
        PlanSet { id: "pl-3MZK0T".into(), kind: WorkflowKind::Provision, expires_at: chrono::Utc::now(), nodes }
    }

    #[test]
    fn a_plan_says_what_it_erases_and_for_how_many() {
        let plan = set(vec![node("r01u05", Power::On, BootMode::Uefi), node("r01u06", Power::Off, BootMode::Uefi)]);
        let text = lines(&plan).join("\n");
        assert!(text.contains("Plan pl-3MZK0T for 2 nodes, from facts read 4 s ago"), "{text}");
        assert!(text.contains("ERASES the BOSS volume, else the only disk and writes debian-12"), "{text}");
        assert!(text.contains("(1 of 2 nodes)"), "{text}");
    }

    #[test]
    fn a_refused_node_stands_with_its_way_out() {
        let text = refusal_lines(&set(vec![node("r01u05", Power::On, BootMode::Legacy)])).join("\n");
        assert!(text.contains("[boot_mode_legacy]"), "{text}");
        assert!(text.contains("Set BootMode to Uefi"), "{text}");
    }
}
