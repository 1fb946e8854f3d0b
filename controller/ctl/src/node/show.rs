//! `helixctl node show`, `events`, `history`: one node, as a tired person needs it.

use chrono::{DateTime, Utc};
use clap::Args;
use helix_api::client::{Client, fingerprint_in_words};
use helix_api::node::NodeDetail;
use helix_inventory::hardware::{Hardware, PortKind};
use helix_inventory::words::WorkflowState;

use super::list::short_model;
use crate::args::Global;
use crate::follow::bytes;
use crate::output::line;
use crate::problem::{CtlError, Exit};
use crate::style::Palette;
use crate::table::Table;
use crate::time;

/// `helixctl node show`
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  helixctl node show r01u05\n  helixctl node show C4XK9Z3 --hardware")]
pub struct Show {
    /// Name, service tag or BMC address
    pub node: String,
    /// Every part: processors, memory, GPUs, ports, drives, firmware
    #[arg(long)]
    pub hardware: bool,
}

/// `helixctl node events`
#[derive(Debug, Args)]
pub struct Events {
    pub node: String,
    #[arg(long, default_value_t = 50)]
    pub limit: u32,
}

/// `helixctl node history`
#[derive(Debug, Args)]
pub struct History {
    pub node: String,
}

/// Shows one node.
///
/// # Errors
/// Unknown or ambiguous node.
pub async fn run(global: &Global, show: &Show) -> Result<Exit, CtlError> {
    let client = crate::context::client(global)?;
    let detail = client.node(&show.node).await?;
    if !global.output.is_table() {
        crate::output::object(global.output, &detail, &detail.node.name)?;
        return Ok(Exit::Done);
    }
    let palette = Palette::detect(global.color, console::user_attended());
    head(palette, &client, &detail).await?;
    match (&detail.hardware, show.hardware) {
        (Some(hardware), true) => parts(global, hardware),
        (Some(hardware), false) => summary(hardware),
        (None, _) => field("Hardware", &format!("not read yet: helixctl node inspect {}", detail.node.name)),
    }
    Ok(Exit::Done)
}

fn field(label: &str, text: &str) {
    line(&format!("{label:<8} {text}"));
}

async fn head(palette: Palette, client: &Client, detail: &NodeDetail) -> Result<(), CtlError> {
    let node = &detail.node;
    let now = Utc::now();
    let mut title =
        format!("{}   {}   {}", palette.bold(&node.name), node.service_tag, short_model(node.model.as_deref()));
    if let Some(rack) = &node.rack {
        title.push_str(&format!("   rack {rack}"));
    }
    if let Some(position) = node.position {
        title.push_str(&format!(" U{position:02}"));
    }
    if node.simulated {
        title.push_str("   SIMULATED");
    }
    line(&title);
    let mut state = format!(
        "{} since {} ({})",
        palette.lifecycle(node.state),
        node.state_since.format("%H:%M:%S"),
        time::age(Some(node.state_since), now)
    );
    if let Some(workflow) = node.workflow.as_ref().filter(|workflow| workflow.state == WorkflowState::NeedsHuman) {
        state.push_str(&format!(
            "     {} since {}",
            palette.workflow(workflow.state),
            time::age(workflow.waits_since, now)
        ));
    }
    field("State", &state);
    if let Some(reason) = &node.state_reason {
        field("", reason);
    }
    let watts = node.power_watts.map(|watts| format!(", {:.2} kW", watts / 1000.0)).unwrap_or_default();
    let agent = node.agent.as_ref().map_or_else(
        || "never (not installed yet)".to_owned(),
        |agent| format!("{} ago", time::age(agent.report_at, now)),
    );
    let bmc = node.bmc.contact_at.map_or_else(|| "never".to_owned(), |at| format!("{} ago", time::age(Some(at), now)));
    field(
        "Health",
        &format!(
            "{}     Power  {}{watts}     BMC {bmc} · agent {agent}",
            palette.health(node.health),
            node.power.word()
        ),
    );
    work(client, detail, now).await?;
    let mut bmc = format!(
        "{}  {} {}",
        node.bmc.address,
        node.bmc.product.as_deref().unwrap_or("BMC"),
        node.bmc.firmware_version.as_deref().unwrap_or("")
    );
    if let Some(credential) = &node.bmc.credential {
        bmc.push_str(&format!("  credential {credential}"));
    }
    field("BMC", bmc.trim_end());
    if let Some(stopped) = &node.bmc.stopped {
        field(
            "",
            &format!(
                "Contact stopped {} ago: {}   [{}]",
                time::age(Some(stopped.since), now),
                stopped.reason,
                stopped.code
            ),
        );
        for next in &stopped.next {
            field("Next", next);
        }
    } else if let Some(failure) = &node.bmc.failure {
        let next = node
            .bmc
            .next_try_at
            .map(|at| format!(", next try in {}", time::duration((at - now).num_seconds())))
            .unwrap_or_default();
        field("", &format!("{} failures: {failure}{next}", node.bmc.failures));
    }
    if let Some(certificate) = &node.bmc.certificate_sha256 {
        field("", &palette.dim(&format!("certificate {}", fingerprint_in_words(certificate))));
    }
    if let Some(agent) = &node.agent {
        let os = agent.os_name.as_deref().unwrap_or("operating system not told");
        let kernel = agent.kernel.as_deref().unwrap_or("–");
        let driver = match agent.gpu_driver.as_deref() {
            Some("loaded") => "NVIDIA driver loaded",
            Some("failed") => "NVIDIA driver does not answer",
            _ => "no NVIDIA driver",
        };
        field("Agent", &format!("{}  {os}, kernel {kernel}, {driver}", agent.agent_version.as_deref().unwrap_or("")));
    }
    if let Some(image) = &node.image {
        let at =
            image.installed_at.map(|at| format!(", installed {} ago", time::age(Some(at), now))).unwrap_or_default();
        field("Image", &format!("{} ({}){at}", image.name, &image.sha256[..12.min(image.sha256.len())]));
    }
    if !node.labels.is_empty() {
        let labels: Vec<_> = node.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
        field("Labels", &labels.join(" "));
    }
    if let Some(report) = &detail.report {
        for gpu in &report.gpus {
            let reading = |value: Option<f64>, unit: &str| {
                value.map_or_else(|| "–".to_owned(), |value| format!("{value:.0} {unit}"))
            };
            field(
                if gpu.index == 0 { "GPUs" } else { "" },
                &format!(
                    "{}  {}  {}  {}  {} used",
                    gpu.index,
                    gpu.name,
                    reading(gpu.temp_celsius, "°C"),
                    reading(gpu.power_watts, "W"),
                    gpu.memory_used_bytes.map(bytes).unwrap_or_else(|| "–".to_owned())
                ),
            );
        }
        for port in &report.infiniband {
            let rate = port.rate_gbps.map(|rate| format!("{rate:.0} Gb/s")).unwrap_or_default();
            field(
                if Some(port) == report.infiniband.first() { "Fabric" } else { "" },
                &format!("{} port {}  {}  {rate}", port.device, port.port, port.state.as_deref().unwrap_or("–")),
            );
        }
    }
    Ok(())
}

/// What the workflow under way does, waits for, or why it stopped.
async fn work(client: &Client, detail: &NodeDetail, now: DateTime<Utc>) -> Result<(), CtlError> {
    let Some(summary) = &detail.node.workflow else { return Ok(()) };
    let workflow = client.workflow(&summary.id).await?;
    let summary = &workflow.summary;
    if let Some(error) = &summary.error {
        field(
            "Waits",
            &format!("step {} of {} \"{}\" of {} stopped", summary.step, summary.steps, summary.step_title, summary.id),
        );
        field("What", &format!("{}   [{}]", error.message, error.code));
        if let Some(why) = &error.why {
            field("Why", why);
        }
        for (index, next) in error.next.iter().enumerate() {
            field(if index == 0 { "Next" } else { "" }, next);
        }
    } else {
        let since = time::age(summary.started_at, now);
        field(
            "Work",
            &format!(
                "{} {}, {since}: {}",
                summary.kind.as_str(),
                summary.id,
                crate::follow::workflow::present(&workflow)
            ),
        );
        if let Some(then) = &summary.then_what {
            field("", &format!("then: {then}"));
        }
    }
    Ok(())
}

fn summary(hardware: &Hardware) {
    let ports = |kind| hardware.ports.iter().filter(|port| port.kind == kind).count();
    let memory: u64 = hardware.memory.iter().filter_map(|module| module.size_bytes).sum();
    let mut parts = vec![format!("{} CPUs", hardware.processors.len())];
    parts.push(format!("{} GiB in {} DIMMs", memory >> 30, hardware.memory.len()));
    if let Some(gpus) = hardware.gpu_summary() {
        parts.push(gpus);
    }
    parts.push(format!("{} InfiniBand, {} Ethernet ports", ports(PortKind::InfiniBand), ports(PortKind::Ethernet)));
    parts.push(format!("{} drives", hardware.drives.len()));
    parts.push(format!("{} power supplies", hardware.power_supplies.len()));
    field("Hardware", &parts.join(" · "));
    field(
        "",
        &format!(
            "BIOS {}, {} firmware entries; --hardware lists every part",
            hardware.system.bios_version.as_deref().unwrap_or("–"),
            hardware.firmware.len()
        ),
    );
    for finding in &hardware.findings {
        field("Finding", &format!("{}   {}", finding.message, finding.next));
    }
    if !hardware.issues.is_empty() {
        field("Unread", &format!("{} things could not be read; --hardware lists them", hardware.issues.len()));
    }
}

fn parts(global: &Global, hardware: &Hardware) {
    let mut table = Table::new(&["PART", "WHERE", "MODEL", "SERIAL", "DETAIL", "HEALTH"]);
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    for part in &hardware.processors {
        let cores = part.cores.map(|cores| format!("{cores} cores")).unwrap_or_default();
        table.row(vec![
            "CPU".into(),
            part.slot.clone(),
            text(&part.model),
            text(&part.serial),
            cores,
            text(&part.health),
        ]);
    }
    for part in &hardware.memory {
        let size = part.size_bytes.map(|size| format!("{} GiB", size >> 30)).unwrap_or_default();
        table.row(vec![
            "DIMM".into(),
            part.slot.clone(),
            text(&part.part_number),
            text(&part.serial),
            size,
            text(&part.health),
        ]);
    }
    for part in &hardware.gpus {
        let firmware = part.firmware_version.as_ref().map(|version| format!("VBIOS {version}")).unwrap_or_default();
        table.row(vec![
            "GPU".into(),
            part.id.clone(),
            text(&part.model),
            text(&part.serial),
            firmware,
            text(&part.health),
        ]);
    }
    for part in &hardware.ports {
        let kind = if part.kind == PortKind::InfiniBand { "InfiniBand" } else { "Ethernet" };
        let link = match (part.link_up, part.speed_gbps) {
            (Some(true), Some(speed)) => format!("up, {speed} Gb/s"),
            (Some(true), None) => "up".into(),
            (Some(false), _) => "down".into(),
            (None, _) => String::new(),
        };
        let address = part.mac.clone().or_else(|| part.guid.clone()).unwrap_or_default();
        table.row(vec![kind.into(), part.id.clone(), text(&part.model), address, link, String::new()]);
    }
    for part in &hardware.drives {
        let size = part.size_bytes.map(bytes).unwrap_or_default();
        table.row(vec![
            "Drive".into(),
            part.id.clone(),
            text(&part.model),
            text(&part.serial),
            size,
            text(&part.health),
        ]);
    }
    for part in &hardware.volumes {
        let size = part.size_bytes.map(bytes).unwrap_or_default();
        table.row(vec!["Volume".into(), part.id.clone(), text(&part.raid), String::new(), size, text(&part.health)]);
    }
    for part in &hardware.power_supplies {
        let watts = part.capacity_watts.map(|watts| format!("{watts} W")).unwrap_or_default();
        table.row(vec![
            "PSU".into(),
            part.slot.clone(),
            text(&part.model),
            text(&part.serial),
            watts,
            text(&part.health),
        ]);
    }
    for part in &hardware.firmware {
        table.row(vec![
            "Firmware".into(),
            part.target.clone(),
            text(&part.name),
            String::new(),
            text(&part.version),
            String::new(),
        ]);
    }
    table.print(console::user_attended(), !global.no_headers);
    for issue in &hardware.issues {
        let what = issue.field.as_deref().map(|field| format!(" {field}")).unwrap_or_default();
        line(&format!("Not read: {}{what}: {}", issue.resource, issue.problem));
    }
    for finding in &hardware.findings {
        line(&format!("Finding: {}   {}", finding.message, finding.next));
    }
}

/// Shows what happened to a node, newest first.
///
/// # Errors
/// Unknown or ambiguous node.
pub async fn events(global: &Global, events: &Events) -> Result<Exit, CtlError> {
    let client = crate::context::client(global)?;
    let page = client.node_events(&events.node, Some(events.limit), None).await?;
    if !global.output.is_table() {
        crate::output::list(global.output, &page.items, |event| event.message.clone())?;
        return Ok(Exit::Done);
    }
    if page.items.is_empty() {
        eprintln!("Nothing happened to {} yet.", events.node);
        return Ok(Exit::Done);
    }
    let mut table = Table::new(&["TIME (UTC)", "FROM", "SEVERITY", "WHAT", "CODE", "WORKFLOW"]);
    for event in &page.items {
        table.row(vec![
            event.at.format("%Y-%m-%d %H:%M:%S").to_string(),
            event.source.clone(),
            event.severity.clone(),
            event.message.clone(),
            event.code.clone().unwrap_or_default(),
            event.workflow.clone().unwrap_or_default(),
        ]);
    }
    table.print(console::user_attended(), !global.no_headers);
    Ok(Exit::Done)
}

/// Shows what changed in the hardware of a node, newest first.
///
/// # Errors
/// Unknown or ambiguous node.
pub async fn history(global: &Global, history: &History) -> Result<Exit, CtlError> {
    let client = crate::context::client(global)?;
    let page = client.hardware_history(&history.node).await?;
    if !global.output.is_table() {
        crate::output::list(global.output, &page.items, |change| change.summary.clone())?;
        return Ok(Exit::Done);
    }
    if page.items.is_empty() {
        eprintln!("Nothing changed in the hardware of {} since it was first read.", history.node);
        return Ok(Exit::Done);
    }
    let mut table = Table::new(&["TIME (UTC)", "WHAT", "BEFORE", "AFTER"]);
    for change in &page.items {
        table.row(vec![
            change.at.format("%Y-%m-%d %H:%M:%S").to_string(),
            change.summary.clone(),
            change.before.clone().unwrap_or_default(),
            change.after.clone().unwrap_or_default(),
        ]);
    }
    table.print(console::user_attended(), !global.no_headers);
    Ok(Exit::Done)
}
