//! Bulk actions: list, show, watch, cancel, and following one that was just started.

use std::time::Duration;

use clap::Subcommand;
use helix_api::bulk::{Bulk, BulkItem};
use helix_api::client::Client;
use indicatif::{ProgressBar, ProgressStyle};

use super::{PLAIN_EVERY, Tick, Ticker};
use crate::args::{Follow, Global};
use crate::problem::{CtlError, Exit};
use crate::style::Palette;
use crate::table::Table;
use crate::time;

/// Items shown below the bar while it runs.
const ATTENTION_LINES: usize = 5;

/// Verbs of bulk actions.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Newest first
    List {
        /// How many
        #[arg(long, default_value_t = 20)]
        limit: u32,
    },
    /// One, with its items
    Show {
        id: String,
        /// Only items in this state: waiting, running, done, failed, refused, cancelled
        #[arg(long)]
        state: Option<String>,
    },
    /// Follow one to its end
    Watch { id: String },
    /// Waiting items end, running workflows are asked to stop at their next safe point
    Cancel { id: String },
}

/// `helixctl bulk …`
///
/// # Errors
/// As the controller answers.
pub async fn run(global: &Global, verb: &Verb) -> Result<Exit, CtlError> {
    let client = crate::context::client(global)?;
    match verb {
        Verb::List { limit } => {
            let page = client.bulks(Some(*limit), None).await?;
            if !global.output.is_table() {
                crate::output::list(global.output, &page.items, |bulk| bulk.id.clone())?;
                return Ok(Exit::Done);
            }
            if page.items.is_empty() {
                eprintln!("No bulk action yet.");
                return Ok(Exit::Done);
            }
            let now = chrono::Utc::now();
            let mut table = Table::new(&["ID", "WHAT", ">DONE", ">FAILED", ">RUNNING", ">WAITING", "BY", "STARTED"]);
            for bulk in &page.items {
                table.row(vec![
                    bulk.id.clone(),
                    bulk.title.clone(),
                    bulk.counts.done.to_string(),
                    (bulk.counts.failed + bulk.counts.refused).to_string(),
                    bulk.counts.running.to_string(),
                    bulk.counts.waiting.to_string(),
                    bulk.created_by.clone(),
                    format!("{} ago", time::age(Some(bulk.created_at), now)),
                ]);
            }
            table.print(console::user_attended(), !global.no_headers);
            Ok(Exit::Done)
        }
        Verb::Show { id, state } => {
            let bulk = client.bulk(id).await?;
            let items = client.bulk_items(id, state.as_deref()).await?;
            if global.output.is_table() {
                show(global, &bulk, &items.items);
            } else {
                crate::output::list(global.output, &items.items, |item| item.label.clone())?;
            }
            Ok(Exit::Done)
        }
        Verb::Watch { id } => {
            let bulk = client.bulk(id).await?;
            follow(global, &client, bulk, None).await
        }
        Verb::Cancel { id } => {
            let bulk = client.cancel_bulk(id).await?;
            if !global.quiet {
                eprintln!(
                    "{} is cancelled; what runs stops at its next safe point: helixctl bulk watch {}",
                    bulk.id, bulk.id
                );
            }
            Ok(Exit::Done)
        }
    }
}

fn show(global: &Global, bulk: &Bulk, items: &[BulkItem]) {
    crate::output::line(&format!("{}  {}  by {}", bulk.id, bulk.title, bulk.created_by));
    crate::output::line(&counts(bulk));
    let mut table = Table::new(&[">#", "NODE", "STATE", "WORKFLOW", ""]);
    for item in items {
        table.row(vec![
            item.position.to_string(),
            item.node.clone().unwrap_or_else(|| item.label.clone()),
            item.workflow_state.clone().filter(|_| item.state == "running").unwrap_or_else(|| item.state.clone()),
            item.workflow.clone().unwrap_or_default(),
            item.message.clone().unwrap_or_else(|| " ".to_owned()),
        ]);
    }
    table.print(console::user_attended(), !global.no_headers);
}

fn counts(bulk: &Bulk) -> String {
    let counts = bulk.counts;
    let mut parts = vec![format!("done {}", counts.done)];
    let mut add = |count: u32, word: &str| {
        if count > 0 {
            parts.push(format!("{word} {count}"));
        }
    };
    add(counts.running.saturating_sub(counts.needs_human), "running");
    add(counts.needs_human, "needs you");
    add(counts.failed, "failed");
    add(counts.refused, "refused");
    add(counts.cancelled, "cancelled");
    add(counts.waiting, "waiting");
    parts.join(" · ")
}

/// What to do with a bulk action that was just started: print its id, or follow it.
///
/// # Errors
/// As [`follow`].
pub async fn started(
    global: &Global,
    client: &Client,
    bulk: Bulk,
    how: &Follow,
    follow_by_itself: bool,
) -> Result<Exit, CtlError> {
    let attended = console::user_attended_stderr();
    if how.detach || (how.wait.is_none() && !(follow_by_itself && attended)) {
        if global.output.is_table() {
            crate::output::line(&bulk.id);
            if !global.quiet {
                eprintln!("{} started. Follow it with: helixctl bulk watch {}", bulk.title, bulk.id);
            }
        } else {
            crate::output::object(global.output, &bulk, &bulk.id)?;
        }
        return Ok(Exit::Done);
    }
    if !global.quiet {
        eprintln!("{} started: {}. Ctrl-C stops watching, not the work.", bulk.title, bulk.id);
    }
    follow(global, client, bulk, how.wait).await
}

/// Follows a bulk action to its end, or until only a person can go on.
///
/// # Errors
/// As the controller answers. The outcome is the exit code.
pub async fn follow(
    global: &Global,
    client: &Client,
    mut bulk: Bulk,
    wait: Option<Duration>,
) -> Result<Exit, CtlError> {
    let mut ticker = Ticker::new(client, &["bulk", "workflow"], wait);
    let bar = bar(global, &bulk);
    let mut plain_at: Option<tokio::time::Instant> = None;
    let mut said = String::new();
    loop {
        let settled = bulk.finished_at.is_some() || only_people_can_go_on(&bulk);
        match &bar {
            Some(bar) => {
                let counts = bulk.counts;
                bar.set_position(u64::from(counts.done + counts.failed + counts.refused + counts.cancelled));
                bar.set_message(format!("{}{}", self::counts(&bulk), attention(client, &bulk).await?));
            }
            None if !global.quiet => {
                let now = self::counts(&bulk);
                if (settled || plain_at.is_none_or(|at| at.elapsed() >= PLAIN_EVERY)) && now != said {
                    eprintln!("{}: {now}", bulk.id);
                    said = now;
                    plain_at = Some(tokio::time::Instant::now());
                }
            }
            None => {}
        }
        if settled {
            break;
        }
        match ticker.tick().await? {
            Tick::Look => bulk = client.bulk(&bulk.id).await?,
            Tick::Interrupted => {
                finish(bar);
                eprintln!("Still running: {}. Come back with: helixctl bulk watch {}", bulk.id, bulk.id);
                return Ok(Exit::Interrupted);
            }
            Tick::Over => {
                finish(bar);
                eprintln!("--wait ran out; {} goes on: helixctl bulk watch {}", bulk.id, bulk.id);
                return Ok(Exit::WaitOver);
            }
        }
    }
    finish(bar);
    report(global, client, &bulk).await
}

fn bar(global: &Global, bulk: &Bulk) -> Option<ProgressBar> {
    if global.quiet || !console::user_attended_stderr() {
        return None;
    }
    let bar = ProgressBar::new(u64::from(bulk.counts.total));
    let template = "{bar:30} {pos}/{len}   {msg}";
    bar.set_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()));
    Some(bar)
}

fn finish(bar: Option<ProgressBar>) {
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
}

/// Up to five lines that need attention, worst first.
async fn attention(client: &Client, bulk: &Bulk) -> Result<String, CtlError> {
    let counts = bulk.counts;
    if counts.needs_human + counts.failed + counts.refused == 0 {
        return Ok(String::new());
    }
    let items = client.bulk_items(&bulk.id, None).await?.items;
    let mut lines = String::new();
    for item in worst_first(&items).into_iter().take(ATTENTION_LINES) {
        lines.push_str(&format!("\n  {}  {}", name(item), item.message.as_deref().unwrap_or(&item.state)));
    }
    Ok(lines)
}

fn name(item: &BulkItem) -> &str {
    item.node.as_deref().unwrap_or(&item.label)
}

/// Items with trouble: those that wait for a person before those that failed.
fn worst_first(items: &[BulkItem]) -> Vec<&BulkItem> {
    let rank = |item: &&BulkItem| match (item.workflow_state.as_deref(), item.state.as_str()) {
        (Some("needs_human"), "running") => 0,
        (_, "failed") => 1,
        (_, "refused") => 2,
        _ => 9,
    };
    let mut items: Vec<_> = items.iter().filter(|item| rank(item) < 9).collect();
    items.sort_by_key(rank);
    items
}

fn only_people_can_go_on(bulk: &Bulk) -> bool {
    let counts = bulk.counts;
    counts.needs_human > 0 && counts.waiting == 0 && counts.running == counts.needs_human
}

async fn report(global: &Global, client: &Client, bulk: &Bulk) -> Result<Exit, CtlError> {
    let items = client.bulk_items(&bulk.id, None).await?.items;
    if !global.output.is_table() {
        crate::output::list(global.output, &items, |item| name(item).to_owned())?;
    } else if !global.quiet {
        let took = bulk
            .finished_at
            .map(|at| format!(" in {}", time::duration((at - bulk.created_at).num_seconds())))
            .unwrap_or_default();
        eprintln!("{}: {}{took}.", bulk.title, counts(bulk));
        let palette = Palette::detect(global.color, console::user_attended_stderr());
        for item in worst_first(&items) {
            let mark = if item.workflow_state.as_deref() == Some("needs_human") {
                palette.workflow(helix_inventory::words::WorkflowState::NeedsHuman)
            } else {
                palette.workflow(helix_inventory::words::WorkflowState::Failed)
            };
            eprintln!("  {}  {mark}  {}", name(item), item.message.as_deref().unwrap_or_default());
            if let Some(next) = &item.next {
                eprintln!("      {}", palette.dim(next));
            } else if let Some(workflow) = &item.workflow {
                eprintln!("      {}", palette.dim(&format!("helixctl workflow show {workflow}")));
            }
        }
    }
    Ok(outcome(bulk))
}

/// Of several outcomes the first of 9, 1, 3 counts.
fn outcome(bulk: &Bulk) -> Exit {
    let counts = bulk.counts;
    let bad = counts.failed + counts.refused + counts.cancelled;
    if counts.needs_human > 0 {
        Exit::NeedsHuman
    } else if bad > 0 && counts.done == 0 {
        Exit::Failed
    } else if bad > 0 {
        Exit::Partly
    } else {
        Exit::Done
    }
}

#[cfg(test)]
mod tests {
    use helix_api::bulk::BulkCounts;

    use super::*;

    fn bulk(counts: BulkCounts) -> Bulk {
        Bulk {
            id: "bk-7Q2M4K".into(),
            kind: "inspect".into(),
            title: "Inspect 4 nodes".into(),
            created_by: "admin".into(),
            created_at: chrono::Utc::now(),
            finished_at: None,
            cancelled_at: None,
            counts,
        }
    }

    #[test]
    fn of_several_outcomes_the_one_that_needs_a_person_counts() {
        let exit = |done, failed, needs_human| {
            outcome(&bulk(BulkCounts {
                total: 4,
                done,
                failed,
                needs_human,
                running: needs_human,
                ..BulkCounts::default()
            }))
        };
        assert_eq!(exit(4, 0, 0), Exit::Done);
        assert_eq!(exit(3, 1, 0), Exit::Partly);
        assert_eq!(exit(0, 4, 0), Exit::Failed);
        assert_eq!(exit(2, 1, 1), Exit::NeedsHuman);
    }

    #[test]
    fn watching_ends_when_only_people_can_go_on() {
        let counts = BulkCounts { total: 4, done: 3, running: 1, needs_human: 1, ..BulkCounts::default() };
        assert!(only_people_can_go_on(&bulk(counts)));
        assert!(!only_people_can_go_on(&bulk(BulkCounts { running: 2, ..counts })));
        assert!(!only_people_can_go_on(&bulk(BulkCounts { waiting: 1, ..counts })));
    }

    #[test]
    fn counts_leave_out_what_is_zero() {
        let counts = BulkCounts { total: 4, done: 3, running: 1, ..BulkCounts::default() };
        assert_eq!(super::counts(&bulk(counts)), "done 3 · running 1");
    }
}
