//! Workflows: list, show, watch, cancel, retry, skip.

use chrono::Utc;
use clap::Subcommand;
use helix_api::client::WorkflowQuery;
use helix_api::workflow::{CancelRequest, RetryRequest, SkipRequest, WorkflowDetail, WorkflowSummary};
use helix_inventory::words::WorkflowState;

use crate::args::Global;
use crate::ask::{self, Change};
use crate::follow;
use crate::node::provision::Disk;
use crate::output::line;
use crate::problem::{CtlError, Exit};
use crate::style::Palette;
use crate::table::Table;
use crate::time;

/// Verbs of workflows.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Newest first; those under way unless --all
    List {
        /// Also those that are over
        #[arg(long)]
        all: bool,
        /// Of one node
        #[arg(long)]
        node: Option<String>,
        /// In one state: queued, running, waiting, needs_human, succeeded, failed, cancelled
        #[arg(long)]
        state: Option<String>,
        #[arg(long, default_value_t = 100)]
        limit: u32,
    },
    /// Steps, attempts, what it waits for, and the ways out
    Show { id: String },
    /// Follow one to its end
    Watch { id: String },
    /// Stop at the next safe point
    Cancel {
        id: String,
        /// Abandon at once; says what is left behind
        #[arg(long)]
        now: bool,
        #[arg(long)]
        reason: Option<String>,
    },
    /// Try the step again that it stopped at
    Retry {
        id: String,
        #[command(flatten)]
        disk: Disk,
        /// Clear signatures of conflicting disks
        #[arg(long)]
        wipe_conflicting: bool,
        /// Do not follow it
        #[arg(long)]
        detach: bool,
    },
    /// Skip the step at work, where that is allowed
    Skip {
        id: String,
        #[arg(long)]
        reason: Option<String>,
    },
}

/// `helixctl workflow …`
///
/// # Errors
/// As the controller answers.
pub async fn run(global: &Global, verb: &Verb) -> Result<Exit, CtlError> {
    let client = crate::context::client(global)?;
    match verb {
        Verb::List { all, node, state, limit } => {
            let query = WorkflowQuery {
                node: node.clone(),
                state: state.clone(),
                open: !*all && state.is_none(),
                limit: Some(*limit),
                cursor: None,
            };
            let page = client.workflows(&query).await?;
            if !global.output.is_table() {
                crate::output::list(global.output, &page.items, |workflow| workflow.id.clone())?;
            } else if page.items.is_empty() {
                eprintln!("No workflow {}.", if query.open { "is under way" } else { "matches" });
            } else {
                list(global, &page.items);
            }
            Ok(Exit::Done)
        }
        Verb::Show { id } => {
            let workflow = client.workflow(id).await?;
            if global.output.is_table() {
                show(global, &workflow);
            } else {
                crate::output::object(global.output, &workflow, id)?;
            }
            Ok(Exit::Done)
        }
        Verb::Watch { id } => follow::workflow::follow(global, &client, id, None).await,
        Verb::Cancel { id, now, reason } => {
            let workflow = client.workflow(id).await?;
            let names = [workflow.summary.node.clone()];
            let question = if *now {
                format!("Abandon {id} on {} at once?", names[0])
            } else {
                format!("Cancel {id} on {} at its next safe point?", names[0])
            };
            ask::confirm(global, &Change { question: &question, names: &names, destructive: *now })?;
            let workflow = client.cancel_workflow(id, &CancelRequest { now: *now, reason: reason.clone() }).await?;
            said(global, &workflow);
            Ok(Exit::Done)
        }
        Verb::Retry { id, disk, wipe_conflicting, detach } => {
            let choice = disk.choice();
            let request = RetryRequest {
                disk: (!choice.is_empty()).then_some(choice),
                wipe_conflicting: wipe_conflicting.then_some(true),
            };
            let workflow = client.workflow(id).await?;
            if request.disk.is_some() || *wipe_conflicting {
                let names = [workflow.summary.node.clone()];
                let what = request.disk.as_ref().map_or_else(|| "conflicting disks".to_owned(), |disk| disk.in_words());
                let question = format!("This erases {what} of {}.", names[0]);
                ask::confirm(global, &Change { question: &question, names: &names, destructive: true })?;
            }
            let workflow = client.retry_workflow(id, &request).await?;
            if *detach || !console::user_attended_stderr() {
                said(global, &workflow);
                return Ok(Exit::Done);
            }
            follow::workflow::follow(global, &client, id, None).await
        }
        Verb::Skip { id, reason } => {
            let workflow = client.workflow(id).await?;
            let step = workflow.step_list.iter().find(|step| step.number == workflow.summary.step);
            let consequence = step.and_then(|step| step.skip_consequence.clone());
            let names = [workflow.summary.node.clone()];
            let question = format!(
                "Skip \"{}\" on {}{}?",
                workflow.summary.step_title,
                names[0],
                consequence.map(|words| format!(" ({words})")).unwrap_or_default()
            );
            ask::confirm(global, &Change { question: &question, names: &names, destructive: false })?;
            let request = SkipRequest { step: workflow.summary.step, reason: reason.clone() };
            let workflow = client.skip_step(id, &request).await?;
            said(global, &workflow);
            Ok(Exit::Done)
        }
    }
}

fn said(global: &Global, workflow: &WorkflowDetail) {
    if !global.quiet {
        let summary = &workflow.summary;
        eprintln!(
            "{} on {}: {}. helixctl workflow watch {}",
            summary.id,
            summary.node,
            summary.state.word(),
            summary.id
        );
    }
}

fn list(global: &Global, workflows: &[WorkflowSummary]) {
    let palette = Palette::detect(global.color, console::user_attended());
    let now = Utc::now();
    let mut table = Table::new(&["ID", "NODE", "WHAT", "STATE", "STEP", "SINCE", ""]);
    for workflow in workflows {
        let note = workflow
            .error
            .as_ref()
            .map(|error| error.message.clone())
            .or_else(|| workflow.waits_for.clone())
            .or_else(|| workflow.progress.as_ref().map(follow::workflow::progress))
            .filter(|note| !note.is_empty())
            .unwrap_or_else(|| " ".to_owned());
        table.row(vec![
            workflow.id.clone(),
            workflow.node.clone(),
            workflow.kind.as_str().to_owned(),
            palette.workflow(workflow.state),
            format!("{}/{} {}", workflow.step, workflow.steps, workflow.step_title),
            time::age(Some(workflow.created_at), now),
            note,
        ]);
    }
    table.print(console::user_attended(), !global.no_headers);
}

fn show(global: &Global, workflow: &WorkflowDetail) {
    let palette = Palette::detect(global.color, console::user_attended());
    let summary = &workflow.summary;
    let now = Utc::now();
    line(&format!(
        "{}  {} {}   {}   by {}, {} ago",
        palette.bold(&summary.id),
        summary.kind.as_str(),
        summary.node,
        palette.workflow(summary.state),
        summary.created_by,
        time::age(Some(summary.created_at), now)
    ));
    if !summary.state.is_final() {
        line(&format!("Now      {}", follow::workflow::present(workflow)));
        if let Some(then) = &summary.then_what {
            line(&format!("Then     {then}"));
        }
    }
    if let Some(error) = &summary.error {
        line(&format!("What     {}   [{}]", error.message, error.code));
        if let Some(why) = &error.why {
            line(&format!("Why      {why}"));
        }
        for (index, next) in error.next.iter().enumerate() {
            line(&format!("{}     {next}", if index == 0 { "Next" } else { "    " }));
        }
    }
    if let Some(cancel) = &workflow.cancel {
        let by = cancel.by.as_deref().unwrap_or("someone");
        line(&format!("Cancel   asked for by {by}, {} ago", time::age(Some(cancel.at), now)));
    }
    if let Some(left) = &workflow.left_behind {
        line(&format!("Left     {left}"));
    }
    let mut table = Table::new(&[">#", "STEP", "STATE", ">TRIES", ">TOOK", ""]);
    for step in &workflow.step_list {
        let took = match (step.started_at, step.finished_at) {
            (Some(start), Some(end)) => time::duration((end - start).num_seconds()),
            (Some(start), None) if summary.finished_at.is_none() => format!("{} …", time::age(Some(start), now)),
            _ => String::new(),
        };
        table.row(vec![
            step.number.to_string(),
            step.title.clone(),
            step.state.replace('_', " "),
            step.attempts.to_string(),
            took,
            step.message.clone().unwrap_or_else(|| " ".to_owned()),
        ]);
    }
    table.print(console::user_attended(), !global.no_headers);
    for attempt in workflow.attempts.iter().filter(|attempt| attempt.error_message.is_some()) {
        line(&palette.dim(&format!(
            "  step {} attempt {}: {} [{}]",
            attempt.step,
            attempt.number,
            attempt.error_message.as_deref().unwrap_or_default(),
            attempt.error_code.as_deref().unwrap_or("–")
        )));
    }
    if !summary.state.is_final() && summary.state != WorkflowState::NeedsHuman {
        line(&palette.dim(&format!("Stop it: helixctl workflow cancel {}", summary.id)));
    }
}
