//! Following one workflow: a line a step with its time, and what it waits for.

use std::time::Duration;

use chrono::Utc;
use helix_api::client::Client;
use helix_api::workflow::{Progress, Step, WorkflowDetail};
use helix_inventory::words::WorkflowState;
use indicatif::{ProgressBar, ProgressStyle};

use super::{Tick, Ticker, bytes};
use crate::args::Global;
use crate::problem::{CtlError, Exit};
use crate::time;

/// Follows a workflow to its end, or until only a person can go on.
///
/// # Errors
/// As the controller answers. The outcome is the exit code.
pub async fn follow(global: &Global, client: &Client, id: &str, wait: Option<Duration>) -> Result<Exit, CtlError> {
    let mut ticker = Ticker::new(client, &["workflow"], wait);
    let spinner = (!global.quiet && console::user_attended_stderr()).then(|| {
        let bar = ProgressBar::new_spinner();
        bar.set_style(
            ProgressStyle::with_template("  {spinner} {wide_msg}").unwrap_or_else(|_| ProgressStyle::default_spinner()),
        );
        bar
    });
    let mut told = 0;
    let mut last = String::new();
    loop {
        let workflow = client.workflow(id).await?;
        let say = |text: &str| match &spinner {
            Some(bar) => bar.suspend(|| eprintln!("{text}")),
            None if global.quiet => {}
            None => eprintln!("{text}"),
        };
        while let Some(step) = workflow.step_list.get(told).filter(|step| is_over(step)) {
            say(&step_line(step));
            told += 1;
        }
        let state = workflow.summary.state;
        if state.is_final() || state == WorkflowState::NeedsHuman {
            if let Some(bar) = &spinner {
                bar.finish_and_clear();
            }
            return Ok(end(global, &workflow));
        }
        let now = present(&workflow);
        match &spinner {
            Some(bar) => {
                bar.set_message(now);
                bar.tick();
            }
            // Piped: only when the step or its wait changed, not for every percent.
            None => {
                let change = format!("{} {:?}", workflow.summary.step, workflow.summary.waits_for);
                if change != last && !global.quiet {
                    eprintln!("  ~ {now}");
                    last = change;
                }
            }
        }
        match ticker.tick().await? {
            Tick::Look => {}
            Tick::Interrupted => {
                eprintln!("Still running: {id}. Come back with: helixctl workflow watch {id}");
                return Ok(Exit::Interrupted);
            }
            Tick::Over => {
                eprintln!("--wait ran out; {id} goes on: helixctl workflow watch {id}");
                return Ok(Exit::WaitOver);
            }
        }
    }
}

fn is_over(step: &Step) -> bool {
    matches!(step.state.as_str(), "done" | "skipped" | "failed")
}

/// One finished step: `  ✓ Power off   4 s`.
fn step_line(step: &Step) -> String {
    let mark = match step.state.as_str() {
        "done" => "+",
        "skipped" => "-",
        _ => "X",
    };
    let took = match (step.started_at, step.finished_at) {
        (Some(start), Some(end)) => time::duration((end - start).num_seconds()),
        _ => String::new(),
    };
    let attempts = if step.attempts > 1 { format!("  ({} attempts)", step.attempts) } else { String::new() };
    format!("  {mark} {:<24} {took}{attempts}", step.title)
}

/// What a workflow does now: step, progress, wait.
#[must_use]
pub fn present(workflow: &WorkflowDetail) -> String {
    let summary = &workflow.summary;
    let now = Utc::now();
    let mut text = format!("{}/{} {}", summary.step, summary.steps, summary.step_title);
    if let Some(progress) = &summary.progress {
        let progress = self::progress(progress);
        if !progress.is_empty() {
            text.push_str(&format!(": {progress}"));
        }
    }
    if let Some(waits_for) = &summary.waits_for {
        text.push_str(&format!(": {waits_for}"));
        if let Some(since) = summary.waits_since {
            text.push_str(&format!(", {}", time::age(Some(since), now)));
        }
        if let Some(until) = summary.waits_until {
            text.push_str(&format!(
                " of {}",
                time::duration((until - summary.waits_since.unwrap_or(now)).num_seconds())
            ));
        }
    }
    text
}

/// `writing image 41 %, 340 MiB of 844 MiB, 36 MiB/s`
#[must_use]
pub fn progress(progress: &Progress) -> String {
    let mut parts = Vec::new();
    if let Some(what) = &progress.what {
        parts.push(what.clone());
    }
    let percent = progress.percent.or_else(|| match (progress.bytes_done, progress.bytes_total) {
        #[expect(clippy::cast_precision_loss, reason = "a percentage for eyes")]
        (Some(done), Some(total)) if total > 0 => Some(done as f64 * 100.0 / total as f64),
        _ => None,
    });
    if let Some(percent) = percent {
        parts.push(format!("{percent:.0} %"));
    }
    if let (Some(done), Some(total)) = (progress.bytes_done, progress.bytes_total)
        && total > 0
    {
        parts.push(format!("{} of {}", bytes(done), bytes(total)));
    }
    if let Some(rate) = progress.bytes_per_second.filter(|rate| *rate > 0) {
        parts.push(format!("{}/s", bytes(rate)));
    }
    parts.join(", ")
}

fn end(global: &Global, workflow: &WorkflowDetail) -> Exit {
    let summary = &workflow.summary;
    if !global.quiet {
        let took = match (summary.started_at, summary.finished_at) {
            (Some(start), Some(end)) => format!(" in {}", time::duration((end - start).num_seconds())),
            _ => String::new(),
        };
        eprintln!("{} {} {}{took}.", summary.id, summary.node, summary.state.word());
        if let Some(error) = &summary.error {
            eprintln!("  What  {}   [{}]", error.message, error.code);
            if let Some(why) = &error.why {
                eprintln!("  Why   {why}");
            }
            for (index, next) in error.next.iter().enumerate() {
                eprintln!("  {}  {next}", if index == 0 { "Next" } else { "    " });
            }
        }
        if let Some(left) = &workflow.left_behind {
            eprintln!("  Left  {left}");
        }
    }
    match summary.state {
        WorkflowState::Succeeded => Exit::Done,
        WorkflowState::NeedsHuman => Exit::NeedsHuman,
        _ => Exit::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_has_bytes_and_rate() {
        let text = progress(&Progress {
            what: Some("writing image".into()),
            bytes_done: Some(512 << 20),
            bytes_total: Some(1 << 30),
            bytes_per_second: Some(64 << 20),
            percent: None,
        });
        assert_eq!(text, "writing image, 50 %, 512.00 MiB of 1.00 GiB, 64.00 MiB/s");
    }
}
