//! What the demo shows: numbered steps, the commands as an admin would type them, and the time each took.

use std::time::Instant;

use helix_api::client::{Client, WorkflowQuery};
use helix_inventory::words::WorkflowState;
use helix_tests::ctl::Ctl;

/// The running demo.
pub(crate) struct Stage {
    steps: usize,
    at: usize,
    begun: Instant,
    step_begun: Instant,
}

impl Stage {
    pub(crate) fn begin(steps: usize) -> Self {
        Self { steps, at: 0, begun: Instant::now(), step_begun: Instant::now() }
    }

    /// Begins a step.
    pub(crate) fn step(&mut self, title: &str) {
        self.at += 1;
        self.step_begun = Instant::now();
        println!("\n[{}/{}] {title}", self.at, self.steps);
    }

    /// Ends a step.
    pub(crate) fn done(&self, words: &str) {
        let seconds = self.step_begun.elapsed().as_secs_f64();
        if words.is_empty() {
            println!("      {seconds:.1} s");
        } else {
            println!("      {words} ({seconds:.1} s)");
        }
    }

    /// Shows and runs a command; its output goes straight to the person.
    ///
    /// # Errors
    /// When it does not end with 0.
    pub(crate) fn run(&self, ctl: &Ctl, words: &[&str]) -> anyhow::Result<()> {
        let shown: Vec<_> = words.iter().map(|word| short(word)).collect();
        println!("    $ helixctl {}", shown.join(" "));
        let status = ctl.command(words)?.status()?;
        anyhow::ensure!(status.success(), "helixctl {} ended with {status}", shown.join(" "));
        Ok(())
    }

    /// Work of an earlier run that stopped or was cut off: what needs a person is retried, all of it is followed.
    ///
    /// # Errors
    /// When it stops again.
    pub(crate) async fn answer_what_waits(&self, ctl: &Ctl, client: &Client) -> anyhow::Result<()> {
        let open = client.workflows(&WorkflowQuery { open: true, ..WorkflowQuery::default() }).await?;
        for workflow in &open.items {
            if workflow.state == WorkflowState::NeedsHuman {
                self.run(ctl, &["workflow", "retry", &workflow.id, "--detach"])?;
            }
        }
        for workflow in &open.items {
            self.run(ctl, &["workflow", "watch", &workflow.id])?;
        }
        Ok(())
    }

    pub(crate) fn took(&self) -> String {
        format!("{:.0} s", self.begun.elapsed().as_secs_f64())
    }
}

/// A path is shown by its file name.
fn short(word: &str) -> &str {
    if word.starts_with('/') { word.rsplit('/').next().unwrap_or(word) } else { word }
}
